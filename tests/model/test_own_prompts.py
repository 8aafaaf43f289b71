"""The profile ``checkpoint``: what a checkpoint's own files say, as sentence-transformers and mteb would send it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from mteb import get_task
from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
from mteb.types import PromptType
from sentence_transformers import SentenceTransformer

from qzhou_eval import Embedder, cli
from qzhou_eval.benchmark.packaged import cmteb
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.profile_choice import choose_profile
from qzhou_eval.protocol.profile_files import load_profile, shipped_profiles
from qzhou_eval.protocol.prompts import prompts_of, sides_of

TEXT = "今天天气很好"
PROMPTS = {
    "no file": None,
    "no prompts": {"prompts": {}, "default_prompt_name": None},
    "sides": {"prompts": {"query": "Q: ", "document": "D: "}, "default_prompt_name": None},
    "a side without a text": {"prompts": {"query": "Q: ", "document": ""}, "default_prompt_name": "query"},
    "passages": {"prompts": {"query": "Q: ", "passage": "P: "}, "default_prompt_name": None},
    "a default": {"prompts": {"query": "Q: "}, "default_prompt_name": "query"},
    "types": {
        "prompts": {"Retrieval-query": "R: ", "Retrieval": "RD: ", "STS": "S: ", "Reranking-document": "K: "},
        "default_prompt_name": None,
    },
    "tasks over types over sides": {
        "prompts": {"query": "Q: ", "STS": "S: ", "AFQMC": "A: ", "T2Retrieval-document": "T: ", "Clustering": "C: "},
        "default_prompt_name": "query",
    },
}


def with_prompts(model: Path, folder: Path, content: dict | None) -> Path:
    shutil.copytree(model, folder)
    path = folder / "config_sentence_transformers.json"
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(json.dumps(content), "utf-8")
    return folder


@pytest.mark.parametrize("case", PROMPTS)
def test_mteb_sends_the_same_to_sentence_transformers(tiny, tmp_path, case):
    """mteb chooses the prompt by its own rules, sentence-transformers adds the default one; both for all 31 tasks."""
    folder = with_prompts(tiny, tmp_path / "model", PROMPTS[case])
    profile = choose_profile(None, find_checkpoint(str(folder))).profile
    assert profile.name == "checkpoint"
    peer = SentenceTransformerEncoderWrapper(str(folder), device="cpu")
    ids = []
    peer.model[0].register_forward_pre_hook(lambda _module, args: ids.append(args[0]["input_ids"][0]))
    for task in cmteb().tasks:
        for side in sides_of(task):
            rows = torch.utils.data.DataLoader(Dataset.from_list([{"text": TEXT}]))
            where = {"task_metadata": get_task(task.name).metadata, "hf_split": "test", "hf_subset": "default"}
            ids.clear()
            peer.encode(rows, **where, prompt_type=PromptType(side) if side else None, show_progress_bar=False)
            (ours,) = prompts_of(profile, task, side, [TEXT], use_instruction=True)
            assert peer.model.tokenizer.decode(ids[-1]) == ours, (task.name, side)


@pytest.mark.parametrize("case", ["no prompts", "sides", "a side without a text", "passages", "a default"])
def test_encode_with_a_side_equals_encode_query_and_encode_document(tiny, tmp_path, case):
    folder = with_prompts(tiny, tmp_path / "model", PROMPTS[case])
    ours = Embedder.from_pretrained(str(folder), device="cpu")
    peer = SentenceTransformer(str(folder), device="cpu")
    texts = [TEXT, "一列火车"]
    for side, theirs in (("query", peer.encode_query), ("document", peer.encode_document)):
        expected = theirs(texts, normalize_embeddings=True)
        assert np.abs(ours.encode(texts, side=side) - expected).max() < 1e-5
        assert np.abs(ours.encode(texts[0], side=side) - expected[0]).max() < 1e-5


def test_a_side_takes_the_shipped_template_and_instruction_for_retrieval(tiny):
    e5 = Embedder.from_pretrained(str(tiny), profile="multilingual-e5", device="cpu", max_length=512)
    plain = Embedder.from_pretrained(str(tiny), profile="plain", device="cpu", max_length=512)
    for side, prefix in (("query", "query: "), ("document", "passage: ")):
        assert np.array_equal(e5.encode([TEXT], side=side), plain.encode([prefix + TEXT]))
    bge = Embedder.from_pretrained(str(tiny), profile="bge-zh-v1.5", device="cpu")
    assert np.array_equal(bge.encode([TEXT], side="document"), plain.encode([TEXT]))
    line = "为这个句子生成表示以用于检索相关文章："
    assert np.array_equal(bge.encode([TEXT], side="query"), plain.encode([line + TEXT]))
    assert np.array_equal(bge.encode([TEXT], side="query", instruction="别的："), plain.encode(["别的：" + TEXT]))
    with pytest.raises(BadInput, match="side='passage': choose query or document"):
        bge.encode([TEXT], side="passage")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"prompts": ["query"]}, "prompts is not a mapping from names to texts"),
        ({"prompts": {"query": 3}}, "prompts is not a mapping from names to texts"),
        ({"prompts": {"query": "Q: "}, "default_prompt_name": "document"}, "default_prompt_name is 'document', which"),
    ],
)
def test_a_damaged_file_is_one_line(tiny, tmp_path, content, message):
    folder = with_prompts(tiny, tmp_path / "model", content)
    with pytest.raises(BadInput, match=f"config_sentence_transformers.json: {message}"):
        choose_profile(None, find_checkpoint(str(folder)))


def test_a_folder_called_like_a_model_and_of_its_sizes_gets_its_profile(tiny, tmp_path):
    """The sizes that profiles state are read from the checkpoint; here the checkpoint's are changed to them."""
    for profile in shipped_profiles():
        for model in profile.models:
            folder = shutil.copytree(tiny, tmp_path / model.name)
            found = find_checkpoint(str(folder))
            sizes = {"kind": model.model_type, "layers": model.layers, "hidden": model.hidden}
            stated = {name: value for name, value in sizes.items() if value is not None}
            for name, value in stated.items():
                object.__setattr__(found.architecture, name, value)
            object.__setattr__(found, "width", model.width or found.width)
            chosen = choose_profile(None, found)
            assert chosen.profile.name == profile.name
            fetched = replace(found, name=model.name, commit="0" * 40)
            chosen = choose_profile(None, fetched)
            assert (chosen.profile.name, chosen.why) == (profile.name, f"the one of {model.name}")
            if stated:
                object.__setattr__(found.architecture, next(iter(stated)), "another")
                assert choose_profile(None, found).profile.name == "checkpoint"


def test_a_name_that_the_configuration_keeps_counts_too(tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "renamed")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"_name_or_path": "/data/models/gte-small-zh/"}))
    found = find_checkpoint(str(folder))
    object.__setattr__(found.architecture, "kind", "bert")
    assert choose_profile(None, found).profile.name == "gte-zh"


def test_checkpoint_can_be_asked_for_and_needs_a_model(tiny, capsys):
    found = find_checkpoint(str(tiny))
    chosen = choose_profile("checkpoint", found)
    assert (chosen.profile.name, chosen.why) == ("checkpoint", "profile")
    with pytest.raises(BadInput, match="profile='checkpoint': made from a model's files; give model_name_or_path too"):
        load_profile("checkpoint")
    assert cli.main(["prompts", "show", "AFQMC", "--profile", "checkpoint"]) == cli.EXIT_BAD_INPUT
    assert "--profile checkpoint: made from a model's files; give --model_name_or_path too" in capsys.readouterr().err
