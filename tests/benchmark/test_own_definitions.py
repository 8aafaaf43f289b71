"""The YAML file of a user's own benchmark: what is wrong is refused by line; tasks of mteb beside own ones."""

import pytest
from own_files import written

from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.errors import BadInput


def of(task: str) -> str:
    return f"name: a\ntasks:\n  {task}\n"


DEFINITIONS = {
    "no tasks": ("name: a\ntasks: {}", ", line 2: tasks: Dictionary should have at least 1 item"),
    "no type": (of("x: {path: y}"), ", line 3: tasks.x: type is missing: own data need type and path"),
    "another type": (
        of("x: {type: Retrival, path: y}"),
        ", line 3: tasks.x.type: Retrival: unknown; did you mean Re",
    ),
    "another field": (of("x: {typ: STS, path: y}"), ", line 3: tasks.x.typ: unknown field; did you mean type?"),
    "another column": (
        of("x: {type: STS, path: y, columns: {text: q}}"),
        "columns: text is no column of STS; on the left",
    ),
    "a name with a slash": (
        "name: a/b\ntasks: {x: {type: STS, path: y}}",
        ", line 1: name: a/b: give letters, digits,",
    ),
    "a task with a slash": (of("x/y: {type: STS, path: y}"), "a task's name has no slash"),
    "a known name": ("name: cmteb\ntasks: {x: {type: STS, path: y}}", "cmteb is a benchmark of this package; choose"),
    "a known task": (of("STSB: {type: STS, path: y}"), "tasks: STSB is a task of CMTEB; choose another name"),
    "twice": ("name: a\nname: b", "name twice, in lines 1 and 2"),
    "a number": (
        "name: 2024\ntasks: {x: {type: STS, path: y}}",
        ", line 1: name: 2024 is not a text; put it in",
    ),
    "tasks in a list": ("name: a\ntasks: [x]", ", line 2: tasks: expected fields, as in name: {type: STS"),
    "a tab": ("name: a\n\tb: c", ", line 2: not a YAML file ("),
    "a list": ("- a", "expected a mapping of benchmark fields"),
    "a task mteb lacks": (of("STS2022:"), "tasks: STS2022: no task of mteb"),
    "a subset mteb lacks": (of("STS22.v2: {subsets: [xx]}"), "tasks: STS22.v2: subsets: xx: it has en, de"),
    "splits of own data": (of("x: {type: STS, path: y, splits: [test]}"), "splits and subsets are for tasks of mteb"),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_wrong_definition_is_refused_by_line(tmp_path, name):
    text, said = DEFINITIONS[name]
    with pytest.raises(BadInput) as raised:
        find_benchmark(str(written(tmp_path, {"b.yaml": text}) / "b.yaml"))
    assert str(raised.value).startswith(f"{tmp_path}/b.yaml") and said in str(raised.value)


def test_tasks_of_mteb_stand_beside_own_ones(tmp_path):
    text = "title: {en: Ours, zh: 我们的}\n" + of("own: {type: STS, path: p.csv}\n  STS22.v2: {subsets: [zh, en]}")
    found = find_benchmark(str(written(tmp_path, {"b.yaml": text}) / "b.yaml"))
    assert (found.title.in_language("zh"), found.title.in_language("en")) == ("我们的", "Ours")
    assert found.by_name["own"].parts == ("test",) and found.by_name["STS22.v2"].parts == ("test/en", "test/zh")
