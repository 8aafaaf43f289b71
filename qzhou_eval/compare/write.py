"""``compare``: judges every pair, then prints what differs and the scores side by side with verdicts."""

from pathlib import Path

from tabulate import tabulate

from qzhou_eval.averages import COLUMNS
from qzhou_eval.compare.differences import Difference, unknown_facts
from qzhou_eval.compare.judge import CARD_MODEL, CardRow, Comparison, card_rows, judge
from qzhou_eval.compare.pairs import pairs
from qzhou_eval.compare.sides import from_folder
from qzhou_eval.compare.spread import intervals
from qzhou_eval.compare.verdicts import REASONS, Row
from qzhou_eval.errors import EXIT_CHECK_FAILED, BadInput

MARK = "*"
VERDICTS = ("OK", "CLOSE", "OFF")
NONE = "≈"
SPREAD_NOTE = (
    f"interval: of the difference, by a paired bootstrap over the tasks' items; {NONE}: it holds 0, the items cannot "
    "tell the two apart"
)
SIGNS = {"OK": " ", "CLOSE": "~", "OFF": "!"}


def compare(results: Path, to: str, score_profile: str, *, allow_mismatch: bool) -> int:
    """Compare the results in a folder with the published scores, another folder or a file; print it.

    Returns:
        0, or 1 if a score or a mean is OFF. What does not compare does not count.

    Raises:
        BadInput: nothing to compare, or nothing that compares.
    """
    sides = from_folder(results, score_profile)
    found, alone = pairs(sides, to, score_profile)
    judged = [judge(*pair) for pair in found]
    card = _card_rows(judged, sides, score_profile)
    shown = [one for one in judged if allow_mismatch or not one.unlike]
    rows = [row for row in card if allow_mismatch or not row.unlike]
    for group in _by_setting(judged):
        _print_group(group, shown)
    _print_card(rows)
    for line in alone:
        print(f"not compared: {line}")
    verdicts = [verdict for one in shown for verdict in one.verdicts]
    verdicts += [mean.verdict for row in rows if not row.unlike for mean in row.means]
    if not verdicts and not allow_mismatch:
        unlike = ", ".join(dict.fromkeys(fact for one in judged for fact in one.unlike)) or "no score on both sides"
        raise BadInput(f"not comparable: {unlike} (--allow-mismatch shows unlike scores all the same, marked)")
    counts = ", ".join(f"{verdicts.count(name)} {name}" for name in VERDICTS)
    print(f"\n{REASONS}\nverdict: {counts}")
    return EXIT_CHECK_FAILED if "OFF" in verdicts else 0


def _card_rows(judged: list[Comparison], sides: list, score_profile: str) -> list[CardRow]:
    """Rows against the card's tables, where its model's own scores are the other side and are counted its way."""
    published = next((c.theirs for c in judged if c.theirs.model == CARD_MODEL and not c.theirs.width), None)
    return card_rows(sides, published) if published is not None and score_profile == "card" else []


def _by_setting(judged: list[Comparison]) -> list[list[Comparison]]:
    """Comparisons of one model and setting together, the widest first."""
    groups: dict[tuple, list[Comparison]] = {}
    for one in sorted(judged, key=lambda c: (c.ours.dim != c.ours.width, -c.ours.dim)):
        key = (one.ours.model, one.ours.revision, one.ours.setting, one.ours.generation)
        groups.setdefault(key, []).append(one)
    return list(groups.values())


