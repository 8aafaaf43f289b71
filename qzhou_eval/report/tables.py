"""The report's tables as pandas frames, in the layout of the card's tables 1, 2 and 3. Formats nothing."""

import json
from collections.abc import Iterable

import pandas as pd

from qzhou_eval.averages import COLUMNS, table_row
from qzhou_eval.paths import data_folder
from qzhou_eval.report.read import Score, Setting, labels
from qzhou_eval.tasks import all_tasks


def benchmarks(scores: list[Score]) -> list[str]:
    """The benchmarks that the scores belong to."""
    return list(dict.fromkeys(all_tasks()[score.task].benchmark for score in scores))


def _groups(scores: Iterable[Score], benchmark: str) -> dict[tuple[Setting, int, int], dict[str, float | None]]:
    """Scores by task for each (setting, dimension, width)."""
    groups: dict[tuple[Setting, int, int], dict[str, float | None]] = {}
    for score in scores:
        if all_tasks()[score.task].benchmark == benchmark:
            groups.setdefault((score.setting, score.dim, score.width), {})[score.task] = score.score
    return groups


def _frame(rows: dict, index: str) -> pd.DataFrame:
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS), dtype=float)
    frame.index.name = index
    return frame


def leaderboard(scores: list[Score], benchmark: str) -> pd.DataFrame:
    """Table 1: each setting at its widest dimension here; for CMTEB beside the card's published rows.

    Sorted by Mean(Task); a setting with a missing task has no mean and stands last.
    """
    widest: dict[Setting, int] = {}
    groups = _groups(scores, benchmark)
    for setting, dim, _ in groups:
        widest[setting] = max(dim, widest.get(setting, 0))
    rows = {}
    names = labels(widest)
    for (setting, dim, width), by_task in groups.items():
        if dim == widest[setting]:
            label = names[setting] if dim == width else f"{names[setting]}, dim {dim}"
            rows[label] = table_row(by_task, benchmark)
    if benchmark == "cmteb":
        card = json.loads((data_folder("results/published") / "card_tables.json").read_text("utf-8"))
        for name, values in card["table_1"]["rows"].items():
            rows[f"{name} (published)"] = dict(zip(card["columns"], values, strict=True))
    return _frame(rows, "model").sort_values("Mean(Task)", ascending=False, kind="stable", na_position="last")


def matryoshka(scores: list[Score], benchmark: str) -> dict[str, pd.DataFrame]:
    """Table 3, one for each setting that has several dimensions."""
    tables: dict[Setting, dict] = {}
    for (setting, dim, _), by_task in _groups(scores, benchmark).items():
        tables.setdefault(setting, {})[dim] = table_row(by_task, benchmark)
    names = labels(tables)
    return {names[s]: _frame(rows, "dim").sort_index() for s, rows in tables.items() if len(rows) > 1}


def token_prepending(scores: list[Score], benchmark: str) -> dict[str, pd.DataFrame]:
    """Table 2, for each two settings that differ in token prepending alone, at each one's full width."""
    pairs: dict[Setting, dict[str, dict]] = {}
    for (setting, dim, width), by_task in _groups(scores, benchmark).items():
        if dim == width:
            layers = setting.token_prepending
            name = f"TP on layers {layers[0]}-{layers[1]}" if layers else "TP off"
            pairs.setdefault(setting.without_token_prepending(), {})[name] = table_row(by_task, benchmark)
    tables = {}
    names = labels(pairs)
    for setting, sides in pairs.items():
        if "TP off" not in sides or len(sides) == 1:
            continue
        frame = _frame(dict(sorted(sides.items())), "same weights")
        for name in [name for name in sides if name != "TP off"]:
            frame.loc[f"{name} minus off"] = frame.loc[name] - frame.loc["TP off"]
        tables[names[setting]] = frame
    return tables


def per_task(scores: list[Score], benchmark: str) -> dict[str, pd.DataFrame]:
    """For each setting: tasks by dimension, every task of the benchmark, the missing ones too."""
    names = [task.name for task in all_tasks().values() if task.benchmark == benchmark]
    tables: dict[Setting, dict[int, dict]] = {}
    for (setting, dim, _), by_task in _groups(scores, benchmark).items():
        tables.setdefault(setting, {})[dim] = by_task
    result = {}
    titles = labels(tables)
    for setting, columns in tables.items():
        frame = pd.DataFrame(index=pd.Index(names, name="task"))
        frame.insert(0, "type", [all_tasks()[name].type for name in names])
        for dim in sorted(columns):
            frame[str(dim)] = pd.Series(columns[dim], dtype=float).reindex(names)
        result[titles[setting]] = frame
    return result
