"""Load a checkpoint's transformer: a stock class, safetensors, every tensor accounted for."""

import inspect
import json
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict, cast

import torch
from safetensors import SafetensorError, safe_open

from qzhou_eval.errors import BadInput, in_one_line
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import JsonObject
from qzhou_eval.model.folder.weights import is_pickled
from qzhou_eval.model.merging import merge
from qzhou_eval.system.options import option

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

log = logging.getLogger(__name__)

# Stored tensors that make no hidden state: language-model heads, pre-training's heads, BERT's pooler, and positions.
_HEADS = ("lm_head.", "score.", "cls.", "pooler.", "classifier.", "predictions.")
_BUFFERS = ("position_ids", "token_type_ids", "rotary_emb.inv_freq")


class _LoadingInfo(TypedDict):
    """What transformers says about tensors' names in files and model."""

    missing_keys: Collection[str]
    unexpected_keys: Collection[str]
    mismatched_keys: Collection[tuple[str, torch.Size, torch.Size]]


def load_body(checkpoint: Checkpoint, *, dtype: torch.dtype, device: str, trust_remote_code: bool) -> "PreTrainedModel":
    """Load the transformer without its language-model head or pooler.

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
    options: dict[str, object] = {precision: dtype, "output_loading_info": True}
    options["use_safetensors"] = not is_pickled(checkpoint.body)  # a pickle only by torch's weights-only loader
    options["device_map"] = {"": device}  # tensor by tensor, so that no worker holds all weights in host memory
    options["ignore_mismatched_sizes"] = True  # so that they are listed; any mismatch is refused below
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if trust_remote_code:
        log.warning("running the checkpoint's own code (--trust_remote_code), revision %s", checkpoint.revision)
        with _named(checkpoint):
            loaded = transformers.AutoModel.from_pretrained(checkpoint.body, trust_remote_code=True, **options)
    else:
        stock_config, stock_model = _stock_classes(checkpoint, config)
        load: Callable[..., object] = stock_model.from_pretrained
        with _named(checkpoint):
            own_config = stock_config.from_pretrained(checkpoint.body)
            loaded = load(checkpoint.body, config=own_config, **_without_pooler(stock_model), **options)
    model, info = cast("tuple[PreTrainedModel, _LoadingInfo]", loaded)  # a pair because of output_loading_info
    _account_for_tensors(checkpoint, info)
    if checkpoint.adapter is not None:
        model = merge(model, checkpoint.adapter, device=device)
    # Only tensors that are in no file can be elsewhere.
    model.to(device)  # type: ignore[arg-type]  # transformers wraps the method so that its type takes the model again
    return model.eval()


def body_shape(checkpoint: Checkpoint) -> "PreTrainedModel":
    """Build the model with transformers' own class on the meta device: all sizes, but no weights.

    Raises:
        BadInput: unknown architecture, or a configuration that it does not accept.
    """
    stock_config, stock_model = _stock_classes(checkpoint, _config(checkpoint))
    with _named(checkpoint), torch.device("meta"):
        return stock_model(stock_config.from_pretrained(checkpoint.body), **_without_pooler(stock_model))


def _config(checkpoint: Checkpoint) -> JsonObject:
    return json.loads((checkpoint.body / "config.json").read_text("utf-8"))


def _stock_classes(
    checkpoint: Checkpoint, config: JsonObject
) -> tuple[type["PreTrainedConfig"], type["PreTrainedModel"]]:
    """Return transformers' own classes for configuration and model."""
    import transformers
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_MAPPING_NAMES:
        raise BadInput(
            f"{checkpoint.body}: model type {kind!r} is not in transformers; "
            f"to run the checkpoint's own code, give {option('trust_remote_code', True)}"
        )
    name = MODEL_MAPPING_NAMES[kind]
    name = name if isinstance(name, str) else name[0]
    return getattr(transformers, CONFIG_MAPPING_NAMES[kind]), getattr(transformers, name)


def _without_pooler(stock_model: type["PreTrainedModel"]) -> dict[str, bool]:
    """The argument that leaves out a pooler over the first token, whose output is not used, if the class takes it."""
    takes = "add_pooling_layer" in inspect.signature(stock_model).parameters
    return {"add_pooling_layer": False} if takes else {}


@contextmanager
def _named(checkpoint: Checkpoint) -> Iterator[None]:
    """Turn whatever a loader raises for a broken configuration or file into one line that names the checkpoint."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise BadInput(f"{checkpoint.body}: transformers cannot load it ({in_one_line(error)})") from error


def _rotary_base_is_read(checkpoint: Checkpoint, config: JsonObject, version: str) -> None:
    """Refuse a rotary base in the place where transformers 5 writes it: transformers 4 would silently load it wrong."""
    parameters = config.get("rope_parameters")
    written = parameters.get("rope_theta") if isinstance(parameters, dict) else None
    if version.startswith("4.") and written not in (None, config.get("rope_theta", 10000), 10000.0):
        raise BadInput(
            f"{checkpoint.body}: saved by transformers 5, and transformers {version} would not read its rotary "
            "base; encode with --mteb current, then evaluate with --mteb card"
        )


def _readable(checkpoint: Checkpoint) -> None:
    """Refuse a damaged weight file by name, before a loader fails on it."""
    for path in sorted(checkpoint.body.glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                file.keys()
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{path}: damaged or incomplete ({error})") from None


def _account_for_tensors(checkpoint: Checkpoint, info: _LoadingInfo) -> None:
    unused = {key for key in info["unexpected_keys"] if key.startswith(_HEADS) or key.endswith(_BUFFERS)}
    if unused:
        log.info("not used: %s (not part of the hidden states)", ", ".join(sorted(unused)))
    faults = {
        "missing": set(info["missing_keys"]),
        "unexpected": set(info["unexpected_keys"]) - unused,
        "of another shape": {key[0] for key in info["mismatched_keys"]},
    }
    for fault, keys in faults.items():
        if keys:
            shown = ", ".join(sorted(keys)[:3]) + (", ..." if len(keys) > 3 else "")
            raise BadInput(f"{checkpoint.body}: {len(keys)} tensors {fault} ({shown}); not the whole model")
