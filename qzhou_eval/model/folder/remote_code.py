"""Code that a checkpoint brings: where it is named, whether it is there, which of it may run, what is said if not."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import present, read_if_there, read_json
from qzhou_eval.model.folder.modules import Modules

_OURS = "sentence_transformers."


def decoder_class(path: Path, config: dict, *, trust_remote_code: bool, how: str) -> str | None:
    """The class that a config.json names for its decoder. Code is trusted only where the revision pins it.

    Args:
        how: said where code is missing, as :func:`how_to_bring` has it.

    Raises:
        BadInput: no mapping of classes or, where it would run, code of another repository or that is not there.
    """
    classes = config.get("auto_map") or {}
    if not isinstance(classes, dict):
        raise BadInput(f"{path}: auto_map is no mapping of classes")
    if trust_remote_code and "AutoModel" in classes:
        _check(path, [str(classes[kind]) for kind in ("AutoModel", "AutoConfig") if kind in classes], how)
    own = classes.get("AutoModel")
    return None if own is None else str(own)


def check_beside_the_decoders(folder: Path, decoder: Path, *, how: str) -> None:
    """The same for the other code that sentence-transformers runs: that of the tokenizer and of modules.

    Raises:
        BadInput: code of another repository or that is not there.
    """
    path = decoder / "tokenizer_config.json"
    _check(path, _mapped(read_if_there(path))[-1:], how)  # of a pair the fast one
    for name in _own_modules(folder):
        top = name.partition(".")[0]
        if (folder / f"{top}.py").exists() or not (top.isidentifier() and find_spec(top)):  # else a package's class
            _check(folder / "modules.json", [name], how)


def how_to_bring(name: str, commit: str | None) -> str:
    """What to do where a model's code is missing; the commit is the hub's, if the folder is known to be that."""
    if commit is None:
        return "add the file, or bring the model with qzhou-eval fetch --model ORG/NAME --code --to ROOT"
    return f"bring it with qzhou-eval fetch --model {name} --revision {commit} --code --to ROOT"


def _check(path: Path, names: list[str], how: str) -> None:
    """Refuse classes, named in the file ``path``, that are no FILE.CLASS beside it or of which a file is missing."""
    for name in names:
        if "--" in name:
            raise BadInput(f"{path}: {name} is code of another repository, which nothing pins")
        if not re.fullmatch(r"\w+\.\w+", name):
            raise BadInput(f"{path}: {name} is not FILE.CLASS of the same folder")
    for name in names:
        for file, importer in _files_of(path.parent, name.partition(".")[0]):
            if not (path.parent / file).is_file():
                wanted = f"{file}, which {importer} imports," if importer else file
                raise BadInput(f"{path}: names {name}, but {wanted} is not there; {how}")


def _files_of(folder: Path, module: str) -> Iterator[tuple[str, str]]:
    """The file of a module and those that it imports from the same folder, each with the one that imports it."""
    found, todo = set(), [(f"{module}.py", "")]
    while todo:
        file, importer = todo.pop()
        if file in found:
            continue
        found.add(file)
        yield file, importer
        todo += [(f"{name}.py", file) for name in _relative_imports(folder / file)]


def _relative_imports(path: Path) -> list[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []  # whoever runs it says what is wrong
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    return [node.module for node in imports if node.module and "." not in node.module]


def named_code(folder: Path) -> list[str]:
    """Every class of its own that a model folder names, whether this harness runs such a model or not.

    Raises:
        BadInput: a damaged file.
    """
    mapped = [path for name in ("config.json", "tokenizer_config.json") for path in sorted(folder.rglob(name))]
    kinds = _own_modules(folder) + [kind for path in mapped for kind in _mapped(read_json(path))]
    return list(dict.fromkeys(kinds))


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


def _own_modules(folder: Path) -> list[str]:
    path = folder / "modules.json"
    modules = read_json(path, kind=list) if present(path) else []
    kinds = [str(module.get("type", _OURS)) for module in modules if isinstance(module, dict)]
    return [kind for kind in kinds if not kind.startswith(_OURS)]


def _mapped(fields: dict) -> list[str]:
    """The classes of an ``auto_map``, in its order; a tokenizer's stand in a pair of a slow and a fast one."""
    value = fields.get("auto_map") or {}
    kinds = value.values() if isinstance(value, dict) else [value]
    flat = [one for kind in kinds for one in (kind if isinstance(kind, list) else [kind])]
    return [str(one) for one in flat if one]
