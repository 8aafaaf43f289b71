"""Find a checkpoint and say what it is: name, revision, width, depth, digest. Loads no weights, needs no torch.

Two layouts of the hub are known: a sentence-transformers folder (Transformer, last-token Pooling,
optionally Dense and Normalize) and a bare decoder.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qzhou_eval.digests import sha256_of_files
from qzhou_eval.errors import BadInput
from qzhou_eval.fetched import hub_model
from qzhou_eval.network import is_offline
from qzhou_eval.paths import stays_inside

# A checkpoint's files: no pickles, and no code unless it is asked for.
WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class Checkpoint:
    """A model folder on disk.

    Attributes:
        folder: the whole checkpoint.
        name: ``org/name`` on the hub, ``local/<folder>`` for a folder that is not proven to be the hub's.
        revision: the hub's commit, or ``local-<digest>`` for such a folder.
        decoder: the folder with the decoder's weights and tokenizer.
        projection: the Dense module's folder, or None.
        layers: number of decoder layers.
        width: size of the full vector.
        own_code: the class that the checkpoint brings for its decoder (``auto_map``), or None.
    """

    folder: Path
    name: str
    commit: str | None
    decoder: Path
    projection: Path | None
    layers: int
    width: int
    own_code: str | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of weights, projection, configuration and tokenizer; code has its own."""
        folders = {self.decoder, self.projection or self.decoder}
        kinds = {".safetensors", ".json", ".txt", ".model", ".jinja"}
        ours = {"modules.json", "config_sentence_transformers.json", "generation_config.json"}
        files = [p for f in folders for p in f.iterdir() if p.suffix in kinds and p.name not in ours]
        return sha256_of_files(sorted(files), self.folder)

    @cached_property
    def code_digest(self) -> str:
        """SHA-256 (hex) of the code that the checkpoint brings; it counts only where that code runs."""
        return sha256_of_files(sorted(self.decoder.glob("*.py")), self.folder)

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 (hex) of the weight files, the projection's too."""
        folders = {self.decoder, self.projection or self.decoder}
        return sha256_of_files(sorted(p for f in folders for p in f.glob("*.safetensors")), self.folder)

    @cached_property
    def tokenizer_digest(self) -> str:
        """SHA-256 (hex) of the tokenizer's files."""
        kinds = ("tokenizer*", "vocab*", "merges*", "special_tokens_map.json", "added_tokens.json", "*.model")
        return sha256_of_files(sorted({p for kind in kinds for p in self.decoder.glob(kind)}), self.folder)

    @property
    def revision(self) -> str:
        return self.commit or f"local-{self.digest[:12]}"


