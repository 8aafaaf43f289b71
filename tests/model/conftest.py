"""A model folder for tests to spoil."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    """A good model folder, to be spoilt by the test."""
    return shutil.copytree(tiny, tmp_path / "model")
