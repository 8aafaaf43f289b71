"""Token ids by tokenizer.json and tokenizer_config.json: the same under both generations of transformers."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from checkpoints import edit_json, replace_in_every_text
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from qzhou_eval import cli
from qzhou_eval.errors import EXIT_CHECK_FAILED, BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.settings import EncoderOptions, resolve_settings
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.profile_files import load_profile

BEGIN, END = "<|im_start|>", "<|im_end|>"
TEXTS = ["今天天气很好。", "", "a", " a  b\t\n", "ＡＢＣ café 火锅", f"x {BEGIN} y {END}", "😀 1234567"]
PLAIN = load_profile("plain")
CARD_PYTHON = Path(__file__).parents[2] / ".venv-card" / "bin" / "python"


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    return shutil.copytree(tiny, tmp_path / "model")


def with_template(folder: Path, template: str, **config) -> Path:
    """Change which special tokens tokenizer.json adds, and change fields of tokenizer_config.json."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    numbers = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (BEGIN, END) if token in template]
    state = json.loads(TemplateProcessing(single=template, special_tokens=numbers).__getstate__())
    edit_json(folder / "tokenizer.json", post_processor=state)
    edit_json(folder / "tokenizer_config.json", bos_token=BEGIN, eos_token=END, **config)
    return folder


def ids_of(folder: Path, texts=TEXTS, max_length: int = 512) -> list[list[int]]:
    tokenizer = PromptTokenizer(find_checkpoint(str(folder)), PLAIN, max_length=max_length, truncate="whole")
    return [list(found.ids) for found in tokenizer(texts)]


@pytest.mark.parametrize("template", ["$A", f"{BEGIN} $A", f"$A {END}", f"{BEGIN} $A {END}"])
@pytest.mark.parametrize("begin", [None, True])
@pytest.mark.parametrize("end", [None, True])
def test_a_token_that_either_file_asks_for_is_sent_once(folder, tokenizer, template, begin, end):
    flags = {"add_bos_token": begin, "add_eos_token": end}
    with_template(folder, template, **{flag: value for flag, value in flags.items() if value is not None})
    numbers = tokenizer.convert_tokens_to_ids([BEGIN, END])
    head = numbers[:1] if begin or template.startswith(BEGIN) else []
    tail = numbers[1:] if end or template.endswith(END) else []
    for text, found in zip(TEXTS, ids_of(folder), strict=True):
        assert found == [*head, *tokenizer(text, add_special_tokens=False)["input_ids"], *tail]
    (long,) = ids_of(folder, ["火锅很好吃，" * 100], max_length=20)
    assert len(long) == 20 and long[:1] == (head or long[:1]) and long[-1:] == (tail or long[-1:])


@pytest.mark.parametrize(
    ("template", "config", "words"),
    [
        (f"{BEGIN} $A", {"add_bos_token": False}, "says add_bos_token: false, but tokenizer.json adds <|im_start|>"),
        (f"$A {END}", {"add_eos_token": False}, "says add_eos_token: false, but tokenizer.json adds <|im_end|> after"),
        (f"$A {BEGIN}", {"add_eos_token": True}, "but tokenizer.json adds another token after each text"),
        (f"{END} $A", {"add_bos_token": True}, "but tokenizer.json adds another token before each text"),
    ],
)
def test_two_files_that_contradict_each_other_are_refused(folder, template, config, words):
    with_template(folder, template, **config)
    with pytest.raises(BadInput) as error:
        ids_of(folder)
    assert words in str(error.value)


def test_the_token_that_transformers_5_leaves_out_is_said_once(folder, caplog):
    with_template(folder, "$A", add_eos_token=True)
    ids_of(folder)
    ids_of(folder)
    (said,) = [record.getMessage() for record in caplog.records if "add_eos_token" in record.getMessage()]
    assert f"{END} is added after each text" in said


