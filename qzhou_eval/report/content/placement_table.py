"""The run's rank among published models, as a table and a finding. The ranks come from ranking.py."""

from collections.abc import Iterable

from qzhou_eval.benchmark.averages import MEANS, column_names
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.report.content.cells import BEST, with_best
from qzhou_eval.report.content.elements import Cell, Finding, Table, TableRow, Text
from qzhou_eval.report.content.estimates import Scored, published
from qzhou_eval.report.content.mean_tables import PUBLISHED
from qzhou_eval.report.content.ranking import Placement, place
from qzhou_eval.report.content.scope import own

FIRST, AROUND = 10, 6  # rows shown unfolded: the first ones, and this many before and after the run


def standing(main: Scored, label: str | Text, benchmark: Benchmark, score_profile: str) -> tuple[Finding, Table] | None:
    """Rank the run among the benchmark's published models; None if a task is missing."""
    scores = {task: one.value for task, one in main.tasks.items()}
    draws = {task: one.draws for task, one in main.tasks.items()}
    placed = place(main.setting.label, main.setting.model, scores, benchmark, score_profile, draws=draws)
    if placed.borda_rank is None:
        return None
    return _finding(placed), _table(placed, main, benchmark, label)


def _finding(placed: Placement) -> Finding:
    figure = Text("finding.rank", {"rank": placed.borda_rank, "of": placed.models})
    if placed.mean_rank_interval is None:
        text = Text("finding.mean_rank", {"rank": placed.mean_rank})
    else:
        best, worst = placed.mean_rank_interval
        between = "finding.mean_rank_sure" if best == worst else "finding.mean_rank_range"
        text = Text(between, {"rank": placed.mean_rank, "best": best, "worst": worst})
    return Finding("placement", figure, Text("finding.borda"), (text,))


def _table(placed: Placement, main: Scored, benchmark: Benchmark, label: str | Text) -> Table:
    lines = []
    shown = (*MEANS, *benchmark.types)
    for name, row in placed.table.iterrows():
        if name == placed.run:
            lines.append((Text("row.this_run", {"model": label}), own(main, benchmark).row(main), True))
        else:
            lines.append((name, published(row[list(column_names(benchmark))]), False))
    at = list(placed.table.index).index(placed.run)
    ranks = [int(rank) for rank in placed.table.iloc[:, 0]]
    rows = tuple(
        TableRow(
            row.name, (Cell(rank), *row.cells), ours=row.ours, folded=number >= FIRST and abs(number - at) > AROUND
        )
        for number, (rank, row) in enumerate(zip(ranks, with_best(lines, shown), strict=True))
    )
    notes = (*_notes(placed), BEST, PUBLISHED)
    return Table(benchmark, "placement", "model", ("rank", *shown), rows, label, notes)


def _notes(placed: Placement) -> Iterable[Text]:
    yield Text("note.ranks", {"models": placed.models})
    if placed.replaces:
        yield Text("note.replaces", {"model": placed.replaces})
    if placed.left_out:
        yield Text("note.left_out", {"models": placed.left_out})
    if placed.table[MEANS[0]].isna().any():
        yield Text("note.missing_part")
