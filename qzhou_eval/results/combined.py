"""Reads results of several folders together, from runs or plain mteb, and checks that they belong together."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.packaged import covering, packaged
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.results.plain_mteb import read_plain
from qzhou_eval.results.reader import AGAIN, Complaints, RecordedResults, contradiction, read_recorded
from qzhou_eval.results.setting import without_dimension

_AGAIN = "repeat the run's command with all its tasks and dimensions: it evaluates again what differs"


def read_results(path: Path, benchmark: Benchmark | None = None) -> list[RecordedResults]:
    """Read the variants of one output folder, or of what plain mteb wrote there.

    Args:
        benchmark: read only results of its tasks; None for those of all benchmarks that a run recorded and, of plain
            mteb's results, of the packaged ones.

    Raises:
        BadInput: no results found, a folder that holds several output folders, or a damaged manifest.
    """
    if (path / "manifest.json").exists():
        return read_recorded(path, benchmark)
    if runs := sorted(manifest.parent.name for manifest in path.glob("*/manifest.json")):
        raise BadInput(f"{path}: not an output folder, but the parent of several ({', '.join(runs)}); give one of them")
    if benchmark is not None:
        return read_plain(path, [benchmark])
    found = read_plain(path, list(packaged().values()))
    benchmarks = tuple(covering(task for recorded in found for task in recorded.tasks))
    return [replace(recorded, benchmarks=benchmarks) for recorded in found]


def read_together(paths: Iterable[Path], benchmark: Benchmark | None = None) -> list[RecordedResults]:
    """Read the variants of several output folders, checked so that they can be averaged and compared.

    Raises:
        BadInput: as :func:`read_results`; a result that is in two folders; dimensions and tasks of one setting of a run
            that come from different weights or were scored by different libraries; two tasks of one name.
    """
    found = _without_contradictions([recorded for path in paths for recorded in read_results(path, benchmark)])
    places: dict[str, RecordedResults] = {}
    settings: dict[tuple[object, ...], list[RecordedResults]] = {}
    for recorded in found:
        variant = recorded.variant
        _check_together(places.setdefault(variant.folder, recorded), recorded)
        if recorded.plain:
            continue  # how they were made is unknown, which the report says
        key = (variant.model, variant.revision, without_dimension(variant.experiment))
        settings.setdefault(key, []).append(recorded)
    for several in settings.values():
        _check_dimensions(several)
        _check_libraries(several)
    _check_names(found)
    return found


def _check_names(found: list[RecordedResults]) -> None:
    """Refuse two benchmarks' tasks that share a name but neither splits, subsets nor type."""
    known: dict[str, tuple[RecordedResults, Task]] = {}
    for recorded in found:
        for name, task in recorded.of.items():
            first, other = known.setdefault(name, (recorded, task))
            if (task.type, task.parts) != (other.type, other.parts):
                raise BadInput(
                    f"{recorded.path(name)}: {name} is another task than in {first.path(name)}; report them separately"
                )


def _without_contradictions(found: list[RecordedResults]) -> list[RecordedResults]:
    """Drop results whose file contradicts the manifest, with a warning that names them."""
    complaints = Complaints()
    for recorded in (recorded for recorded in found if not recorded.plain):
        for task in list(recorded.tasks):
            if why := contradiction(recorded, task):
                complaints.add(recorded.path(task), f"left out, {why}; remove it, then {AGAIN}")
                del recorded.tasks[task], recorded.scores[task]
    kept = [recorded for recorded in found if recorded.tasks]
    if not kept:
        raise BadInput("; ".join(complaints.lines()))
    complaints.say()
    return kept


def _check_together(first: RecordedResults, other: RecordedResults) -> None:
    """Refuse two folders' results of one name and dimension unless they complete each other."""
    if first is other:
        return
    ours, theirs = (asdict(recorded.variant) for recorded in (first, other))
    unlike = [name for name in ours if ours[name] != theirs[name]]
    if unlike:
        raise BadInput(
            f"{other.place}: made with a different {', '.join(unlike)} than {first.place}; report them separately"
        )
    twice = [task for task in other.tasks if task in first.tasks]
    if twice:
        raise BadInput(f"{other.path(twice[0])}: was already read from another folder, {first.place}; give one of them")


def _check_dimensions(several: list[RecordedResults]) -> None:
    """Refuse dimensions of one setting unless cut from the same vectors and scored on the same data."""
    first = several[0]
    data: dict[str, tuple[RecordedResults, dict[str, object]]] = {}
    for recorded in several:
        ours, theirs = (asdict(one.variant) for one in (recorded, first))
        unlike = [name for name in ours if ours[name] != theirs[name] and name not in ("dim", "experiment")]
        if unlike:
            raise BadInput(f"{recorded.place}: made with a different {', '.join(unlike)} than {first.place}; {_AGAIN}")
        for task, made in recorded.tasks.items():
            record = made["record"]
            facts: dict[str, object] = {"data": record["data"], "metric": record["metric"], "splits": record["splits"]}
            of, other = data.setdefault(task, (recorded, facts))
            unlike = [name for name in facts if facts[name] != other[name]]
            if unlike:
                raise BadInput(f"{recorded.path(task)}: different {', '.join(unlike)} than {of.path(task)}; {_AGAIN}")


def _check_libraries(several: list[RecordedResults]) -> None:
    """Refuse a result that was scored by another version than most of the others."""
    records = {recorded.path(task): made["record"] for recorded in several for task, made in recorded.tasks.items()}
    for name in ("mteb", "scikit_learn", "scoring_version"):
        versions = Counter(record.get(name, 0) for record in records.values())
        usual = next((version for version, _ in versions.most_common(1)), None)
        for path, record in records.items():
            if (found := record.get(name, 0)) != usual:
                raise BadInput(f"{path}: scored by {name} {found}, most other results by {usual}; {_AGAIN}")
