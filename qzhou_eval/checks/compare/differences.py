"""Finds which facts of two sides differ, and whether their scores are still comparable. Computes no score.

Two sides of the same model and protocol are a replication: their scores should be the same. Otherwise two models or
two protocols are compared on purpose: what differs is the question, and no score is right or wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from qzhou_eval.benchmark.task import Task
from qzhou_eval.checks.compare.sides import THE_HUBS, Side
from qzhou_eval.results.facts import MADE, SERVED
from qzhou_eval.system.environment import ENCODING_LIBRARIES

LAST_DIGITS = ("vectors may differ in their last digits", "scores may differ in their last digits")
OTHER_CODE = "another revision of this project"
FIXES = tuple(f"one side predates a fix in this project that changes {what}" for what in ("vectors", "scores"))
MINOR = (*LAST_DIGITS, *FIXES, OTHER_CODE)  # reported where they differ, not where one side does not record them

# What two runs may differ in on purpose; the sides of a replication must not.
PROTOCOL = (
    *(
        "template",
        "placeholder",
        "instruction line",
        "text for the empty one",
        "word for no title",
        "limit of documents",
    ),
    *("end token", "instruction", "fields by side"),
    *("instruction used", "token prepending", "limit", "truncation", "normalisation", "profile"),
)
OF_A_MODEL = (  # not reported between two models
    *("model revision", "weights", "tokenizer", "pooling", "attention direction", "remote code"),
)

OF_A_SERVER = (*OF_A_MODEL, "precision", "token prepending", "truncation")  # what it does is not known

# What a difference means. Facts that are not here make scores incomparable.
STATED = {
    "model revision": "not known to be the same weights",
    "weights": "another checkpoint; `verify` names the tensors",
    "tokenizer": "token ids may differ; `verify` compares them",
    SERVED: "the weights behind a server are not known to be those of the other side; `verify --against URL` asks",
    "remote code": "the checkpoint's own code decides on token prepending; `verify` names its reading",
    "precision": "vectors differ from the third decimal on",
    "metric": "the same measure; map_at_1000 is rounded to five decimals",
    "data": "the same data set, uploaded again for mteb 2.x",
    "seed": "different training samples and clusters",
    "mteb": "rounding, ties, queries without negatives, outer white space: docs/fidelity.md",
    "encoding version": FIXES[0],
    "scoring version": FIXES[1],
    "scikit-learn": "from 1.9 on, clustering moves by a point or more",
    **dict.fromkeys(("numpy", "scipy", "pytrec_eval-terrier", "datasets"), LAST_DIGITS[1]),
    **dict.fromkeys((*ENCODING_LIBRARIES, *MADE, "machine"), LAST_DIGITS[0]),
    "code": OTHER_CODE,
}
NOT_COMPARABLE = "not comparable"
QUESTION = "what is compared"
SAME_STATISTICS = "the statistics are those that mteb ships of the official data"
UNPROVEN = "not proven to be the same data"


@dataclass(frozen=True)
class Difference:
    """One fact that differs. ``tasks`` are those it concerns; empty for the whole run."""

    fact: str
    ours: str
    theirs: str
    tasks: tuple[str, ...]
    meaning: str

    @property
    def comparable(self) -> bool:
        return self.meaning != NOT_COMPARABLE


def replicates(ours: Side, theirs: Side) -> bool:
    """Whether both sides should have the same scores: the same model, by the same protocol.

    Results compared with their own model's published scores always should; two runs may differ on purpose.
    """
    if not same_model(ours, theirs):
        return False
    pairs = [(ours.facts, theirs.facts)]
    pairs += [(ours.tasks[task].facts, theirs.tasks[task].facts) for task in common_tasks(ours, theirs)]
    return theirs.published or not any(name in PROTOCOL for pair in pairs for name, *_ in _unlike(*pair))


def find_differences(ours: Side, theirs: Side) -> list[Difference]:
    """Every fact that is known on both sides and differs; tasks with the same difference share an entry."""
    question = () if replicates(ours, theirs) else (*PROTOCOL, "model")
    found = [
        Difference(name, str(one), str(two), (), QUESTION if name in question else STATED.get(name, NOT_COMPARABLE))
        for name, one, two in [*_identity(ours, theirs), *_unlike(ours.facts, theirs.facts)]
        if name not in OF_A_MODEL or same_model(ours, theirs)
    ]
    grouped: dict[tuple, list[str]] = {}
    for task in common_tasks(ours, theirs):
        for name, one, two in _unlike(ours.tasks[task].facts, theirs.tasks[task].facts):
            if name == "data" and ours.tasks[task].has_data_of(theirs.tasks[task]):
                continue  # the same files under another name
            official = ours.tasks[task].official or theirs.tasks[task].official
            meaning = _meaning(ours.tasks[task].task, name, one, two, official=official)
            if name in question:
                meaning = QUESTION
            elif meaning == NOT_COMPARABLE and question and name == "data" and theirs.published:
                meaning = UNPROVEN
            if meaning:
                grouped.setdefault((name, str(one), str(two), meaning), []).append(task)
    found += [Difference(name, one, two, tuple(tasks), why) for (name, one, two, why), tasks in grouped.items()]
    return found


def unknown_facts(ours: Side, theirs: Side) -> dict[str, list[str]]:
    """By side, the facts that only the other side knows, for at least one task; minor facts are left out."""
    pairs = [(ours.facts, theirs.facts)]
    pairs += [(ours.tasks[task].facts, theirs.tasks[task].facts) for task in common_tasks(ours, theirs)]
    found: dict[str, list[str]] = {ours.source: [], theirs.source: []}
    for one, two in pairs:
        for name in {**one, **two}:
            known = [facts.get(name) is not None for facts in (one, two)]
            if (two if known[0] else one).get(SERVED) is not None and name in OF_A_SERVER:
                continue  # that it is served says it
            if STATED.get(name) not in MINOR and name not in ("profile", SERVED) and any(known) and not all(known):
                found[theirs.source if known[0] else ours.source].append(name)
    return {source: list(dict.fromkeys(names)) for source, names in found.items() if names}


def common_tasks(ours: Side, theirs: Side) -> list[str]:
    """Tasks that both sides have, in the benchmarks' order."""
    names = dict.fromkeys(name for one in ours.benchmarks for name in one.names)
    return [name for name in names if name in ours.tasks and name in theirs.tasks]


