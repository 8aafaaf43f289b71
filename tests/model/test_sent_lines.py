"""The log says what is sent before it is sent; another model's prompt is never used silently."""

import json
import logging
import shutil

import pytest
from commands import run_command
from sentence_transformers import SentenceTransformer

from qzhou_eval import Embedder, MTEBEncoder, cli
from qzhou_eval.fetch.receipt import note_fetched
from qzhou_eval.miniature.__main__ import runs
from qzhou_eval.model.settings import EncoderOptions
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.prepare import prepare_run

WARNING = "is not proven to be Kingsoft-LLM/QZhou-Embedding-Zh, but gets that model's prompt by default; "


def without_profile(argv: list[str]) -> list[str]:
    at = argv.index("--profile")
    return argv[:at] + argv[at + 2 :]


def first_lines(caplog, argv: list[str]) -> list[str]:
    """The lines that a dry run logs before its table."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert cli.main([*argv, "--dry_run"]) == 0
    return caplog.messages


def prepared(model, tmp_path, **more):
    return prepare_run(RunConfig(str(model), tmp_path / "out", tasks=["MiniSTS"], use_instruction=False, **more))


@pytest.fixture(autouse=True)
def no_probe(monkeypatch):
    """Skip the time probe, so that dry runs are quick."""
    monkeypatch.setattr("qzhou_eval.run.dry_run.CHEAP_WEIGHTS", 0)


@pytest.fixture
def copy(tiny, tmp_path):
    """The tiny model with its own prompts."""
    folder = shutil.copytree(tiny, tmp_path / "own")
    path = folder / "config_sentence_transformers.json"
    prompts = {"query": "Query: ", "document": "", "sts": "Compare: "}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prompts": prompts, "default_prompt_name": "query"}))
    return folder


def test_a_run_begins_with_profile_template_layers_limit_and_dtype(tiny, official, tmp_path, caplog):
    argv = run_command(tiny, official, tmp_path / "out", "--dim", "96")
    assert first_lines(caplog, argv)[:3] == [
        "sent to local/tiny: "
        r'"This sentence: <|im_start|>“Instruct: {instruction}\nQuery: {text}” means in one word: “", '
        "profile qzhou-zh (--profile)",
        "token prepending on layers 1-7 (profile); at most 1024 tokens (profile); bfloat16",
        "pooling last token (checkpoint), causal attention (checkpoint)",
    ]
    more = ["--profile", "plain", "--max_length", "64", "--truncate", "text", "--tp_layers", "2-3"]
    lines = first_lines(caplog, [*argv, *more[:-2]])
    assert lines[0] == 'sent to local/tiny: "{text}", profile plain (--profile)'
    assert lines[1].startswith("token prepending off (profile); at most 64 tokens (--max_length), only the text is cut")
    lines = first_lines(caplog, [*argv, *more[-2:], "--use_instruction", "false"])
    assert "Instruct" not in lines[0]
    assert lines[1].startswith("token prepending on layers 2-3 (--token_prepending); ")


def test_the_cards_command_keeps_the_cards_prompt_for_any_model_with_one_warning(
    tiny, official, tmp_path, caplog, monkeypatch
):
    argv = run_command(tiny, official, tmp_path / "out", "--dry_run")
    monkeypatch.setattr("sys.argv", ["run_cmteb_all.py", *without_profile(argv)[1:]])
    with caplog.at_level(logging.INFO):
        assert cli.run_cmteb_all() == 0
    assert [line for line in caplog.messages if "by default" in line] == [
        f"local/tiny {WARNING}--profile qzhou-zh keeps it, --profile checkpoint sends what its own files say, "
        "--profile plain the text alone"
    ]
    assert any(line.endswith("profile qzhou-zh (default)") for line in caplog.messages)
    caplog.clear()
    monkeypatch.setattr("sys.argv", ["run_cmteb_all.py", *argv[1:]])
    assert cli.run_cmteb_all() == 0
    assert not any("by default" in line for line in caplog.messages)
    caplog.clear()
    runs(tmp_path)
    assert not any("profile" in message for message in caplog.messages)  # the miniature names its own


def test_other_commands_send_what_the_checkpoint_says_if_no_profile_names_it(tiny, copy, official, tmp_path, caplog):
    lines = first_lines(caplog, without_profile(run_command(tiny, official, tmp_path / "out", "--dim", "64")))
    assert lines[0] == 'sent to local/tiny: "{text}", profile checkpoint (no shipped profile names this model)'
    lines = first_lines(caplog, without_profile(run_command(copy, official, tmp_path / "out", "--dim", "64")))
    assert 'sent to local/own: "{instruction}{text}", profile checkpoint' in lines[0]
    assert "not used: the checkpoint's own prompts, sts (config_sentence_transformers.json)" in lines
    for load in (Embedder.from_pretrained, MTEBEncoder.from_pretrained):
        with caplog.at_level(logging.INFO):
            caplog.clear()
            load(str(copy), device="cpu")
        assert "local/own: profile checkpoint (no shipped profile names this model)" in caplog.messages


def test_the_models_own_profile_is_taken_where_the_folder_is_proven_to_be_the_hubs(tiny, tmp_path, caplog):
    """One that fetch downloaded and nobody changed is the hub's model; a copy that someone made is just a folder."""
    place = "models/Kingsoft-LLM/QZhou-Embedding-Zh"
    folder = shutil.copytree(tiny, tmp_path / place)
    assert "profile checkpoint" in prepared(folder, tmp_path).subject.sent[0]  # called so, but of other sizes
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    note_fetched(tmp_path, place, names, kind="model", revision="1" * 40, endpoint="https://hub.invalid")
    for how, why in (
        ({}, "the one of Kingsoft-LLM/QZhou-Embedding-Zh"),
        ({"profile": "qzhou-zh"}, "profile"),
        ({"default_profile": "qzhou-zh"}, "default"),
    ):
        caplog.clear()
        run = prepared(folder, tmp_path, **how)
        assert run.subject.sent[0].startswith("sent to Kingsoft-LLM/QZhou-Embedding-Zh: ")
        assert run.subject.sent[0].endswith(f"profile qzhou-zh ({why})")
        assert caplog.messages == [
            "Kingsoft-LLM/QZhou-Embedding-Zh is at revision 11111111, but its published scores are of 0321ccb1: "
            "revision='0321ccb126413d1e49c5ce908e802b63d35f18e2' pins that one"
        ]


def test_prompts_of_the_checkpoint_that_are_not_used_are_named(copy, tiny, tmp_path):
    peer = SentenceTransformer(str(copy), device="cpu")
    (line,) = prepared(copy, tmp_path, profile="plain").subject.sent[3:]
    assert line == (
        "not used: the checkpoint's own prompts, query, the default; sts (config_sentence_transformers.json)"
    )
    assert {name for name, text in peer.prompts.items() if text} == {"query", "sts"}
    assert peer.default_prompt_name == "query"
    assert len(prepared(tiny, tmp_path, profile="plain").subject.sent) == 3


def test_several_readings_are_said_in_one_line(tiny, tmp_path):
    options = EncoderOptions(device="cpu")
    run = prepared(tiny, tmp_path, profile="qzhou-zh", options=options, also_token_prepending=("off", (0, 3)))
    assert run.subject.sent[1].startswith(
        "token prepending on layers 1-7 and off and on layers 0-3 (token_prepending); "
    )
