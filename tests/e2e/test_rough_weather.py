"""Whatever happens to an input, the answer is one line or a correct number: random mutations through the real command.

QZHOU_EVAL_MUTATIONS sets how many (default 60). The first ones are the same in every run.
"""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from commands import run_command
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from layouts import read_rows, write_header, write_rows
from mutations import (
    BYTES,
    cut,
    of_bytes,
    of_json,
    of_models,
    of_old_manifests,
    of_rows,
    of_shards,
    of_yaml,
    split_renamed,
)

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.system.paths import data_folder

COUNT = int(os.environ.get("QZHOU_EVAL_MUTATIONS", "60"))
TASKS = ["STSB", "EcomRetrieval"]
INPUTS = {  # kind of input -> its files, relative to the folder of all inputs
    "model": (
        *("config.json", "model.safetensors", "modules.json", "1_Pooling/config.json", "2_Dense/config.json"),
        *("2_Dense/model.safetensors", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"),
    ),
    "data": (
        *("mteb/STSB/data/test.jsonl", "mteb/STSB/README.md", "mteb/EcomRetrieval/README.md"),
        *(f"mteb/EcomRetrieval/{place}/dev.jsonl" for place in ("corpus", "queries", "data")),
    ),
    "protocol": ("protocol.yaml",),
    "out": (
        *("manifest.json", "STSB.json", "EcomRetrieval.json", "STSB.items.safetensors", "model_meta.json"),
        *("settings.json", "store/*/*.safetensors"),
    ),
}
BY_ENDING = {".json": [of_json()], ".jsonl": [of_rows()], ".yaml": [of_yaml()], ".md": [of_yaml()]}


@pytest.fixture(scope="module")
def inputs(tiny, official, tmp_path_factory) -> Path:
    """A model, data, a profile and the output of a run with them; few rows, so that a run is short."""
    root = tmp_path_factory.mktemp("inputs")
    shutil.copytree(tiny, root / "model")
    (root / "other").symlink_to(CHECKPOINT)
    for task in TASKS:
        shutil.copytree(official / packaged_tasks()[task].path, root / "data" / packaged_tasks()[task].path)
    write_header(root / "data/mteb/STSB", {"default": {"test": "data/test.jsonl"}})
    pairs = root / "data/mteb/STSB/data/test.jsonl"
    write_rows(pairs, read_rows(pairs)[:40])
    (root / "protocol").mkdir()
    shutil.copy(data_folder("task_instructions") / "qzhou-zh.yaml", root / "protocol/protocol.yaml")
    text = (root / "protocol/protocol.yaml").read_text("utf-8")
    (root / "protocol/protocol.yaml").write_text(re.sub(r"(?m)^model:.*\n( .*\n)*", "", text), "utf-8")
    assert cli.main(command(root)) == 0
    return root


def command(root: Path) -> list[str]:
    """The run's command line, with a profile from a file."""
    more = ["--profile", str(root / "protocol/protocol.yaml"), "--tasks", *TASKS, "--dim", "16", "96"]
    return run_command(root / "model", root / "data", root / "out", *more)


@st.composite
def mutated(draw):
    """A kind of input, the name of one of its files, and the mutation."""
    kind = draw(st.sampled_from(list(INPUTS)))
    name = draw(st.sampled_from(INPUTS[kind]))
    text = not name.endswith(".safetensors")
    possible = [of_bytes(text=text), *BY_ENDING.get(Path(name).suffix, [])]
    if kind == "model":
        possible.append(of_models())
    elif name.endswith(("test.jsonl", "dev.jsonl")):
        possible.append(st.just(("another split's name", split_renamed)))
    elif name == "manifest.json":
        possible.append(of_old_manifests())
    elif name.startswith("store/"):
        possible.append(of_shards())
    said, change = draw(st.one_of(possible))
    return kind, name, said, change


def recorded(out: Path) -> dict[str, tuple]:
    """Scores by result; the key includes what the manifest says the result was made from."""
    content = json.loads((out / "manifest.json").read_text("utf-8"))
    found = {}
    for place, entry in content["variants"].items():
        for task, made in entry["tasks"].items():
            rows = json.loads((out / place / f"{task}.json").read_text("utf-8"))["scores"]
            about = (entry["variant"]["revision"], entry["variant"]["profile_digest"], made["record"]["data"])
            found[f"{entry['variant']['dim']} {task}", about] = {s: r[0]["main_score"] for s, r in rows.items()}
    return found


def check(root: Path, argv: list[str], capsys, caplog) -> int:
    """Run the command; return its exit code, which must be an expected one. Bad input must give one line."""
    caplog.clear()
    code = cli.main(argv)
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if line]
    said += [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert code in (0, cli.EXIT_BAD_INPUT, cli.EXIT_FAILED_TASKS), said
    assert "Traceback" not in out + err and not any("a bug in qzhou-eval" in line for line in said), said
    if code == cli.EXIT_BAD_INPUT:
        assert len([line for line in said if line.startswith("error:")]) == 1, said
    if code != 0:
        assert all(str(root) in line for line in said if line.startswith(("error:", "failed:"))), said
    assert not list(root.rglob(".tmp-*"))
    return code


def rough(case, inputs: Path, root: Path, capsys, caplog) -> None:
    """Mutate a copy of the inputs and run the command on it."""
    kind, name, said, change = case
    shutil.copytree(inputs, root, dirs_exist_ok=True, symlinks=True)
    expected = recorded(inputs / "out")
    found = sorted(path for path in (root / kind).rglob("*") if path.match(f"*{name}") and path.is_file())
    change(found[0])
    if kind == "out":
        check(root, ["report", str(root / "out")], capsys, caplog)
    else:
        shutil.rmtree(root / "out")
    code = check(root, command(root), capsys, caplog)
    print(f"{kind}/{name}: {said}: exit code {code}")
    for path in (root / "out").rglob("*.json"):
        assert kind == "out" or json.loads(path.read_text("utf-8")), path  # complete JSON
    if code == 0:
        scores = recorded(root / "out")
        for key, value in scores.items():
            assert expected.get(key, value) == value, f"{kind}/{name}: {said}: another score and nothing says why"
    shutil.rmtree(root)


def number_among_ids(path: Path) -> None:
    rows = read_rows(path)
    write_rows(path, [rows[0] | {"_id": 1e300}, *rows[1:]])


def instruction_misspelt(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace('"instruct"', '"instructs"'), "utf-8")


@pytest.mark.slow
@example(case=("protocol", "protocol.yaml", "cut at 0.689", cut(0.689)))  # these once got a wrong answer
@example(case=("data", "mteb/EcomRetrieval/queries/dev.jsonl", "a number among ids", number_among_ids))
@example(case=("out", "manifest.json", "instructions misspelt", instruction_misspelt))
@example(case=("model", "modules.json", "upper case", BYTES["upper case"]))
@settings(
    max_examples=COUNT,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(case=mutated())
def test_one_line_or_a_right_number(case, inputs, tmp_path_factory, capsys, caplog):
    rough(case, inputs, tmp_path_factory.mktemp("rough"), capsys, caplog)
