"""``verify``: an unbroken pair is OK; with one thing broken, the verdict names that thing and no other."""

import re
import shutil

import pytest
from checkpoints import replace_in_every_text, scale_tensor
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from transformers import AutoModel
from verifying import OK, fitting, marks, quick_profile, verdict, verify

from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.checks.verify.tensors import stored_tensors
from qzhou_eval.encode.probe import probe
from qzhou_eval.errors import EXIT_BAD_INPUT, EXIT_CHECK_FAILED
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.protocol.probe_texts import TEXTS
from qzhou_eval.protocol.profile_files import load_profile, profile_names
from qzhou_eval.protocol.prompts import instruction_for, render

BODY = "layers.3.mlp.up_proj.weight"


@pytest.fixture(scope="module")
def saved(tiny, tmp_path_factory):
    """The probe file of the unbroken model and profile."""
    folder = tmp_path_factory.mktemp("saved")
    assert verify(tiny, quick_profile(folder), "--save", folder / "probe.safetensors") == 0
    return folder / "probe.safetensors"


@pytest.fixture
def against_saved(tiny, saved, tmp_path, capsys):
    """Compare a model and a changed profile with the unbroken file: the check must fail; return what is printed."""

    def compare(model=tiny, file=saved, **changes) -> str:
        assert verify(model, quick_profile(tmp_path, **changes), "--against", file) == EXIT_CHECK_FAILED
        return capsys.readouterr().out

    return compare


@pytest.fixture
def copy(tiny, tmp_path):
    """A copy of the unbroken model, for a test to break."""
    return shutil.copytree(tiny, tmp_path / "tiny")


@pytest.mark.parametrize("name", profile_names())
def test_the_probe_is_forty_rendered_prompts_of_the_profiles_tasks(name):
    profile = load_profile(name)
    prompts = probe(profile)
    assert len(prompts) == len(set(TEXTS)) == 40
    for text, prompt in zip(TEXTS, prompts, strict=True):
        _, task, side = [*prompt.label.split(", "), None, None][:3]
        instruction = instruction_for(profile, packaged_tasks()[task], side) if task else None
        assert prompt.prompt == render(profile, text, instruction, side)
    assert {p.pieces[1] for p in prompts} >= {
        profile.instruction.format(instruction=t.instruction) for t in profile.tasks.values()
    }


def test_the_published_probe_uses_every_task_and_documents_with_an_instruction():
    labels = [tuple(prompt.label.split(", ")[1:]) for prompt in probe(load_profile("qzhou-zh"))]
    tasks = load_profile("qzhou-zh").tasks
    assert len(set(labels)) == 40
    assert {label[0] for label in labels} == set(tasks)
    documents = [label[0] for label in labels if label[-1] == "document"]
    assert [tasks[name].instruct for name in documents] == ["both"] * 4 + ["queries"] * 5


def test_without_another_side_ours_is_stated(tiny, tmp_path, capsys):
    assert verify(tiny, quick_profile(tmp_path)) == 0
    out = capsys.readouterr().out
    assert set(marks(out).values()) == {"stated"}
    assert " 6 cut at 96 tokens, " in out
    for pair in ("TP 1-6 and TP 1-7", "TP 1-6 and off", "TP 1-7 and off"):
        assert len(re.findall(rf"^(?:float32|bfloat16) +{pair} ", out, re.MULTILINE)) == 2
    assert verdict(out) == "verdict: stated: nothing was compared; --against names another side"


def test_a_profile_without_token_prepending_has_one_reading(tiny, tmp_path, capsys):
    """Its empty text has no token, so neither side can embed it."""
    profile = quick_profile(tmp_path, extends="plain")
    assert verify(tiny, profile, "--save", tmp_path / "probe") == 0
    assert "precision" not in capsys.readouterr().out
    assert verify(tiny, profile, "--against", tmp_path / "probe") == 0
    out = capsys.readouterr().out
    assert "embeddings on 39 of 40 prompts" in out
    assert fitting(out) == ["off"]


def test_the_same_model_and_profile_are_ok(tiny, saved, tmp_path, capsys):
    assert verify(tiny, quick_profile(tmp_path), "--against", saved) == 0
    out = capsys.readouterr().out
    assert marks(out) == OK
    assert "embeddings on 40 of 40 prompts" in out
    assert fitting(out) == ["TP 1-7"]
    assert verdict(out) == "verdict: OK: the same model with the same input; reading TP 1-7"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "differing", "shown", "words"),
    [
        (
            {"template": 'This sentence: <|im_start|>“{text}” means in one word: "'},
            {"prompts", "token ids"},
            ["40 of 40 differ; first text 1, IFlyTek: the template end is '” means in one word: \"' here, "],
            "DIFFERS: prompts (template end), token ids",
        ),
        (
            {"template": "This Sentence: <|im_start|>“{text}” means in one word: “"},
            {"prompts", "token ids"},
            ["the template beginning is 'This Sentence: <|im_start|>“' here, 'This sentence: <|im_start|>“' there"],
            "DIFFERS: prompts (template beginning), token ids",
        ),
        (
            {"tasks": {"AFQMC": {"instruct": "both", "instruction": "Retrieve semantically similar text."}}},
            {"prompts", "token ids"},
            ["1 of 40 differ; first text 25, AFQMC: the instruction is ", "similar text.\\nQuery: ' here", "39 of 40"],
            "DIFFERS: prompts (instruction), token ids",
        ),
        (
            {"empty_text": "null"},
            {"prompts", "token ids"},
            ["1 of 40 differ; first text 3, MultilingualSentiment: the text is 'null' here, 'Null' there"],
            "DIFFERS: prompts (text), token ids",
        ),
        ({"max_length": 90}, {"token ids"}, ["position 90: none here, "], "DIFFERS: token ids"),
        (
            {"token_prepending": [1, 6]},
            set(),
            ["profile quick", "TP 1-6\n"],
            "the weights are the same, but the reading that fits is TP 1-7; the profile's is TP 1-6",
        ),
        (
            {"token_prepending": [2, 5]},
            set(),
            ["float32 TP 2-5 "],
            "the weights are the same, but the reading that fits is TP 1-7; the profile's is TP 2-5",
        ),
        (
            {"token_prepending": [1, 6], "empty_text": "null"},
            {"prompts", "token ids"},
            ["embeddings on 39 of 40 prompts"],
            "DIFFERS: prompts (text), token ids; the reading that fits is TP 1-7; the profile's is TP 1-6",
        ),
    ],
    ids=["closing quote", "beginning", "instruction", "empty text", "limit", "TP 1-6", "TP 2-5", "two at once"],
)
def test_a_change_of_the_profile_is_named(against_saved, change, differing, shown, words):
    out = against_saved(**change)
    assert {name for name, mark in marks(out).items() if mark == "DIFFERS"} == differing
    for text in shown:
        assert text in out or text in " ".join(out.split())  # ignore the table's padding
    assert verdict(out) == f"verdict: {words}"


