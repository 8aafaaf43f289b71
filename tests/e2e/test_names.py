"""Names that others chose: whatever a folder, a profile or a manifest is called, files and tables stay in order."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import run_command
from layouts import MINI
from stored import WIDTH, variant
from written import RERANKING, STS, put

from qzhou_eval import cli
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.system.paths import stays_inside

ODD = {
    "with space": "with space",
    "..two..dots..": "..two..dots..",
    ".hidden": ".hidden",
    "two\nlines": "two_lines",
    "\x1b[31mred": "__31mred",
    "<script>alert(1)<script>": "_script_alert_1__script_",
    "a|b": "a_b",
    "[x](y)": "_x__y_",
    "--flag": "--flag",
    "模型": "模型",
    "\u202eright to left": "_right to left",
    "x" * 250: "x" * 60,
    "模" * 80: "模" * 60,
}


@pytest.mark.parametrize("name", ODD, ids=lambda name: ascii(name)[:30])
def test_a_folders_name_becomes_one_that_files_and_tables_bear(tiny, tmp_path, name):
    found = find_checkpoint(str(shutil.copytree(tiny, tmp_path / name)))
    assert found.name == f"local/{ODD[name]}"
    assert found.revision == find_checkpoint(str(tiny)).revision
    folder = replace(variant(WIDTH), model=found.name).folder
    assert stays_inside(folder) and folder.isprintable()
    assert all(len(part.encode()) <= 250 for part in folder.split("/"))


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/x", "..", "", None, 3])
def test_what_leads_out_of_a_folder(name):
    assert stays_inside(name) == (name == "")


@pytest.mark.slow
def test_a_run_of_an_oddly_named_model_writes_in_its_output_folder_alone(tiny, official, tmp_path, capsys, monkeypatch):
    """The name combines every oddity; the output folder is the default, which is named after the model."""
    odd = "..a\n<script>alert(1)|[x](y)`" + "模" * 60
    shutil.copytree(tiny, tmp_path / "models" / odd)
    shutil.copytree(official, tmp_path / "data")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    before = {path for path in tmp_path.rglob("*") if here not in path.parents}
    argv = run_command(tmp_path / "models" / odd, tmp_path / "data", Path("out"), "--tasks", "STSB")
    at = argv.index("--output_dir")
    assert cli.main([*argv[:at], *argv[at + 2 :]]) == 0
    assert {path for path in tmp_path.rglob("*") if here not in path.parents} == before
    (results,) = here.iterdir()
    (output,) = results.iterdir()
    assert (results.name, output.name) == ("results", ("..a__script_alert_1___x__y__" + "模" * 60)[:60])
    assert all(str(path.relative_to(here)).isprintable() for path in here.rglob("*"))
    assert "<script" not in (output / "report" / "report.md").read_text("utf-8")
    assert output.name in capsys.readouterr().out
    assert cli.main(["report", str(output)]) == 0


MARKUP = "<script>alert(1)</script>|a`b`[c](https://x)![d](e)<img src=x onerror=alert(1)>&amp;"


def columns(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def test_names_in_a_manifest_neither_break_a_table_nor_become_markup(tmp_path, capsys):
    """Results can come from others, so the model's name in them can be anything."""
    for dim, score in ((WIDTH, 0.5), (16, 0.4)):
        put(tmp_path, replace(variant(dim), model=MARKUP), STS, score)
    put(tmp_path, replace(variant(WIDTH), model=MARKUP), RERANKING, 0.7)
    assert cli.main(["report", str(tmp_path)]) == 0
    assert MARKUP in capsys.readouterr().out  # the screen shows it as it is
    text = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert not re.search(r"<[a-z/!]", text)
    assert not re.search(r"(?<!\\)[\[\]]", text.split("## ", 1)[1])
    assert "a\\`b\\`\\[c\\](https://x)" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({columns(line) for line in table.splitlines()}) == 1


HEADERS = {
    "a name": "data_files: ../../../secret.jsonl",
    "a list": "data_files: [data/test.jsonl, data/../../../../secret.jsonl]",
    "a split": "data_files: [{split: test, path: ../../../secret.jsonl}]",
    "a split's list": "data_files: [{split: test, path: [data/test.jsonl, ../../../secret.jsonl]}]",
    "absolute": "data_files: ROOT/secret.jsonl",
    "an address": "data_files: https://localhost/secret.jsonl",
    "an archive": "data_files: zip://test.jsonl::data.zip",
    "a hub's": "data_files: hf://datasets/a/b/test.jsonl",
    "hidden": "data_files: .data/test.jsonl",
    "folder above": "data_dir: ../../..",
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_data_sets_header_names_files_of_its_own_folder_alone(tmp_path, header):
    """datasets would read other files, although no digest covers them and they need not even be data."""
    task = packaged_tasks()["STSB"]
    folder = shutil.copytree(MINI / "MiniSTS", tmp_path / task.path)
    shutil.copy(folder / "data/test.jsonl", tmp_path / "secret.jsonl")
    before = "---\nconfigs:\n- config_name: default\n  "
    (folder / "README.md").write_text(f"{before}{HEADERS[header].replace('ROOT', str(tmp_path))}\n---\n")
    with pytest.raises(BadInput, match=r"README.md: configs names .*; only files in the same folder are read"):
        v2.load(task, locate(task, tmp_path))
    (folder / "README.md").write_text(f"{before}data_files: [{{split: test, path: data/*.jsonl}}]\n---\n")
    assert v2.load(task, locate(task, tmp_path)).data_loaded
    (folder / ".huggingface.yaml").write_text("configs: []\n")
    with pytest.raises(BadInput, match=r"\.huggingface\.yaml: a hidden header"):
        v2.load(task, locate(task, tmp_path))


@pytest.mark.parametrize(
    "change",
    [
        {"revision": "../../../../x"},
        {"experiment": [["dim", "16/../../../../x"]]},
        {"revision": "a\nb"},
    ],
)
@pytest.mark.parametrize("verb", ["report", "export"])
def test_a_manifests_names_lead_nowhere_else(*, tmp_path, capsys, change, verb):
    put(tmp_path / "out", variant(WIDTH), STS, 0.5)
    path = tmp_path / "out" / "manifest.json"
    content = json.loads(path.read_text())
    for entry in content["variants"].values():
        entry["variant"] |= change
    path.write_text(json.dumps(content))
    before = set(tmp_path.rglob("*"))
    more = ["--to", str(tmp_path / "to"), "--model_name", "a/b"] if verb == "export" else []
    assert cli.main([verb, str(tmp_path / "out"), *more]) == cli.EXIT_BAD_INPUT
    assert "manifest.json: damaged" in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before


def test_results_are_not_moved_by_a_manifests_names(tmp_path):
    """Results of a changed model move the old ones aside; names in a manifest must never move other files."""
    out = tmp_path / "out"
    put(out, variant(WIDTH), STS, 0.5)
    precious = tmp_path / "precious.json"
    precious.write_text("{}")
    content = json.loads((out / "manifest.json").read_text())
    (entry,) = content["variants"].values()
    up = "../" * (len(Path(variant(WIDTH).folder).parts) + 1)
    entry["tasks"][f"{up}precious"] = entry["tasks"]["MiniSTS"]
    (out / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match="damaged"):
        Manifest(out)
    assert precious.exists()
