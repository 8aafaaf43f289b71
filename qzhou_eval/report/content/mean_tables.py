"""Turns estimates into tables of means, laid out as the card's tables 1 to 3. No formatting, no language."""

from collections.abc import Iterable

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.published import card_tables, named, scores_of
from qzhou_eval.report.content.cells import Line, difference, of_differences, of_scores, with_best
from qzhou_eval.report.content.elements import Table, TableRow, Text, mean_of, said
from qzhou_eval.report.content.estimates import Scored, published
from qzhou_eval.report.content.labels import labels
from qzhou_eval.report.content.scope import Scope, largest, scopes, shared
from qzhou_eval.results.setting import Setting

PUBLISHED = Text("note.published")
PLAIN_MTEB = Text("note.plain_mteb")
MAX_ACCURACY = Text("note.max_accuracy")
INTERVALS = Text("note.intervals")


def widest(rows: list[Scored]) -> dict[Setting, Scored]:
    """Each setting at its widest dimension here."""
    found: dict[Setting, Scored] = {}
    for row in rows:
        if row.setting not in found or row.dim > found[row.setting].dim:
            found[row.setting] = row
    return found


def leaderboards(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """Table 1: each setting at its widest dimension here, together with those that also have its tasks."""
    names = _names(rows)
    return [_leaderboard(scope, names) for scope in scopes(list(widest(rows).values()), benchmark)]


def _leaderboard(scope: Scope, names: dict[Scored, str | Text]) -> Table:
    """One table over the same tasks, the best first. The card's published rows are added to complete results of
    published models.
    """
    beside = (
        scope.is_whole and _has_card(scope.benchmark) and any(_is_published(row, scope.benchmark) for row in scope.rows)
    )
    lines: list[Line] = [(names[row], scope.row(row), beside) for row in scope.rows]
    lines += _published_lines() if beside else []
    lines.sort(key=lambda line: -line[1][scope.overall_name].points)
    notes = [*_first_notes(scope, names), *[PUBLISHED] * beside, *of_scores(lines)]
    notes += [INTERVALS] * any(one.draws is not None for _, row, _ in lines for one in row.values())
    return Table(
        *(scope.benchmark, "leaderboard", "model", scope.headings, with_best(lines, scope.names)),
        notes=tuple(notes),
        over=scope.over,
    )


def _names(rows: list[Scored]) -> dict[Scored, str | Text]:
    """The name of each row of table 1: its setting, and its dimension unless that is the full width."""
    of_setting = labels(row.setting for row in rows)
    return {
        row: of_setting[row.setting]
        if row.dim == row.width
        else Text("row.dim", {"name": of_setting[row.setting], "dim": row.dim})
        for row in rows
    }


def _has_card(benchmark: Benchmark) -> bool:
    return benchmark.name == card_tables()["benchmark"]


def _is_published(row: Scored, benchmark: Benchmark) -> bool:
    return bool(named(row.setting.model.removeprefix("local/"), scores_of(benchmark)))


def _published_lines() -> Iterable[Line]:
    card = card_tables()
    for name, values in card["table_1"]["rows"].items():
        row = published(dict(zip(card["columns"], values, strict=True)))
        yield Text("row.published", {"model": name}), row, False


def _first_notes(scope: Scope, names: dict[Scored, str | Text]) -> Iterable[Text]:
    """The notes on what the table's scores are, and on what is left out."""
    if scope.benchmark.note is not None:
        yield said(scope.benchmark.note)
    if any(row.setting.is_plain for row in scope.rows):
        yield PLAIN_MTEB
    if not scope.is_whole:
        have = {"have": len(scope.tasks), "of": scope.of, "mean": mean_of(scope.benchmark)}
        yield Text("note.part" if len(scope.rows) == 1 else "note.part_common", have)
    if scope.left_out:
        yield Text("note.rows_left_out", {"names": tuple(names[row] for row in scope.left_out)})
    if any(row.metrics[task] == "max_accuracy" for row in scope.rows for task in scope.tasks):
        yield MAX_ACCURACY


def dimensions(rows: list[Scored], benchmark: Benchmark) -> Scope | None:
    """A setting's dimensions, the narrowest first, over the tasks that they share with the widest; None if none do."""
    several = sorted(rows, key=lambda row: row.dim)
    return largest(several, benchmark, around=several[-1])


def matryoshka(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """Table 3 for each setting that has several dimensions, and what each costs compared with the widest."""
    found = []
    for name, several in by_setting(rows).items():
        scope = dimensions(several, benchmark)
        if scope is None:
            continue
        lines: list[Line] = [(str(one.dim), scope.row(one), False) for one in scope.rows]
        full = lines[-1][1]
        left_out = tuple(str(row.dim) for row in scope.left_out)
        missing = (Text("note.dims_left_out", {"dims": left_out}),) if left_out else ()
        cost = tuple(
            TableRow(dim, tuple(difference(row[c] - full[c]) for c in scope.names)) for dim, row, _ in lines[:-1]
        )
        for key, shown, notes in (
            ("mrl", with_best(lines, scope.names), (*_above_hidden(scope), *of_scores(lines))),
            ("mrl_cost", cost, of_differences(cost)),
        ):
            of = (benchmark, key, "dim", scope.headings, shown, name, (*missing, *notes))
            found.append(Table(*of, on_screen=key == "mrl", over=scope.over, tasks=scope.tasks))
    return found


def _above_hidden(scope: Scope) -> tuple[Text, ...]:
    """A note on dimensions above the decoder's hidden size, whose components are made from those below it."""
    hidden = scope.rows[-1].hidden
    above = tuple(str(row.dim) for row in scope.rows if hidden and row.dim > hidden)
    return (Text("note.hidden_size", {"hidden": hidden, "dims": above}),) if above else ()


def token_prepending_pairs(rows: list[Scored], benchmark: Benchmark) -> dict[str | Text, Scope]:
    """By label, settings at full width that differ only in token prepending, without it first, over the same tasks."""
    pairs: dict[Setting, list[Scored]] = {}
    for row in rows:
        if row.dim == row.width:
            pairs.setdefault(row.setting.without_token_prepending(), []).append(row)
    names = labels(pairs)
    found = {}
    for setting, sides in pairs.items():
        sides.sort(key=lambda side: side.setting.token_prepending or (-1, -1))
        if sides[0].setting.token_prepending is None:
            found[names[setting]] = largest(sides, benchmark, around=sides[0])
    return {name: scope for name, scope in found.items() if scope is not None}


def token_prepending(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """Table 2, for settings that differ only in token prepending, at full width."""
    found = []
    for name, scope in token_prepending_pairs(rows, benchmark).items():
        lines: list[Line] = [(layers_of(side), scope.row(side), False) for side in scope.rows]
        without = lines[0][1]
        gains = [
            TableRow(
                Text("row.minus_off", {"side": label}), tuple(difference(row[c] - without[c]) for c in scope.names)
            )
            for label, row, _ in lines[1:]
        ]
        left_out = [Text("note.rows_left_out", {"names": tuple(map(layers_of, scope.left_out))})] * bool(scope.left_out)
        notes = (Text("note.token_prepending"), *left_out, *of_differences(gains), *of_scores(lines))
        shown = (*with_best(lines, scope.names), *gains)
        of = (benchmark, "token_prepending", "same weights", scope.headings, shown, name, notes)
        found.append(Table(*of, over=scope.over, tasks=scope.tasks))
    return found


def token_prepending_by_dimension(rows: list[Scored], benchmark: Benchmark) -> list[Table]:
    """What token prepending adds at each dimension, for settings that have a dimension below full width."""
    settings: dict[Setting, list[Scored]] = {}
    for row in sorted(rows, key=lambda row: row.dim):
        settings.setdefault(row.setting.without_token_prepending(), []).append(row)
    names, found = labels(settings), []
    for setting, sides in settings.items():
        without = {row.dim: row for row in sides if row.setting.token_prepending is None}
        ranges: dict[tuple[int, int], list[Scored]] = {}
        for row in sides:
            if row.setting.token_prepending and row.dim in without:
                ranges.setdefault(row.setting.token_prepending, []).append(row)
        for several in ranges.values():
            if all(row.dim == row.width for row in several):
                continue  # that is table 2
            which = {"name": names[setting], "side": layers_of(several[0])}
            title = names[setting] if len(ranges) == 1 else Text("row.layers", which)
            found += _gains(several, [without[row.dim] for row in several], benchmark, title)
    return found


def _gains(on: list[Scored], off: list[Scored], benchmark: Benchmark, title: str | Text) -> list[Table]:
    """A table with a row for each dimension, over the tasks that all of them have."""
    scope = shared([*on, *off], benchmark)
    if scope is None:
        return []
    lines = []
    for with_it, without in zip(on, off, strict=True):
        one, two = scope.row(with_it), scope.row(without)
        lines.append(TableRow(str(with_it.dim), tuple(difference(one[c] - two[c]) for c in scope.names)))
    of = (benchmark, "token_prepending_dims", "dim", scope.headings, tuple(lines), title, of_differences(lines))
    return [Table(*of, over=scope.over, tasks=scope.tasks)]


def layers_of(side: Scored) -> Text:
    """The name of a row of table 2."""
    layers = side.setting.token_prepending
    if side.setting.is_plain:
        return Text("row.tp_unknown")
    return Text("row.tp_on", {"first": layers[0], "last": layers[1]}) if layers else Text("row.tp_off")


def by_setting(rows: list[Scored]) -> dict[str | Text, list[Scored]]:
    """Rows by their setting's label, the narrowest dimension first."""
    found: dict[Setting, list[Scored]] = {}
    for row in sorted(rows, key=lambda row: row.dim):
        found.setdefault(row.setting, []).append(row)
    names = labels(row.setting for row in rows)
    return {names[row.setting]: found[row.setting] for row in widest(rows).values()}
