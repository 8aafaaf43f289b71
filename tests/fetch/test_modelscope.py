"""``fetch`` from ModelScope by its real client, when no hub has it: checked against its hash, never labelled the hub's.

The server is the tests' own, in the shape that the client expects; the real service was not contacted.
"""

import json

import fetching
import pytest
from fetching import contents
from hub import COMMIT, Hub
from layouts import MINI
from modelscope_server import ModelScopeServer

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.system.mteb_version import how_to_install

pytest.importorskip("modelscope_hub")
STSB, OCNLI = packaged_tasks()["STSB"], packaged_tasks()["Ocnli"]
ROWS = (MINI / "MiniSTS/data/test.jsonl").read_bytes()
FILES = {"README.md": b"---\n---\n", "data/test.jsonl": ROWS, "data/train.jsonl": ROWS[:900]}


@pytest.fixture
def scope():
    server = ModelScopeServer()
    server.add(STSB.path, FILES | {".gitattributes": b"x\n", "load.py": b"import os\n", "rows.pkl": b"pickle"})
    server.add(OCNLI.path, {"data/validation.jsonl": ROWS[:300]})
    yield server
    server.close()


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def fetch(scope, tmp_path, monkeypatch):
    """A function that fetches with ModelScope last in the chain: exit code, stdout and stderr."""
    without = fetching.environment
    own = {"MODELSCOPE_ENDPOINT": scope.url, "MODELSCOPE_API_TOKEN": "ms", "HOME": str(tmp_path / "home")}
    monkeypatch.setattr(fetching, "environment", lambda *where: without(*where) | own)

    def fetch(*argv, endpoints=(), tasks=("STSB",)):
        asked = ["fetch", "--to", tmp_path / "data", "--tasks", *tasks, *argv]
        return fetching.run(asked, tmp_path, *endpoints)

    return fetch


def recorded(tmp_path) -> dict:
    return json.loads((tmp_path / "data/fetched.json").read_text())["repositories"]


@pytest.mark.slow
def test_after_both_hubs_failed(fetch, scope, hub, tmp_path):
    gone = Hub()
    gone.close()
    code, out, err = fetch(endpoints=(gone.url, hub.url), tasks=("STSB", "Ocnli", "AFQMC"))
    assert code == 3 and out.count("\n") == 1
    assert out.startswith("C-MTEB/AFQMC: not fetched: ") and f"{scope.url}: no such repository" in out
    assert contents(tmp_path / "data" / STSB.path) == FILES  # no code, no pickle, nothing hidden
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"mteb", "C-MTEB", "fetched.json"}
    where = f"ModelScope at {scope.url}"
    entry = recorded(tmp_path)[STSB.path]
    assert (entry["kind"], entry["revision"], entry["endpoint"]) == ("modelscope dataset", "master", where)
    assert list(entry["files"]) == sorted(FILES)
    assert f"{where}'s master may not be the hub's {STSB.revision}; results call it local" in err
    assert f"; trying {where}\n" in err and "skipped, not a data format: load.py, rows.pkl" in err
    assert scope.tokens == {("127.0.0.1", "Bearer ms"), ("localhost", None)}  # the hub's token is "x"
    assert hub.tokens == {None}
    assert not (tmp_path / "home").exists()  # the client leaves no files, and no login of its own is read
    found = locate(STSB, tmp_path / "data")
    assert found.revision == found.content and found.revision.startswith("local-")

    scope.requests.clear()
    assert fetch()[0] == 0
    assert [line for line in scope.requests if not line.endswith("/repo/tree")] == []  # nothing is downloaded again
    assert fetching.run(["fetch", "--to", tmp_path / "data", "--verify"], tmp_path)[0] == 0

    hub.add(STSB.path, FILES, STSB.revision)
    assert fetch(endpoints=(hub.url,))[0] == 0
    assert locate(STSB, tmp_path / "data").revision == STSB.revision  # now the revision is known
    assert recorded(tmp_path)[STSB.path]["kind"] == "dataset"


