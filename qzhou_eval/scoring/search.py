"""All dimensions' best documents in one pass over full-width vectors.

The dot product at dimension 256 is the one at 128 plus that of components 128 to 255, and so are squared norms; so
one multiplication of the full width gives every dimension's cosines, nearly. The best of them and a margin are then
scored again as mteb scores them: cut, normalise in float32, normalise once more, multiply.

The product of two matrices is the same for a pair of rows in whatever larger matrices they stand, on the libraries
and processors where this was tried, so the second scores are mteb's to the last bit there. Elsewhere the last bits may
differ, and two documents whose scores are closer than about 1e-7 may change places. Equal vectors always tie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from qzhou_eval.scoring.candidates import Pool, largest, pack, unpack
from qzhou_eval.vectors import check_dim, cut_and_normalize

MARGIN = 64  # candidates beyond the best k
ERROR = 1e-5  # a bound on how far a first score is from a second one; below 1e-6 in all that was measured
_ROWS = 4  # one or two rows make torch call a routine for vectors, which adds in another order than that for matrices
_CHUNK = 512  # vectors normalised at once: they stay in the cache


@dataclass(frozen=True)
class Found:
    """Each query's documents, best first.

    Attributes:
        documents: int64 (queries, k), row numbers; -1 behind a query's last document.
        scores: float32 (queries, k), cosine similarities; NaN behind a query's last document.
    """

    documents: np.ndarray
    scores: np.ndarray


def search(
    queries: np.ndarray,
    documents: np.ndarray,
    dims: Sequence[int],
    *,
    k: int,
    order: np.ndarray,
    normalize: bool = True,
    query_block: int = 1024,
    document_chunk: int = 4096,
) -> Iterator[tuple[slice, dict[int, Found]]]:
    """The ``k`` best documents of each query by cosine similarity, at each dimension; equal scores by ``order``.

    Memory beyond the arguments: one copy of the documents, and about 300 MB for 1024 queries, k 1000 and 8 dimensions.

    Args:
        queries: float32 (n, width).
        documents: float32 (m, width), at least one.
        dims: dimensions to cut to, in any order.
        k: how many documents to find; fewer where there are fewer.
        order: int64 (m,), a permutation of 0 to m - 1; of two equal scores the one of the higher order comes first.
        normalize: whether vectors are normalised when they are cut, and not only when they are compared; this
            moves last bits.

    Yields:
        A slice of the queries, and what they found by dimension.

    Raises:
        BadInput: a dimension is wider than the vectors.
        ValueError: a vector has a component that is not finite, or the order is no permutation.
    """
    dims = sorted(check_dim(dim, documents.shape[1]) for dim in set(dims))
    _check(queries, documents, order)
    inverse_norms = _inverse_norms(documents, dims)
    for start in range(0, len(queries), query_block):
        block = slice(start, min(start + query_block, len(queries)))
        count = min(k + MARGIN, len(documents))
        candidates = _candidates(queries[block], documents, inverse_norms, count=count, chunk=document_chunk)
        found = {}
        for dim in dims:
            ours = unit_vectors(queries[block], dim, normalize=normalize)
            theirs = unit_vectors(documents, dim, normalize=normalize)
            first, numbers = unpack(candidates.pop(dim))
            keys = _score_again(ours, theirs, numbers, order, min(k, count))
            lowest = first.min(axis=1) * _inverse_norms(queries[block], [dim])[dim]
            unsure = np.flatnonzero(unpack(keys[:, -1])[0] - lowest < ERROR) if count < len(documents) else []
            for some in np.array_split(unsure, -(-len(unsure) // 64)) if len(unsure) else []:
                keys[some] = _score_all(ours[some], theirs, order, keys.shape[1])
            found[dim] = _found(keys, order)
        yield block, found


def rerank(
    queries: np.ndarray,
    documents: np.ndarray,
    dims: Sequence[int],
    *,
    candidates: Sequence[np.ndarray],
    k: int,
    order: np.ndarray,
    normalize: bool = True,
) -> dict[int, Found]:
    """Each query's ``k`` best candidates at each dimension; arguments and errors as for :func:`search`.

    Args:
        candidates: int64 row numbers of documents for each query; may be empty, and differ in length.
    """
    _check(queries, documents, order)
    width = min(k, max((len(rows) for rows in candidates), default=0))
    found = {}
    for dim in dims:
        ours = unit_vectors(queries, dim, normalize=normalize)
        theirs = unit_vectors(documents, dim, normalize=normalize)
        found[dim] = Found(np.full((len(queries), width), -1), np.full((len(queries), width), np.nan, np.float32))
        for number, rows in enumerate(candidates):
            if len(rows):
                scores = (ours[number : number + 1] @ theirs[torch.from_numpy(rows)].T).numpy()
                best = _found(_ordered(pack(scores, order[rows]), min(k, len(rows))), order)
                found[dim].documents[number, : best.documents.shape[1]] = best.documents
                found[dim].scores[number, : best.documents.shape[1]] = best.scores
    return found


def unit_vectors(vectors: np.ndarray, dim: int, *, normalize: bool) -> torch.Tensor:
    """float32 (n, dim): cut, normalised if asked, and normalised as mteb's cosine similarity does before it multiplies.

    Source: ``cos_sim`` of mteb 2.26.24. The second time changes last bits.
    """
    units = torch.empty(len(vectors), dim)
    for start in range(0, len(vectors), _CHUNK):
        cut = torch.from_numpy(cut_and_normalize(vectors[start : start + _CHUNK], dim, normalize=normalize))
        units[start : start + _CHUNK] = torch.nn.functional.normalize(cut, p=2, dim=1)
    return units


def _check(queries: np.ndarray, documents: np.ndarray, order: np.ndarray) -> None:
    if not (np.bincount(order, minlength=len(documents)) == 1).all():
        raise ValueError("order is not a permutation of the documents")
    for name, vectors in (("query", queries), ("document", documents)):
        for start in range(0, len(vectors), _CHUNK):
            if not np.isfinite(vectors[start : start + _CHUNK]).all():
                raise ValueError(f"the vector of a {name} is not finite")


def _inverse_norms(vectors: np.ndarray, dims: Sequence[int]) -> dict[int, np.ndarray]:
    """By dimension, float32 (n,): 1 over the norm of the cut vectors; 0 for zero vectors. ``dims`` ascend."""
    squares, start, inverse = np.zeros(len(vectors)), 0, {}
    for dim in dims:
        squares += np.einsum("nd,nd->n", vectors[:, start:dim], vectors[:, start:dim])
        inverse[dim] = np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0).astype(np.float32)
        start = dim
    return inverse


def _candidates(
    queries: np.ndarray, documents: np.ndarray, inverse_norms: dict[int, np.ndarray], *, count: int, chunk: int
) -> dict[int, np.ndarray]:
    """By dimension, int64 (n, count): keys of (first score times the query's norm, document) of the best ones."""
    pools = {dim: Pool(len(queries), count) for dim in inverse_norms}
    queries, everything = torch.from_numpy(queries), torch.from_numpy(documents)
    for first in range(0, len(documents), chunk):
        some = everything[first : first + chunk]
        dots = torch.zeros(len(queries), len(some))
        scores = torch.empty_like(dots)
        start = 0
        for dim in inverse_norms:
            dots.addmm_(queries[:, start:dim], some[:, start:dim].T)
            torch.mul(dots, torch.from_numpy(inverse_norms[dim][first : first + chunk]), out=scores)
            pools[dim].offer(scores.numpy(), first)
            start = dim
    return {dim: pools.pop(dim).best() for dim in inverse_norms}


def _score_again(ours: torch.Tensor, theirs: torch.Tensor, numbers: np.ndarray, order: np.ndarray, k: int):
    """int64 (n, k), largest first: keys of (second score, order) of the best among each query's documents."""
    numbers = np.sort(numbers, axis=1)  # rows that lie close together are read faster
    scores = np.empty(numbers.shape, np.float32)
    gathered = torch.empty(numbers.shape[1], theirs.shape[1])
    for i, rows in enumerate(torch.from_numpy(numbers)):
        torch.index_select(theirs, 0, rows, out=gathered)
        scores[i] = (ours[i].repeat(_ROWS, 1) @ gathered.T)[0].numpy()
    return _ordered(pack(scores, order[numbers]), k)


def _score_all(ours: torch.Tensor, theirs: torch.Tensor, order: np.ndarray, k: int) -> np.ndarray:
    """As :func:`_score_again`, among all documents: for queries whose candidates may lack one of the best."""
    padded = ours.repeat(_ROWS, 1) if len(ours) < _ROWS else ours
    return _ordered(pack((padded @ theirs.T)[: len(ours)].numpy(), order), k)


def _ordered(keys: np.ndarray, k: int) -> np.ndarray:
    return np.sort(largest(keys, k), axis=1)[:, ::-1]


def _found(keys: np.ndarray, order: np.ndarray) -> Found:
    scores, places = unpack(keys)
    return Found(np.argsort(order)[places], scores)
