"""Where the project's data folders lie, and a result's items; and which names may lead to a file."""

from pathlib import Path, PurePosixPath

_PACKAGE = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """``task_instructions`` or ``results/published``, wherever the project is installed."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def items_path(result: Path) -> Path:
    """Where the items of a result file lie."""
    return result.with_suffix(".items.safetensors")


def stays_inside(name: object) -> bool:
    """Whether a name that a model, a data set or a manifest gives stays below the folder that it is relative to.

    Links are not followed: in the hub's cache every file is one.
    """
    return isinstance(name, str) and not name.startswith("/") and ".." not in PurePosixPath(name).parts
