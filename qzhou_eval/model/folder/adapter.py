"""A folder with a LoRA adapter and no whole model: its config, and the base model that it names."""

from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.files import present, read_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json")


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter."""
    return present(folder / CONFIG)


def base_of(folder: Path) -> tuple[str, str | None]:
    """The base model that an adapter names (folder or org/name) and its revision.

    Raises:
        BadInput: damaged, not LoRA, no base named, weights missing, or a whole model in the same folder.
    """
    path = folder / CONFIG
    if present(folder / "config.json"):
        raise BadInput(f"{path}: an adapter beside a whole model, config.json; keep one of the two in the folder")
    config = read_json(path)
    kind, base, revision = (config.get(name) for name in ("peft_type", "base_model_name_or_path", "revision"))
    if kind != "LORA":
        raise BadInput(f"{path}: peft_type is {kind!r}; only LORA adapters can be merged into their base model")
    if not isinstance(base, str) or not base:
        raise BadInput(f"{path}: no base_model_name_or_path, which says what the adapter belongs to")
    if not present(folder / WEIGHTS):
        raise BadInput(f"{folder}: no {WEIGHTS}; an adapter in another format is not loaded")
    return base, revision if isinstance(revision, str) else None


def tokenizer_of(folder: Path, base: Path) -> Path:
    """The folder of the tokenizer: the adapter's if it has one, else the base model's."""
    return folder if any(present(folder / name) for name in _TOKENIZER) else base
