"""Prints a replication: both sides with tolerances and verdicts, and ours compared with the card's tables."""

from tabulate import tabulate

from qzhou_eval.checks.compare.comparison import CardRow, Comparison
from qzhou_eval.checks.compare.footnotes import MARK, MARK_NOTE, SPREAD_NOTE, interval_cell
from qzhou_eval.checks.compare.intervals import intervals
from qzhou_eval.checks.compare.rows import ROUNDING, VERDICTS, ComparedScore

DATA_NOTE = (
    "data: the same = at the published run's commit; uploaded again = the same data set in mteb 2.x's layout; "
    "the hub's = the published run recorded no commit; same statistics = local files like the official ones"
)
SIGNS = {"OK": " ", "CLOSE": "~", "OFF": "!"}


def print_scores(one: Comparison, rows: list[ComparedScore]) -> None:
    """Print tasks, then means; means that are not comparable are marked, or left out if ``rows`` leaves out tasks.

    Compared with published scores, each task's row says whether its data are the published run's.
    """
    spread, left_out, compared = intervals(one), one.left_out, one.compared_means
    means = one.means if len(rows) == len(one.rows) else compared
    lines = [_line(row.name, row, spread.get(row.name), row.name in left_out) for row in rows]
    lines += [_line(f"mean: {row.name}", row, spread.get(row.name), row not in compared) for row in means]
    headers = ["task", "ours", "theirs", "difference", "95 % interval", "tolerance", "verdict"]
    if not spread:
        lines, headers = [[*line[:4], *line[5:]] for line in lines], [*headers[:4], *headers[5:]]
    if one.theirs.published:
        data = [one.data_of(row.name) for row in rows] + [""] * len(means)
        lines = [[*line[:-1], of, line[-1]] for line, of in zip(lines, data, strict=True)]
        headers = [*headers[:-1], "data", headers[-1]]
    print()
    print(tabulate(lines, headers, floatfmt="z.2f", stralign="left"))
    if one.theirs.published:
        print(DATA_NOTE)
    if spread:
        print(SPREAD_NOTE)
    if any(row.name in left_out for row in rows):
        print(MARK_NOTE)


def print_dimensions(narrower: list[Comparison]) -> None:
    """Print a line for each dimension."""
    lines = [_line_of_dimension(one) for one in narrower]
    print()
    print(tabulate(lines, ["dim", *VERDICTS, "largest difference relative to its tolerance"]))


def print_card(rows: list[CardRow]) -> None:
    """Print ours minus the card's tables, a line for each of the tables' rows."""
    if not rows:
        return
    lines = []
    for row in rows:
        judged = zip(row.means, row.verdicts, strict=True)
        cells = [f"{mean.difference:+z.2f}{SIGNS[verdict]}" for mean, verdict in judged]
        verdict = max(row.verdicts, key=VERDICTS.index)
        lines.append([row.title, row.ours.label, *cells, f"{verdict} {MARK}" if row.unlike else verdict])
    print("\nOurs minus the card's tables (~ CLOSE, ! OFF)\n")
    headers = ["row", "ours", *(mean.name for mean in rows[0].means), "verdict"]
    print(tabulate(lines, headers, stralign="right", colalign=("left", "left"), disable_numparse=True))
    for row in rows:
        _print_mean_of_the_card(row)
    if any(row.unlike for row in rows):
        print(f"{MARK} not comparable, not counted (the card's Original is another training)")


def _print_mean_of_the_card(row: CardRow) -> None:
    """Print a note if the card's Mean(Task) does not follow from its own type means."""
    if abs(row.printed - row.follows) > ROUNDING:
        print(
            f"Mean(Task) of {row.title} is compared with {row.follows:.2f}, which follows from its type means; "
            f"the card prints {row.printed:.2f} (docs/fidelity.md)"
        )


def _line(name: str, row: ComparedScore, spread: tuple[float, float] | None, marked: bool) -> list:
    verdict = f"{row.verdict or '-'} {MARK}" if marked else row.verdict or "-"
    return [name, row.ours, row.theirs, row.difference, interval_cell(spread), row.tolerance, verdict]


def _line_of_dimension(one: Comparison) -> list:
    relative = [
        (abs(row.difference) / row.tolerance, row)
        for row in one.compared
        if row.difference is not None and row.tolerance is not None
    ]
    _, worst = max(relative, key=lambda pair: pair[0], default=(0.0, None))
    named = f"{worst.name} {worst.difference:+z.2f}" if worst else "-"
    dim = f"{one.ours.dim or 'full'}{f' {MARK}' if one.left_out else ''}"
    return [dim, *(one.verdicts.count(name) for name in VERDICTS), named]
