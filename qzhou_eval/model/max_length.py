"""Check a run's limit in tokens against what the model can take and what its folder states: warn once, or refuse."""

import logging

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import read_if_there
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)

_NONE = 10**6  # from here on a limit means none: tokenizers without one state 10**30
_OWN = "sentence_bert_config.json, max_seq_length"  # not a bound of the model: sentence-transformers cuts there


def stated_limits(checkpoint: Checkpoint) -> dict[str, int]:
    """Limits in tokens that the folder's files state, by file and field.

    Raises:
        BadInput: a limit is not a number.
    """
    found = {}
    for file, field in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        path = checkpoint.tokenizer / file
        value = read_if_there(path).get(field)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
            raise BadInput(f"{path}: {field} is {value!r}; expected a number of tokens")
        if value < _NONE:
            found[f"{file}, {field}"] = int(value)
    if checkpoint.architecture.positions is not None:
        found["config.json, positions"] = checkpoint.architecture.positions
    return found


def own_limit(checkpoint: Checkpoint) -> int | None:
    """The limit at which sentence-transformers would cut: its own, else the lowest of the others; None if unknown."""
    stated = stated_limits(checkpoint)
    return stated.get(_OWN) or min(stated.values(), default=None)


def overridden(checkpoint: Checkpoint, max_length: int) -> dict[str, int]:
    """The stated limits that ``max_length`` exceeds, and that of sentence-transformers if it differs at all."""
    stated = stated_limits(checkpoint)
    return {
        where: limit for where, limit in stated.items() if limit < max_length or (limit > max_length and where == _OWN)
    }


def check_limit(checkpoint: Checkpoint, max_length: int, source: str) -> None:
    """Check the limit before anything is encoded.

    Args:
        source: where the limit comes from, for messages.

    Raises:
        BadInput: the model has learned fewer positions.
    """
    made_for = checkpoint.architecture.positions
    if checkpoint.architecture.learned_positions and made_for is not None and made_for < max_length:
        raise BadInput(
            f"{source}: {max_length} tokens, but {checkpoint.name} has a table of {made_for} positions and can take no "
            f"more; give {option('max_length', made_for)}, or a profile with that limit"
        )
    others = overridden(checkpoint, max_length)
    words = "; ".join(f"{limit} ({where})" for where, limit in others.items())
    if any(limit < max_length for limit in others.values()):
        log.warning("%s: %d tokens, more than %s states: %s", source, max_length, checkpoint.name, words)
    elif others:
        log.info("%s: %d tokens; sentence-transformers would send up to %s", source, max_length, words)
