"""``fetch`` with the real client against a small hub on loopback: it downloads exactly what is listed, or nothing."""

import hashlib
import json
import os
import shutil
import threading
import time
from dataclasses import replace

import fetching
import pytest
from fetching import contents
from hub import COMMIT, Hub
from layouts import MINI

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.model.folder.checkpoint import find_checkpoint

STSB, OCNLI = packaged_tasks()["STSB"], packaged_tasks()["Ocnli"]
ROWS = (MINI / "MiniSTS/data/test.jsonl").read_bytes()
STS_FILES = {"README.md": b"---\n---\n", "data/test.jsonl": ROWS, "data/train.jsonl": ROWS[:6000]}
PAIR_FILES = {"README.md": b"---\n---\npairs\n", "data/validation.jsonl": ROWS[:300]}


def new_hub():
    hub = Hub()
    hub.add(STSB.path, STS_FILES | {".gitattributes": b"x\n", "load.py": b"import os\n"}, STSB.revision)
    hub.add(OCNLI.path, PAIR_FILES, OCNLI.revision)
    return hub


@pytest.fixture
def hub():
    hub = new_hub()
    yield hub
    hub.close()


@pytest.fixture
def other():
    hub = new_hub()
    yield hub
    hub.close()


@pytest.fixture
def fetch(hub, tmp_path):
    """A function that fetches STSB from ``hub`` or other endpoints, with more flags: exit code, stdout and stderr."""

    def fetch(*argv, endpoints=(hub.url,), tasks=("STSB",)):
        asked = ["fetch", "--to", tmp_path / "data", "--tasks", *tasks, *argv]
        return fetching.run(asked, tmp_path, *endpoints)

    return fetch


def test_plain(fetch, hub, tmp_path):
    code, out, err = fetch(tasks=["STSB", "Ocnli"])
    assert (code, out) == (0, "")
    assert contents(tmp_path / "data" / STSB.path) == STS_FILES  # no code, nothing hidden
    assert contents(tmp_path / "data" / OCNLI.path) == PAIR_FILES
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"mteb", "C-MTEB", "fetched.json"}
    entries = json.loads((tmp_path / "data/fetched.json").read_text())["repositories"]
    assert entries[STSB.path] == {
        "kind": "dataset",
        "revision": STSB.revision,
        "endpoint": hub.url,
        "files": {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in STS_FILES.items()
        },
    }
    said = err.splitlines()
    revisions = [f" at {task.revision[:12]}" for task in (OCNLI, STSB)]
    assert [line.split(":")[0] for line in said] == [OCNLI.path + revisions[0], STSB.path + revisions[1], STSB.path]
    assert "3 files, 0.1 MB, 3 of them (0.1 MB) from http://127.0.0.1" in said[1]
    assert said[2] == f"{STSB.path}: skipped, not a data format: load.py"

    hub.forget()
    code, out, err = fetch(tasks=["STSB", "Ocnli"])
    assert code == 0 and err.count("already there") == 2
    assert hub.requests == []

    found = locate(STSB, tmp_path / "data")
    assert found.revision == STSB.revision and found.content.startswith("local-")
    (tmp_path / "data" / STSB.path / "README.md").write_text("---\n---\nmore\n")
    assert locate(STSB, tmp_path / "data").revision.startswith("local-")
    assert locate(OCNLI, tmp_path / "data").revision == OCNLI.revision
    moved = replace(OCNLI, revision="e" * 40)  # as if another mteb pinned another commit
    assert locate(moved, tmp_path / "data").revision == locate(OCNLI, tmp_path / "data").content
    (tmp_path / "data" / OCNLI.path / "more.jsonl").write_text("{}\n")
    assert locate(OCNLI, tmp_path / "data").revision.startswith("local-")