def same_model(ours: Side, theirs: Side) -> bool:
    """Whether the names are equal; a local folder has no organisation, so then only the last part counts."""
    local = ours.model.startswith("local/") or theirs.model.startswith("local/")
    return ours.name == theirs.name if local else ours.model == theirs.model


def _identity(ours: Side, theirs: Side) -> Iterator[tuple[str, object, object]]:
    if not same_model(ours, theirs):
        yield "model", ours.model, theirs.model
    if ours.revision != theirs.revision and ours.revision and theirs.revision:
        yield "model revision", ours.revision, theirs.revision
    servers = [side.facts.get(SERVED) for side in (ours, theirs)]
    if servers[0] != servers[1]:
        one, two = (server or "no server" for server in servers)
        yield SERVED, one, two


def _unlike(ours: dict[str, object], theirs: dict[str, object]) -> Iterator[tuple[str, object, object]]:
    for name, one in ours.items():
        two = theirs.get(name)
        if name != SERVED and one is not None and two is not None and one != two:
            yield name, one, two


def _meaning(task: Task, name: str, one: object, two: object, *, official: bool) -> str | None:
    """What a task's difference means; None if it means nothing: hub data whose revision was not recorded.

    Args:
        official: whether a side's local data have the statistics of the official data.
    """
    if name == "data" and official and {one, two} & {THE_HUBS, task.revision, task.card_revision}:
        return SAME_STATISTICS
    if name == "data" and THE_HUBS in (one, two):
        return NOT_COMPARABLE if any(str(value).startswith("local-") for value in (one, two)) else None
    if name == "data":
        return STATED[name] if {one, two} == {task.revision, task.card_revision} else NOT_COMPARABLE
    if name == "metric":
        return STATED[name] if {one, two} == {task.metric, task.card_metric} else NOT_COMPARABLE
    return STATED.get(name, NOT_COMPARABLE)
