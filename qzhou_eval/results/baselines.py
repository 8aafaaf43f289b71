"""Reads and writes the scores of chance and of character n-grams on one task's data, next to the results. Files only.

<output_dir>/baselines/<Task>-<digest>.json                the scores by split; the digest is of data and mteb
<output_dir>/baselines/<Task>-<digest>.items.safetensors   the n-grams' items
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.statistics.item_scores import Items, read_items, write_items
from qzhou_eval.system.digests import sha256_of_json
from qzhou_eval.system.files import write_text
from qzhou_eval.system.paths import items_path

FOLDER = "baselines"


@dataclass(frozen=True)
class Baseline:
    """One task's scores, 0 to 1, by split, with the data, metric and mteb version they were computed with."""

    task: str
    data: str
    metric: str
    mteb: str
    chance: dict[str, float]
    char_ngrams: dict[str, float]


def place(output_dir: Path, task: str, data: str, mteb: str) -> Path:
    """The path of a task's baseline, for data of this revision, scored by this version of mteb."""
    return output_dir / FOLDER / f"{task}-{sha256_of_json([data, mteb])[:12]}.json"


def keep(output_dir: Path, baseline: Baseline, items: Items | None) -> None:
    """Write a baseline: items first, so that it is complete once its file exists."""
    path = place(output_dir, baseline.task, baseline.data, baseline.mteb)
    path.parent.mkdir(parents=True, exist_ok=True)
    if items is not None:
        write_items(items_path(path), items)
    write_text(path, json.dumps(asdict(baseline), indent=2) + "\n")


def read(output_dir: Path, task: str, data: str, mteb: str) -> tuple[Baseline, Items | None] | None:
    """Read the baseline of a task on this data under this mteb, and the n-grams' items; None if there is none.

    Raises:
        BadInput: a file is damaged, or for other data than its name says.
    """
    path = place(output_dir, task, data, mteb)
    if not path.is_file():
        return None
    try:
        found = Baseline(**json.loads(path.read_text("utf-8")))
        scores = [*found.chance.values(), *found.char_ngrams.values()]
        if (found.task, found.data, found.mteb) != (task, data, mteb) or not all(-1 <= score <= 1 for score in scores):
            raise ValueError("it is for other data, or a score is invalid")
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a complete baseline ({error}); remove it, then evaluate the task again") from None
    items = items_path(path)
    return found, read_items(items) if items.is_file() else None
