"""Compares the facts that precede any vector: parameters, tensors, prompts, token ids. One line each. Pure."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from qzhou_eval.checks.verify.statement import OtherSide, Statement
from qzhou_eval.system.digests import sha256_of_json

PIECES = ("template beginning", "instruction", "text", "template end")
_SHOWN = 120  # characters of a differing piece


@dataclass(frozen=True)
class Line:
    """One fact: whether it is the same (None: only stated), its text, and what the verdict calls a difference."""

    name: str
    same: bool | None
    text: str
    cause: str = ""


def parameters(ours: Statement, other: OtherSide | None, published: int | None) -> Line:
    """Compare our count with the published one, if the profile names this model, and with the other side's."""
    counts = {"published": published, "on the other side": other and other.statement.parameters}
    known = {whose: count for whose, count in counts.items() if count is not None}
    text = "; ".join([f"{ours.parameters:,}", *(f"{count:,} {whose}" for whose, count in known.items())])
    same = all(count == ours.parameters for count in known.values()) if known else None
    return Line("parameters", same, text, "parameters")


def tensors(ours: Statement, other: OtherSide | None) -> Line:
    """Compare names, shapes, dtypes and bytes."""
    text = f"{len(ours.tensors)} tensors, digest {_digest(ours.tensors)}"
    if other is None:
        return Line("tensors", None, text)
    if other.same_files:
        return Line("tensors", True, f"{text}; both sides read these files")
    theirs = other.statement.tensors
    names = [name for name in sorted(ours.tensors | theirs) if ours.tensors.get(name) != theirs.get(name)]
    if not names:
        return Line("tensors", True, f"{text}: names, shapes, dtypes and bytes")
    first = f"{_brief(ours.tensors.get(names[0]))} here, {_brief(theirs.get(names[0]))} there"
    shown = [f"{names[0]} ({first})", *names[1:3], *["..."][: len(names) > 3]]
    text = f"{len(names)} of {len(ours.tensors)} differ: {', '.join(shown)}"
    return Line("tensors", False, text, f"tensors ({', '.join([names[0], *shown[1:]])})")


def prompts(ours: Statement, other: OtherSide | None) -> Line:
    """Compare the rendered prompts; for the first that differs, show the piece that differs."""
    text = f"{len(ours.prompts)} prompts, digest {_digest([''.join(pieces) for pieces in ours.prompts])}"
    if other is None:
        return Line("prompts", None, text)
    theirs = other.statement.prompts
    rows = [row for row, pieces in enumerate(ours.prompts) if "".join(pieces) != "".join(theirs[row])]
    if not rows:
        return Line("prompts", True, f"{text}{', sent as rendered' if other.same_files else ': byte for byte'}")
    where = {row: [p for p in range(4) if ours.prompts[row][p] != theirs[row][p]] for row in rows}
    kinds = [PIECES[p] for p in range(4) if any(p in found for found in where.values())]
    first, piece = rows[0], where[rows[0]][0]
    here, there = _around_the_difference(ours.prompts[first][piece], theirs[first][piece])
    labels = dict.fromkeys((ours.labels[first], other.statement.labels[first]))
    text = f"{len(rows)} of {len(ours.prompts)} differ; first {' / '.join(labels)}: "
    text += f"the {PIECES[piece]} is {here!r} here, {there!r} there"
    return Line("prompts", False, text, f"prompts ({', '.join(kinds)})")


def token_ids(ours: Statement, other: OtherSide | None, *, cut: int, decode: Callable[[int], str]) -> Line:
    """Compare the lists of token ids; always state how many were cut and what they end with."""
    ends = Counter(ids[-1] for ids in ours.ids if ids).most_common(1)
    ending = "".join(f", {count} end with token {token} {decode(token)!r}" for token, count in ends)
    text = f"{len(ours.ids)} prompts, digest {_digest(ours.ids)}, {cut} cut at {ours.max_length} tokens{ending}"
    if other is None:
        return Line("token ids", None, text)
    theirs = other.statement.ids
    rows = [row for row, ids in enumerate(ours.ids) if ids != theirs[row]]
    if not rows:
        return Line("token ids", True, text)
    how = _first_difference(ours.ids[rows[0]], theirs[rows[0]])
    text = f"{len(rows)} of {len(ours.ids)} differ; first {ours.labels[rows[0]]}, {how}"
    return Line("token ids", False, text, "token ids")


def limits(ours: Statement, overridden: dict[str, int]) -> Line:
    """State our side's limit, which sentence-transformers is given too if it reads our files, and the folder's own.

    By default sentence-transformers uses the folder's limit, which gives long texts other vectors.
    """
    others = [f"{where} says {limit:,}" for where, limit in overridden.items()]
    text = "; ".join([f"{ours.max_length:,} tokens, of profile {ours.profile}", *others])
    return Line("limit", None, f"{text} (not used here)" if others else text)


def _first_difference(here: list[int], there: list[int]) -> str:
    pairs = enumerate(zip(here, there, strict=False))
    position = next((i for i, (a, b) in pairs if a != b), min(len(here), len(there)))
    shown = [str(ids[position]) if position < len(ids) else "none" for ids in (here, there)]
    return f"position {position}: {shown[0]} here, {shown[1]} there ({len(here)} and {len(there)} tokens)"


def _around_the_difference(here: str, there: str) -> tuple[str, str]:
    """Both strings, or if they are long a window that begins shortly before their first difference."""
    if max(len(here), len(there)) <= _SHOWN:
        return here, there
    start = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    start = max(0, start - 20)
    return here[start : start + _SHOWN], there[start : start + _SHOWN]


def _brief(tensor: str | None) -> str:
    """A stored tensor's dtype, shape and the beginning of its digest."""
    return "missing" if tensor is None else tensor[: tensor.rindex(" ") + 9]


def _digest(value: object) -> str:
    return sha256_of_json(value)[:12]
