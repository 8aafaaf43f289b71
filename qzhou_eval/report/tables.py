"""Estimates -> the report's tables, in the layout of the card's tables 1, 2 and 3. Formats nothing, has no words."""

from collections.abc import Iterable, Mapping, Sequence

from qzhou_eval.averages import COLUMNS
from qzhou_eval.published import card_tables
from qzhou_eval.report.read import Setting, labels
from qzhou_eval.report.uncertainty import Estimate, Scored, best_group, published
from qzhou_eval.report.values import Cell, Row, Said, Table
from qzhou_eval.tasks import TYPES, all_tasks

GENERATED = Said("note.generated")
PUBLISHED = Said("note.published")
PLAIN_MTEB = Said("note.plain_mteb")
BEST = Said("note.best")
UNSURE = Said("note.unsure")
MISSING = Said("note.missing")
NO_ITEMS = Said("note.no_items")
NO_INTERVAL = Said("note.no_interval")
INTERVALS = Said("note.intervals")

Line = tuple[str | Said, Mapping[str, Estimate], bool]  # a row's name, its columns, whether it is the run's own


def tables(rows: list[Scored], benchmark: str) -> list[Table]:
    """Every table of one benchmark that its results fill, in the report's order."""
    return [
        leaderboard(rows, benchmark),
        *token_prepending(rows, benchmark),
        *matryoshka(rows, benchmark),
        *token_prepending_by_dimension(rows, benchmark),
        *per_task(rows, benchmark),
        *token_prepending_by_task(rows, benchmark),
    ]


def tasks_of(benchmark: str) -> list[str]:
    """A benchmark's tasks, type by type."""
    of_type = {kind: [] for kind in TYPES}
    for task in all_tasks().values():
        if task.benchmark == benchmark:
            of_type[task.type].append(task.name)
    return [name for names in of_type.values() for name in names]


def widest(rows: list[Scored]) -> dict[Setting, Scored]:
    """Each setting at its widest dimension here."""
    found: dict[Setting, Scored] = {}
    for row in rows:
        if row.setting not in found or row.dim > found[row.setting].dim:
            found[row.setting] = row
    return found


def leaderboard(rows: list[Scored], benchmark: str) -> Table:
    """Table 1: each setting at its widest dimension here; for CMTEB beside the card's published rows.

    Sorted by Mean(Task); a setting with a missing task has no mean and stands last.
    """
    ours, names = widest(rows), labels(row.setting for row in rows)
    lines: list[Line] = []
    for setting, row in ours.items():
        name = names[setting] if row.dim == row.width else f"{names[setting]}, dim {row.dim}"
        lines.append((name, row.row(benchmark), benchmark == "cmteb"))
    notes = [GENERATED] if benchmark == "mini" else []
    notes += [PLAIN_MTEB] if any(setting.is_plain for setting in ours) else []
    if benchmark == "cmteb":
        card = card_tables()
        for name, values in card["table_1"]["rows"].items():
            row = published(dict(zip(card["columns"], values, strict=True)))
            lines.append((Said("row.published", {"model": name}), row, False))
        notes.append(PUBLISHED)
    lines.sort(key=lambda line: _falling(line[1]["Mean(Task)"]))
    notes += _notes(lines)
    notes += [INTERVALS] if BEST in notes else []
    return Table(benchmark, "leaderboard", "model", COLUMNS, with_best(lines), notes=tuple(notes))


def matryoshka(rows: list[Scored], benchmark: str) -> list[Table]:
    """Table 3 for each setting that has several dimensions, and what each costs against the widest."""
    found = []
    for name, several in _by_setting(rows).items():
        if len(several) < 2:
            continue
        lines = [(str(one.dim), one.row(benchmark), False) for one in several]
        full = lines[-1][1]
        complete = any(e.value is not None for _, row, _ in lines for e in row.values())
        notes = tuple(_notes(lines))
        found.append(Table(benchmark, "mrl", "dim", COLUMNS, with_best(lines), name, notes=notes, on_screen=complete))
        cost = tuple(Row(dim, tuple(difference(row[c] - full[c]) for c in COLUMNS)) for dim, row, _ in lines[:-1])
        notes = _of_differences(cost)
        found.append(Table(benchmark, "mrl_cost", "dim", COLUMNS, cost, name, notes=notes, on_screen=False))
    return found


