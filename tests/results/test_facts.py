"""A manifest that is not as it was written: every reader reports it in one line, or does without it."""

import json

import pytest

from qzhou_eval import load_results
from qzhou_eval.checks.compare.sides import from_folder
from qzhou_eval.checks.regression.measured import measure
from qzhou_eval.errors import BadInput
from qzhou_eval.report.content.run_table import runs
from qzhou_eval.results.task_scores import read_scores

READERS = {
    "compare": lambda folder: from_folder(folder, "card"),
    "check": lambda folder: measure(folder, "card"),
    "report": lambda folder: runs(read_scores([folder], "card")),
    "load_results": lambda folder: load_results(folder, resamples=0),
}


def places(content, path=()):
    """The path of every key of nested mappings and of every place in nested lists."""
    found = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in found:
        yield (*path, key)
        yield from places(value, (*path, key))


def lost(holder, key):
    holder.pop(key)


def misspelt(holder, key):
    if isinstance(holder, dict):
        holder[f"{key}s"] = holder.pop(key)


def replaced(value):
    def change(holder, key):
        holder[key] = value

    return change


CHANGES = {"lost": lost, "misspelt": misspelt} | {
    repr(value): replaced(value) for value in (None, "x", 3, True, [1], {"a": 1})
}


@pytest.fixture
def one_entry(finished, tmp_path):
    """A finished run's folder whose manifest has only one dimension's entry, and the manifest's content."""
    content = json.loads((finished / "manifest.json").read_text())
    place = next(place for place, entry in content["variants"].items() if entry["variant"]["dim"] == 16)
    content["variants"] = {place: content["variants"][place]}
    (tmp_path / "results").symlink_to(finished / "results")
    return tmp_path, content


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("reader", READERS)
def test_each_value_of_a_manifest_may_be_another(one_entry, *, reader, change):
    folder, content = one_entry
    written = json.dumps(content)
    for *path, key in places(content):
        spoilt = json.loads(written)
        holder = spoilt
        for step in path:
            holder = holder[step]
        CHANGES[change](holder, key)
        (folder / "manifest.json").write_text(json.dumps(spoilt))
        try:
            READERS[reader](folder)
        except BadInput as error:
            assert str(folder) in str(error), (*path, key)
        except Exception as error:
            raise AssertionError(f"{change} at {'/'.join(map(str, (*path, key)))}: {error!r}") from error
