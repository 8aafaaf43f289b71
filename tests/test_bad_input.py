"""Bad input gets one clear line that says what, where and what to do; exit code 2; nothing is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qzhou_eval import cli
from qzhou_eval.tasks import MINIATURE_DATA

ROOT = Path(__file__).parents[1]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def place(tmp_path, tiny, monkeypatch):
    """The current folder, with everything that the invocations below name, good and bad."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("x")
    (tmp_path / "no-model").mkdir()
    (tmp_path / "empty-data").mkdir()
    shutil.copytree(tiny, tmp_path / "model")
    shutil.copytree(tiny, tmp_path / "no-placeholder")
    for file in ("tokenizer.json", "tokenizer_config.json"):
        path = tmp_path / "no-placeholder" / file
        path.write_text(path.read_text("utf-8").replace("<|im_start|>", "<|begin|>"), "utf-8")
    (tmp_path / "no-text.yaml").write_text('name: x\nsource: t\ntemplate: "abc"\nmax_length: 9\n')
    (tmp_path / "list-tasks.yaml").write_text("name: x\nextends: qzhou-zh\nsource: t\ntasks: [AFQMC]\n")
    weights = shutil.copytree(tiny, tmp_path / "cut-weights") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    modules = shutil.copytree(tiny, tmp_path / "two-dense") / "modules.json"
    stack = json.loads(modules.read_text())
    modules.write_text(json.dumps([*stack, stack[-1]]))
    for name, bad in (("none", None), ("number", 7)):
        folder = tmp_path / f"data-{name}" / "mteb" / "STSB" / "data"
        folder.mkdir(parents=True)
        rows = (MINIATURE_DATA / "mini/MiniSTS/data/test.jsonl").read_text("utf-8").splitlines()[:40]
        changed = [json.loads(row) | {"sentence1": bad} for row in (rows if bad else rows[:3])]
        lines = [json.dumps(row, ensure_ascii=False) for row in changed] + (rows[3:] if bad is None else [])
        (folder / "test.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "manifest.json").write_text("{")
    (tmp_path / "damaged" / "fetched.json").write_text('{"repositories": {"mteb/STSB": {"kind": "dataset"}}}')
    return tmp_path


RUN = ["run", "--model_name_or_path", "model", "--output_dir", "out", "--device", "cpu"]
STSB = [*RUN, "--tasks", "STSB"]
MINI = [*RUN, "--profile", "qzhou-zh-mini", "--tasks", "MiniSTS"]

VERIFY = ["verify", "--model_name_or_path", "model"]
FETCH = ["fetch", "--to", "out"]

INVOCATIONS = [
    ([*RUN, "--tasks", "STBS"], "--tasks STBS: unknown; did you mean STSB?"),
    ([*RUN, "--tasks"], "no task to run"),
    ([*RUN, "--tasks", "STSB", "--task_types", "Retrieval"], "no task to run"),
    ([*RUN, "--task_types", "Retreival"], "did you mean Retrieval?"),
    ([*STSB, "--data_dir", "empty-data"], "fetch it with: qzhou-eval fetch --tasks STSB --to "),
    ([*STSB, "--data_dir", "nowhere"], "nowhere: no such folder"),
    ([*STSB, "--data_dir", "data-none"], "STSB"),
    ([*STSB, "--data_dir", "data-number"], "not text"),
    ([*MINI, "--dim", "97"], "--dim 97: the model's vectors have 96 dimensions"),
    ([*MINI, "--dim", "0"], "--dim 0"),
    ([*MINI, "--dim", "wide"], "--dim wide: give numbers"),
    ([*MINI, "--dim", "-5"], "--dim"),
    ([*MINI, "--profile", "qzhou"], "did you mean qzhou-zh?"),
    ([*MINI, "--profile", "no-text.yaml"], "{text} exactly once"),
    ([*MINI, "--profile", "qzhou-zh"], "no instruction for MiniSTS"),
    ([*MINI, "--tp_layers", "1-9"], "layers 0 to 8"),
    ([*MINI, "--tp_layers", "7"], "give a layer range such as 1-7"),
    ([*MINI, "--tp_layers", "1-7", "--token_prepending", "off"], "contradicts"),
    ([*MINI, "--token_prepending", "maybe"], "invalid choice: 'maybe'"),
    ([*MINI, "--normalize", "perhaps"], "give true or false"),
    ([*MINI, "--max_length", "0"], "--max_length 0"),
    ([*MINI, "--max_length", "3"], "--max_length: shorter than the template's beginning"),
    ([*MINI, "--revision", "main"], "model is a folder; revisions are the hub's"),
    ([*MINI, "--model_name_or_path", "cut-weights"], "model.safetensors: damaged or incomplete"),
    ([*MINI, "--model_name_or_path", "two-dense"], "cannot run modules"),
    ([*MINI, "--device", "cuda:x"], "choose auto, cpu, cuda or cuda:N"),
    ([*MINI, "--profile", "list-tasks.yaml"], "expected a mapping of task names"),
    ([*MINI, "--batch_tokens", "-1"], "--batch_tokens -1"),
    ([*MINI, "--attention", "flash"], "invalid choice: 'flash'"),
    ([*MINI, "--evaluators", "ours"], "invalid choice: 'ours'"),
    ([*MINI, "--fp8"], "--fp8: made from bfloat16 weights, not float32"),
    ([*MINI, "--device", "tpu"], "--device tpu"),
    ([*MINI, "--device", "cuda"], "torch sees 0 GPUs"),
    ([*MINI, "--dtype", "int8"], "invalid choice: 'int8'"),
    ([*MINI, "--output_dir", "a-file"], "a-file is a file, not a folder"),
    ([*MINI, "--store_dir", "a-file/store"], "a-file is a file, not a folder"),
    ([*MINI, "--model_name_or_path", "no-model"], "config.json is missing"),
    ([*MINI, "--model_name_or_path", "nowhere"], "no such folder"),
    ([*MINI, "--model_name_or_path", "no-placeholder"], "no token <|im_start|>"),
    ([*MINI, "--model_name_or_path", "org/not-there"], "the hub cannot be reached"),
    ([*MINI, "--output_dir", "damaged"], "manifest.json: damaged"),
    (["evaluate", *MINI[1:]], "prompts are not in the store; run encode first"),
    (["run"], "--model_name_or_path"),
    ([], "COMMAND"),
    (["rum"], "invalid choice: 'rum'"),
    (["report", "empty-data"], "no results there"),
    (["report", "damaged"], "damaged"),
    ([*VERIFY, "--against", "nowhere"], "nowhere: no such file; give remote, sentence-transformers or a file"),
    ([*VERIFY, "--against", "a-file"], "a-file: damaged, or not a file that --save wrote"),
    ([*VERIFY, "--against", "model/model.safetensors"], "not a file that --save wrote"),
    ([*VERIFY, "--against", "remote"], "names no code of its own"),
    ([*VERIFY, "--save", "a-file/probe"], "--save a-file: a-file is a file, not a folder"),
    ([*VERIFY, "--save", "empty-data"], "--save empty-data: is a folder"),
    ([*VERIFY, "--device", "tpu"], "--device tpu"),
    (["verify", "--model_name_or_path", "no-placeholder"], "no token <|im_start|>"),
    (["compare", "empty-data"], "no results there"),
    (["compare", "damaged"], "manifest.json: damaged"),
    (["compare"], "RESULTS"),
    (["export", "empty-data", "--to", "out"], "no results there"),
    (["export", "damaged", "--to", "out"], "manifest.json: damaged"),
    (["export", "damaged"], "--to"),
    ([*MINI, "--mteb", "old"], "invalid choice: 'old'"),
    (["fetch"], "--to"),
    (["fetch", "--to", "a-file"], "--to a-file: a-file is a file, not a folder"),
    (["fetch", "--to", "empty-data", "--verify"], "empty-data: nothing was fetched there"),
    (["fetch", "--to", "damaged", "--verify"], "fetched.json: damaged"),
    ([*STSB, "--data_dir", "damaged"], "no data in"),
    ([*FETCH, "--tasks", "STBS"], "--tasks STBS: unknown; did you mean STSB?"),
    ([*FETCH, "--tasks"], "no task to run"),
    ([*FETCH, "--tasks", "MiniSTS"], "--tasks MiniSTS: comes with the package"),
    ([*FETCH, "--benchmark", "mteb"], "invalid choice: 'mteb'"),
    ([*FETCH, "--model", "../.."], "--model ../..: not an ORG/NAME on the hub"),
    ([*FETCH, "--revision", "main"], "--revision main: a model's"),
    (FETCH, "fetch needs the network, and HF_HUB_OFFLINE is set"),
    (["prompts", "show", "AFQMD"], "did you mean AFQMC?"),
]


@pytest.mark.parametrize(("argv", "message"), INVOCATIONS, ids=lambda v: " ".join(v)[-60:] if v else "nothing")
def test_one_line_exit_code_2_nothing_written(place, capsys, caplog, argv, message):
    before = tree(place)
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    said = [line for line in capsys.readouterr().err.splitlines() if line and "LOAD REPORT" not in line]
    said += [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1
    assert message in said[0]
    assert tree(place) == before


@pytest.mark.slow
def test_the_real_command_prints_no_traceback(tiny, tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "run_cmteb_all.py", "--model_name_or_path", tiny, "--dim", "4096", "--output_dir", "D"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == cli.EXIT_BAD_INPUT
    assert done.stderr.strip() == "error: --dim 4096: the model's vectors have 96 dimensions; choose 1 to 96"
    assert list(tmp_path.iterdir()) == []


def test_without_a_hub_the_command_that_fetches_the_data_is_named(place, caplog):
    argv = ["run", "--model_name_or_path", "model", "--output_dir", "out", "--device", "cpu", "--tasks", "AFQMC"]
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    assert "qzhou-eval fetch --tasks AFQMC --to ROOT, then give --data_dir ROOT" in caplog.text
    assert not (place / "out").exists()
