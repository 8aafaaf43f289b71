"""Turn a GGUF file into an ordinary model folder, once: weights dequantised to float32 by transformers' own reader.

The folder lies in the cache, under the file's digest. What the file says about pooling and special tokens, which that
reader leaves out, is written beside the weights in sentence-transformers' and transformers' form.
"""

import json
import logging
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qzhou_eval.errors import BadInput, in_one_line
from qzhou_eval.model.folder.files import obstacle
from qzhou_eval.system.digests import cache_home, digests_of_files
from qzhou_eval.system.files import file_lock
from qzhou_eval.system.mteb_version import how_to_install

if TYPE_CHECKING:
    from gguf import GGUFReader

log = logging.getLogger(__name__)

ENDING = ".gguf"
_BODY = ("token_embd.", "token_types.", "position_embd.", "blk.", "output.", "output_norm.", "rope_freqs.")
_POOLING = {1: "mean", 2: "cls", 3: "lasttoken"}  # llama.cpp's numbers; 0 is none, 4 a reranker's score
_NO_POOLING = 0


def lone_file(folder: Path) -> Path | None:
    """The GGUF file of a folder that has no other model, or None.

    Raises:
        BadInput: there are several.
    """
    files = sorted(folder.glob(f"*{ENDING}"))
    if not files or (folder / "config.json").exists():
        return None
    if len(files) > 1:
        raise BadInput(f"{folder}: {len(files)} GGUF files; give one of them, such as {files[0]}")
    return files[0]


def as_folder(path: Path) -> Path:
    """Return a model folder, named as the file is, with the file's weights and tokenizer.

    Raises:
        BadInput: damaged, an architecture that transformers cannot read from GGUF, tensors other than the
            transformer's, or the package gguf is not installed.
    """
    if (reason := obstacle(path)) is not None:
        raise BadInput(f"{path}: it {reason}")
    (digest,) = digests_of_files([path], path.parent).values()
    home = cache_home() / "gguf" / f"{digest[:24]}-transformers-{version('transformers')}"
    folder = home / path.stem
    home.mkdir(parents=True, exist_ok=True)
    with file_lock(home / "lock"):
        if not folder.exists():
            log.info("%s: dequantising to float32, once, in %s", path, folder)
            with tempfile.TemporaryDirectory(dir=home) as temporary:
                made = Path(temporary) / "model"
                _convert(path, made)
                shutil.move(made, folder)
    return folder


def _convert(path: Path, folder: Path) -> None:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise BadInput(f"{path}: needs the package gguf: {how_to_install('formats')}") from None
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        reader = GGUFReader(path)
        _check(path, reader)
        how: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True, "ignore_mismatched_sizes": True}
        model, info = transformers.AutoModel.from_pretrained(path.parent, gguf_file=path.name, **how)
        transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(folder)
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # whatever a library raises for a file that it cannot read
        raise BadInput(f"{path}: transformers cannot read it ({in_one_line(error)})") from error
    lost = sorted({*info["missing_keys"], *(key[0] for key in info["mismatched_keys"])})
    if lost:
        raise BadInput(
            f"{path}: transformers cannot read {len(lost)} of its tensors, or not with their sizes ({lost[0]})"
        )
    model.hf_quantizer = None  # its tensors are not quantised any more, so that it can be saved
    del model.config.quantization_config
    if _value(reader, f"{_architecture(reader)}.attention.causal") is False:
        model.config.is_causal = False
    model.save_pretrained(folder)
    _add_special_tokens(reader, folder / "tokenizer_config.json")
    _add_pooling(path, reader, folder)


def _check(path: Path, reader: "GGUFReader") -> None:
    """Refuse what transformers' reader drops without a word: a projection, a classifier, a scaled rotary position."""
    scaling = _value(reader, f"{_architecture(reader)}.rope.scaling.type")
    if scaling not in (None, "none"):
        raise BadInput(f"{path}: scaled rotary positions ({scaling}), which transformers does not read from GGUF")
    others = sorted(tensor.name for tensor in reader.tensors if not tensor.name.startswith(_BODY))
    if others:
        raise BadInput(
            f"{path}: {len(others)} tensors other than the transformer's ({others[0]}, ...), which cannot be read from "
            "GGUF; evaluate the checkpoint that the file was made from"
        )


def _add_special_tokens(reader: "GGUFReader", path: Path) -> None:
    config = json.loads(path.read_text("utf-8"))
    for flag in ("add_bos_token", "add_eos_token"):
        value = _value(reader, f"tokenizer.ggml.{flag}")
        if value is not None:
            config[flag] = bool(value)
    path.write_text(json.dumps(config, ensure_ascii=False, indent=1), "utf-8")


def _add_pooling(path: Path, reader: "GGUFReader", folder: Path) -> None:
    number = _value(reader, f"{_architecture(reader)}.pooling_type")
    if number in (None, _NO_POOLING):
        return
    if number not in _POOLING:
        raise BadInput(f"{path}: pooling_type {number}; supported are {', '.join(map(str, _POOLING))} (llama.cpp)")
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    modules = [
        {"idx": index, "name": str(index), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, place) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=1), "utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": _POOLING[number]}), "utf-8")


def _architecture(reader: "GGUFReader") -> str:
    return str(_value(reader, "general.architecture"))


def _value(reader: "GGUFReader", name: str) -> object:
    field = reader.get_field(name)
    return None if field is None else field.contents()
