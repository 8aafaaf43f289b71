"""Which files of a folder hold its weights, in safetensors or, if that is allowed, in pickle; and the tensors' shapes.

A pickle is read by torch's weights-only loader, which runs no code: it refuses whatever is not a tensor or a container.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import INDEX, PICKLE, PICKLE_INDEX, SINGLE, check_case, obstacle, present, read_json
from qzhou_eval.system.options import option
from qzhou_eval.system.paths import stays_inside

if TYPE_CHECKING:
    import torch

Shapes = dict[str, tuple[int, ...]]


def is_pickled(folder: Path) -> bool:
    """Whether a folder has weights as a pickle and in no other form."""
    return not any(folder.glob("*.safetensors")) and any(present(folder / name) for name in (PICKLE, PICKLE_INDEX))


def weight_files(folder: Path) -> list[Path]:
    """All files with weights; of pickles, only those that would be loaded."""
    return sorted(folder.glob("pytorch_model*.bin" if is_pickled(folder) else "*.safetensors"))


def stored_shapes(folder: Path, *, allow_pickle: bool = False) -> Shapes:
    """Read the shapes of a folder's tensors, by name, without their values, from the files that are loaded.

    Raises:
        BadInput: no file to load, one that is damaged or missing, an index that contradicts them, or pickles that are
            not allowed.
    """
    check_case(folder)
    if is_pickled(folder):
        if not allow_pickle:
            raise BadInput(
                f"{folder}: its weights are a pickle, which can hold code; {option('allow_pickle', True)} reads it by "
                "torch's weights-only loader, which runs none; or save it as safetensors"
            )
        return _stored(folder, PICKLE, PICKLE_INDEX, _shapes_of_pickle)
    if present(folder / INDEX) or present(folder / SINGLE):
        return _stored(folder, SINGLE, INDEX, _shapes)
    if others := sorted(path.name for path in folder.glob("*.safetensors")):
        raise BadInput(f"{folder}: has {others[0]}, but neither {SINGLE} nor {INDEX}, which say what to load")
    begun = sorted(path.name for path in folder.rglob("*.incomplete"))
    hint = f"; the download of {begun[0]} did not finish" if begun else ""
    raise BadInput(f"{folder}: no *.safetensors file; other weight formats are not loaded{hint}")


def load_pickle(path: Path, *, device: str) -> "dict[str, torch.Tensor]":
    """Load a pickle's tensors by name.

    Raises:
        BadInput: damaged, or it holds something else than tensors by name.
    """
    import torch

    if (reason := obstacle(path)) is not None:
        raise BadInput(f"{path}: damaged or incomplete: it {reason}")
    try:
        found = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # of torch, zipfile or pickle, for whatever is not a file of tensors
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: torch's weights-only loader cannot read it ({reason})") from None
    if not isinstance(found, dict) or not all(isinstance(one, torch.Tensor) for one in found.values()):
        raise BadInput(f"{path}: it does not hold tensors by name")
    return found


def _stored(folder: Path, single: str, index: str, shapes_of: Callable[[Path], Shapes]) -> Shapes:
    if present(folder / index):
        return _indexed(folder, single, index, shapes_of)
    return shapes_of(folder / single)


def _indexed(folder: Path, single: str, index: str, shapes_of: Callable[[Path], Shapes]) -> Shapes:
    """Return the shapes in all shards, after checking them against the index."""
    weight_map = read_json(folder / index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadInput(f"{folder / index}: weight_map names no tensor; download it again")
    for name in weight_map.values():
        if not stays_inside(name) or "/" in name:
            raise BadInput(f"{folder / index}: weight_map: {name} is not a file of the same folder")
    shards = sorted(set(weight_map.values()))
    if (folder / single).exists() and single not in shards:
        raise BadInput(f"{folder}: has both {single} and {index}, two sets of weights; remove the wrong one")
    found: Shapes = {}
    for shard in shards:
        if not (folder / shard).exists():
            raise BadInput(f"{folder / shard}: missing, but {index} names it; download it again")
        shapes = shapes_of(folder / shard)
        lost = [name for name, file in weight_map.items() if file == shard and name not in shapes]
        if lost:
            raise BadInput(f"{folder / index}: {lost[0]} is not in {shard}; download both again")
        found |= shapes
    return found


def _shapes(path: Path) -> Shapes:
    from safetensors import SafetensorError, safe_open

    if (reason := obstacle(path)) is not None:
        raise BadInput(f"{path}: damaged or incomplete: it {reason}")
    try:
        with safe_open(path, framework="np") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: damaged or incomplete ({error})") from None


def _shapes_of_pickle(path: Path) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in load_pickle(path, device="meta").items()}
