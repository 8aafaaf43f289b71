"""Which commands use the network, counted by a server on loopback; and the whole way: fetch, then run offline."""

import json

import fetching
import pytest
from commands import run_command
from hub import Hub

from qzhou_eval.benchmark.packaged import packaged_tasks

TASKS = ["Waimai", "CLSClusteringS2S", "Ocnli", "T2Reranking", "EcomRetrieval", "STSB"]


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["run", "--tasks", "STSB"],
            "error: STSB: --offline needs its data on disk; on a machine that can reach the hub, run ",
        ),
        (
            ["run", "--tasks", "STSB", "AFQMC"],
            "error: AFQMC, STSB: --offline needs their data on disk; on a machine that can reach the hub, run "
            "qzhou-eval fetch --tasks AFQMC STSB --to ROOT, then",
        ),
        (["plan", "--tasks", "AFQMC"], "qzhou-eval fetch --tasks AFQMC --to ROOT, then give --data_dir ROOT"),
        (
            ["encode", "--profile", "qzhou-zh-mini", "--tasks", "MiniSTS"],
            "org/model: --offline needs the model on disk",
        ),
        (["evaluate", "--profile", "qzhou-zh-mini", "--tasks", "MiniSTS"], "qzhou-eval fetch --model org/model --to"),
        (["verify"], "org/model: --offline needs the model on disk"),
    ],
)
def test_offline_what_is_not_on_disk_is_one_line_at_once(hub, tmp_path, argv, message):
    code, out, err = fetching.run([*argv, "--model_name_or_path", "org/model", "--offline"], tmp_path, hub.url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert hub.requests == []


def test_fetch_needs_the_network_and_urls(hub, tmp_path):
    argv = ["fetch", "--to", tmp_path / "data", "--tasks", "STSB"]
    code, _, err = fetching.run([*argv, "--offline"], tmp_path, hub.url)
    assert (code, err) == (2, "error: unrecognized arguments: --offline (see qzhou-eval --help)\n")
    code, _, err = fetching.run(argv, tmp_path, hub.url, "hub.example")
    assert code == 2
    assert err == "error: HF_ENDPOINT hub.example: not a URL; give https://HOST, or several separated by commas\n"
    assert hub.requests == [] and not (tmp_path / "data").exists()


@pytest.mark.slow
def test_fetch_here_run_there(hub, official, tiny, tmp_path):
    """A task of each type and a model: the run sends no request, --offline or not; results have the hub's revisions."""
    tasks = [packaged_tasks()[name] for name in TASKS]
    for task in tasks:
        hub.add_folder(task.path, official / task.path, task.revision)
    hub.add_folder("org/tiny", tiny, "d" * 40, "models")
    data = tmp_path / "data"
    argv = ["fetch", "--to", data, "--model", "org/tiny", "--tasks", *TASKS]
    assert fetching.run(argv, tmp_path, hub.url)[0] == 0
    hub.forget()

    def revisions(out, names, *flags) -> set[str]:
        argv = run_command(data / "models/org/tiny", data, out, "--tasks", *names, *flags)
        code, _, err = fetching.run(argv, tmp_path, f"{hub.url}, {hub.url}/second")
        assert code == 0, err
        assert hub.requests == []
        (model,) = (path.relative_to(out / "results").as_posix() for path in out.glob("results/*/*"))
        assert model == f"org__tiny/{'d' * 40}"  # as mteb files a model of the hub
        return {json.loads(path.read_text())["dataset_revision"] for path in out.glob("results/**/[A-Z]*.json")}

    assert revisions(tmp_path / "out", TASKS) == {task.revision for task in tasks}
    stsb = packaged_tasks()["STSB"]
    assert revisions(tmp_path / "again", ["STSB"], "--offline") == {stsb.revision}
    rows = next((data / stsb.path).rglob("*.jsonl"))
    rows.write_text("".join(rows.read_text("utf-8").splitlines(keepends=True)[:-9]), "utf-8")
    (edited,) = revisions(tmp_path / "edited", ["STSB"], "--offline")
    assert edited.startswith("local-")
