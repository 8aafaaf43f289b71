"""Load a checkpoint's decoder and projection: stock transformers classes, safetensors, every tensor accounted for."""

import json
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import JsonObject
from qzhou_eval.system.options import option

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)

_HEADS = ("lm_head.", "score.")


class _LoadingInfo(TypedDict):
    """What transformers says about tensors' names in files and model."""

    missing_keys: Collection[str]
    unexpected_keys: Collection[str]
    mismatched_keys: Collection[tuple[str, torch.Size, torch.Size]]


def load_decoder(
    checkpoint: Checkpoint, *, dtype: torch.dtype, device: str, trust_remote_code: bool
) -> "PreTrainedModel":
    """Load the decoder without its language-model head.

    The stock class is looked up by model type, not through ``AutoModel``: remote code loaded earlier may have
    registered its class for the stock configuration, for the whole process.

    Raises:
        BadInput: unknown architecture, or tensors missing, unexpected or of another shape.
    """
    import transformers

    _readable(checkpoint)
    config = _config(checkpoint)
    _rotary_base_is_read(checkpoint, config, transformers.__version__)
    precision = "torch_dtype" if transformers.__version__.startswith("4.") else "dtype"  # 4.x: the model card's version
    options: dict[str, object] = {precision: dtype, "use_safetensors": True, "output_loading_info": True}
    options["device_map"] = {"": device}  # tensor by tensor, so that no worker holds all weights in host memory
    options["ignore_mismatched_sizes"] = True  # so that they are listed; any mismatch is refused below
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if trust_remote_code:
        log.warning("running the checkpoint's own code (--trust_remote_code), revision %s", checkpoint.revision)
        with _named(checkpoint):
            loaded = transformers.AutoModel.from_pretrained(checkpoint.decoder, trust_remote_code=True, **options)
    else:
        stock_config, stock_model = _stock_classes(checkpoint, config)
        load: Callable[..., object] = stock_model.from_pretrained
        with _named(checkpoint):
            own_config = stock_config.from_pretrained(checkpoint.decoder)
            loaded = load(checkpoint.decoder, config=own_config, **options)
    model, info = cast("tuple[PreTrainedModel, _LoadingInfo]", loaded)  # a pair because of output_loading_info
    _account_for_tensors(checkpoint, info)
    # Only tensors that are in no file can be elsewhere.
    model.to(device)  # type: ignore[arg-type]  # transformers wraps the method so that its type takes the model again
    return model.eval()


def decoder_shape(checkpoint: Checkpoint) -> "PreTrainedModel":
    """Build the decoder with transformers' own class on the meta device: all sizes, but no weights.

    Raises:
        BadInput: unknown architecture, or a configuration that it does not accept.
    """
    stock_config, stock_model = _stock_classes(checkpoint, _config(checkpoint))
    with _named(checkpoint), torch.device("meta"):
        return stock_model(stock_config.from_pretrained(checkpoint.decoder))


def _config(checkpoint: Checkpoint) -> JsonObject:
    return json.loads((checkpoint.decoder / "config.json").read_text("utf-8"))


def _stock_classes(
    checkpoint: Checkpoint, config: JsonObject
) -> tuple[type["PreTrainedConfig"], type["PreTrainedModel"]]:
    """Return transformers' own classes for configuration and decoder."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_MAPPING_NAMES:
        raise BadInput(
            f"{checkpoint.decoder}: model type {kind!r} is not in transformers; "
            f"to run the checkpoint's own code, give {option('trust_remote_code', True)}"
        )
    name = MODEL_MAPPING_NAMES[kind]
    name = name if isinstance(name, str) else name[0]
    return getattr(transformers, CONFIG_MAPPING_NAMES[kind]), getattr(transformers, name)


@contextmanager
def _named(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn whatever a loader raises for a broken configuration or file into one line that names the checkpoint."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{checkpoint.decoder}: transformers cannot load it ({type(error).__name__}: {reason[:300]})"
        ) from error


def _rotary_base_is_read(checkpoint: Checkpoint, config: JsonObject, version: str) -> None:
    """Refuse a rotary base in the place where transformers 5 writes it: transformers 4 would silently load it wrong."""
    parameters = config.get("rope_parameters")
    written = parameters.get("rope_theta") if isinstance(parameters, dict) else None
    if version.startswith("4.") and written not in (None, config.get("rope_theta", 10000), 10000.0):
        raise BadInput(
            f"{checkpoint.decoder}: saved by transformers 5, and transformers {version} would not read its rotary "
            "base; encode with --mteb current, then evaluate with --mteb card"
        )


def _readable(checkpoint: Checkpoint) -> None:
    """Refuse a damaged weight file by name, before a loader fails on it."""
    for path in sorted(checkpoint.decoder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{path}: damaged or incomplete ({error})") from None


def _account_for_tensors(checkpoint: Checkpoint, info: _LoadingInfo) -> None:
    heads = {key for key in info["unexpected_keys"] if key.startswith(_HEADS)}
    if heads:
        log.info("not used: %s (a language-model head)", ", ".join(sorted(heads)))
    faults = {
        "missing": set(info["missing_keys"]),
        "unexpected": set(info["unexpected_keys"]) - heads,
        "of another shape": {key[0] for key in info["mismatched_keys"]},
    }
    for fault, keys in faults.items():
        if keys:
            shown = ", ".join(sorted(keys)[:3]) + (", ..." if len(keys) > 3 else "")
            raise BadInput(f"{checkpoint.decoder}: {len(keys)} tensors {fault} ({shown}); not the whole model")


def load_projection(checkpoint: Checkpoint, *, dtype: torch.dtype, device: str) -> nn.Linear | None:
    """Load the sentence-transformers Dense module as a linear layer, or None if there is none.

    Raises:
        BadInput: an activation other than identity, or tensors that do not fit.
    """
    linear, folder = projection_shape(checkpoint), checkpoint.projection
    if linear is None or folder is None:
        return None
    try:
        tensors = load_file(folder / "model.safetensors", device=device)
        tensors = {name.removeprefix("linear."): tensor.to(dtype) for name, tensor in tensors.items()}
        linear.load_state_dict(tensors, assign=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise _no_projection(checkpoint, error) from None
    return linear.eval()


def projection_shape(checkpoint: Checkpoint) -> nn.Linear | None:
    """Build the projection on the meta device, without its weights, or return None if there is none.

    Raises:
        BadInput: an activation other than identity, or missing sizes.
    """
    if checkpoint.projection is None:
        return None
    config = json.loads((checkpoint.projection / "config.json").read_text("utf-8"))
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if not str(activation).endswith(".Identity") or config.get("use_residual"):
        raise BadInput(f"{checkpoint.projection}: only a plain linear projection is supported, not {activation}")
    try:
        with torch.device("meta"):
            return nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    except (RuntimeError, KeyError, TypeError) as error:
        raise _no_projection(checkpoint, error) from None


def _no_projection(checkpoint: Checkpoint, error: Exception) -> BadInput:
    reason = " ".join(str(error).split())
    return BadInput(f"{checkpoint.projection}: cannot load the projection ({reason})")
