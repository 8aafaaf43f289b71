"""Full vectors -> vectors of one dimension. Pure array code."""

import numpy as np

from qzhou_eval.errors import BadInput


def check_dim(dim: int, width: int) -> int:
    """Refuse a dimension that full vectors of ``width`` do not have."""
    if not 1 <= dim <= width:
        raise BadInput(f"--dim {dim}: the model's vectors have {width} dimensions; choose 1 to {width}")
    return dim


def cut_and_normalize(vectors: np.ndarray, dim: int | None = None, *, normalize: bool = True) -> np.ndarray:
    """Cut float32 vectors (n, width) to their first ``dim`` components, then L2-normalise.

    Source: the Matryoshka protocol of the QZhou-Embedding-Zh card. A zero vector stays zero.

    Returns:
        float32 array (n, dim), contiguous.
    """
    cut = np.ascontiguousarray(vectors[:, : check_dim(dim or vectors.shape[1], vectors.shape[1])])
    if not normalize:
        return cut
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return cut / np.where(norms == 0, 1, norms)
