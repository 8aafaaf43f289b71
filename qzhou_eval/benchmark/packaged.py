"""The benchmarks that come with this package. They are read without mteb; a test compares CMTEB's table with mteb's."""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark, Said, check_known
from qzhou_eval.benchmark.task import Task
from qzhou_eval.protocol.task_versions import first_version

TABLES, DATA = (Path(__file__).parent / name for name in ("tables", "data"))
_LISTS = ("splits", "card_splits")


@cache
def cmteb() -> Benchmark:
    """``MTEB(cmn, v1)``: 31 tasks, the benchmark of a run that names no other."""
    content = json.loads((TABLES / "cmteb.json").read_text("utf-8"))
    tasks = tuple(_task(name, fields, checked=True) for name, fields in content["tasks"].items())
    return Benchmark("cmteb", Said("CMTEB"), tasks, packaged=True, aliases=tuple(content["aliases"]), of_card=True)


def _task(name: str, fields: dict, *, checked: bool) -> Task:
    lists = {key: tuple(fields[key]) for key in _LISTS if key in fields}
    return Task(name, **fields | lists, checked=checked)


@cache
def cmteb_v2() -> Benchmark:
    """CMTEB with the tasks that mteb has repaired, each in the place of its first version."""
    content = json.loads((TABLES / "cmteb-v2.json").read_text("utf-8"))
    repaired = {first_version(name): _task(name, fields, checked=False) for name, fields in content["tasks"].items()}
    tasks = tuple(repaired.get(task.name, task) for task in cmteb().tasks)
    return Benchmark("cmteb-v2", Said("CMTEB v2"), tasks, packaged=True)


@cache
def miniature() -> Benchmark:
    """The miniature: six small tasks in a generated language, whose data are in this package."""
    from qzhou_eval.benchmark.own_data.definition import read_definition  # pydantic: not for --help

    return read_definition(DATA / "mini" / "benchmark.yaml", packaged=True)


def packaged() -> dict[str, Benchmark]:
    """All of them, by name."""
    return {benchmark.name: benchmark for benchmark in (cmteb(), cmteb_v2(), miniature())}


def packaged_tasks() -> dict[str, Task]:
    """Their tasks by name."""
    return {task.name: task for benchmark in packaged().values() for task in benchmark.tasks}


def covering(names: Iterable[str]) -> list[Benchmark]:
    """The first packaged benchmarks that together have all of these tasks, as far as any has them."""
    found, missing = [], set(names)
    for benchmark in packaged().values():
        if missing & set(benchmark.names):
            found.append(benchmark)
            missing -= set(benchmark.names)
    return found


def task_named(name: str) -> Task:
    """The task of a packaged benchmark that the argument TASK names.

    Raises:
        BadInput: an unknown task.
    """
    check_known("TASK", [name], packaged_tasks(), "unknown, unless --benchmark names its benchmark")
    return packaged_tasks()[name]
