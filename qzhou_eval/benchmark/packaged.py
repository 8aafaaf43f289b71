"""The benchmarks that come with this package. They are read without mteb; a test compares CMTEB's table with mteb's."""

import json
from functools import cache
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark, Said, check_known
from qzhou_eval.benchmark.task import Task

TABLES, DATA = (Path(__file__).parent / name for name in ("tables", "data"))
_LISTS = ("splits", "card_splits")


@cache
def cmteb() -> Benchmark:
    """``MTEB(cmn, v1)``: 31 tasks, the benchmark of a run that names no other."""
    content = json.loads((TABLES / "cmteb.json").read_text("utf-8"))
    tasks = tuple(_task(name, fields) for name, fields in content["tasks"].items())
    return Benchmark("cmteb", Said("CMTEB"), tasks, packaged=True, aliases=tuple(content["aliases"]))


def _task(name: str, fields: dict) -> Task:
    lists = {key: tuple(fields[key]) for key in _LISTS if key in fields}
    return Task(name, **fields | lists, checked=True)


@cache
def miniature() -> Benchmark:
    """The miniature: six small tasks in a generated language, whose data are in this package."""
    from qzhou_eval.benchmark.own_data.definition import read_definition  # pydantic: not for --help

    return read_definition(DATA / "mini" / "benchmark.yaml", packaged=True)


def packaged() -> dict[str, Benchmark]:
    """All of them, by name."""
    return {benchmark.name: benchmark for benchmark in (cmteb(), miniature())}


def packaged_tasks() -> dict[str, Task]:
    """Their tasks by name."""
    return {task.name: task for benchmark in packaged().values() for task in benchmark.tasks}


def task_named(name: str) -> Task:
    """The task of a packaged benchmark that the argument TASK names.

    Raises:
        BadInput: an unknown task.
    """
    check_known("TASK", [name], packaged_tasks())
    return packaged_tasks()[name]
