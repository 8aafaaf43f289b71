"""``data init``: writes a benchmark with a task of each type, to be filled with one's own data."""

import shutil
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.system.files import check_writable

_EXAMPLE = Path(__file__).parent / "example"


def write_example(folder: Path) -> Path:
    """Copy the example to a new folder, and return its YAML file.

    Raises:
        BadInput: the folder is not empty, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadInput(f"{folder}: is not empty; name a new folder")
    check_writable("FOLDER", folder)
    try:
        shutil.copytree(_EXAMPLE, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror})") from None
    return folder / "benchmark.yaml"
