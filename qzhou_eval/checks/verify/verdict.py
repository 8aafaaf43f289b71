"""Turns facts and distances into one line that says what is the same, or what differs. Pure."""

from qzhou_eval.checks.verify.facts import Line
from qzhou_eval.checks.verify.tp_readings import ReadingDistance


def verdict(lines: list[Line], rows: list[ReadingDistance], own: str, *, compared: bool) -> tuple[bool, str]:
    """Judge a comparison.

    Args:
        lines: the facts.
        rows: our readings against the other side's vectors; empty if no prompt had equal ids.
        own: the profile's reading.
        compared: whether there is another side.

    Returns:
        Whether everything is the same, and the text that says so. Only float32 picks a reading. Vectors are named as
        a cause only if no difference that precedes them explains theirs.
    """
    causes = [line.cause for line in lines if line.same is False]
    if not compared:
        words = "nothing was compared; --against names another side"
        return not causes, f"DIFFERS: {', '.join(causes)}" if causes else f"stated: {words}"
    exact = [row for row in rows if row.precision == "float32"]
    fitting = [row.reading for row in exact if row.fits]
    explained = any(line.same is False and line.name in ("parameters", "tensors") for line in lines)
    if exact and not fitting and not explained:
        closest = min(exact, key=lambda row: row.difference)
        causes.append(f"embeddings (no reading fits; {closest.reading} is closest)")
    if fitting == [own] and any(not row.fits for row in rows if row.reading == own):
        causes.append("embeddings in bfloat16")
    reading = _reading(fitting, own)
    if causes:
        return False, "; ".join([f"DIFFERS: {', '.join(causes)}", *([reading] if fitting and reading else [])])
    if reading:
        return False, f"the weights are the same, but {reading}"
    return True, f"OK: the same model with the same input; reading {own}"


def _reading(fitting: list[str], own: str) -> str:
    """What is wrong with the readings that fit; empty if only the profile's fits."""
    if fitting == [own]:
        return ""
    if len(fitting) > 1:
        return f"the readings {' and '.join(fitting)} all fit: they cannot be distinguished here"
    return f"the reading that fits is {''.join(fitting)}; the profile's is {own}"
