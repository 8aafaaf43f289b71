"""Cuts full-width vectors to one dimension and normalises them. Pure array code."""

from operator import index

import numpy as np

from qzhou_eval.errors import BadInput
from qzhou_eval.system.options import option


def check_dim(dim: int, width: int) -> int:
    """Return ``dim`` as an integer; refuse one that vectors of ``width`` do not have.

    Raises:
        BadInput: not a whole number, or not between 1 and ``width``.
    """
    try:
        number = 0 if isinstance(dim, bool | np.bool_) else index(dim)
    except TypeError:
        number = 0
    if not 1 <= number <= width:
        raise BadInput(f"{option('dim', dim)}: the model's vectors have {width} dimensions; choose 1 to {width}")
    return number


def normalizes(normalize: bool | None, normalize_embeddings: bool | None) -> bool:
    """Whether to normalise, by the two names of one argument (None: not given); True if neither is given.

    Raises:
        BadInput: they contradict each other.
    """
    given = {bool(value) for value in (normalize, normalize_embeddings) if value is not None}
    if len(given) > 1:
        raise BadInput(f"normalize={normalize} contradicts normalize_embeddings={normalize_embeddings}; give one")
    return given != {False}


def cut_and_normalize(vectors: np.ndarray, dim: int | None = None, *, normalize: bool = True) -> np.ndarray:
    """Cut float32 vectors (n, width) to their first ``dim`` components, then L2-normalise.

    Source: the Matryoshka protocol of the QZhou-Embedding-Zh card. A zero vector stays zero.

    Returns:
        float32 array (n, dim), contiguous; the full width if ``dim`` is None.

    Raises:
        BadInput: the vectors have no such dimension.
    """
    width = vectors.shape[1]
    cut = np.ascontiguousarray(vectors[:, : width if dim is None else check_dim(dim, width)])
    if not normalize:
        return cut
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return cut / np.where(norms == 0, 1, norms)
