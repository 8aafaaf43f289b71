"""A model folder to be spoilt."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(tiny, tmp_path) -> Path:
    """A good folder, to be spoilt."""
    return shutil.copytree(tiny, tmp_path / "model")
