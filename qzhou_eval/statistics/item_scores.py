"""Items' scores: what a task's score is made of, in a small file beside its result. Knows no mteb and no model.

    <Task>.items.safetensors   split/<split>: a row of values each; probe/<side>: a few vectors

Whoever asks which differences are real resamples items; whoever asks whether vectors are still the same looks at the
probe.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qzhou_eval.errors import BadInput
from qzhou_eval.system.files import publish, temporary_in

MEAN, SPEARMAN = STATISTICS = ("mean", "spearman")
UNITS = ("queries", "pairs", "texts", "sets")
PROBE = 3  # vectors kept of each side


@dataclass(frozen=True)
class Items:
    """What one task's score is made of, at one variant.

    Attributes:
        statistic: how the score follows from the items: ``mean`` or ``spearman``.
        unit: what an item is: ``queries``, ``pairs``, ``texts`` or ``sets``.
        splits: by split, an array (rows, items). For ``mean`` one row, float32, 0 to 1. For ``spearman`` the ranks of
            the gold scores and of the similarities: dense, from 0, equal values have one; unsigned.
        probe: by side (``query``, ``document``, ``text``), float32 (at most 3, dim): stored vectors of the task's first
            distinct texts, cut, not normalised.
    """

    statistic: str
    unit: str
    splits: dict[str, np.ndarray]
    probe: dict[str, np.ndarray]


def dense_ranks(values) -> np.ndarray:
    """Ranks from 0 without gaps, equal values sharing one, in the smallest unsigned dtype; (n,)."""
    distinct, ranks = np.unique(np.asarray(values), return_inverse=True)
    return ranks.reshape(-1).astype(np.min_scalar_type(len(distinct)))


def write_items(path: Path, items: Items) -> None:
    """Write items to ``path``, whole or not at all."""
    named = {f"split/{name}": rows for name, rows in items.splits.items()}
    named |= {f"probe/{side}": vectors for side, vectors in items.probe.items()}
    whole = {name: np.ascontiguousarray(array) for name, array in named.items()}
    content = save(whole, {"statistic": items.statistic, "unit": items.unit})
    with temporary_in(path.parent) as temporary:
        temporary.write_bytes(content)
        publish(temporary, path)


def read_items(path: Path) -> Items:
    """Items as :func:`write_items` wrote them.

    Raises:
        BadInput: not a whole file of items.
    """
    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        parts = {kind: {} for kind in ("split", "probe")}
        for name, array in arrays.items():
            kind, _, which = name.partition("/")
            parts[kind][which] = array
        items = Items(about["statistic"], about["unit"], parts["split"], parts["probe"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: not a whole file of items ({error}); remove it, then run its command again") from None
    if items.statistic not in STATISTICS or items.unit not in UNITS or not items.splits:
        raise BadInput(f"{path}: items of another kind than this version knows; remove it, then run its command again")
    return items