def test_a_token_named_as_a_mapping_or_in_the_older_file_is_known(folder, tokenizer):
    end = tokenizer.convert_tokens_to_ids(END)
    with_template(folder, "$A", add_eos_token=True)
    edit_json(folder / "tokenizer_config.json", eos_token={"content": END, "__type": "AddedToken"})
    assert {ids[-1] for ids in ids_of(folder)} == {end}
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    config.pop("eos_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps({"eos_token": END}), "utf-8")
    assert {ids[-1] for ids in ids_of(folder)} == {end}


def test_an_edited_normalizer_counts_whatever_class_is_named(folder):
    """Classes of transformers 5 with their own __init__ build a different tokenizer from the one in the file."""
    replace_in_every_text(folder, "火锅", "天气")
    edit_json(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer")
    truth = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    assert ids_of(folder) == [truth(text)["input_ids"] for text in TEXTS]
    assert ids_of(folder, ["火锅"]) == ids_of(folder, ["天气"])


def test_truncation_and_padding_of_the_file_do_not_count(folder):
    plain = ids_of(folder)
    length = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    padding = {"strategy": {"Fixed": 9}, "direction": "Left", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"}
    edit_json(folder / "tokenizer.json", truncation=length, padding=padding)
    assert ids_of(folder) == plain


def test_special_tokens_in_a_text_are_split_where_the_folder_says_so(folder, tokenizer):
    edit_json(folder / "tokenizer_config.json", split_special_tokens=True)
    (found,) = ids_of(folder, [f"x {BEGIN}"])
    assert tokenizer.convert_tokens_to_ids(BEGIN) not in found


def test_without_tokenizer_json_transformers_makes_it_and_the_fingerprint_says_which(folder):
    def fingerprint() -> str:
        checkpoint = find_checkpoint(str(folder))
        settings = resolve_settings(checkpoint, PLAIN, EncoderOptions(device="cpu", max_length=512))
        identity = settings.identity(checkpoint, PLAIN)
        identity.pop("checkpoint")  # which files exist
        return identity["token_ids"]

    assert fingerprint().startswith("tokenizer.json; ")
    model = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]
    pairs = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]), "utf-8")
    (folder / "tokenizer.json").unlink()
    edit_json(folder / "tokenizer_config.json", tokenizer_class="GPT2Tokenizer", unk_token="<|endoftext|>")
    assert fingerprint().startswith("transformers ")
    truth = AutoTokenizer.from_pretrained(folder)
    assert ids_of(folder) == [truth(text, add_special_tokens=False)["input_ids"] for text in TEXTS]


def test_a_token_without_an_embedding_is_refused_before_anything_is_encoded(folder):
    rows = find_checkpoint(str(folder)).architecture.vocabulary
    content = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    token = {"id": rows, "content": "中国", "single_word": False, "lstrip": False, "rstrip": False}
    for special in (False, True):
        added = [*content["added_tokens"], token | {"normalized": False, "special": special}]
        edit_json(folder / "tokenizer.json", added_tokens=added)
        if not special:
            with pytest.raises(
                BadInput, match=f"the token '中国' with id {rows}, but the model has embeddings for only {rows}"
            ):
                ids_of(folder)
    assert len(ids_of(folder)) == len(TEXTS)  # a special token that no text contains; Gemma 3 has one
    with pytest.raises(BadInput, match=r"a prompt contains 中国, for which the model has no embedding: '去中国'"):
        ids_of(folder, ["a", "去中国"])


FOLDERS = {
    "plain": lambda d: None,
    "llama": lambda d: with_template(d, f"{BEGIN} $A", add_bos_token=True, tokenizer_class="LlamaTokenizer"),
    "llama, end token": lambda d: with_template(
        d, f"{BEGIN} $A", add_bos_token=True, add_eos_token=True, tokenizer_class="LlamaTokenizer"
    ),
    "qwen, end token": lambda d: with_template(d, "$A", add_eos_token=True, tokenizer_class="Qwen2Tokenizer"),
    "template": lambda d: with_template(d, f"{BEGIN} $A {END}"),
    "normalizer": lambda d: (
        replace_in_every_text(d, "火锅", "天气"),
        edit_json(d / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer"),
    ),
}
SCRIPT = """
import json, sys
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.profile_files import load_profile
found = []
for folder in sys.argv[2:]:
    tokenizer = PromptTokenizer(find_checkpoint(folder), load_profile("plain"), max_length=512, truncate="whole")
    found.append([list(prompt.ids) for prompt in tokenizer(json.loads(sys.argv[1]))])
print(json.dumps(found))
"""


@pytest.mark.skipif(not CARD_PYTHON.exists() and not os.environ.get("CI"), reason="no .venv-card")
def test_both_generations_of_transformers_give_the_same_ids(tiny, tmp_path):
    """They share a store."""
    folders = [shutil.copytree(tiny, tmp_path / name) for name in FOLDERS]
    for folder, change in zip(folders, FOLDERS.values(), strict=True):
        change(folder)
    command = [CARD_PYTHON, "-c", SCRIPT, json.dumps(TEXTS), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CARD_PYTHON.parents[2], check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [ids_of(folder) for folder in folders]


@pytest.mark.slow
def test_verify_does_not_say_ok_where_the_other_side_loses_the_end_token(folder, capsys):
    with_template(folder, f"{BEGIN} $A", add_eos_token=True)
    edit_json(folder / "config.json", max_position_embeddings=512)
    edit_json(folder / "tokenizer_config.json", model_max_length=512)
    argv = ["verify", "--model_name_or_path", str(folder), "--profile", "plain", "--device", "cpu"]
    assert cli.main([*argv, "--against", "sentence-transformers"]) == EXIT_CHECK_FAILED
    out = capsys.readouterr().out
    assert "verdict: DIFFERS: token ids" in out
    (limit,) = [line for line in out.splitlines() if line.startswith("limit ")]
    assert limit.split(maxsplit=2)[1:] == [
        "stated",
        "1,024 tokens, of profile plain; tokenizer_config.json, model_max_length says 512; "
        "config.json, positions says 512 (not used here)",
    ]
