"""Reads the vectors in an answer of ``/embeddings``, and refuses what is not one vector for each text."""

import base64
import binascii
from collections.abc import Mapping

import numpy as np

from qzhou_eval.encode.endpoint.client import EndpointError


def vectors_in(answer: Mapping[str, object], count: int) -> np.ndarray:
    """The vectors of a request's ``count`` texts in their order, float32 (count, width); they may not be finite.

    Vectors are lists of numbers or little-endian float32 in base64.

    Raises:
        EndpointError: other vectors than one for each text, or of several widths.
    """
    data = answer.get("data")
    if not isinstance(data, list) or any(not isinstance(one, dict) for one in data):
        raise EndpointError("the server's answer has no list of vectors (data)")
    if len(data) != count:
        raise EndpointError(f"the server gave {len(data)} vectors for {count} texts")
    places = [one.get("index", place) for place, one in enumerate(data)]
    if sorted(places, key=str) != sorted(range(count), key=str):
        raise EndpointError(f"the server's {count} vectors have the indexes {str(places)[:80]}")
    rows = [
        _vector(one.get("embedding")) for _, one in sorted(zip(places, data, strict=True), key=lambda pair: pair[0])
    ]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise EndpointError(f"the server gave vectors of {' and '.join(map(str, sorted(widths)))} components")
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def tokens_in(answer: Mapping[str, object]) -> int | None:
    """How many tokens the server counted, or None if it does not say."""
    usage = answer.get("usage")
    found = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return found if isinstance(found, int) and found > 0 else None


def _vector(given: object) -> np.ndarray:
    try:
        if isinstance(given, str):
            found = np.frombuffer(base64.b64decode(given, validate=True), "<f4")
        else:
            with np.errstate(over="ignore"):
                found = np.array(given, np.float64).astype(np.float32)
    except (ValueError, TypeError, binascii.Error):
        raise EndpointError(f"the server gave {given!r:.60} for a vector") from None
    if found.ndim != 1 or not found.size:
        raise EndpointError(f"the server gave {given!r:.60} for a vector")
    return found