@pytest.mark.slow
def test_a_model_stays_local(fetch, scope, hub, tiny, tmp_path):
    files = contents(tiny)
    scope.add("org/tiny", files | {"pytorch_model.bin": b"pickle", "modeling_own.py": b"import os"}, "models")
    assert fetch("--model", "org/tiny", tasks=())[0] == 0
    folder = tmp_path / "data/models/org/tiny"
    assert contents(folder) == files
    assert recorded(tmp_path)["models/org/tiny"]["kind"] == "modelscope model"
    found = find_checkpoint(str(folder))
    assert (found.name, found.revision[:6]) == ("local/tiny", "local-")
    code, _, err = fetch("--model", "org/tiny", "--revision", "e" * 40, endpoints=(hub.url,), tasks=())
    assert code == 2 and f"{scope.url}: has no revision eee" in err

    hub.add("org/tiny", files, COMMIT, "models")
    assert fetch("--model", "org/tiny", endpoints=(hub.url,), tasks=())[0] == 0
    scope.add("org/tiny", {"config.json": b"{}"}, "models")
    code, out, _ = fetch("--model", "org/tiny", tasks=())  # the hub is unreachable again
    assert code == 3 and "not asked, so that the existing files from the hub stay unchanged" in out
    found = find_checkpoint(str(folder))
    assert (found.name, found.revision) == ("org/tiny", COMMIT)


@pytest.mark.slow
def test_a_wrong_file_is_refused_and_a_broken_transfer_goes_on(fetch, scope, tmp_path):
    scope.wrong.add("data/validation.jsonl")
    scope.cut.add("data/test.jsonl")
    code, out, _ = fetch(tasks=("Ocnli", "STSB"))
    assert code == 3 and out.count("\n") == 1
    assert out.startswith(f"{OCNLI.path}: not fetched: ") and "the downloaded file does not match the listing" in out
    assert not (tmp_path / "data" / OCNLI.path).exists() and list(recorded(tmp_path)) == [STSB.path]
    assert scope.ranges == [f"bytes={len(ROWS) // 2}-"]
    assert contents(tmp_path / "data" / STSB.path) == FILES


def test_no_name_leaves_the_folder_and_each_file_has_a_hash(fetch, scope, tmp_path):
    names = ["../x.json", "/tmp/x.json", "data/../../x.json", "a\\..\\x.json"]
    tasks = ["AFQMC", "ATEC", "BQ", "LCQMC", "PAWSX", "QBQTC", "STSB"]
    for task, name in zip(tasks, names, strict=False):
        scope.add(packaged_tasks()[task].path, FILES | {name: b"{}"})
    for task, fields in zip(tasks[4:], [{"Sha256": ""}, {"Sha256": "../" * 21 + "x"}, {"Size": "many"}], strict=True):
        scope.add(packaged_tasks()[task].path, FILES, **fields)
    code, out, _ = fetch(tasks=tasks)
    assert code == 3 and out.count("\n") == len(tasks)
    assert out.count("which is not a path inside a folder; nothing was downloaded") == len(names)
    assert out.count("without a SHA-256; nothing was downloaded") == 2
    assert out.count("an answer that cannot be used (") == 1
    assert [path for path in contents(tmp_path) if not path.startswith(("hf/", "own/"))] == []


def test_everything_is_down(fetch, scope, tmp_path):
    scope.close()
    code, out, err = fetch(endpoints=(scope.url,), tasks=("STSB", "Ocnli"))  # one host under two protocols is two hosts
    (said,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert (code, out) == (2, "")
    assert said.count("cannot be reached ([Errno 111]") == 3 and len(said) < 400
    assert "install" not in err


def test_without_the_client_the_extra_is_named_once(fetch, scope, tmp_path, monkeypatch):
    """As if the client were not installed; the earlier messages are unchanged."""
    hide = tmp_path / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'modelscope_hub' else find(name, *more)\n"
    )
    with_client = fetching.environment
    path = {"PYTHONPATH": f"{hide}:{fetching.ROOT}"}
    monkeypatch.setattr(fetching, "environment", lambda *where: with_client(*where) | path)
    code, _, err = fetch(tasks=("STSB", "Ocnli"))
    assert code == 2 and err.count(how_to_install("modelscope")) == 1
    assert err.splitlines()[-1].startswith("error: nothing was fetched: https://huggingface.co: cannot be reached")
    assert scope.requests == []
