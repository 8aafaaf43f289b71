"""Finds the best documents at all dimensions in one pass over full-width vectors.

The dot product at dimension 256 is the one at 128 plus that of components 128 to 255, and the same holds for squared
norms; so one multiplication at full width gives the cosines of every dimension, except for the last bits. Where those
bits could change the order of the best documents, the documents in doubt are scored again as mteb scores them: cut,
normalised in float32, normalised once more, multiplied. These second scores decide the order.

On the libraries and processors where this was tried, the product of a pair of rows does not depend on the larger
matrices that they are part of, so second scores equal mteb's to the last bit there, and equal vectors tie.
Elsewhere two documents whose scores are closer than about 1e-7 may change places.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from qzhou_eval.evaluate.retrieval.top_k import Pool, largest, pack_scores, unpack
from qzhou_eval.protocol.matryoshka import check_dim, cut_and_normalize

MARGIN = 64  # candidates beyond the best k
DOUBT = 5e-7  # first scores closer than this are always in doubt: eight units in the last place of a cosine of 1
WARY = 4  # the doubt extends to this many times the largest difference seen between first and second scores
_ROWS = 16  # for products of few rows torch uses other routines, which add in another order
_CHUNK = 512  # vectors normalised at once: few enough to stay in the cache


@dataclass(frozen=True)
class Found:
    """Each query's documents, best first.

    Attributes:
        documents: int64 (queries, k), row numbers; -1 after a query's last document.
        scores: float32 (queries, k), cosine similarities; those that were not in doubt are the first pass's;
            NaN after a query's last document.
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
    own: np.ndarray | None = None,
    normalize: bool = True,
    query_block: int = 256,
    document_chunk: int = 8192,
) -> Iterator[tuple[slice, dict[int, Found]]]:
    """The ``k`` best documents of each query by cosine similarity, at each dimension; ``order`` breaks ties.

    Memory beyond the arguments: about 100 MB at 8 dimensions and k 1000, for any number of queries and documents.

    Args:
        queries: float32 (n, width).
        documents: float32 (m, width), at least one.
        dims: dimensions to cut to, in any order.
        k: how many documents to find; fewer if there are fewer.
        order: int64 (m,), a permutation of 0 to m - 1; of two equal scores the one with the higher order comes first.
        own: int64 (n,), each query's own document, -1 for none; it is dropped from the ``k`` that were found and
            not replaced.
        normalize: whether vectors are normalised when they are cut, and not only when they are compared; this
            changes last bits.

    Yields:
        A slice of the queries, and by dimension what they found.

    Raises:
        BadInput: a dimension is wider than the vectors.
        ValueError: a vector has a component that is not finite, or ``order`` is not a permutation.
    """
    dims = sorted(check_dim(dim, documents.shape[1]) for dim in set(dims))
    _check(queries, documents, order)
    inverse_norms = _inverse_norms(documents, dims)
    by_order = np.argsort(order)
    count = min(k + MARGIN, len(documents))
    for start in range(0, len(queries), query_block):
        block = slice(start, min(start + query_block, len(queries)))
        candidates = _candidates(queries[block], documents, inverse_norms, count=count, chunk=document_chunk)
        lengths = _inverse_norms(queries[block], dims)
        found = {}
        for dim in dims:
            scores, rows = candidates.pop(dim)
            scores *= lengths[dim][:, None]
            units = unit_vectors(queries[block], dim, normalize=normalize)
            again = _Again(units, documents, normalize=normalize)
            lowest = scores[:, -1].copy()
            with _one_thread():
                doubt = again.replace(scores, rows, best=2 if own is None else 3)
            keys = _ordered(pack_scores(scores, order[rows]), min(k, count))
            if count < len(documents):
                unsure = np.flatnonzero(unpack(keys[:, -1])[0] - lowest < doubt)
                if len(unsure):
                    keys[unsure] = again.score_all(unsure, order, keys.shape[1])
            found[dim] = _found(keys, by_order)
            if own is not None:
                found[dim] = _without(found[dim], own[block])
        yield block, found


def rerank(
    queries: np.ndarray,
    documents: np.ndarray,
    dims: Sequence[int],
    *,
    candidates: Sequence[np.ndarray],
    k: int,
    order: np.ndarray,
    own: np.ndarray | None = None,
    normalize: bool = True,
) -> dict[int, Found]:
    """Each query's ``k`` best candidates at each dimension; arguments and errors as for :func:`search`.

    Each query is multiplied with its candidates alone, as in mteb. The routines that torch then calls may give equal
    vectors unequal scores, so vectors tie here exactly where they tie in mteb.

    Args:
        candidates: for each query, int64 row numbers of documents; may be empty, and lengths may differ.
    """
    _check(queries, documents, order)
    by_order = np.argsort(order)
    width = min(k, max((len(rows) for rows in candidates), default=0))
    found = {}
    for dim in dims:
        ours = unit_vectors(queries, dim, normalize=normalize)
        theirs = unit_vectors(documents, dim, normalize=normalize)
        found[dim] = Found(np.full((len(queries), width), -1), np.full((len(queries), width), np.nan, np.float32))
        for number, rows in enumerate(candidates):
            if len(rows):
                scores = (ours[number : number + 1] @ theirs[torch.from_numpy(rows)].T).numpy()
                best = _found(_ordered(pack_scores(scores, order[rows]), min(k, len(rows))), by_order)
                found[dim].documents[number, : best.documents.shape[1]] = best.documents
                found[dim].scores[number, : best.documents.shape[1]] = best.scores
        if own is not None:
            found[dim] = _without(found[dim], own)
    return found


