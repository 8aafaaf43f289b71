"""``scripts/bundle.sh``: both environments installed from one folder without a network; and the package's own wheel."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import with_remote_code
from hub import COMMIT, Hub

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import packaged_tasks

ROOT = Path(__file__).parents[2]
# Small packages replace the real ones, which are too many for a test: OTHERS those of the extras and of the card's
# environment, PINS also those of the current one. One test alone installs the real current environment.
OTHERS = {
    "requirements-card.txt": "tabulate==0.10.0\nidna==3.20",
    "requirements-ray.txt": "wcwidth==0.9.4",
    "requirements-modelscope.txt": "wcwidth==0.9.4",
    "requirements-formats.txt": "wcwidth==0.9.4",
    "requirements-test.txt": "wcwidth==0.9.4",
}
PINS = OTHERS | {"requirements.txt": "tabulate==0.10.0\nthreadpoolctl==3.8.0"}


def call(*argv, cwd, offline=False, **env) -> subprocess.CompletedProcess:
    """Run a command; ``offline`` takes away the network and any other package source that pip is configured with."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QZHOU_EVAL")}
    if offline:
        kept = {name: value for name, value in kept.items() if not name.startswith("PIP_")}
        nowhere = "http://127.0.0.1:9"
        kept |= {"PIP_CONFIG_FILE": os.devnull, "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "PIP_RETRIES": "0"}
        argv = [*without_network(), *argv]
    env = kept | {"PYTHON": sys.executable} | env
    return subprocess.run([*map(str, argv)], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def without_network() -> list[str]:
    """A prefix that runs a command without network; empty where the system forbids it (only dead proxies then)."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        return command
    return []


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Skip where pip reaches no index."""
    folder = tmp_path_factory.mktemp("index")
    done = call(sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, "wcwidth==0.9.4", cwd=folder)
    if done.returncode:
        pytest.skip("pip reaches no package index")


def clone(folder: Path, pins: dict[str, str]) -> Path:
    """A clone of this checkout as it is now, committed or not, with other pins."""
    assert call("git", "clone", "--quiet", ROOT, folder, cwd=ROOT).returncode == 0
    for name in ("scripts", "qzhou_eval"):
        shutil.copytree(ROOT / name, folder / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name, content in pins.items():
        (folder / name).write_text(content + "\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with small packages only."""
    folder = clone(tmp_path_factory.mktemp("small") / "checkout", PINS)
    pinned = sorted({line for content in PINS.values() for line in content.split()})
    for name in ("constraints.txt", "constraints-card.txt"):
        (folder / name).write_text("\n".join(pinned) + "\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def made(checkout, index, tmp_path_factory):
    """The bundle, made once."""
    folder = tmp_path_factory.mktemp("bundle") / "made"
    done = call(checkout / "scripts/bundle.sh", folder, cwd=checkout)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def bundle(made, tmp_path):
    """A copy of the bundle elsewhere, as on the other machine."""
    return shutil.copytree(made, tmp_path / "there", symlinks=True)


def set_up(bundle, which="current_venv", **env) -> subprocess.CompletedProcess:
    return call("bash", "-c", f"set -eu; source scripts/venv.sh; {which}", cwd=bundle, offline=True, **env)


def installed(venv) -> set[str]:
    done = call(venv / "bin/python", "-m", "pip", "list", "--format=freeze", cwd=venv)
    return {line for line in done.stdout.split() if not line.startswith(("pip==", "setuptools=="))}


@pytest.mark.slow
def test_both_environments_are_installed_from_it_without_a_network(bundle):
    done = set_up(bundle, "current_venv; card_venv")
    assert done.returncode == 0, done.stderr
    assert installed(bundle / ".venv") == {"tabulate==0.10.0", "threadpoolctl==3.8.0", "qzhou-eval==0.1.0"}
    assert installed(bundle / ".venv-card") == {"tabulate==0.10.0", "idna==3.20", "qzhou-eval==0.1.0"}
    where = call(bundle / ".venv/bin/python", "-c", "import qzhou_eval; print(qzhou_eval.__file__)", cwd="/")
    assert where.stdout.strip() == str(bundle / "qzhou_eval/__init__.py")
    assert (bundle / ".venv/bin/qzhou-eval").exists()
    again = set_up(bundle, "current_venv; card_venv")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")  # what is installed is reused

    extra = [bundle / ".venv/bin/pip", "install", "-r", "wheels/requirements-ray.txt"]
    assert call(*extra, cwd=bundle, offline=True).returncode == 0
    assert "wcwidth==0.9.4" in installed(bundle / ".venv")


@pytest.mark.slow
def test_every_wheel_has_its_hash_and_another_is_refused(bundle):
    (wheel,) = bundle.glob("wheels/tabulate-*.whl")
    listed = (bundle / "wheels/requirements.txt").read_text("utf-8")
    assert re.search(r"^tabulate==0\.10\.0 --hash=sha256:[0-9a-f]{64}$", listed, re.MULTILINE)
    content = wheel.read_bytes()
    wheel.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    done = set_up(bundle)
    assert done.returncode != 0 and "DO NOT MATCH THE HASHES" in done.stderr
    assert "tabulate==0.10.0" not in installed(bundle / ".venv")
    wheel.write_bytes(content)
    assert set_up(bundle).returncode == 0  # repeating the command resumes it


@pytest.mark.slow
def test_another_python_or_other_pins_are_one_line_before_anything_is_installed(bundle):
    made_for = (bundle / "wheels/python").read_text("utf-8")
    (bundle / "wheels/python").write_text("cpython-399 linux-x86_64\n", "utf-8")
    done = set_up(bundle)
    assert done.returncode == 2
    words = f"wheels/ is for cpython-399 linux-x86_64, but this Python is {made_for.strip()}; set PYTHON to match"
    assert done.stderr.splitlines()[1:] == [f"error: {words}"]
    (bundle / "wheels/python").write_text(made_for, "utf-8")
    with (bundle / "constraints.txt").open("a", encoding="utf-8") as file:
        file.write("idna==3.19\n")
    done = set_up(bundle)
    assert done.returncode == 2
    words = "wheels/ was made from different requirements; make it again with scripts/bundle.sh"
    assert done.stderr.splitlines()[1:] == [f"error: {words}"]
    assert not (bundle / ".venv").exists()


@pytest.mark.slow
def test_it_is_a_checkout_with_its_commit_and_edits_and_can_be_made_again(checkout, made):
    def git(where, *argv):
        return call("git", *argv, cwd=where).stdout

    assert git(made, "rev-parse", "HEAD") == git(checkout, "rev-parse", "HEAD")
    assert git(made, "diff", "HEAD") == git(checkout, "diff", "HEAD") != ""
    assert git(made, "status", "--porcelain", "--untracked-files=all") == git(made, "diff", "--name-status").replace(
        "M\t", " M "
    )
    before = {path.name: path.read_bytes() for path in made.glob("wheels/*.txt")}
    assert len(before) == len(PINS) + 1
    (made / "wheels/old-1-py3-none-any.whl").write_text("of an earlier bundle")
    (made / "data").mkdir()
    (made / "data/kept").write_text("brought before")
    assert call(checkout / "scripts/bundle.sh", made, cwd="/").returncode == 0
    assert {path.name: path.read_bytes() for path in made.glob("wheels/*.txt")} == before
    assert not (made / "wheels/old-1-py3-none-any.whl").exists()
    assert (made / "data/kept").read_text() == "brought before"
    shutil.rmtree(made / "data")
    assert not list(made.glob("wheels.new"))


@pytest.fixture(scope="module")
def everything(index, official, tiny, tokenizer, tmp_path_factory):
    """The real environment, data and a model with its own code, bundled and moved; the hub and how to reach it."""
    folder = tmp_path_factory.mktemp("everything")
    here = clone(folder / "here", OTHERS)
    lend_environment(here)
    hub, stsb = Hub(), packaged_tasks()["STSB"]
    hub.add_folder(stsb.path, official / stsb.path, stsb.revision)
    placeholder = tokenizer.convert_tokens_to_ids("<|im_start|>")
    model = with_remote_code(tiny, folder / "model", placeholder=placeholder, last_layer=7)
    hub.add_folder("org/tiny", model, COMMIT, "models")
    online = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": folder / "hf"}
    what = ["--model", "org/tiny", "--code", "--tasks", "STSB"]
    done = call(here / "scripts/bundle.sh", folder / "made", *what, cwd=folder, **online)
    assert done.returncode == 0, done.stderr
    yield shutil.move(folder / "made", folder / "moved" / "there"), hub, online
    hub.close()


@pytest.mark.slow
def test_everything_in_one_folder_installed_and_run_without_a_network(everything):
    there, hub, online = everything
    revision = packaged_tasks()["STSB"].revision
    hub.forget()

    def type_there(*argv) -> str:
        done = call(*argv, cwd=there, offline=True, **online)
        assert done.returncode == 0, done.stderr
        return done.stdout

    where = ["--model_name_or_path", "data/models/org/tiny", "--device", "cpu", "--offline"]
    data = ["--data_dir", "data", "--tasks", "STSB", "--dim", "16", "--output_dir", "out"]
    type_there("./run_benchmark_cmteb.sh", *where, *data)
    (result,) = there.glob(f"out/results/org__tiny/{COMMIT}/**/STSB.json")
    assert f'"dataset_revision": "{revision}"' in result.read_text("utf-8")
    assert "fetch" in type_there(".venv/bin/qzhou-eval", "--help")
    assert type_there(".venv/bin/qzhou-eval", "fetch", "--to", "data", "--verify").startswith("all right: ")
    said = type_there(".venv/bin/qzhou-eval", "verify", *where, "--against", "remote", "--profile", "qzhou-zh-mini")
    assert f"this side:  org/tiny, revision {COMMIT}" in said
    assert said.splitlines()[-1].startswith("verdict: OK: ")
    pinned = re.search(r"^torch==(\S+) ", (ROOT / "requirements.txt").read_text("utf-8"), re.MULTILINE)[1]
    assert re.search(rf"^torch=={re.escape(pinned)}(\+\w+)?$", "\n".join(installed(there / ".venv")), re.MULTILINE)
    assert hub.requests == []


@pytest.mark.slow
def test_a_wheel_runs_the_miniature_outside_the_checkout(everything, tmp_path):
    """A new environment with the wheel; what the wheel requires lies in the bundle's environment, as pinned."""
    there, *_ = everything
    assert set_up(there).returncode == 0
    offline = ["--no-index", "--no-deps", "--disable-pip-version-check"]
    pip = there / ".venv/bin/pip"
    build = [pip, "wheel", *offline, "--no-build-isolation", "-w", tmp_path / "wheel", there]
    assert call(*build, cwd=tmp_path, offline=True).returncode == 0
    (wheel,) = (tmp_path / "wheel").iterdir()
    venv, output = tmp_path / "elsewhere", tmp_path / "out"
    assert call(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path).returncode == 0
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "required.pth").write_text(f"{there / '.venv' / packages.relative_to(venv)}\n")

    def type_elsewhere(*argv) -> subprocess.CompletedProcess:
        return call(venv / "bin" / argv[0], *argv[1:], cwd=tmp_path, offline=True)

    assert call(pip, "--python", venv, "install", *offline, wheel, cwd=tmp_path, offline=True).returncode == 0
    checked = call(pip, "--python", venv, "check", cwd=tmp_path)  # all that it requires is there, each in its range
    assert checked.returncode == 0, checked.stdout
    done = type_elsewhere("python", "-m", "qzhou_eval.miniature", "--output_dir", output)
    assert done.returncode == 0, done.stderr
    assert (
        not (tmp_path / "qzhou_eval").exists()
        and str(packages) in type_elsewhere("python", "-c", "import qzhou_eval; print(qzhou_eval.__file__)").stdout
    )
    gate = ["check", output, "--baseline", packages / "qzhou_eval/miniature/baseline.json"]
    assert type_elsewhere("qzhou-eval", *gate).returncode == 0
    where = ["--model_name_or_path", packages / "qzhou_eval/miniature/mini-qwen3", "--output_dir", tmp_path / "card"]
    done = type_elsewhere("qzhou-eval", "run", *where, "--mteb", "card")
    assert (done.returncode, done.stderr.count("\n")) == (cli.EXIT_BAD_INPUT, 1)
    assert "set QZHOU_EVAL_CARD_PYTHON to its python" in done.stderr


def lend_environment(checkout: Path) -> None:
    """Make this environment the checkout's own, as if it had been set up before: fetch runs in it."""
    venv = checkout / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', "utf-8")
    (venv / "bin/python").chmod(0o755)
    stamp = "cat requirements.txt constraints.txt pyproject.toml | cksum >.venv/installed-requirements"
    assert call("bash", "-c", stamp, cwd=checkout).returncode == 0


def test_what_cannot_be_made_is_one_line(tmp_path):
    bundle = ROOT / "scripts/bundle.sh"
    for argv in ([], ["--model", "org/tiny"]):
        done = call(bundle, *argv, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("usage: ")
    done = call(bundle, ROOT, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: scripts/bundle.sh copies a git checkout")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "README.md").write_text("mine")
    done = call(bundle, tmp_path, cwd="/")
    words = f"{tmp_path} is not empty and was not made by scripts/bundle.sh; give a new or empty folder"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {words}\n")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