def token_prepending_pairs(rows: list[Scored]) -> dict[str, list[Scored]]:
    """By label, settings at full width that differ in token prepending alone: without it first."""
    pairs: dict[Setting, list[Scored]] = {}
    for row in rows:
        if row.dim == row.width:
            pairs.setdefault(row.setting.without_token_prepending(), []).append(row)
    names = labels(pairs)
    found = {}
    for setting, sides in pairs.items():
        sides.sort(key=lambda side: side.setting.token_prepending or (-1, -1))
        if len(sides) > 1 and sides[0].setting.token_prepending is None:
            found[names[setting]] = sides
    return found


def token_prepending(rows: list[Scored], benchmark: str) -> list[Table]:
    """Table 2, for each two settings that differ in token prepending alone, at each one's full width."""
    found = []
    for name, (off, *on) in token_prepending_pairs(rows).items():
        lines = [(layers_of(side), side.row(benchmark), False) for side in (off, *on)]
        without = lines[0][1]
        gains = [
            Row(Said("row.minus_off", {"side": label}), tuple(difference(row[c] - without[c]) for c in COLUMNS))
            for label, row, _ in lines[1:]
        ]
        notes = (Said("note.token_prepending"), *_of_differences(gains), *_notes(lines))
        rows_of_both = (*with_best(lines), *gains)
        found.append(Table(benchmark, "token_prepending", "same weights", COLUMNS, rows_of_both, name, notes=notes))
    return found


def layers_of(side: Scored) -> Said:
    """What a row of table 2 is called."""
    layers = side.setting.token_prepending
    if side.setting.is_plain:
        return Said("row.tp_unknown")
    return Said("row.tp_on", {"first": layers[0], "last": layers[1]}) if layers else Said("row.tp_off")


def token_prepending_by_task(rows: list[Scored], benchmark: str) -> list[Table]:
    """For each pair of table 2: every task without, with, and the difference."""
    found = []
    for name, (off, *sides) in token_prepending_pairs(rows).items():
        for on in sides:
            lines = []
            for task in tasks_of(benchmark):
                without, with_it = off.of(task), on.of(task)
                cells = (_plain(without), _plain(with_it), difference(with_it - without))
                lines.append(Row(task, cells, all_tasks()[task].type))
            title = name if len(sides) == 1 else f"{name}, {on.setting.token_prepending}"
            columns = ("TP off", "TP on", "difference")
            found.append(
                Table(
                    *(benchmark, "token_prepending_tasks", "task", columns, tuple(lines), title),
                    notes=_of_differences(lines),
                    on_screen=False,
                )
            )
    return found


def token_prepending_by_dimension(rows: list[Scored], benchmark: str) -> list[Table]:
    """What token prepending adds at each dimension, for settings that have another one than the full width."""
    settings: dict[Setting, list[Scored]] = {}
    for row in sorted(rows, key=lambda row: row.dim):
        settings.setdefault(row.setting.without_token_prepending(), []).append(row)
    names, found = labels(settings), []
    for setting, sides in settings.items():
        without = {row.dim: row.row(benchmark) for row in sides if row.setting.token_prepending is None}
        ranges: dict[tuple[int, int], list[Scored]] = {}
        for row in sides:
            if row.setting.token_prepending and row.dim in without:
                ranges.setdefault(row.setting.token_prepending, []).append(row)
        for layers, several in ranges.items():
            if all(row.dim == row.width for row in several):
                continue  # table 2 says it
            gains = [(row.dim, {c: row.row(benchmark)[c] - without[row.dim][c] for c in COLUMNS}) for row in several]
            lines = tuple(Row(str(dim), tuple(difference(gain[c]) for c in COLUMNS)) for dim, gain in gains)
            title = names[setting] if len(ranges) == 1 else f"{names[setting]}, {layers}"
            shown = any(not line.is_empty for line in lines)
            what = (benchmark, "token_prepending_dims", "dim", COLUMNS, lines, title)
            found.append(Table(*what, notes=_of_differences(lines), on_screen=shown))
    return found


