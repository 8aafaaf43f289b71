"""The ``check`` command: compares a run with a baseline, or writes a new baseline. Computes nothing itself."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.checks.regression.baseline import Baseline, Result, read_baseline, write_baseline
from qzhou_eval.checks.regression.comparable import Pair, by_the_baselines_name, changed_inputs, not_in_baseline, pairs
from qzhou_eval.checks.regression.measured import MeasuredRun, measure
from qzhou_eval.checks.regression.update import new_baseline, widened
from qzhou_eval.checks.regression.verdict import CheckedScore, judge
from qzhou_eval.checks.regression.write import Checked, console, junit, markdown, refusal_junit, refusal_markdown
from qzhou_eval.errors import EXIT_CHECK_FAILED, BadInput
from qzhou_eval.system.files import write_text


@dataclass(frozen=True)
class Outputs:
    """The files that a check writes in addition to its output on the screen."""

    junit: Path | None
    summary: Path | None


def check(
    results: Path,
    file: Path,
    *,
    score_profile: str,
    tolerances: Mapping[str | None, float],
    min_cosine: float,
    strict: bool,
    outputs: Outputs,
) -> int:
    """Compare a folder of results with a baseline; print the table and write the outputs, whatever the verdict.

    Args:
        tolerances: points, by task or for all (None), in place of the baseline's own.
        strict: DRIFT fails too.

    Returns:
        0, or 1 if something failed.

    Raises:
        BadInput: the baseline or the results are missing, damaged or not comparable.
    """
    with _refusals_written(outputs):
        baseline = read_baseline(file)
        _check_known(tolerances, baseline)
        measured = measure(results, score_profile)
        runs = by_the_baselines_name(baseline, measured)
        found = pairs(baseline, runs, str(file))
    rows = judge(found, tolerances, min_cosine)
    checked = Checked(rows, _notes(baseline, runs, measured, found) + _hints(found, rows), strict)
    _write(outputs.junit, junit(checked))
    _write(outputs.summary, markdown(checked))
    print(console(checked))
    return EXIT_CHECK_FAILED if checked.failed else 0


def renew(results: list[Path], file: Path, *, score_profile: str, tolerances: Mapping[str | None, float]) -> None:
    """Write a baseline from the first folder; further runs of the same settings show how much correct runs differ.

    Raises:
        BadInput: results are missing or damaged, or the folders are not comparable.
    """
    runs, *others = [_whole(measure(folder, score_profile)) for folder in results]
    baseline = new_baseline(runs, tolerances)
    _check_known(tolerances, baseline)
    found = [pairs(baseline, by_the_baselines_name(baseline, other), str(results[0])) for other in others]
    if others:
        baseline = widened(baseline, [[pair.run for pair in matched] for matched in found], tolerances)
    write_baseline(file, baseline)
    tasks = [task for base in baseline.results for task in base.tasks.values()]
    scores = sum(len(task.scores) for task in tasks)
    print(f"written: {file}: {scores} scores; models and settings: {len(baseline.results)}")
    if others:
        rows = [row for matched in found for row in judge(matched, {}, 1.0)]
        cosine = min((row.cosine for row in rows if row.cosine is not None), default=None)
        said = "" if cosine is None else f", the lowest cosine of their probes is {cosine:.7f}"
        between = max(task.between_runs or 0.0 for task in tasks)
        print(f"the {len(results)} runs differ by up to {between:g} points{said}")


def _whole(runs: list[MeasuredRun]) -> list[MeasuredRun]:
    """Refuse a run with a score that is NaN: a baseline without that score would let the next NaN pass."""
    for run in runs:
        for name, task in run.tasks.items():
            for dim in (dim for dim, score in task.scores.items() if math.isnan(score)):
                raise BadInput(f"{run.source}: no score for {name} at dim {dim}; a baseline needs complete runs")
    return runs


def _check_known(tolerances: Mapping[str | None, float], baseline: Baseline) -> None:
    known = list(dict.fromkeys(task for base in baseline.results for task in base.tasks))
    for task in tolerances:
        if task is not None and task not in known:
            raise BadInput(f"--tolerance {task}: not in the baseline, which has {', '.join(known)}")


def _notes(baseline: Baseline, runs: list[MeasuredRun], measured: list[MeasuredRun], found: list[Pair]) -> list[str]:
    """The notes below the verdicts, without repetitions; ``measured`` are the runs under their own names."""
    further = not_in_baseline(baseline, runs, [run.label for run in measured])
    notes = [f"not in the baseline, not judged: {name}" for name in further]
    notes += [f"no probe vectors in the baseline: {base.label}" for base in baseline.results if not _has_probe(base)]
    return list(dict.fromkeys([*notes, *(note for pair in found for note in changed_inputs(pair))]))


def _hints(found: list[Pair], rows: list[CheckedScore]) -> list[str]:
    """What to do if the vectors differ because another checkpoint was checked."""
    other = any(pair.base.made_from.get("weights") != pair.run.made_from.get("weights") for pair in found)
    if other and any(row.vectors_moved for row in rows):
        return ["different weights change every vector: if this is intended, --min_cosine -1 judges scores only"]
    return []


def _has_probe(base: Result) -> bool:
    return all(task.probe for task in base.tasks.values())


@contextmanager
def _refusals_written(outputs: Outputs) -> Iterator[None]:
    """Write a refusal to the outputs too, so that a reader of these files does not miss it."""
    try:
        yield
    except BadInput as error:
        _write(outputs.junit, refusal_junit(str(error)))
        _write(outputs.summary, refusal_markdown(str(error)))
        raise


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
