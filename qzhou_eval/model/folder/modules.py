"""Read a sentence-transformers folder: the modules that ``modules.json`` names, and its Pooling and Dense."""

from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import (
    present,
    read_json,
    read_json_list,
    stored_shapes,
    whole_number_if_there,
)
from qzhou_eval.model.pooling import pooling_named
from qzhou_eval.system.paths import stays_inside

_AFTER_THE_DECODER = (["Pooling"], ["Pooling", "Dense"], ["Pooling", "Normalize"], ["Pooling", "Dense", "Normalize"])


@dataclass(frozen=True)
class Modules:
    """The folders of decoder, pooling and projection (None if there is none), and the names of all module classes."""

    decoder: Path
    pooling: Path | None = None
    projection: Path | None = None
    classes: tuple[str, ...] = ()


def read_modules(folder: Path) -> Modules:
    """Read ``modules.json``; a folder without it is a bare decoder.

    Raises:
        BadInput: damaged, missing although there are modules, a path that leads out of the folder, or modules that
            this harness cannot run.
    """
    path = folder / "modules.json"
    if not present(path):
        _check_bare(folder)
        return Modules(folder)
    found = [_class_and_folder(path, module) for module in read_json_list(path, what="broken modules.json")]
    classes, names = tuple(kind for kind, _ in found), [name for _, name in found]
    kinds = [kind.rsplit(".", 1)[-1] for kind in classes]
    for name in names:
        if not stays_inside(name):
            raise BadInput(f"{path}: the path {name} leads out of the model's folder")
    if kinds[1:] not in _AFTER_THE_DECODER:
        raise BadInput(
            f"{path}: cannot run modules {', '.join(kinds)}; "
            "supported are Transformer, Pooling, and then Dense, Normalize or both"
        )
    paths = [folder / name for name in names]
    return Modules(paths[0], paths[1], paths[2] if "Dense" in kinds else None, classes)


def _class_and_folder(path: Path, module: object) -> tuple[str, str]:
    kind, name = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(name, str):
        raise BadInput(f"{path}: a module without type or path")
    return kind, name


def _check_bare(folder: Path) -> None:
    """Refuse a folder that has modules but no list of them: they would be silently ignored."""
    for module in sorted(folder.glob("[0-9]*_*/config.json")):
        raise BadInput(f"{folder}: {module.parent.name} is a module, but modules.json, which lists them, is missing")


def width_of_vectors(modules: Modules, hidden: int) -> int:
    """Return the size of the vectors: that of the hidden states or, if there is one, of the projection's output.

    Raises:
        BadInput: a pooling other than last-token, or sizes that do not fit together.
    """
    if modules.pooling is not None:
        _check_pooling(modules.pooling / "config.json", hidden)
    if modules.projection is None:
        return hidden
    path = modules.projection / "config.json"
    config = read_json(path, what="broken Dense module")
    into, out = (whole_number_if_there(path, config, name) for name in ("in_features", "out_features"))
    if into is None or out is None:
        raise BadInput(f"{path}: no {'in' if into is None else 'out'}_features; is this a Dense module?")
    if into != hidden:
        raise BadInput(f"{path}: in_features is {into}, but the decoder's hidden states have {hidden} components")
    for name, shape in stored_shapes(modules.projection).items():
        if name.endswith("weight") and shape != (out, into):
            raise BadInput(
                f"{modules.projection}: the stored {name} has shape {shape}, not {(out, into)} (config.json)"
            )
    return out


def _check_pooling(path: Path, hidden: int) -> None:
    config = read_json(path, what="broken Pooling module")
    legacy = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    mode = config.get("pooling_mode") or legacy
    if pooling_named(mode) is None:
        raise BadInput(f"{path}: pooling {mode}; only last-token pooling is supported")
    size = whole_number_if_there(path, config, "word_embedding_dimension", "embedding_dimension")
    if size not in (None, hidden):
        raise BadInput(f"{path}: pools vectors of {size} components, but the decoder's hidden states have {hidden}")