def test_where_no_prompt_is_equal_no_embedding_is_compared(against_saved):
    out = against_saved(template="A sentence: <|im_start|>“{text}” means in one word: “")
    assert "embeddings: not compared, no prompt has the same token ids on both sides" in out
    assert fitting(out) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "tensor", "shown"),
    [
        ("model.safetensors", BODY, BODY),
        ("2_Dense/model.safetensors", "linear.weight", "projection.linear.weight"),
    ],
)
def test_a_tensor_that_is_one_percent_off_is_named(against_saved, copy, file, tensor, shown):
    scale_tensor(copy / file, tensor, 1.01)
    out = against_saved(copy)
    assert marks(out) == OK | {"tensors": "DIFFERS"}
    assert f"1 of 103 differ: {shown} (F32 [96, 64] " in out
    assert fitting(out) == []
    assert verdict(out) == f"verdict: DIFFERS: tensors ({shown})"


def test_another_tokenizer_is_named(against_saved, copy):
    replace_in_every_text(copy, "手机", "电话")
    out = against_saved(copy)
    assert marks(out) == OK | {"token ids": "DIFFERS"}
    assert "1 of 40 differ; first text 2, JDReview, position " in out
    assert "embeddings on 39 of 40 prompts" in out
    assert fitting(out) == ["TP 1-7"]
    assert verdict(out) == "verdict: DIFFERS: token ids"


@pytest.mark.parametrize(
    ("precision", "words"),
    [("float32", "embeddings (no reading fits; "), ("bfloat16", "embeddings in bfloat16")],
)
def test_other_vectors_are_named_where_all_before_them_is_the_same(against_saved, saved, tmp_path, precision, words):
    vectors = load_file(saved)
    with safe_open(saved, framework="np") as file:
        metadata = file.metadata()
    vectors[f"vectors_{precision}"][7] *= -1
    save_file(vectors, tmp_path / "other", metadata)
    out = against_saved(file=tmp_path / "other")
    assert marks(out) == OK
    assert verdict(out).startswith(f"verdict: DIFFERS: {words}")


def test_readings_that_cannot_be_told_apart_are_both_named(copy, tmp_path, capsys):
    """If layers 7 and 8 add nothing, the state at the placeholder before layer 7 reaches no last token."""
    for part in ("self_attn.o_proj", "mlp.down_proj"):
        for layer in (7, 8):
            scale_tensor(copy / "model.safetensors", f"layers.{layer}.{part}.weight", 0)
    profile = quick_profile(tmp_path)
    assert verify(copy, profile, "--save", tmp_path / "probe") == 0
    assert verify(copy, profile, "--against", tmp_path / "probe") == EXIT_CHECK_FAILED
    words = "the readings TP 1-6 and TP 1-7 all fit: they cannot be distinguished here"
    assert verdict(capsys.readouterr().out) == f"verdict: the weights are the same, but {words}"


def test_a_wrong_parameter_count_is_a_line_not_an_error(tiny, tmp_path, capsys):
    copy = shutil.copytree(tiny, tmp_path / "QZhou-Embedding-Zh")
    published = {"name": "Kingsoft-LLM/QZhou-Embedding-Zh", "parameters": 7575747328}
    assert verify(copy, quick_profile(tmp_path, models=[published])) == EXIT_CHECK_FAILED
    out = capsys.readouterr().out
    assert "; 7,575,747,328 published" in out
    assert verdict(out) == "verdict: DIFFERS: parameters"


def test_tensor_digests_do_not_depend_on_how_they_are_split_over_files(tiny, tmp_path):
    AutoModel.from_pretrained(tiny).save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    whole = stored_tensors(find_checkpoint(str(tiny)))
    split = stored_tensors(find_checkpoint(str(tmp_path)))
    assert split == {name: value for name, value in whole.items() if not name.startswith("projection.")}


def test_a_file_of_another_width_or_a_damaged_one_is_bad_input(tiny, saved, tmp_path, capsys):
    bare = shutil.copytree(tiny, tmp_path / "bare", ignore=shutil.ignore_patterns("modules.json", "[0-9]_*"))
    assert verify(bare, quick_profile(tmp_path), "--against", saved) == EXIT_BAD_INPUT
    assert "vectors of shape (40, 96), but this model's width is 64" in capsys.readouterr().err
    damaged = tmp_path / "damaged"
    damaged.write_bytes(saved.read_bytes()[:-100])
    assert verify(tiny, quick_profile(tmp_path), "--against", damaged) == EXIT_BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1
