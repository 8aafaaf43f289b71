"""Prints both sides, the facts, the table of embeddings and the verdict."""

import tabulate

from qzhou_eval.checks.verify import facts
from qzhou_eval.checks.verify.statement import OtherSide, Statement
from qzhou_eval.checks.verify.this_side import Input
from qzhou_eval.checks.verify.tp_readings import ReadingDistance, Vectors, against_theirs, among_ours, name_of
from qzhou_eval.checks.verify.verdict import verdict
from qzhou_eval.errors import EXIT_CHECK_FAILED
from qzhou_eval.model.max_length import overridden

_MARKS = {True: "OK", False: "DIFFERS", None: "stated"}


def report(sent: Input, ours: Statement, vectors: Vectors, other: OtherSide | None) -> int:
    """Compare both sides, print everything, and return the exit code."""
    own = name_of(ours.token_prepending)
    print(f"this side:  {ours.model}, revision {ours.revision}, profile {ours.profile}, {own}")
    for fact in sent.profile.unverified:
        print(f"not verified in profile {sent.profile.name}: {fact}")
    if other is not None:
        print(f"other side: {other.origin}{_other_libraries(ours, other.statement)}")
    lines = [
        facts.parameters(ours, other, sent.profile.published_parameters(ours.model)),
        facts.tensors(ours, other),
        facts.prompts(ours, other),
        facts.limits(ours, overridden(sent.checkpoint, ours.max_length)),
        facts.token_ids(ours, other, cut=sent.cut, decode=sent.decode),
    ]
    shown = [[line.name, _MARKS[line.same], line.text] for line in lines]
    print(f"\n{tabulate.tabulate(shown, tablefmt='plain', disable_numparse=True)}\n")
    rows = _embeddings(ours, vectors, other)
    well, words = verdict(lines, rows, own, compared=other is not None)
    print(f"verdict: {words}")
    return 0 if well else EXIT_CHECK_FAILED


def _other_libraries(ours: Statement, theirs: Statement) -> str:
    found = [f"{name} {there}" for name, there in theirs.libraries.items() if ours.libraries.get(name) != there]
    return f", with {', '.join(found)}" if found else ""


def _embeddings(ours: Statement, vectors: Vectors, other: OtherSide | None) -> list[ReadingDistance]:
    """Compare vectors where both sides had the same tokens (and any), and print the table."""
    theirs = ours if other is None else other.statement
    same = [row for row, ids in enumerate(ours.ids) if ids and ids == theirs.ids[row]]
    if not same:
        print("embeddings: not compared, no prompt has the same token ids on both sides\n")
        return []
    title = f"embeddings on {len(same)} of {len(ours.ids)} prompts"
    if other is None:
        rows = among_ours(vectors, same)
        _print_table(f"{title}: our own readings", rows, [])
    else:
        rows = against_theirs(vectors, other.vectors, same)
        _print_table(f"{title}, those with the same token ids on both sides", rows, [_fits(row) for row in rows])
    return rows


def _print_table(title: str, rows: list[ReadingDistance], fits: list[str]) -> None:
    if not rows:
        return  # a single reading has nothing to be compared with
    columns = {
        "precision": [row.precision for row in rows],
        "reading": [row.reading for row in rows],
        "max difference": [f"{row.difference:.1e}" for row in rows],
        "min cosine": [f"{row.cosine:.7f}" for row in rows],
    }
    if fits:
        columns["fits"] = fits
    align = ["left", "left", "right", "right", "left"][: len(columns)]
    table = tabulate.tabulate(columns, "keys", tablefmt="simple", colalign=align, disable_numparse=True)
    print(f"{title}\n{table}\n")


def _fits(row: ReadingDistance) -> str:
    """The word for whether a reading fits; bfloat16 is too coarse to pick one, so it says only ``near``."""
    return ("yes" if row.precision == "float32" else "near") if row.fits else "no"
