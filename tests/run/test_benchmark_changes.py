"""What a run records beside results follows the benchmark's file and the flags, even if every result is reused."""

import json

import pytest

from qzhou_eval import cli

PAIRS = (
    "sentence1,sentence2,score\n今天天气好,天气不错,5\n今天天气好,我饿了,0\n买了新书,书是新的,4\n买了新书,下雨了,1\n"
)
ONE = "title: First\ntasks:\n  dup: {type: STS, path: pairs.csv}\n  also: {type: STS, path: pairs.csv}\n"
OTHER = "title: Second\ntasks:\n  dup: {type: STS, path: pairs.csv}\n"


@pytest.mark.slow
def test_a_task_that_was_removed_no_longer_counts_and_prompts_are_removed(tiny, tmp_path, caplog):
    (tmp_path / "pairs.csv").write_text(PAIRS, "utf-8")
    file, out = tmp_path / "b.yaml", tmp_path / "out"
    argv = ["run", "--model_name_or_path", str(tiny), "--profile", "plain", "--device", "cpu", "--quiet"]
    argv += ["--benchmark", str(file), "--output_dir", str(out), "--dim", "16"]
    file.write_text(f"name: mine\n{ONE}")
    assert cli.main(argv) == 0
    assert "also" in (out / "report/mine_tasks.csv").read_text("utf-8")
    assert "天气" in (out / "manifest.json").read_text("utf-8")
    before = {path: path.read_bytes() for path in out.rglob("*.items.safetensors")}
    file.write_text(f"name: mine\n{OTHER}")
    assert cli.main([*argv, "--no_samples"]) == 0
    assert "left out, of no benchmark that was run here" in caplog.text
    assert "also" not in (out / "report/mine_tasks.csv").read_text("utf-8")
    assert "Second" in (out / "report/report.md").read_text("utf-8")
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert list(manifest["benchmarks"]["mine"]["tasks"]) == ["dup"]
    assert "天气" not in (out / "manifest.json").read_text("utf-8") + (out / "report/report.md").read_text("utf-8")
    assert before == {path: path.read_bytes() for path in out.rglob("*.items.safetensors")}  # nothing was scored again
