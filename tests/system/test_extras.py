"""The messages and the README say how to install an extra in the same way, and it works."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from qzhou_eval.system import mteb_version
from qzhou_eval.system.mteb_version import how_to_install

ROOT = Path(__file__).parents[2]
EXTRAS = ("ray", "modelscope", "formats")
WITH_WHEELS = re.compile(r"pip install -r wheels/requirements-\w+\.txt")


def sayings(extra: str) -> dict[str, list[str]]:
    """Everything that the project's texts and code say about installing an extra, by file."""
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("requirements*.txt"),
        *(path for path in ROOT.glob("qzhou_eval/**/*.py") if path.name != "mteb_version.py"),
    ]
    command = re.compile(rf"pip install [^`\n]*?(?:\[{extra}\]|\b{extra}\b(?:\.txt)?)")
    return {str(path.relative_to(ROOT)): command.findall(path.read_text("utf-8")) for path in files}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_readme_and_the_hints_say_one_thing(extra, tmp_path, monkeypatch):
    checkout(tmp_path, monkeypatch)
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    where, command = how_to_install(extra).split(", ", 1)
    assert where == "in the checkout"
    for name in ("README.md", "README.zh-CN.md", f"requirements-{extra}.txt"):
        assert command in (ROOT / name).read_text("utf-8")
    found = {name: [one for one in said if not WITH_WHEELS.fullmatch(one)] for name, said in sayings(extra).items()}
    assert {one for said in found.values() for one in said} == {command.removeprefix(".venv/bin/")}


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_hint_works_as_it_is_given(extra):
    """The extra is installed here: pip accepts the command, asks nobody and changes nothing."""
    command = how_to_install(extra).removeprefix("in the checkout, ")
    argv = [*shlex.split(command), "--no-index", "--dry-run", "--disable-pip-version-check"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Requirement already satisfied" in done.stdout and "Would install" not in done.stdout


def checkout(folder, monkeypatch) -> None:
    """Make a folder the checkout, one without a bundle's wheels."""
    monkeypatch.setattr(mteb_version, "_CHECKOUT", folder)
    for extra in EXTRAS:
        (folder / f"requirements-{extra}.txt").touch()


def test_without_a_checkout_the_hint_is_pips_own(tmp_path, monkeypatch):
    monkeypatch.setattr(mteb_version, "_CHECKOUT", tmp_path)
    monkeypatch.setattr("sys.prefix", "/opt/env")
    assert how_to_install("ray") == "/opt/env/bin/pip install 'qzhou-eval[ray]'"


def test_elsewhere_the_hint_names_that_environments_pip_and_with_a_bundle_its_wheels(tmp_path, monkeypatch):
    checkout(tmp_path, monkeypatch)
    monkeypatch.setattr("sys.prefix", "/opt/env")
    assert how_to_install("ray") == (
        "in the checkout, /opt/env/bin/pip install -c constraints.txt -r requirements-ray.txt"
    )
    (tmp_path / "wheels").mkdir()
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))
    assert how_to_install("ray") == "in the checkout, .venv/bin/pip install -r wheels/requirements-ray.txt"