def per_task(rows: list[Scored], benchmark: str) -> list[Table]:
    """For each setting: tasks by dimension, every task of the benchmark, the missing ones too; and, for several
    dimensions, the difference of each from the widest.
    """
    found, names = [], tasks_of(benchmark)
    for name, several in _by_setting(rows).items():
        dims = tuple(str(one.dim or "full") for one in several)
        lines = [_task_row(task, [one.of(task) for one in several]) for task in names]
        missing = sum(line.is_empty for line in lines)
        notes = (Said("note.tasks_missing", {"missing": missing, "of": len(names)}),) if missing else ()
        found.append(Table(benchmark, "tasks", "task", dims, tuple(lines), name, notes, on_screen=missing > 0))
        if len(several) > 1:
            found.append(_task_cost(benchmark, name, several, names, notes))
    return found


def _task_cost(benchmark: str, name: str, several: list[Scored], tasks: list[str], notes: tuple[Said, ...]) -> Table:
    """The widest dimension's score, then what each narrower one adds to it."""
    full, lines = several[-1], []
    for task in tasks:
        steps = [difference(one.of(task) - full.of(task)) for one in several[:-1]]
        lines.append(Row(task, (*steps, _plain(full.of(task))), all_tasks()[task].type))
    columns = tuple(str(one.dim) for one in several)
    notes = (*_of_differences(lines), *notes)
    return Table(benchmark, "task_cost", "task", columns, tuple(lines), name, notes, on_screen=False)


def difference(one: Estimate) -> Cell:
    """A difference's cell, marked where it cannot be told from 0."""
    return Cell(one.value, *one.bounds, difference=True, unsure=one.sure is False)


def _plain(one: Estimate, *, best: bool = False) -> Cell:
    """A score's cell; an interval over few sets, widened, may reach beyond what a score can be."""
    low, high = one.bounds
    return Cell(one.value, low, None if high is None else min(high, 100.0), best=best)


def _task_row(task: str, estimates: list[Estimate]) -> Row:
    return Row(task, tuple(map(_plain, estimates)), all_tasks()[task].type)


def with_best(lines: Sequence[Line], columns: Sequence[str] = COLUMNS) -> tuple[Row, ...]:
    """Rows of the card's columns, each column's best group marked."""
    best = {column: best_group(row[column] for _, row, _ in lines) for column in columns}
    return tuple(
        Row(name, tuple(_plain(row[c], best=best[c][at]) for c in columns), ours=ours)
        for at, (name, row, ours) in enumerate(lines)
    )


def _notes(lines: Sequence[Line]) -> Iterable[Said]:
    """What must be said under a table of estimates."""
    found = [one for _, row, _ in lines for one in row.values()]
    without = any(one.value is not None and one.draws is None and not one.published for one in found)
    if any(one.draws is not None for one in found):
        yield BEST
        yield from [NO_INTERVAL] * without
    elif without:
        yield NO_ITEMS
    if any(one.value is None for one in found):
        yield MISSING


def _of_differences(rows: Iterable[Row]) -> tuple[Said, ...]:
    """What must be said under a table of differences."""
    cells = [cell for row in rows for cell in row.cells if cell.difference and cell.value is not None]
    return (UNSURE, *[NO_INTERVAL] * any(cell.low is None for cell in cells))


def _by_setting(rows: list[Scored]) -> dict[str, list[Scored]]:
    """Rows by their setting's label, the narrowest dimension first."""
    found: dict[Setting, list[Scored]] = {}
    for row in sorted(rows, key=lambda row: row.dim):
        found.setdefault(row.setting, []).append(row)
    names = labels(row.setting for row in rows)
    return {names[row.setting]: found[row.setting] for row in widest(rows).values()}


def _falling(one: Estimate) -> tuple[bool, float]:
    """A key that sorts the best first and what is missing last."""
    return one.value is None, -(one.value or 0.0)
