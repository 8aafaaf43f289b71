"""Which facts of two sides differ, and whether their scores may still be compared. Computes no score."""

from collections.abc import Iterator
from dataclasses import dataclass

from qzhou_eval.compare.sides import Side
from qzhou_eval.environment import ENCODING_LIBRARIES
from qzhou_eval.tasks import all_tasks

# What a difference means. Fields that are not here make scores incomparable.
STATED = {
    "model": "another model",
    "model revision": "not known to be the same weights",
    "weights": "another checkpoint; `verify` names the tensors",
    "tokenizer": "other token ids are possible; `verify` compares them",
    "precision": "vectors differ from the third decimal on",
    "mteb": "rounding, ties, queries without negatives, outer white space: docs/fidelity.md",
    "scikit-learn": "from 1.9 on, clustering moves by a point or more",
    "metric": "the same measure; map_at_1000 is rounded to five decimals",
    "data": "the same data set, uploaded anew for mteb 2.x",
    **dict.fromkeys((*ENCODING_LIBRARIES, "attention", "device"), "vectors may differ in their last digits"),
}
NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Difference:
    """One field that differs. ``tasks`` are those it concerns; empty for the whole run."""

    field: str
    ours: object
    theirs: object
    tasks: tuple[str, ...]
    meaning: str

    @property
    def comparable(self) -> bool:
        return self.meaning != NOT_COMPARABLE


def differences(ours: Side, theirs: Side) -> list[Difference]:
    """Every field that is known on both sides and differs; tasks with the same difference share an entry."""
    found = [
        Difference(name, one, two, (), STATED.get(name, NOT_COMPARABLE))
        for name, one, two in _unlike(ours.facts, theirs.facts)
        if name != "model" or ours.model != theirs.model
    ]
    grouped: dict[tuple, list[str]] = {}
    for task in common_tasks(ours, theirs):
        for name, one, two in _unlike(ours.tasks[task].facts, theirs.tasks[task].facts):
            key = (name, str(one), str(two), _meaning(task, name, one, two))
            grouped.setdefault(key, []).append(task)
    found += [Difference(name, one, two, tuple(tasks), why) for (name, one, two, why), tasks in grouped.items()]
    return found


def unknown_fields(ours: Side, theirs: Side) -> list[str]:
    """Fields that one side alone knows."""
    task = next(iter(common_tasks(ours, theirs)))
    one = ours.facts | ours.tasks[task].facts
    two = theirs.facts | theirs.tasks[task].facts
    return [name for name in one if (one[name] is None) != (two.get(name) is None)]


def common_tasks(ours: Side, theirs: Side) -> list[str]:
    """Tasks with a score on both sides, in the benchmark's order."""
    return [name for name in all_tasks() if name in ours.tasks and name in theirs.tasks]


def _unlike(ours: dict[str, object], theirs: dict[str, object]) -> Iterator[tuple[str, object, object]]:
    for name, one in ours.items():
        two = theirs.get(name)
        if one is not None and two is not None and one != two:
            yield name, one, two


def _meaning(task: str, name: str, one: object, two: object) -> str:
    known = all_tasks()[task]
    if name == "data":
        return STATED[name] if {one, two} == {known.revision, known.card_revision} else NOT_COMPARABLE
    if name == "metric":
        return STATED[name] if {one, two} == {known.metric, known.card_metric} else NOT_COMPARABLE
    return STATED.get(name, NOT_COMPARABLE)
