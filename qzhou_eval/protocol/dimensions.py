"""Reads the dimensions that ``--dim`` asks for."""

import logging

from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.matryoshka import check_dim
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.system.formatting import whole_number

log = logging.getLogger(__name__)


def dimensions(asked: list[str], profile: Profile, width: int) -> list[int]:
    """The dimensions that ``--dim`` asks for, in ascending order.

    Numbers, ``all`` (the profile's dimensions that the model has, and its full width), or nothing (the full width).

    Raises:
        BadInput: not a number, or wider than the model.
    """
    dims = set()
    for value in asked or [str(width)]:
        if value == "all":
            dims |= {d for d in profile.matryoshka_dims if d <= width} | {width}
        elif (number := whole_number(value)) is not None:
            dims.add(check_dim(number, width))
        else:
            raise BadInput(f"--dim {value}: give numbers from 1 to {width}, or all")
    _state_untrained(sorted(dims), profile, width)
    return sorted(dims)


def _state_untrained(dims: list[int], profile: Profile, width: int) -> None:
    """Warn of dimensions that a model was not trained to be cut to, if the profile lists those that it was."""
    trained = profile.matryoshka_dims
    untrained = [str(dim) for dim in dims if trained and dim not in (*trained, width)]
    if untrained:
        known = ", ".join(map(str, trained))
        log.warning(
            "--dim %s: the model was not trained for it; profile %s lists %s", " ".join(untrained), profile.name, known
        )
