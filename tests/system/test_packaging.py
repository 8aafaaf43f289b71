"""pyproject.toml gives ranges, requirements*.txt pins: the same packages, every pin within its range."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def ranges(lines: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}


def pins(name: str) -> dict[str, str]:
    """Name and version of each line of a requirements file."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text("utf-8").splitlines()]
    plain = [line.split(";")[0].strip() for line in lines if line]  # without markers
    return {canonicalize_name(one): version for one, version in (line.split("==") for line in plain)}


@pytest.mark.parametrize(
    ("lines", "file"),
    [(PROJECT["dependencies"], "requirements.txt"), *((EXTRAS[name], f"requirements-{name}.txt") for name in EXTRAS)],
)
def test_every_pin_lies_within_the_range_of_its_package(lines, file):
    allowed, pinned = ranges(lines), pins(file)
    assert allowed.keys() == pinned.keys()
    outside = [f"{name}=={pinned[name]}" for name in pinned if not allowed[name].specifier.contains(pinned[name])]
    assert outside == []


def test_constraints_pin_what_the_requirements_pin():
    constrained = pins("constraints.txt")
    for file in (
        "requirements.txt",
        *(f"requirements-{kind}.txt" for kind in ("ray", "modelscope", "formats", "test")),
    ):
        wanted = pins(file)
        assert {name: constrained.get(name) for name in wanted} == wanted, file


def test_every_dependency_says_what_it_is_for():
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if line and not re.search(r"# ?\w", line)] == []
