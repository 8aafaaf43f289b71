"""``scripts/bundle.sh``: a folder from which both environments are installed with the network off, wheels by hash."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Small packages in the places of the real ones: one that both environments pin, one each, one of an extra.
PINS = {
    "requirements.txt": "tabulate==0.10.0\nthreadpoolctl==3.8.0",
    "requirements-card.txt": "tabulate==0.10.0\nidna==3.20",
    "requirements-ray.txt": "wcwidth==0.9.4",
    "requirements-modelscope.txt": "wcwidth==0.9.4",
    "requirements-test.txt": "wcwidth==0.9.4",
}


def call(*argv, cwd, offline=False, **env) -> subprocess.CompletedProcess:
    """Run a command; ``offline`` takes the network away, and whatever pip is told here of other places."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QZHOU_EVAL")}
    if offline:
        kept = {name: value for name, value in kept.items() if not name.startswith("PIP_")}
        nowhere = "http://127.0.0.1:9"
        kept |= {"PIP_CONFIG_FILE": os.devnull, "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere, "PIP_RETRIES": "0"}
        argv = [*without_network(), *argv]
    env = kept | {"PYTHON": sys.executable} | env
    return subprocess.run([*map(str, argv)], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def without_network() -> list[str]:
    """A network of its own, in which there is none; where the system does not let us, proxies that lead nowhere do."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
        return command
    return []


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Skips where pip reaches no index."""
    folder = tmp_path_factory.mktemp("index")
    done = call(sys.executable, "-m", "pip", "download", "--no-deps", "-d", folder, "wcwidth==0.9.4", cwd=folder)
    if done.returncode:
        pytest.skip("pip reaches no package index")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A clone of this checkout, small packages pinned."""
    folder = tmp_path_factory.mktemp("small") / "checkout"
    assert call("git", "clone", "--quiet", ROOT, folder, cwd=ROOT).returncode == 0
    for name in ("scripts", "pyproject.toml"):  # as they are now, committed or not
        source = ROOT / name
        shutil.copytree(source, folder / name, dirs_exist_ok=True) if source.is_dir() else shutil.copy(source, folder)
    for name, content in PINS.items():
        (folder / name).write_text(content + "\n", "utf-8")
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
    """A copy of it elsewhere, as on the other machine."""
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
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")  # what is there is used

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
    assert set_up(bundle).returncode == 0  # the same command goes on


@pytest.mark.slow
def test_another_python_or_other_pins_are_one_line_before_anything_is_installed(bundle):
    made_for = (bundle / "wheels/python").read_text("utf-8")
    (bundle / "wheels/python").write_text("cpython-399 linux-x86_64\n", "utf-8")
    done = set_up(bundle)
    assert done.returncode == 2
    words = f"wheels/ is for cpython-399 linux-x86_64, and this Python is {made_for.strip()}; set PYTHON to one like it"
    assert done.stderr.splitlines()[1:] == [f"error: {words}"]
    (bundle / "wheels/python").write_text(made_for, "utf-8")
    with (bundle / "constraints.txt").open("a", encoding="utf-8") as file:
        file.write("idna==3.19\n")
    done = set_up(bundle)
    assert done.returncode == 2
    words = "wheels/ was made from other requirements than these; make it again with scripts/bundle.sh"
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


def test_what_cannot_be_made_is_one_line(tmp_path):
    bundle = ROOT / "scripts/bundle.sh"
    for argv in ([], ["--model", "org/tiny"]):
        done = call(bundle, *argv, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("usage: ")
    done = call(bundle, ROOT, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: scripts/bundle.sh copies a git checkout")
    assert list(tmp_path.iterdir()) == []
