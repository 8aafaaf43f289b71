"""Prints a comparison of two models or two protocols: differences with intervals, and no verdict."""

from tabulate import tabulate

from qzhou_eval.benchmark.averages import MEAN_TASK
from qzhou_eval.checks.compare.comparison import Comparison
from qzhou_eval.checks.compare.differences import QUESTION
from qzhou_eval.checks.compare.footnotes import MARK, MARK_NOTE, SPREAD_NOTE, interval_cell
from qzhou_eval.checks.compare.intervals import AT_HAND, Interval, intervals
from qzhou_eval.checks.compare.rows import ComparedScore
from qzhou_eval.statistics.intervals import significant

NO_ITEMS = "no items were kept for these scores, so there are no intervals"
ONE_SIDED = "published scores have no items: intervals cover our run's spread only"


def heading(one: Comparison) -> str:
    """Say what differs between the two sides."""
    asked = ", ".join(dict.fromkeys(d.fact for d in one.differences if d.meaning == QUESTION))
    return f"not a replication, so no score is right or wrong: what differs is the {asked}"


def print_scores(one: Comparison, rows: list[ComparedScore]) -> None:
    """Print tasks and means with intervals, and how many differences are significant."""
    spread, left_out = intervals(one), one.left_out
    lines = [_line(row, row.name, spread, marked=row.name in left_out) for row in rows]
    lines += [_line(row, f"mean: {row.name}", spread, marked=False) for row in one.compared_means]
    if mean := _mean_at_hand(one):
        lines.append(_line(mean, f"mean of these {len(one.compared)} tasks", spread))
    print()
    headers = ["task", "ours", "theirs", "difference", "95 % interval", "significant"]
    if not spread:
        lines, headers = [line[:4] for line in lines], headers[:4]
    print(tabulate(lines, headers, floatfmt="z.2f", stralign="left"))
    if any(row.name in left_out for row in rows):
        print(MARK_NOTE)
    if not spread:
        print(NO_ITEMS)
        return
    print(SPREAD_NOTE)
    if one.theirs.published:
        print(ONE_SIDED)
    better, worse, unsure, unknown = _counts(one, spread)
    more = f", {unknown} without an interval" if unknown else ""
    print(f"of {len(one.compared)} tasks {better} significantly better, {worse} worse, {unsure} not significant{more}")


def print_dimensions(narrower: list[Comparison]) -> None:
    """Print a line for each dimension: the mean of the comparable tasks."""
    lines = []
    for one in narrower:
        spread, mean = intervals(one), _mean_of(one, least=1)
        dim = f"{one.ours.dim or 'full'}{f' {MARK}' if one.left_out else ''}"
        difference = mean.difference if mean else None
        lines.append([dim, len(one.compared), difference, interval_cell(spread.get(AT_HAND)), *_counts(one, spread)])
    print()
    headers = ["dim", "tasks", "mean difference", "95 % interval", "better", "worse", "not significant", "no interval"]
    print(tabulate(lines, headers, floatfmt="z.2f", stralign="left"))


def _mean_at_hand(one: Comparison, least: int = 2) -> ComparedScore | None:
    """The mean of the comparable tasks; None if Mean(Task) of the benchmark is shown, or there are too few tasks."""
    return None if any(row.name == MEAN_TASK for row in one.compared_means) else _mean_of(one, least)


def _mean_of(one: Comparison, least: int) -> ComparedScore | None:
    """The mean of the comparable tasks that have a score on both sides; None if they are fewer than ``least``."""
    known = [(row.ours, row.theirs) for row in one.compared if row.ours is not None and row.theirs is not None]
    if len(known) < least:
        return None
    ours, theirs = (sum(scores) / len(known) for scores in zip(*known, strict=True))
    return ComparedScore(AT_HAND, ours, theirs, None)


def _counts(one: Comparison, spread: dict[str, Interval]) -> tuple[int, int, int, int]:
    """How many tasks are significantly better, significantly worse, not significant, and without an interval."""
    known = [
        (row.difference, spread[row.name]) for row in one.compared if row.difference is not None and row.name in spread
    ]
    sure = [difference for difference, bounds in known if significant(bounds)]
    better = sum(difference > 0 for difference in sure)
    return better, len(sure) - better, len(known) - len(sure), len(one.compared) - len(known)


def _line(row: ComparedScore, name: str, spread: dict[str, Interval], *, marked: bool = False) -> list:
    found = spread.get(row.name)
    verdict = "-" if found is None else "yes" if significant(found) else "no"
    return [
        name,
        row.ours,
        row.theirs,
        row.difference,
        interval_cell(found),
        f"{verdict} {MARK}" if marked else verdict,
    ]
