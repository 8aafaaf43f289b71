"""Read a sentence-transformers folder: the modules that ``modules.json`` names, its pooling and its head."""

from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import (
    present,
    read_json,
    read_json_list,
    whole_number_if_there,
)
from qzhou_eval.model.folder.weights import stored_shapes
from qzhou_eval.model.pooling import CLS, KINDS, LAST_TOKEN, Pooling, pooling_named
from qzhou_eval.system.paths import stays_inside

_HEAD = ("Dense", "LayerNorm", "Normalize")
DENSE, LAYER_NORM, NORMALIZE = _HEAD


@dataclass(frozen=True)
class HeadModule:
    """A module after pooling: its kind, ``Dense``, ``LayerNorm`` or ``Normalize``, and its folder."""

    kind: str
    folder: Path

    @property
    def has_weights(self) -> bool:
        """Whether its folder has weights and sizes."""
        return self.kind != NORMALIZE


@dataclass(frozen=True)
class Modules:
    """The folders of body and pooling (None if there is none), the head's modules, and all module classes' names.

    Normalisation at the end is not part of the head: vectors are normalised after they are cut.
    """

    body: Path
    pooling: Path | None = None
    head: tuple[HeadModule, ...] = ()
    classes: tuple[str, ...] = ()


def read_modules(folder: Path) -> Modules:
    """Read ``modules.json``; a folder without it is a bare transformers model.

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
    if kinds[1:2] != ["Pooling"] or not set(kinds[2:]) <= set(_HEAD):
        raise BadInput(
            f"{path}: cannot run modules {', '.join(kinds)}; "
            f"supported are Transformer, Pooling, and then any of {', '.join(_HEAD)}"
        )
    head = [HeadModule(kind, folder / name) for kind, name in zip(kinds, names, strict=True)][2:]
    while head and not head[-1].has_weights:
        head.pop()
    return Modules(folder / names[0], folder / names[1], tuple(head), classes)


def _class_and_folder(path: Path, module: object) -> tuple[str, str]:
    kind, name = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(name, str):
        raise BadInput(f"{path}: a module without type or path")
    return kind, name


def _check_bare(folder: Path) -> None:
    """Refuse a folder that has modules but no list of them: they would be silently ignored."""
    for module in sorted(folder.glob("[0-9]*_*/config.json")):
        raise BadInput(f"{folder}: {module.parent.name} is a module, but modules.json, which lists them, is missing")


def width_of_vectors(modules: Modules, hidden: int, *, allow_pickle: bool) -> int:
    """Return the size of the vectors: that of the hidden states or, if there is one, of the last Dense's output.

    Raises:
        BadInput: sizes that do not fit together.
    """
    width = hidden
    for module in modules.head:
        if module.kind == DENSE:
            width = _width_of_dense(module.folder, width, allow_pickle=allow_pickle)
        elif module.kind == LAYER_NORM:
            path = module.folder / "config.json"
            size = whole_number_if_there(path, read_json(path, what="broken LayerNorm module"), "dimension")
            if size != width:
                raise BadInput(f"{path}: dimension is {size}, but the vectors before it have {width} components")
    return width


def _width_of_dense(folder: Path, width: int, *, allow_pickle: bool) -> int:
    path = folder / "config.json"
    config = read_json(path, what="broken Dense module")
    into, out = (whole_number_if_there(path, config, name) for name in ("in_features", "out_features"))
    if into is None or out is None:
        raise BadInput(f"{path}: no {'in' if into is None else 'out'}_features; is this a Dense module?")
    if into != width:
        raise BadInput(f"{path}: in_features is {into}, but the vectors before it have {width} components")
    for name, shape in stored_shapes(folder, allow_pickle=allow_pickle).items():
        if name.endswith("weight") and shape != (out, into):
            raise BadInput(f"{folder}: the stored {name} has shape {shape}, not {(out, into)} (config.json)")
    return out


def read_pooling(modules: Modules, hidden: int) -> Pooling | None:
    """Read how the folder says that hidden states are pooled; None if it does not say.

    Raises:
        BadInput: a pooling that this harness cannot run, or one for other sizes.
    """
    if modules.pooling is None:
        return None
    path = modules.pooling / "config.json"
    config = read_json(path, what="broken Pooling module")
    legacy = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    mode = config.get("pooling_mode") or legacy or "mean"  # as sentence-transformers reads a config without any
    modes = [str(one) for one in mode] if isinstance(mode, list) else [str(mode)]
    kind = pooling_named(modes[0]) if len(modes) == 1 else None
    if kind is None:
        raise BadInput(f"{path}: pooling {' and '.join(modes)}; supported is one of {', '.join(KINDS)}")
    include_prompt = config.get("include_prompt", True)
    if not isinstance(include_prompt, bool):
        raise BadInput(f"{path}: include_prompt is {include_prompt!r}; expected true or false")
    if kind == CLS and not include_prompt:
        raise BadInput(f"{path}: pooling cls without the prompt, which has the cls token; this is not supported")
    size = whole_number_if_there(path, config, "word_embedding_dimension", "embedding_dimension")
    if size not in (None, hidden):
        raise BadInput(f"{path}: pools vectors of {size} components, but the model's hidden states have {hidden}")
    return Pooling(kind, include_prompt=include_prompt or kind == LAST_TOKEN)
