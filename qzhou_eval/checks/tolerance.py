"""Tolerances between runs of the same model, and the grading of differences, for ``compare`` and ``check``."""

# Points (0 to 100) by which two correct runs of the same model may differ; measured in docs/fidelity.md.
TOLERANCE = {
    "Classification": 0.3,
    "Clustering": 1.0,
    "PairClassification": 0.1,
    "Reranking": 0.1,
    "Retrieval": 0.1,
    "STS": 0.1,
}
OTHERWISE = 0.1  # of types that no published run here has
NEAR = 3  # times the tolerance; a larger difference is not noise
WITHIN, CLOSE, BEYOND = range(3)


def tolerance_of(kind: str) -> float:
    """The tolerance of a task of this type, points."""
    return TOLERANCE.get(kind, OTHERWISE)


def grade(difference: float, tolerance: float) -> int:
    """Grade a difference: WITHIN the tolerance, CLOSE (up to three times it), or BEYOND (larger, or NaN).

    Args:
        difference: points, of either sign; rounded to six decimals, as scores are.
        tolerance: points.
    """
    size = round(abs(difference), 6)
    if size <= tolerance:
        return WITHIN
    return CLOSE if size <= NEAR * tolerance else BEYOND
