"""Merge a LoRA adapter into its loaded base model, through peft; every tensor of the adapter must be applied."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from qzhou_eval.errors import BadInput, in_one_line
from qzhou_eval.model.folder.adapter import WEIGHTS
from qzhou_eval.system.mteb_version import how_to_install

if TYPE_CHECKING:
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

_OF_A_LANGUAGE_MODEL, _OF_A_BODY = "base_model.model.model.", "base_model.model."


def merge(model: "PreTrainedModel", folder: Path, *, device: str) -> "PreTrainedModel":
    """Return the model with the adapter's weights added to its own, in the model's dtype.

    Raises:
        BadInput: peft is not installed, the file is damaged, or the adapter does not fit the model.
    """
    try:
        from peft import PeftConfig, PeftModel
        from peft.utils import load_peft_weights, set_peft_model_state_dict
    except ImportError:
        raise BadInput(f"{folder}: an adapter, which needs peft: {how_to_install('formats')}") from None
    try:
        tensors = _of_the_body(load_peft_weights(str(folder), device=device))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of transformers about its own names, which peft asks for
            wrapped = PeftModel(model, PeftConfig.from_pretrained(str(folder)))
        result: Any = set_peft_model_state_dict(wrapped, dict(tensors))
    except Exception as error:  # whatever a library raises for a config or tensors that do not fit
        raise BadInput(f"{folder}: peft cannot load the adapter ({in_one_line(error)})") from error
    missing = [name for name in result.missing_keys if "lora_" in name]
    for fault, names in (("not of this model", result.unexpected_keys), ("missing", missing)):
        if names:
            raise BadInput(
                f"{folder / WEIGHTS}: {len(names)} tensors {fault} ({sorted(names)[0]}, ...); nothing is merged"
            )
    log.info("%s: %d tensors merged into the base model", folder, len(tensors))
    return wrapped.merge_and_unload()


def _of_the_body(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name the tensors of an adapter that was trained on the whole language model as they are called in its body."""
    if not all(name.startswith(_OF_A_LANGUAGE_MODEL) for name in tensors):
        return tensors
    return {_OF_A_BODY + name.removeprefix(_OF_A_LANGUAGE_MODEL): tensor for name, tensor in tensors.items()}
