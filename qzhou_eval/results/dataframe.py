"""``load_results``: the results of output folders as one tidy pandas frame, without averages or figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qzhou_eval.benchmark.averages import SCORE_PROFILES
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.task import parts
from qzhou_eval.errors import BadInput
from qzhou_eval.results.combined import read_together
from qzhou_eval.results.entries import RecordFields
from qzhou_eval.results.reader import RecordedResults
from qzhou_eval.results.setting import facts_text, setting_of
from qzhou_eval.statistics.bootstrap import RESAMPLES, resample_together
from qzhou_eval.statistics.intervals import CONFIDENCE, interval
from qzhou_eval.system.formatting import layers_text

COLUMNS = [
    *("model", "dim", "tp", "task", "type", "split", "metric", "score", "low", "high"),
    *("setting", "revision", "label"),
]


@dataclass(frozen=True)
class _Result:
    recorded: RecordedResults
    task: str
    split: str

    @property
    def record(self) -> RecordFields:
        return self.recorded.tasks[self.task]["record"]


def load_results(
    *dirs: str | Path,
    benchmark: str | None = None,
    score_profile: str = "card",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Load the results of output folders: one row per model, setting, dimension, task and counted split.

    Args:
        dirs: output folders of runs, or results of plain mteb.
        benchmark: a benchmark's name or YAML file, to load only results of its tasks; None for all benchmarks that were
            run and, of plain mteb's results, for CMTEB.
        score_profile: which splits count, ``card`` or ``mteb2``; they differ only in MultilingualSentiment.
        confidence: the confidence level of the interval from ``low`` to ``high``.
        resamples: how many resamples of the split's items the bootstrap draws; 0 for no intervals, which is fast.
        seed: the resamples' seed; all settings of a task are scored on the same resamples.

    Returns:
        Columns ``model``; ``dim``; ``tp``, the layers of token prepending as ``1-7``, or ``off``; ``task``; ``type``;
        ``split``, with the subset as ``test/fr-en`` if several count; ``metric``; ``score``, the main score, 0 to 100;
        ``low`` and ``high``, its interval, NaN if no items were stored or there are fewer than two; ``setting``, all
        other differences from the profile's own protocol at full width, ``""`` if none; ``revision`` of the model;
        ``label``, its ``--model_label``, else its name. Sorted by model, setting, TP,
        dimension and task. Plain mteb's rows have ``from plain mteb`` in ``setting``, ``unknown`` in ``tp``, and 0 in
        ``dim`` if mteb did not write the dimension.

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
            raise BadInput(
                f"load_results: {folder!r} is not a folder; give folders one by one: load_results('one', 'two')"
            )
    of = None if benchmark is None else find_benchmark(benchmark)
    found = list(_results([Path(folder) for folder in dirs], of, score_profile))
    frame = pd.DataFrame([_row(result) for result in found], columns=COLUMNS)
    if resamples:
        for members in _of_one_split(found):
            bounds = _bounds([found[at] for at in members], confidence, resamples, seed)
            frame.loc[members, ["low", "high"]] = bounds
    order = frame["task"].map({name: at for at, name in enumerate(_names(found))})
    by = ["model", "revision", "setting", "tp", "dim", "order", "split"]
    return frame.assign(order=order).sort_values(by, ignore_index=True).drop(columns="order")


def _names(found: list[_Result]) -> dict[str, None]:
    """The tasks' names, each once, benchmark by benchmark in their order."""
    return dict.fromkeys(name for result in found for one in result.recorded.benchmarks for name in one.names)


def _results(folders: list[Path], benchmark: Benchmark | None, score_profile: str) -> Iterator[_Result]:
    for recorded in read_together(folders, benchmark):
        for task, of in recorded.of.items():
            for split in of.counted(score_profile):
                if split in recorded.scores[task]:
                    yield _Result(recorded, task, split)
                elif not recorded.plain and split not in parts(
                    tuple(recorded.tasks[task]["record"]["splits"]), of.subsets
                ):
                    raise BadInput(f"{recorded.path(task)}: no score on {split}, which {score_profile} counts")


def _row(result: _Result) -> dict[str, object]:
    variant = result.recorded.variant
    apart = setting_of(result.recorded).without_token_prepending()
    return {
        "model": variant.model,
        "dim": variant.dim,
        "tp": "unknown" if result.recorded.plain else layers_text(variant.token_prepending),
        "task": result.task,
        "type": result.record["type"],
        "split": result.split,
        "metric": result.record["metric"],
        "score": 100 * result.recorded.scores[result.task][result.split],
        "low": np.nan,
        "high": np.nan,
        "setting": facts_text(apart.experiment),
        "revision": variant.revision,
        "label": apart.short_name,
    }


def _of_one_split(found: list[_Result]) -> list[list[int]]:
    """Positions of the results, grouped by task and split."""
    groups: dict[tuple[str, str], list[int]] = {}
    for at, result in enumerate(found):
        groups.setdefault((result.task, result.split), []).append(at)
    return list(groups.values())


def _bounds(members: list[_Result], confidence: float, resamples: int, seed: int) -> np.ndarray:
    """Each result's interval in points, (results, 2); NaN without items."""
    items = [(one.record["data"], one.recorded.items(one.task)) for one in members]
    drawn = resample_together(members[0].task, items, [members[0].split], resamples=resamples, seed=seed)
    return np.array([(np.nan, np.nan) if one is None else interval(100 * one, confidence) for one in drawn])
