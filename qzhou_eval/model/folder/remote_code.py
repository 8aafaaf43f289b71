"""A checkpoint's own code: where it is named, whether its files exist, which of it may run, and messages if not."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import JsonObject, present, read_if_there, read_json, read_json_list
from qzhou_eval.model.folder.modules import Modules

_OURS = "sentence_transformers."


def decoder_class(path: Path, config: JsonObject, *, trust_remote_code: bool, how: str) -> str | None:
    """Return the class that a config.json names for its decoder. Code is trusted only if the revision pins it.

    Args:
        how: advice for missing code, from :func:`how_to_bring`.

    Raises:
        BadInput: not a mapping of classes or, if the code would run, it is from another repository or missing.
    """
    classes = config.get("auto_map") or {}
    if not isinstance(classes, dict):
        raise BadInput(f"{path}: auto_map is not a mapping of classes")
    if trust_remote_code and "AutoModel" in classes:
        _check(path, [str(classes[kind]) for kind in ("AutoModel", "AutoConfig") if kind in classes], how)
    own = classes.get("AutoModel")
    return None if own is None else str(own)


def check_beside_the_decoders(folder: Path, decoder: Path, *, how: str) -> None:
    """Check the other code that sentence-transformers runs: that of the tokenizer and of modules.

    Raises:
        BadInput: code is from another repository or missing.
    """
    path = decoder / "tokenizer_config.json"
    _check(path, _mapped(read_if_there(path))[-1:], how)  # of a pair, the fast one
    for name in _own_modules(folder):
        top = name.partition(".")[0]
        if (folder / f"{top}.py").exists() or not _installed(top):  # else a package's class
            _check(folder / "modules.json", [name], how)


def _installed(package: str) -> bool:
    """Whether Python finds a package with code; any folder on its path is one without."""
    found = find_spec(package) if package.isidentifier() else None
    return found is not None and found.origin is not None


def how_to_bring(name: str, commit: str | None) -> str:
    """Advice for a model whose code is missing; ``commit`` is the hub's, None if the folder is not known to be that."""
    if commit is None:
        return "add the file, or download the model with qzhou-eval fetch --model ORG/NAME --code --to ROOT"
    return f"download it with qzhou-eval fetch --model {name} --revision {commit} --code --to ROOT"


def _check(path: Path, names: list[str], how: str) -> None:
    """Refuse classes named in the file ``path`` that are not a FILE.CLASS next to it, or that lack a file."""
    for name in names:
        if "--" in name:
            raise BadInput(f"{path}: {name} is code from another repository, which nothing pins")
        if not re.fullmatch(r"\w+\.\w+", name):
            raise BadInput(f"{path}: {name} is not a FILE.CLASS in the same folder")
    for name in names:
        for file, importer in _files_of(path.parent, name.partition(".")[0]):
            if not (path.parent / file).is_file():
                wanted = f"{file}, which {importer} imports," if importer else file
                raise BadInput(f"{path}: names {name}, but {wanted} is missing; {how}")


def _files_of(folder: Path, module: str) -> Iterator[tuple[str, str]]:
    """Yield a module's file and those it imports from the same folder, each with the file that imports it."""
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
        return []  # running it will report what is wrong
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 1]
    return [node.module for node in imports if node.module and "." not in node.module]


def named_code(folder: Path) -> list[str]:
    """List every class of its own that a model folder names, whether or not this harness runs such a model.

    Raises:
        BadInput: a damaged file.
    """
    mapped = [path for name in ("config.json", "tokenizer_config.json") for path in sorted(folder.rglob(name))]
    kinds = _own_modules(folder) + [kind for path in mapped for kind in _mapped(read_json(path))]
    return list(dict.fromkeys(kinds))


def classes_left_out(modules: Modules, config: JsonObject, own_code: str | None, *, runs: bool) -> tuple[str, ...]:
    """List the checkpoint's own classes that are not run, each with the file that names it.

    Args:
        runs: whether the decoder's own class runs.
    """
    found = [("modules.json", kind) for kind in modules.classes if not kind.startswith(_OURS)]
    if not runs:
        found += [("config.json", own_code or kind) for kind in _mapped(config)[:1]]
    tokenizer = read_if_there(modules.body / "tokenizer_config.json")
    found += [("tokenizer_config.json", kind) for kind in _mapped(tokenizer)[:1]]
    return tuple(f"{kind} ({file})" for file, kind in dict.fromkeys(found))


def _own_modules(folder: Path) -> list[str]:
    path = folder / "modules.json"
    modules = read_json_list(path) if present(path) else []
    kinds = [str(module.get("type", _OURS)) for module in modules if isinstance(module, dict)]
    return [kind for kind in kinds if not kind.startswith(_OURS)]


def _mapped(fields: JsonObject) -> list[str]:
    """The classes of an ``auto_map``, in its order; a tokenizer's are a pair of a slow and a fast one."""
    value = fields.get("auto_map") or {}
    kinds = value.values() if isinstance(value, dict) else [value]
    flat = [one for kind in kinds for one in (kind if isinstance(kind, list) else [kind])]
    return [str(one) for one in flat if one]