def unit_vectors(vectors: np.ndarray, dim: int, *, normalize: bool) -> torch.Tensor:
    """float32 (n, dim): vectors cut, normalised if asked, then normalised as mteb's cosine similarity does.

    Source: ``cos_sim`` of mteb 2.26.24. The second normalisation changes last bits.
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
    """By dimension, float32 (n,): 1 over the norm of the cut vectors; 0 for zero vectors. ``dims`` must ascend."""
    squares, start, inverse = np.zeros(len(vectors)), 0, {}
    for dim in dims:
        squares += np.einsum("nd,nd->n", vectors[:, start:dim], vectors[:, start:dim])
        inverse[dim] = np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0).astype(np.float32)
        start = dim
    return inverse


def _candidates(
    queries: np.ndarray, documents: np.ndarray, inverse_norms: dict[int, np.ndarray], *, count: int, chunk: int
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """By dimension, the best documents by first score: float32 (n, count) scores times the query's norm, and rows."""
    pools = {dim: Pool(len(queries), count) for dim in inverse_norms}
    asked, everything = torch.from_numpy(queries), torch.from_numpy(documents)
    for first in range(0, len(documents), chunk):
        some = everything[first : first + chunk]
        dots = torch.empty(len(asked), len(some))
        scores = np.empty(dots.shape, np.float32)
        start = 0
        for dim, inverse in inverse_norms.items():
            dots.addmm_(asked[:, start:dim], some[:, start:dim].T, beta=1 if start else 0)
            np.multiply(dots.numpy(), inverse[first : first + chunk], out=scores)
            pools[dim].offer(scores, np.arange(first, first + len(some)))
            start = dim
    return {dim: unpack(_ordered(pools.pop(dim).best(), count)) for dim in list(pools)}


class _Again:
    """Computes second scores, as mteb does, of one block of queries at one dimension."""

    def __init__(self, units: torch.Tensor, documents: np.ndarray, *, normalize: bool) -> None:
        self._queries = units
        self._documents = documents
        self._normalize = normalize

    def replace(self, scores: np.ndarray, rows: np.ndarray, *, best: int) -> float:
        """Replace first scores, which are best first, by second ones wherever those might change the order.

        How far the two can differ is estimated from each query's ``best`` first documents and a sample of the others.
        The ``best`` therefore always get second scores; confidence is computed from the two best that remain.

        Returns:
            How far apart two first scores must be to be out of doubt.
        """
        first = scores.copy()
        sample = np.zeros(scores.shape, bool)
        sample[:, :best] = True
        sample[:, np.linspace(0, scores.shape[1] - 1, 10).astype(int)] = True
        self._put(scores, rows, sample)
        doubt = max(DOUBT, float(WARY * np.abs(scores - first).max()))
        close = first[:, :-1] - first[:, 1:] < doubt
        doubtful = np.zeros(scores.shape, bool)
        doubtful[:, 1:] |= close
        doubtful[:, :-1] |= close
        self._put(scores, rows, doubtful & ~sample)
        return doubt

    def _put(self, scores: np.ndarray, rows: np.ndarray, where: np.ndarray) -> None:
        """Write second scores over first ones, for as many queries at once as fit in the cache."""
        number = where.sum(axis=1)
        ends = np.cumsum(number)
        start = done = 0
        while start < len(scores):
            stop = max(start + 1, int(np.searchsorted(ends, done + _CHUNK)))
            block, here = slice(start, stop), where[start:stop]
            products = self._products(np.arange(start, stop), rows[block][here])
            scores[block][here] = products[
                np.repeat(np.arange(stop - start), number[block]), np.arange(products.shape[1])
            ]
            start, done = stop, ends[stop - 1]

    def score_all(self, queries: np.ndarray, order: np.ndarray, k: int) -> np.ndarray:
        """int64 (n, k): keys of (second score, order) of the best among all documents for some queries, best first."""
        pool = Pool(len(queries), k)
        for first in range(0, len(order), _CHUNK):
            rows = np.arange(first, min(first + _CHUNK, len(order)))
            pool.offer(self._products(queries, rows), order[rows])
        return _ordered(pool.best(), k)

    def _products(self, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """float32 (queries, rows): cosines, from a product padded to the size of a large one."""
        ours = self._queries[queries]
        theirs = unit_vectors(self._documents[:, : ours.shape[1]][rows], ours.shape[1], normalize=self._normalize)
        more = torch.nn.functional.pad
        product = more(ours, (0, 0, 0, -len(ours) % _ROWS)) @ more(theirs, (0, 0, 0, max(0, _CHUNK - len(theirs)))).T
        return product[: len(ours), : len(theirs)].contiguous().numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: in many small steps threads mostly wait for each other, longer on shared processors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ordered(keys: np.ndarray, k: int) -> np.ndarray:
    return np.sort(largest(keys, k), axis=1)[:, ::-1]


def _found(keys: np.ndarray, by_order: np.ndarray) -> Found:
    scores, places = unpack(keys)
    return Found(by_order[places], scores)


def _without(found: Found, own: np.ndarray) -> Found:
    """Each query's documents without its own one; those after it move up."""
    dropped = found.documents == own[:, None]
    kept_first = np.argsort(dropped, axis=1, kind="stable")
    documents = np.where(dropped, -1, found.documents)
    scores = np.where(dropped, np.float32(np.nan), found.scores)
    return Found(*(np.take_along_axis(rows, kept_first, axis=1) for rows in (documents, scores)))
