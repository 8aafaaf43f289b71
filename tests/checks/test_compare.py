"""``compare`` names exactly what differs: each broken thing has its own run, and the unbroken pair is OK.

Runs with different protocols are not a replication: the differences are reported, and no score is judged.
"""

import shutil

import pytest
import yaml
from checkpoints import replace_in_every_text, scale_tensor, with_remote_code
from commands import run_command
from comparing import compared, differing

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.protocol.profile_files import load_profile

PROFILE = load_profile("qzhou-zh")


def test_the_unbroken_pair_is_ok(finished, tiny, official, tmp_path, capsys):
    """The same command again in an empty folder: no fact differs, and every score is the same."""
    assert cli.main(run_command(tiny, official, tmp_path / "again")) == 0
    code, out, err = compared(capsys, finished, "--to", tmp_path / "again")
    assert (code, err) == (0, "")
    assert "no known fact differs" in out
    assert "verdict: 6 OK, 0 CLOSE, 0 OFF" in out


def profile(tmp_path, **fields):
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump({"name": "qzhou-zh", "extends": "qzhou-zh", "source": "a test", **fields}))
    return ["--profile", str(path)]


OTHER = {"STSB": {"instruct": "both", "instruction": "Retrieve similar text"}}
BREAKS = {
    "closing quote": (lambda p: profile(p, template=PROFILE.template.removesuffix("“")), {"template"}),
    "instruction": (lambda p: profile(p, tasks=OTHER), {"instruction"}),
    "space after Query:": (lambda _: ["--profile", "qzhou-zh-quickstart"], {"instruction line"}),
    "empty text": (lambda p: profile(p, empty_text="Nothing"), {"text for the empty one"}),
    "end token": (lambda p: profile(p, end_token="<|endoftext|>"), {"end token"}),
    "no instruction": (lambda _: ["--use_instruction", "false"], {"instruction used", "instruction"}),
    "TP range": (lambda _: ["--tp_layers", "1-6"], {"token prepending"}),
    "TP off": (lambda _: ["--token_prepending", "off"], {"token prepending"}),
    "limit": (lambda _: ["--max_length", "48"], {"limit"}),
    "truncation": (lambda _: ["--truncate", "text"], {"truncation"}),
    "normalisation": (lambda _: ["--normalize", "false"], {"normalisation"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_setting_is_named_and_becomes_the_question(*, broken, finished, tiny, official, tmp_path, capsys):
    flags, facts = BREAKS[broken]
    argv = run_command(tiny, official, tmp_path / "broken", "--dim", "96", *flags(tmp_path))
    assert cli.main(argv) == 0
    code, out, err = compared(capsys, tmp_path / "broken", "--to", finished)
    assert (code, differing(out), err) == (0, facts, "")
    (heading,) = [line for line in out.splitlines() if line.startswith("not a replication")]
    assert set(heading.split("what differs is the ")[1].split(", ")) == facts
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.startswith(("STSB ", "T2Re"))}
    assert rows.keys() == {"STSB", "T2Reranking"} and set(rows.values()) <= {"yes", "no"}
    assert "verdict" not in out and "OFF" not in out
    if broken == "space after Query:":
        assert "Query: '" in out and "Query:  " in out  # a trailing space is visible


@pytest.mark.slow
def test_precision_is_stated_and_compared(finished, tiny, official, tmp_path, capsys):
    argv = run_command(tiny, official, tmp_path / "float32", "--dim", "96", "--dtype", "float32")
    assert cli.main(argv) == 0
    code, out, err = compared(capsys, tmp_path / "float32", "--to", finished)
    rounded = {"products"}  # differs on a CPU that multiplies half precision in float32
    assert (differing(out) - rounded, err) == ({"precision"}, "")
    rows = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.startswith(("STSB", "T2Re"))}
    assert rows.keys() == {"STSB", "T2Reranking"}
    assert code == int("OFF" in rows.values())


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["one tensor", "tokenizer", "remote code"])
def test_another_checkpoint_is_named_by_what_differs_in_it(*, broken, finished, tiny, official, tmp_path, capsys):
    copy = tmp_path / "tiny"
    flags = ["--dim", "96"]
    if broken == "remote code":
        with_remote_code(tiny, copy, placeholder=151644, last_layer=7)
        code_file = copy / "modeling_prepending.py"
        code_file.write_text(code_file.read_text().replace("151644", str(_placeholder(tiny))))
        flags += ["--trust_remote_code"]
    else:
        shutil.copytree(tiny, copy)
    if broken == "one tensor":
        scale_tensor(copy / "model.safetensors", "layers.3.mlp.down_proj.weight", 1.01)
    if broken == "tokenizer":
        replace_in_every_text(copy, "。", "！")
    assert cli.main(run_command(copy, official, tmp_path / "other", *flags)) == 0
    _, out, err = compared(capsys, tmp_path / "other", "--to", finished)
    facts = {"one tensor": {"weights"}, "remote code": {"remote code", "attention"}}  # the checkpoint's own code pads
    assert (differing(out), err) == (facts.get(broken, {broken}) | {"model revision"}, "")


def _placeholder(folder) -> int:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(PROFILE.placeholder)


@pytest.mark.slow
def test_changed_data_are_named_with_their_task(finished, tiny, official, tmp_path, capsys):
    data = shutil.copytree(official, tmp_path / "data")
    file = data / packaged_tasks()["STSB"].path / "data/test.jsonl"
    file.write_text("\n".join(file.read_text("utf-8").splitlines()[:-1]), "utf-8")
    assert cli.main(run_command(tiny, data, tmp_path / "rows", "--dim", "96")) == 0
    code, out, err = compared(capsys, tmp_path / "rows", "--to", finished)
    assert (code, differing(out), err) == (0, {"data"}, "")
    assert "not compared at dim 96: data (STSB)" in out
    assert "verdict: 1 OK, 0 CLOSE, 0 OFF" in out  # the other task is still compared
    assert not any(line.startswith("STSB ") for line in out.splitlines())
    _, out, _ = compared(capsys, tmp_path / "rows", "--to", finished, "--allow-mismatch")
    marked = {line.split()[0] for line in out.splitlines() if line.rstrip().endswith("*")}
    assert marked == {"STSB"} and "verdict: 1 OK, 0 CLOSE, 0 OFF" in out
