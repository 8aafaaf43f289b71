"""A model is run by its name on the hub, with no other flag about what is sent: the profile is the one of that name."""

import pytest
import torch
import transformers
from fetching import run
from hub import Hub
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from transformers import AutoTokenizer

from qzhou_eval.miniature.__main__ import CHECKPOINT

NAME = "BAAI/bge-large-zh-v1.5"
COMMIT = "79e7739b6ab944e86d6171e44d24c997fc1e0116"


@pytest.fixture
def folder(tmp_path):
    """A small BERT with cls pooling."""
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.BertConfig(vocab_size=len(tokenizer), initializer_range=0.2, **sizes)
    transformers.BertModel(config).save_pretrained(tmp_path / "bare")
    tokenizer.save_pretrained(tmp_path / "bare")
    chain = [Transformer(str(tmp_path / "bare")), Pooling(64, pooling_mode="cls")]
    SentenceTransformer(modules=chain, device="cpu").save_pretrained(str(tmp_path / "model"), create_model_card=False)
    return tmp_path / "model"


@pytest.mark.slow
def test_a_run_by_the_hubs_name_needs_no_other_flag(folder, tmp_path):
    hub = Hub()
    hub.add_folder(NAME, folder, COMMIT, kind="models")
    argv = ["run", "--model_name_or_path", NAME, "--output_dir", tmp_path / "out"]
    code, _, err = run([*argv, "--tasks", "MiniSTS", "MiniRetrieval"], tmp_path, hub.url)
    assert code == 0, err
    assert f"sent to {NAME}: " in err and f"profile bge-zh-v1.5 (the one of {NAME})" in err
    assert "pooling cls (checkpoint), bidirectional attention (checkpoint)" in err
    found = {path.name for path in (tmp_path / "out/results" / NAME.replace("/", "__") / COMMIT).glob("Mini*.json")}
    assert found == {"MiniSTS.json", "MiniRetrieval.json"}
    manifest = (tmp_path / "out/manifest.json").read_text("utf-8")
    assert "为这个句子生成表示以用于检索相关文章：" in manifest  # a query's prompt