def _print_group(group: list[Comparison], shown: list[Comparison]) -> None:
    """The widest in full; of the others a line each, and what differs only there."""
    widest = group[0]
    ours, theirs = widest.ours, widest.theirs
    print(f"\n{ours.label} @ {ours.revision or 'no revision'}: {ours.source} against {theirs.source}")
    _print_differences(widest.differences)
    for source, unknown in unknown_facts(ours, theirs).items():
        print(f"not known of {source}: {', '.join(unknown)}")
    for source, tasks in widest.unmatched.items():
        if tasks:
            print(f"only in {source}: {_listed(tasks)}")
    if widest in shown:
        _print_scores(widest)
    for one in group[1:]:
        if further := [d for d in one.differences if d not in widest.differences]:
            print(f"\nat dim {one.ours.dim} also")
            _print_differences(further)
    lines = [_line_of_dimension(one) for one in group[1:] if one in shown]
    if lines:
        print()
        print(tabulate(lines, ["dim", *VERDICTS, "largest difference for its tolerance"]))
    for one in group:
        if one not in shown:
            print(f"not compared at dim {one.ours.dim}: {', '.join(one.unlike)}")


def _print_differences(found: list[Difference]) -> None:
    rows = [[d.fact, _cell(d.ours), _cell(d.theirs), _listed(d.tasks) or "all", d.meaning] for d in found]
    headers = ["differs", "ours", "theirs", "tasks", "meaning"]
    print(tabulate(rows, headers, disable_numparse=True) if rows else "no known fact differs")


def _print_scores(one: Comparison) -> None:
    spread = intervals(one)
    rows = [_line(row.name, row, spread.get(row.name), row.name in one.marked) for row in one.rows]
    rows += [_line(f"mean: {row.name}", row, spread.get(row.name), bool(one.marked)) for row in one.means]
    headers = ["task", "ours", "theirs", "difference", "95 % interval", "tolerance", "verdict"]
    if not spread:
        rows, headers = ([*row[:4], *row[5:]] for row in rows), [*headers[:4], *headers[5:]]
    print()
    print(tabulate(rows, headers, floatfmt="z.2f", stralign="left"))
    if spread:
        print(SPREAD_NOTE)
    if one.marked:
        print(f"{MARK} what differs makes this row not comparable: it does not count")


def _line(name: str, row: Row, spread: tuple[float, float] | None, marked: bool) -> list:
    verdict = f"{row.verdict or '-'} {MARK}" if marked else row.verdict or "-"
    return [name, row.ours, row.theirs, row.difference, _interval(spread), row.tolerance, verdict]


def _interval(spread: tuple[float, float] | None) -> str:
    if spread is None:
        return "-"
    low, high = spread
    return f"{low:+z.2f} to {high:+z.2f}{'' if low > 0 or high < 0 else ' ' + NONE}"


def _line_of_dimension(one: Comparison) -> list:
    worst = max(
        (row for row in one.rows if row.difference is not None),
        key=lambda row: abs(row.difference) / row.tolerance,
        default=None,
    )
    named = f"{worst.name} {worst.difference:+z.2f}" if worst else "-"
    dim = f"{one.ours.dim or 'full'}{f' {MARK}' if one.marked else ''}"
    return [dim, *(one.verdicts.count(name) for name in VERDICTS), named]


def _print_card(rows: list[CardRow]) -> None:
    """Ours minus the card's tables, a line for each of its rows."""
    if not rows:
        return
    lines = []
    for row in rows:
        cells = [f"{mean.difference:+z.2f}{SIGNS[mean.verdict]}" for mean in row.means]
        verdict = max((mean.verdict for mean in row.means), key=VERDICTS.index)
        lines.append([row.title, row.ours.label, *cells, f"{verdict} {MARK}" if row.unlike else verdict])
    print("\nOurs minus the card's tables (~ CLOSE, ! OFF)\n")
    headers = ["row", "ours", *COLUMNS, "verdict"]
    print(tabulate(lines, headers, stralign="right", colalign=("left", "left"), disable_numparse=True))
    if any(row.unlike for row in rows):
        print(f"{MARK} not comparable, does not count (the card's Original is another training)")


def _listed(tasks: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(tasks[:2])
    return shown if len(tasks) <= 2 else f"{shown} and {len(tasks) - 2} more"


def _cell(value: str) -> str:
    """A value for the table: long ones shortened in the middle, control characters visible."""
    text = repr(value)[1:-1]
    return text if len(text) <= 56 else f"{text[:32]}...{text[-20:]}"
