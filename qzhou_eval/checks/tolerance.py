"""How far honest runs of one model differ, and the grades of larger differences, for ``compare`` and ``check``."""

# Points (0 to 100) by which two honest runs of one model may differ; docs/fidelity.md has the measurement behind them.
TOLERANCE = {
    "Classification": 0.3,
    "Clustering": 1.0,
    "PairClassification": 0.1,
    "Reranking": 0.1,
    "Retrieval": 0.1,
    "STS": 0.1,
}
NEAR = 3  # times the tolerance: beyond it a difference is no accident
WITHIN, CLOSE, BEYOND = range(3)


def grade(difference: float, tolerance: float) -> int:
    """WITHIN the tolerance, CLOSE to it (up to three times it), or BEYOND that; so is a difference that is NaN.

    Args:
        difference: points, of either sign; rounded to six decimals, as scores are.
        tolerance: points.
    """
    size = round(abs(difference), 6)
    if size <= tolerance:
        return WITHIN
    return CLOSE if size <= NEAR * tolerance else BEYOND
