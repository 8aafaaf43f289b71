"""Shared by tests of ``check``: a changed baseline, and reading back its JUnit file."""

import json

TASKS, DIMS = ("STSB", "T2Reranking"), (16, 64, 96)


def changed(baseline, path, change):
    """A copy of a baseline in which ``change`` has edited the tasks of its only setting."""
    content = json.loads(baseline.read_text("utf-8"))
    for name, task in content["results"][0]["tasks"].items():
        change(name, task)
    path.write_text(json.dumps(content), "utf-8")
    return path


def suite_counts(suite):
    return {kind: int(suite.get(kind)) for kind in ("tests", "failures", "errors")}


OFFICIAL = {"STSB": "STS", "T2Reranking": "Reranking"}
