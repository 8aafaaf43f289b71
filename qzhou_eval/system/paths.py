"""Paths of the project's data folders and of a result's items, and a check of names from untrusted files."""

from pathlib import Path, PurePosixPath
from typing import TypeGuard

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """The path of ``task_instructions`` or ``results/published``, in a checkout or an installed package."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def items_path(result: Path) -> Path:
    """The path of a result file's items."""
    return result.with_suffix(".items.safetensors")


def stays_inside(name: object) -> TypeGuard[str]:
    """Whether a name given by a model, a data set or a manifest stays inside the folder that it is relative to.

    Links are not followed: in the hub's cache every file is a link.
    """
    return isinstance(name, str) and not name.startswith("/") and ".." not in PurePosixPath(name).parts
