"""``compare``: finds the other side of each result, prints what differs, then scores side by side with verdicts."""

import json
from pathlib import Path

from tabulate import tabulate

from qzhou_eval.averages import COLUMNS
from qzhou_eval.compare.differences import Difference, common_tasks, differences, unknown_fields
from qzhou_eval.compare.sides import Side, from_folder, from_published
from qzhou_eval.compare.verdicts import REASONS, Row, mean_rows, side_row, task_rows
from qzhou_eval.errors import EXIT_CHECK_FAILED, BadInput
from qzhou_eval.paths import data_folder
from qzhou_eval.tasks import all_tasks

MARK = "*"
VERDICTS = ("OK", "CLOSE", "OFF")
SIGNS = {"OK": " ", "CLOSE": "~", "OFF": "!"}
CARD_MODEL = "QZhou-Embedding-Zh"


def compare(results: Path, to: str, score_profile: str, *, allow_mismatch: bool) -> int:
    """Compare the results in a folder with the published scores, another folder or a file; print it.

    Returns:
        0, or 1 if a score or a mean is OFF.

    Raises:
        BadInput: nothing to compare, or (without ``allow_mismatch``) scores that do not compare.
    """
    sides = from_folder(results, score_profile)
    verdicts: list[str | None] = []
    pairs = _published_pairs(sides, to, score_profile) if _is_published(to) else _folder_pairs(sides, to, score_profile)
    for same_setting in _by_setting(pairs):
        ours, theirs = same_setting[0]
        print(f"\n{ours.label}, dim {ours.dim}: {ours.name} against {theirs.name}")
        marked = _print_differences(ours, theirs, allow_mismatch=allow_mismatch)
        verdicts += _print_scores(ours, theirs, marked)
        if len(same_setting) > 1:
            verdicts += _print_dimensions(same_setting[1:], marked)
    if _is_published(to):
        verdicts += _print_tables(sides, allow_mismatch=allow_mismatch)
    counts = {name: verdicts.count(name) for name in VERDICTS}
    print(f"\n{REASONS}")
    print("verdict: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return EXIT_CHECK_FAILED if counts["OFF"] else 0


def _by_setting(pairs: list[tuple[Side, Side]]) -> list[list[tuple[Side, Side]]]:
    """Pairs of one setting together, the widest first."""
    groups: dict[tuple, list[tuple[Side, Side]]] = {}
    for ours, theirs in sorted(pairs, key=lambda pair: -pair[0].dim):
        groups.setdefault((ours.facts["model revision"], ours.label), []).append((ours, theirs))
    return list(groups.values())


def _is_published(to: str) -> bool:
    return to.split(":", maxsplit=1)[0] == "published" or Path(to).is_file()


def _published_pairs(sides: list[Side], to: str, score_profile: str) -> list[tuple[Side, Side]]:
    """Results at full width, each with its model's published scores."""
    file = Path(to) if Path(to).is_file() else None
    model = to.partition(":")[2] if file is None else ""
    wide = [side for side in sides if side.dim == side.width]
    if not wide:
        raise BadInput(f"{sides[0].name}: no results at full width, which published scores have")
    pairs = [(side, from_published(file, model or side.model, score_profile)) for side in wide]
    if not any(common_tasks(*pair) for pair in pairs):
        raise BadInput(f"{sides[0].name}: no task in common with the published scores")
    return [pair for pair in pairs if common_tasks(*pair)]


def _folder_pairs(sides: list[Side], to: str, score_profile: str) -> list[tuple[Side, Side]]:
    """Results with the other folder's of the same setting and dimension; of its only setting, where it has one."""
    if not Path(to).is_dir():
        raise BadInput(f"--to {to}: give published, published:MODEL, a folder of results, or a file of scores")
    others = from_folder(Path(to), score_profile)
    single = all(len({(s.model, s.setting) for s in found}) == 1 for found in (sides, others))
    pairs = []
    for side in sides:
        same = [o for o in others if o.dim == side.dim and (o.model, o.setting) == (side.model, side.setting)]
        same = same or [o for o in others if o.dim == side.dim and single]
        if same and common_tasks(side, same[0]):
            pairs.append((side, same[0]))
    if not pairs:
        settings = "; ".join(sorted({f"{o.label}, dim {o.dim}" for o in others}))
        raise BadInput(f"--to {to}: nothing there to compare with {sides[0].label}; it has {settings}")
    return pairs


def _print_differences(ours: Side, theirs: Side, *, allow_mismatch: bool) -> set[str]:
    """Print what differs; returns the tasks whose scores do not compare."""
    found = differences(ours, theirs)
    rows = [[d.field, _cell(d.ours), _cell(d.theirs), _whose(d), d.meaning] for d in found]
    print(tabulate(rows, ["differs", "ours", "theirs", "tasks", "meaning"]) if rows else "no known field differs")
    if unknown := unknown_fields(ours, theirs):
        print(f"known on one side only: {', '.join(unknown)}")
    unlike = [d for d in found if not d.comparable]
    if unlike and not allow_mismatch:
        names = ", ".join(dict.fromkeys(d.field for d in unlike))
        raise BadInput(f"not comparable: {names} (--allow-mismatch compares all the same and marks the rows)")
    marked: set[str] = set()
    for difference in unlike:
        marked |= set(difference.tasks or ours.tasks)
    return marked


def _print_scores(ours: Side, theirs: Side, marked: set[str]) -> list[str | None]:
    tasks = task_rows(ours, theirs)
    benchmark = all_tasks()[tasks[0].name].benchmark
    means = mean_rows(side_row(ours, benchmark), side_row(theirs, benchmark))
    rows = [_line(row, row.name in marked) for row in tasks]
    rows += [_line(row, bool(marked)) for row in means if row.difference is not None]
    print()
    print(tabulate(rows, ["task", "ours", "theirs", "difference", "tolerance", "verdict"], floatfmt="z.2f"))
    if marked:
        print(f"{MARK} what differs makes this row not comparable")
    return [row.verdict for row in [*tasks, *means]]


def _print_dimensions(pairs: list[tuple[Side, Side]], marked: set[str]) -> list[str | None]:
    """The narrower dimensions of a setting, a line each."""
    lines, verdicts = [], []
    for ours, theirs in pairs:
        rows = [row for row in task_rows(ours, theirs) if row.difference is not None]
        found = [row.verdict for row in rows]
        worst = max(rows, key=lambda row: abs(row.difference) / row.tolerance, default=None)
        named = f"{worst.name} {worst.difference:+.2f}" if worst else "-"
        dim = f"{ours.dim} {MARK}" if marked else ours.dim
        lines.append([dim, *(found.count(name) for name in VERDICTS), named])
        verdicts += found
    print()
    print(tabulate(lines, ["dim", *VERDICTS, "largest difference for its tolerance"]))
    return verdicts


def _print_tables(sides: list[Side], *, allow_mismatch: bool) -> list[str | None]:
    """Hold complete rows of the card's model against its tables 1, 3 and 2: differences, a row each."""
    card = json.loads((data_folder("results/published") / "card_tables.json").read_text("utf-8"))
    lines, verdicts = [], []
    for ours in sides:
        row = side_row(ours, "cmteb")
        if ours.model != CARD_MODEL or row["Mean(TaskType)"] is None:
            continue
        for table, name in _card_rows(ours, allow_mismatch=allow_mismatch):
            if name in card[table]["rows"]:
                means = mean_rows(row, dict(zip(card["columns"], card[table]["rows"][name], strict=True)))
                found = [mean.verdict for mean in means]
                cells = [f"{mean.difference:+z.2f}{SIGNS[mean.verdict]}" for mean in means]
                title = f"{table.replace('_', ' ')}, {name}{MARK if name == 'Original' else ''}"
                lines.append([title, ours.dim, *cells, max(found, key=VERDICTS.index)])
                verdicts += found
    if lines:
        print("\nOurs minus the card's tables (~ CLOSE, ! OFF)\n")
        print(
            tabulate(
                lines, ["row", "dim", *COLUMNS, "verdict"], stralign="right", colalign=("left",), disable_numparse=True
            )
        )
        if any(MARK in line[0] for line in lines):
            print(f"{MARK} the card's Original is another training, not this model without token prepending")
    return verdicts


def _card_rows(ours: Side, *, allow_mismatch: bool) -> list[tuple[str, str]]:
    """The tables' rows that a result stands for, as (table, row)."""
    full = ours.dim == ours.width
    if dict(ours.setting).get("token_prepending") == "off":
        return [("table_2", "Original")] if full and allow_mismatch else []
    rows = [("table_3", str(ours.dim))]
    return [("table_1", ours.model), ("table_2", "TP"), *rows] if full else rows


def _line(row: Row, marked: bool) -> list:
    verdict = row.verdict or "-"
    name = row.name if row.name not in COLUMNS else f"mean: {row.name}"
    return [name, row.ours, row.theirs, row.difference, row.tolerance, f"{verdict} {MARK}" if marked else verdict]


def _whose(difference: Difference) -> str:
    if not difference.tasks:
        return "all"
    shown = ", ".join(difference.tasks[:2])
    return shown if len(difference.tasks) <= 2 else f"{shown} and {len(difference.tasks) - 2} more"


def _cell(value: object) -> str:
    """A value for the table: long ones shortened in the middle, control characters visible."""
    text = repr(value)[1:-1] if isinstance(value, str) else str(value)
    return text if len(text) <= 56 else f"{text[:32]}...{text[-20:]}"