def find_checkpoint(
    model_name_or_path: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> Checkpoint:
    """Find a checkpoint in a folder or on the hub (downloaded once, safetensors only).

    A folder that is byte for byte what ``fetch`` brought has the hub's name and commit.

    Raises:
        BadInput: nothing there, not a model, no safetensors, or a layout this harness cannot run.
    """
    folder = Path(model_name_or_path).expanduser()
    commit = None
    if folder.is_dir():
        if revision is not None:
            raise BadInput(f"--revision {revision}: {folder} is a folder; revisions are the hub's")
        name, commit = hub_model(folder, [*WANTED, "*.py"]) or (_local_name(folder), None)
    elif model_name_or_path.count("/") == 1 and not model_name_or_path.startswith((".", "/", "~")):
        name = model_name_or_path
        folder = _download(name, revision, trust_remote_code)
        commit = folder.name
    else:
        raise BadInput(f"--model_name_or_path {model_name_or_path}: no such folder, and not an org/name on the hub")
    decoder, projection = _modules(folder)
    config = _read_json(decoder / "config.json", what=f"{folder} is no model folder")
    text_config = config.get("text_config", config)
    try:
        layers, hidden = text_config["num_hidden_layers"], text_config["hidden_size"]
    except KeyError as key:
        raise BadInput(f"{decoder / 'config.json'}: no {key}; is this a decoder?") from None
    if not list(decoder.glob("*.safetensors")):
        raise BadInput(f"{decoder}: no *.safetensors file; other weight formats are not loaded")
    width = hidden
    if projection is not None:
        width = _read_json(projection / "config.json", what="broken Dense module").get("out_features")
        if not isinstance(width, int):
            raise BadInput(f"{projection / 'config.json'}: no out_features; is this a Dense module?")
    _check_names(decoder)
    own_code = _own_code(decoder, config, trust_remote_code=trust_remote_code)
    return Checkpoint(folder, name, commit, decoder, projection, layers, width, own_code)


def _local_name(folder: Path) -> str:
    """``local/<folder>`` in letters, digits, spaces, ``.``, ``_`` and ``-``: it names folders and stands in tables."""
    name = re.sub(r"[^\w. -]", "_", folder.resolve().name)
    return f"local/{name[:60] or 'model'}"  # at most 240 bytes, so that every file system takes it


def _own_code(decoder: Path, config: dict, *, trust_remote_code: bool) -> str | None:
    """The class that the checkpoint brings for its decoder. Code is trusted only where the revision pins it."""
    classes = config.get("auto_map") or {}
    if not isinstance(classes, dict):
        raise BadInput(f"{decoder / 'config.json'}: auto_map is no mapping of classes")
    for kind in ("AutoModel", "AutoConfig") if trust_remote_code and "AutoModel" in classes else ():
        own = str(classes.get(kind, "file.Class"))
        if "--" in own:
            raise BadInput(f"{decoder / 'config.json'}: {own} is code of another repository, which nothing pins")
        if not re.fullmatch(r"\w+\.\w+", own):
            raise BadInput(f"{decoder / 'config.json'}: auto_map: {own} is not FILE.CLASS of the same folder")
    return classes.get("AutoModel")


def _check_names(decoder: Path) -> None:
    """Refuse what leads a loader out of the folder, or to other weights: it would have no part in the digest."""
    if (decoder / "adapter_config.json").exists():
        raise BadInput(f"{decoder / 'adapter_config.json'}: adapters are not loaded; merge it into the weights")
    for file, field in (
        ("model.safetensors.index.json", "weight_map"),
        ("tokenizer_config.json", "fast_tokenizer_files"),
        ("config.json", "transformers_weights"),
    ):
        if not (decoder / file).exists():
            continue
        value = _read_json(decoder / file, what="broken checkpoint").get(field) or []
        names = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for name in names:
            if not stays_inside(name) or "/" in name:
                raise BadInput(f"{decoder / file}: {field}: {name} is not a file of the same folder")


def _download(name: str, revision: str | None, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    patterns = [*WANTED, "*.py"] if trust_remote_code else WANTED
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except HFValidationError:
        raise BadInput(f"--model_name_or_path {name}: no such folder, and no name that the hub allows") from None
    except RepositoryNotFoundError:
        raise BadInput(f"--model_name_or_path {name}: not a folder, and no such model on the hub") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        if is_offline():
            raise BadInput(
                f"--model_name_or_path {name}: --offline needs the model on disk; where the hub can be reached, "
                f"qzhou-eval fetch --model {name} --to ROOT, then give ROOT/models/{name}"
            ) from None
        reason = str(error).splitlines()[0]
        raise BadInput(f"--model_name_or_path {name}: not a folder, and the hub cannot be reached ({reason})") from None


def module_types(folder: Path) -> list[str]:
    """The classes that ``modules.json`` names."""
    return [module["type"] for module in _read_json(folder / "modules.json", what="broken modules.json", kind=list)]


def _modules(folder: Path) -> tuple[Path, Path | None]:
    """The decoder's and the projection's folder, from ``modules.json`` if there is one."""
    if not (folder / "modules.json").is_file():
        return folder, None
    modules = _read_json(folder / "modules.json", what="broken modules.json", kind=list)
    try:
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        names = [module["path"] for module in modules]
    except (KeyError, TypeError, AttributeError):
        raise BadInput(f"{folder / 'modules.json'}: a module without type or path") from None
    for name in names:
        if not stays_inside(name):
            raise BadInput(f"{folder / 'modules.json'}: the path {name} leads out of the model's folder")
    paths = [folder / name for name in names]
    if kinds[1:] not in (
        ["Pooling"],
        ["Pooling", "Dense"],
        ["Pooling", "Normalize"],
        ["Pooling", "Dense", "Normalize"],
    ):
        raise BadInput(
            f"{folder / 'modules.json'}: cannot run modules {', '.join(kinds)}; "
            "supported are Transformer, Pooling, and then Dense, Normalize or both"
        )
    _check_pooling(paths[1])
    return paths[0], paths[2] if "Dense" in kinds else None


def _check_pooling(folder: Path) -> None:
    config = _read_json(folder / "config.json", what="broken Pooling module")
    legacy = [key for key, on in config.items() if key.startswith("pooling_mode_") and on is True]
    mode = config.get("pooling_mode") or legacy
    if mode not in ("lasttoken", ["pooling_mode_lasttoken"]):
        raise BadInput(f"{folder / 'config.json'}: pooling {mode}; only last-token pooling is supported")


def _read_json(path: Path, *, what: str, kind: type = dict) -> dict | list:
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{what}: {path.name} is missing in {path.parent}") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{what}: cannot read {path} ({error})") from None
    if not isinstance(content, kind):
        raise BadInput(f"{what}: {path} holds no {kind.__name__}")
    return content
