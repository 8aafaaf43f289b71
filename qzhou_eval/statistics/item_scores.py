"""The file of a result's item scores, from which its score is computed. Does not import mteb.

Which items a metric has is decided where they are collected: evaluate/mteb_adapter/v2_item_scores.py.

    <Task>.items.safetensors   split/<split>: rows of values; probe/<side>: a few vectors

Items are resampled to find which differences are significant; the probe shows whether vectors are still the same.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qzhou_eval.errors import BadInput
from qzhou_eval.system.files import publish, temporary_in

MEAN, SPEARMAN, V_MEASURE = STATISTICS = ("mean", "spearman", "v_measure")
UNITS = ("queries", "pairs", "texts", "sets")
PROBE = 3  # vectors stored per side


@dataclass(frozen=True)
class Items:
    """The items that one task's score is computed from, at one variant.

    Attributes:
        statistic: how the score follows from the items: ``mean``, ``spearman`` or ``v_measure``.
        unit: what an item is: ``queries``, ``pairs``, ``texts`` or ``sets``.
        splits: by part of the task, an array (rows, items). For ``mean`` one row, float32, 0 to 1. For ``spearman`` the
            ranks of the gold scores and of the similarities, for ``v_measure`` numbers of the labels and of the
            clusters: dense, from 0, equal values share one; unsigned.
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
    """Write items to ``path`` atomically."""
    named = {f"split/{name}": rows for name, rows in items.splits.items()}
    named |= {f"probe/{side}": vectors for side, vectors in items.probe.items()}
    whole = {name: np.ascontiguousarray(array) for name, array in named.items()}
    content = save(whole, {"statistic": items.statistic, "unit": items.unit})
    with temporary_in(path.parent) as temporary:
        temporary.write_bytes(content)
        publish(temporary, path)


def read_items(path: Path) -> Items:
    """Read items that :func:`write_items` wrote.

    Raises:
        BadInput: not a complete items file.
    """
    try:
        with safe_open(path, "numpy") as file:
            about = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        parts: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in ("split", "probe")}
        for name, array in arrays.items():
            kind, _, which = name.partition("/")
            parts[kind][which] = array
        items = Items(about["statistic"], about["unit"], parts["split"], parts["probe"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: not a complete items file ({error}); remove it, then repeat the run") from None
    if items.statistic not in STATISTICS or items.unit not in UNITS or not items.splits:
        raise BadInput(f"{path}: items of a kind unknown to this version; remove it, then repeat the run")
    return items