def test_verify_says_what_differs(fetch, tmp_path):
    assert fetch(tasks=["STSB", "Ocnli"])[0] == 0
    verify = ["fetch", "--to", tmp_path / "data", "--verify"]
    assert fetching.run(verify, tmp_path) == (0, "all right: 5 files of 2 repositories\n", "")
    folder = tmp_path / "data" / STSB.path
    before = (folder / "data/test.jsonl").stat()
    (folder / "data/test.jsonl").write_bytes(ROWS[::-1])
    os.utime(folder / "data/test.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    (folder / "README.md").unlink()
    (folder / "data/new.jsonl").write_text("{}")
    code, out, _ = fetching.run(verify, tmp_path)
    lines = [f"{STSB.path}/README.md: missing", f"{STSB.path}/data/new.jsonl: extra"]
    assert (code, out.splitlines()) == (1, [*lines, f"{STSB.path}/data/test.jsonl: changed"])
    assert fetching.run([*verify, "--tasks", "Ocnli"], tmp_path)[0] == 0
    assert fetching.run([*verify, "--tasks", "AFQMC"], tmp_path)[1] == "C-MTEB/AFQMC: not fetched\n"


@pytest.mark.slow
def test_a_busy_hub_is_asked_again(fetch, hub, tmp_path):
    hub.fault("/tree/", status=429, headers={"Retry-After": "2"})
    hub.fault("GET /cdn/", status=503, times=2)
    hub.fault("HEAD /", status=500)
    start = time.monotonic()
    code, _, err = fetch()
    assert code == 0
    assert time.monotonic() - start > 3.5  # 2 as asked, then half a second, one, and half a second
    assert "HTTP 429: waiting 2 s, as the server asks" in err
    assert contents(tmp_path / "data" / STSB.path) == STS_FILES


def test_a_broken_transfer_goes_on(fetch, hub, tmp_path):
    large = (b'{"sentence1": "' + b"x" * 2000 + b'"}\n') * 13_000  # the client saves what has arrived every 10 MB
    hub.add(STSB.path, {"test.jsonl": large}, STSB.revision)
    hub.fault("GET /cdn/", cut=True)
    assert fetch()[0] == 0
    assert hub.ranges == [f"bytes={10 << 20}-"]
    assert contents(tmp_path / "data" / STSB.path) == {"test.jsonl": large}


@pytest.mark.slow
def test_a_wrong_file_is_fetched_again_and_never_kept(fetch, hub, other, tmp_path):
    hub.fault("GET /cdn/", flip=True)
    assert fetch()[0] == 0
    assert contents(tmp_path / "data" / STSB.path) == STS_FILES

    hub.fault(f"GET /datasets/{OCNLI.path}", flip=True, times=2)
    code, out, err = fetch(tasks=["Ocnli", "STSB"])
    assert code == 3
    assert out.count("\n") == 1 and f"{OCNLI.path}: not fetched: {hub.url}: README.md: the downloaded file" in out
    assert not (tmp_path / "data" / OCNLI.path).exists()

    hub.fault(f"GET /datasets/{OCNLI.path}", flip=True, times=9)
    code, out, err = fetch(tasks=["Ocnli"], endpoints=(hub.url, other.url))
    assert (code, out) == (0, "")
    assert f"README.md: the downloaded file does not match the listing (twice); trying {other.url}" in err
    assert (hub.tokens, other.tokens) == ({"Bearer x"}, {None})
    assert json.loads((tmp_path / "data/fetched.json").read_text())["repositories"][OCNLI.path]["endpoint"] == other.url


def test_what_cannot_be_had_is_named_and_the_rest_comes(fetch, hub, tmp_path):
    hub.fault("HEAD /datasets/mteb/STSB", status=404, headers={"X-Error-Code": "EntryNotFound"}, times=9)
    code, out, _ = fetch(tasks=["STSB", "AFQMC", "Ocnli"])
    assert code == 3
    assert "AFQMC: not fetched: " in out and "no such repository or revision" in out
    assert "STSB: not fetched: " in out and "lists a file that it does not have" in out and "README.md" in out
    assert out.count("\n") == 2
    assert contents(tmp_path / "data" / OCNLI.path) == PAIR_FILES


def test_an_answer_of_another_kind_is_one_line(fetch, hub):
    hub.fault(f"GET /api/datasets/{STSB.path}/tree", status=200, body=b"<html></html>")
    hub.fault(f"GET /api/datasets/{OCNLI.path}/tree", status=200, body=b'[{"type":"file","path":5,"size":"x","oid":1}]')
    hub.fault("GET /api/datasets/C-MTEB/AFQMC/", status=200, body=b'{"id": "C-MTEB/AFQMC", "sha": "main"}')
    hub.fault("GET /api/datasets/C-MTEB/ATEC/", status=403)
    code, out, _ = fetch(tasks=["STSB", "Ocnli", "AFQMC", "ATEC"])
    assert code == 3 and out.count("\n") == 4
    assert out.count("an answer that cannot be used") == 2
    assert "answers with commit main for b44c3b0" in out and "HTTP 403" in out


@pytest.mark.slow
def test_one_endpoint_is_down_then_all(fetch, hub, tmp_path):
    gone = Hub()
    gone.close()
    code, _, err = fetch(tasks=["STSB", "Ocnli"], endpoints=(f" {gone.url}/", "", hub.url))
    assert code == 0
    assert err.count("cannot be reached") == 1 and f"; trying {hub.url}\n" in err  # not asked again for the second set
    shutil.rmtree(tmp_path / "data")
    code, out, err = fetch(tasks=["STSB", "Ocnli"], endpoints=(gone.url,))
    assert (code, out) == (2, "")
    said = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and said[0].startswith(f"error: nothing was fetched: {gone.url}: cannot be reached")
    assert "; https://huggingface.co: cannot be reached" in said[0]


def test_no_name_leaves_the_folder(fetch, hub, tmp_path):
    names = [
        "../x.json",
        "/tmp/x.json",
        "data/../../x.json",
        "a\\..\\x.json",
        "C:/x.json",
        "a//b.json",
        "README.md/x.json",
    ]
    tasks = ["AFQMC", "ATEC", "BQ", "LCQMC", "PAWSX", "STSB", "Ocnli"]
    for task, name in zip(tasks, names, strict=True):
        hub.add(packaged_tasks()[task].path, STS_FILES | {name: b"{}"}, packaged_tasks()[task].revision)
    code, out, _ = fetch(tasks=tasks)
    assert code == 3
    assert out.count("which is not a path inside a folder; nothing was downloaded") == len(names) == out.count("\n")
    assert [path for path in contents(tmp_path) if not path.startswith(("hf/", "own/"))] == []


def test_no_link_leads_out_of_the_folder(fetch, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data" / STSB.path).mkdir(parents=True)
    (tmp_path / "data" / STSB.path / "data").symlink_to(tmp_path / "elsewhere")
    code, out, _ = fetch()
    assert code == 3 and "is a link out of the folder" in out
    assert contents(tmp_path / "elsewhere") == {}


def test_a_killed_fetch_goes_on(fetch, hub, tmp_path):
    hold = threading.Event()
    argv = ["fetch", "--to", tmp_path / "data", "--tasks", "Ocnli", "STSB"]
    last = "GET /cdn/" + hashlib.sha256(STS_FILES["data/train.jsonl"]).hexdigest()
    hub.fault(last, until=hold)
    process = fetching.start(argv, tmp_path, hub.url)
    deadline = time.monotonic() + 60
    while last not in hub.requests:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    assert "another fetch into it is running" in fetching.run(argv, tmp_path, hub.url)[2]
    process.kill()
    process.communicate()
    hold.set()
    kept = {name: content for name, content in STS_FILES.items() if name != "data/train.jsonl"}
    assert contents(tmp_path / "data" / STSB.path) == kept
    time.sleep(0.2)
    hub.forget()
    assert fetch(tasks=["Ocnli", "STSB"])[0] == 0
    assert hub.sent == {"data/train.jsonl": 6000}
    assert contents(tmp_path / "data" / STSB.path) == STS_FILES
    assert not (tmp_path / "data/.fetching").exists()


def test_a_model_without_pickles_and_code(fetch, hub, tmp_path):
    files = {"config.json": b"{}", "model.safetensors": ROWS, "tokenizer.json": b"[]", "1_Dense/config.json": b"{} "}
    bad = {"pytorch_model.bin": b"pickle", "modeling_own.py": b"import os"}
    hub.add("org/tiny", files | bad, kind="models")
    code, _, _ = fetch("--model", "org/tiny", tasks=())
    assert code == 0
    assert contents(tmp_path / "data/models/org/tiny") == files
    entries = json.loads((tmp_path / "data/fetched.json").read_text())["repositories"]
    assert list(entries) == ["models/org/tiny"] and entries["models/org/tiny"]["revision"] == COMMIT
    code, _, err = fetch("--model", "org/other", tasks=["STSB"])
    assert code == 2 and f"error: --model org/other: {hub.url}: no such repository or revision" in err
    assert not (tmp_path / "data/mteb").exists()
    assert fetch("--model", "org/tiny", "--revision", COMMIT, endpoints=(), tasks=())[0] == 0


def test_a_model_that_is_what_came_has_its_hub_name(fetch, hub, tiny, tmp_path):
    hub.add_folder("org/tiny", tiny, COMMIT, "models")
    assert fetch("--model", "org/tiny", tasks=())[0] == 0
    folder = tmp_path / "copied/models/org/tiny"
    shutil.move(tmp_path / "data", tmp_path / "copied")

    def named(where=folder) -> tuple[str, str]:
        found = find_checkpoint(str(where))
        return found.name, found.revision[:6]

    as_came = ("org/tiny", COMMIT[:6])
    assert named() == named(f"{folder}/../tiny") == as_came
    shutil.copytree(folder, tmp_path / "moved/models/org/tiny")  # without its fetched.json
    assert named(tmp_path / "moved/models/org/tiny") == ("local/tiny", "local-")
    shutil.copytree(folder, folder.parent / "other")  # nothing was fetched under this name
    assert named(folder.parent / "other") == ("local/other", "local-")

    loaded = ["more.safetensors", "own.py", "1_Pooling/more.json", "a.txt", "a.model", "chat_template.jinja"]
    for name in loaded:
        (folder / name).write_text("{}")
        assert named() == ("local/tiny", "local-"), name
        (folder / name).unlink()
    (folder / "README.md").write_text("never loaded")
    assert named() == as_came
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert named() == ("local/tiny", "local-")
    (folder / "model.safetensors").write_bytes(weights)
    assert named() == as_came
    (folder / "tokenizer_config.json").unlink()
    assert named() == ("local/tiny", "local-")


def test_only_what_is_extra_and_loaded_is_warned_of(fetch, hub, tmp_path):
    hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": ROWS}, kind="models")
    (tmp_path / "data/models/org/tiny").mkdir(parents=True)
    for name in ("README.md", "pytorch_model.bin", "own.py"):
        (tmp_path / "data/models/org/tiny" / name).write_text("x")
    err = fetch("--model", "org/tiny", tasks=())[2]
    assert err.endswith("so not the hub's version: own.py, pytorch_model.bin\n")
