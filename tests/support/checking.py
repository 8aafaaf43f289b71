"""What tests of ``check`` share: a changed baseline, and its JUnit file read back."""

import json

TASKS, DIMS = ("STSB", "T2Reranking"), (16, 64, 96)


def changed(baseline, path, change):
    """A copy of a baseline whose only setting's tasks were changed."""
    content = json.loads(baseline.read_text("utf-8"))
    for name, task in content["results"][0]["tasks"].items():
        change(name, task)
    path.write_text(json.dumps(content), "utf-8")
    return path


def suite_counts(suite):
    return {kind: int(suite.get(kind)) for kind in ("tests", "failures", "errors")}


OFFICIAL = {"STSB": "STS", "T2Reranking": "Reranking"}
