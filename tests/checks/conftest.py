"""Fixtures for the tests of ``check``."""

from xml.etree import ElementTree as ET

import pytest

from qzhou_eval import cli


@pytest.fixture(scope="module")
def baseline(finished, tmp_path_factory):
    """The finished run's own baseline. Read-only: copy it before changing anything."""
    file = tmp_path_factory.mktemp("baseline") / "b.json"
    assert cli.main(["check", str(finished), "--baseline", str(file), "--update-baseline"]) == 0
    return file


@pytest.fixture
def check(baseline, finished, tmp_path, capsys):
    """A function that checks a folder against a baseline: exit code, stdout, stderr and the JUnit suite."""

    def checked(*more, results=finished, against=baseline):
        capsys.readouterr()
        outputs = ["--junit", str(tmp_path / "j.xml"), "--summary", str(tmp_path / "s.md")]
        code = cli.main(["check", str(results), "--baseline", str(against), *outputs, *map(str, more)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err, ET.parse(tmp_path / "j.xml").getroot()[0]

    return checked
