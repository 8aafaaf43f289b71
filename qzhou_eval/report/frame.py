"""``load_results``: the results of output folders as one tidy pandas frame. Averages nothing, draws nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qzhou_eval.averages import SCORE_PROFILES, counted_splits
from qzhou_eval.errors import BadInput
from qzhou_eval.noted import Noted
from qzhou_eval.statistics.bootstrap import RESAMPLES, draws
from qzhou_eval.statistics.intervals import CONFIDENCE, interval
from qzhou_eval.tasks import all_tasks
from qzhou_eval.together import read_together

COLUMNS = [
    *("model", "dim", "tp", "task", "type", "split", "metric", "score", "low", "high"),
    *("setting", "revision", "label"),
]


@dataclass(frozen=True)
class _Result:
    noted: Noted
    task: str
    split: str

    @property
    def record(self) -> dict:
        return self.noted.tasks[self.task]["record"]


def load_results(
    *dirs: str | Path,
    score_profile: str = "card",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """The results of output folders, a row for each model, setting, dimension, task and counted split.

    Args:
        dirs: output folders of runs, or results of plain mteb.
        score_profile: which splits count, ``card`` or ``mteb2``; they differ in MultilingualSentiment alone.
        confidence: of the interval from ``low`` to ``high``.
        resamples: of the bootstrap over the split's items; 0 for no intervals, which is quick.
        seed: of the resamples; all settings of a task are scored on the same ones.

    Returns:
        Columns ``model``; ``dim``; ``tp``, the layers of token prepending as ``1-7``, or ``off``; ``task``; ``type``;
        ``split``; ``metric``; ``score``, the main score, 0 to 100; ``low`` and ``high``, its interval, NaN where no
        items were kept or there are fewer than two; ``setting``, whatever else is not the profile's own protocol at
        full width, ``""`` if nothing; ``revision`` of the model; ``label``, its ``--model_label``, else its name.
        Sorted by model, setting, TP, dimension and task. Plain mteb's have ``from plain mteb`` in ``setting``, ``tp``
        is ``unknown``, and ``dim`` is 0 where mteb did not write it.

    Raises:
        BadInput: no results, a damaged manifest, or results that do not belong together.
    """
    if score_profile not in SCORE_PROFILES:
        raise BadInput(f"score_profile {score_profile!r}: give one of {', '.join(SCORE_PROFILES)}")
    if not dirs:
        raise BadInput("load_results: give one output folder or more")
    if not 0 < confidence < 1:
        raise BadInput(f"confidence {confidence!r}: give a number between 0 and 1, such as 0.95")
    if resamples < 0:
        raise BadInput(f"resamples {resamples!r}: give 0 for no intervals, or a number such as 2000")
    for folder in dirs:
        if not isinstance(folder, str | Path):
            raise BadInput(f"load_results: {folder!r} is no folder; give them one by one: load_results('one', 'two')")
    found = list(_results([Path(folder) for folder in dirs], score_profile))
    frame = pd.DataFrame([_row(result) for result in found], columns=COLUMNS)
    if resamples:
        for members in _alike(found):
            bounds = _bounds([found[at] for at in members], confidence, resamples, seed)
            frame.loc[members, ["low", "high"]] = bounds
    order = frame["task"].map({name: at for at, name in enumerate(all_tasks())})
    by = ["model", "revision", "setting", "tp", "dim", "order", "split"]
    return frame.assign(order=order).sort_values(by, ignore_index=True).drop(columns="order")


def _results(folders: list[Path], score_profile: str) -> Iterator[_Result]:
    for noted in read_together(folders):
        for task in noted.tasks:
            for split in counted_splits(task, score_profile):
                if split in noted.scores[task]:
                    yield _Result(noted, task, split)
                elif not noted.plain and split not in noted.tasks[task]["record"]["splits"]:
                    raise BadInput(f"{noted.path(task)}: no score on {split}, which {score_profile} counts")


def _row(result: _Result) -> dict:
    variant = result.noted.variant
    layers = variant.token_prepending
    apart = [f"{key} {value}" for key, value in variant.experiment if key not in ("dim", "token_prepending")]
    return {
        "model": variant.model,
        "dim": variant.dim,
        "tp": "unknown" if result.noted.plain else f"{layers[0]}-{layers[1]}" if layers else "off",
        "task": result.task,
        "type": result.record["type"],
        "split": result.split,
        "metric": result.record["metric"],
        "score": 100 * result.noted.scores[result.task][result.split],
        "low": np.nan,
        "high": np.nan,
        "setting": ", ".join(apart),
        "revision": variant.revision,
        "label": result.noted.label or variant.model.removeprefix("local/"),
    }


def _alike(found: list[_Result]) -> list[list[int]]:
    """Which results are of the same items: those are resampled together."""
    groups: dict[tuple, list[int]] = {}
    for at, result in enumerate(found):
        record = result.record
        if result.noted.tasks[result.task].get("items"):
            groups.setdefault((result.task, result.split, record["data"], record["mteb"]), []).append(at)
    return list(groups.values())


def _bounds(members: list[_Result], confidence: float, resamples: int, seed: int) -> np.ndarray:
    """The interval of each in points, (results, 2)."""
    task, split = members[0].task, members[0].split
    items = [result.noted.items(task) for result in members]
    name = f"{task} {members[0].record['data']}"
    drawn = draws(items, [split], seed_for=name, resamples=resamples, seed=seed)
    if drawn is None:
        return np.full((len(members), 2), np.nan)
    return 100 * np.array([interval(one, confidence) for one in drawn])
