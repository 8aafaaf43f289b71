"""Finds the benchmark that ``--benchmark`` names: a packaged one, a user's YAML file, or one of mteb."""

from collections.abc import Sequence
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.own_data.definition import read_definition
from qzhou_eval.benchmark.packaged import cmteb, packaged
from qzhou_eval.errors import BadInput
from qzhou_eval.system.mteb_version import generation


def find_benchmark(name: str | None, tasks: Sequence[str] | None = None) -> Benchmark:
    """The benchmark of this name or file; without one the packaged one that has all of ``tasks``, else CMTEB.

    Raises:
        BadInput: there is none, or its definition is wrong.
    """
    if name is None:
        of_tasks = (one for one in packaged().values() if tasks and set(tasks) <= set(one.names))
        return next(of_tasks, cmteb())
    return _found(name)


def _found(name: str) -> Benchmark:
    known = packaged()
    if Path(name).suffix in (".yaml", ".yml"):
        found = read_definition(Path(name).expanduser())
        _check_names(name, found)
        return found
    for one in known.values():
        if name in (one.name, *one.aliases):
            return one
    if Path(name).is_dir() or "/" in name:
        inside = [str(path) for path in sorted(Path(name).glob("*.y*ml"))[:3]]
        hint = f"; did you mean {' or '.join(inside)}?" if inside else ""
        raise BadInput(f"--benchmark {name}: neither a benchmark's name nor a .yaml file{hint}")
    if generation() == "card":
        raise BadInput(f"--benchmark {name}: the card's mteb runs CMTEB alone; give --mteb current")
    from qzhou_eval.benchmark.of_mteb import benchmark_of_mteb

    return benchmark_of_mteb(name)


def _check_names(file: str, found: Benchmark) -> None:
    """Refuse names that results could not tell from those of a packaged benchmark."""
    for one in packaged().values():
        if found.name in (one.name, *one.aliases):
            raise BadInput(f"{file}: name: {found.name} is a benchmark of this package; choose another")
        for task in found.tasks:
            if task.own is not None and task.name in one.by_name:
                raise BadInput(f"{file}: tasks: {task.name} is a task of {one.title.en}; choose another name")
