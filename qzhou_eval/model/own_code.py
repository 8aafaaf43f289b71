"""Code that a checkpoint brings: where it is named, which of it may run, and what is said where it does not."""

import re
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder import read_if_there
from qzhou_eval.model.modules import Modules

_OURS = "sentence_transformers."


def decoder_class(path: Path, config: dict, *, trust_remote_code: bool) -> str | None:
    """The class that a config.json names for its decoder. Code is trusted only where the revision pins it.

    Raises:
        BadInput: no mapping of classes or, where it would run, code of another repository.
    """
    classes = config.get("auto_map") or {}
    if not isinstance(classes, dict):
        raise BadInput(f"{path}: auto_map is no mapping of classes")
    for kind in ("AutoModel", "AutoConfig") if trust_remote_code and "AutoModel" in classes else ():
        own = str(classes.get(kind, "file.Class"))
        if "--" in own:
            raise BadInput(f"{path}: {own} is code of another repository, which nothing pins")
        if not re.fullmatch(r"\w+\.\w+", own):
            raise BadInput(f"{path}: auto_map: {own} is not FILE.CLASS of the same folder")
    own = classes.get("AutoModel")
    return None if own is None else str(own)


def classes_left_out(modules: Modules, config: dict, own_code: str | None, *, runs: bool) -> tuple[str, ...]:
    """The classes that a checkpoint brings and that are not run, each with the file that names it.

    Args:
        runs: the decoder's own class does run.
    """
    found = [("modules.json", kind) for kind in modules.classes if not kind.startswith(_OURS)]
    if not runs:
        found += [("config.json", own_code or kind) for kind in _mapped(config)[:1]]
    tokenizer = read_if_there(modules.decoder / "tokenizer_config.json")
    found += [("tokenizer_config.json", kind) for kind in _mapped(tokenizer)[:1]]
    return tuple(f"{kind} ({file})" for file, kind in dict.fromkeys(found))


def _mapped(fields: dict) -> list[str]:
    """The classes of an ``auto_map``, in its order; a tokenizer's stand in a pair of a slow and a fast one."""
    value = fields.get("auto_map") or {}
    kinds = value.values() if isinstance(value, dict) else [value]
    flat = [one for kind in kinds for one in (kind if isinstance(kind, list) else [kind])]
    return [str(one) for one in flat if one]
