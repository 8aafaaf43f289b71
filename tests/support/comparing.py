"""Shared by tests of ``compare``: running it, reading its table of differences, and editing a manifest."""

import json
import shutil

from written import result_json

from qzhou_eval import cli
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import Record, Variant
from qzhou_eval.system.paths import data_folder

BAD = cli.EXIT_BAD_INPUT
CARD = json.loads((data_folder("results/published") / "card_tables.json").read_text("utf-8"))
NAME = "QZhou-Embedding-Zh"
PUBLISHED = next(
    model["scores"]
    for model in json.loads((data_folder("results/published") / "published_scores.json").read_text("utf-8"))["models"]
    if model["model"].endswith(f"/{NAME}")
)


def compared(capsys, *argv) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["compare", *map(str, argv)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def differing(out: str) -> set[str]:
    """The first column of the tables of differences."""
    found, inside = set(), False
    for line in out.splitlines():
        if line.startswith("differs"):
            inside = True
        elif not line.strip() or line.startswith(("unknown for", "only in", "not compared")):
            inside = False
        elif inside and not line.startswith("---"):
            found.add(line.split("  ")[0].strip())
    return found


def edited(finished, folder, change):
    """A copy of a finished run with changed manifest entries, for differences that cannot be produced here."""
    copy = shutil.copytree(finished, folder)
    content = json.loads((copy / "manifest.json").read_text())
    for entry in content["variants"].values():
        change(entry)
    (copy / "manifest.json").write_text(json.dumps(content))
    return copy


def write_run(folder, finished, dim, *, shift=None, data=None, name=NAME, **variant):
    """Write a folder as a run leaves it, with the published scores.

    ``shift`` changes the scores of tasks; ``data`` names other data than the hub's, for a task or for all.
    """
    entries = json.loads((finished / "manifest.json").read_text())["variants"].values()
    template = next(entry for entry in entries if entry["variant"]["dim"] == 96)
    experiment = [("dim", dim)] if dim != 1792 else []
    experiment += [("token_prepending", "off")] if variant.get("token_prepending", 1) is None else []
    changed = {"experiment": tuple(experiment), "model": f"local/{name}", "dim": dim, "width": 1792}
    one = Variant(**template["variant"] | {"token_prepending": (1, 7)} | changed | variant)
    for task_name, splits in PUBLISHED.items():
        task = packaged_tasks()[task_name]
        by = (shift or {}).get(task_name, 0)
        record = Record(
            type=task.type,
            metric=task.card_metric or task.metric,
            splits=task.splits,
            data=(data.get(task_name) if isinstance(data, dict) else data) or task.card_revision or task.revision,
            mteb="1.38.30",
            scikit_learn="1.7.2",
        )
        path = folder / one.folder / f"{task_name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result_json(task_name, record, {split: splits[split] + by for split in task.splits}))
        counts = {"instruction": load_profile("qzhou-zh").tasks[task_name].model_dump()}
        Manifest(folder).add([one], task_name, record, counts, template["provenance"])
    return folder
