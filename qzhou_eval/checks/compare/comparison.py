"""Turns pairs of sides into comparisons: differences, rows and verdicts. Prints nothing."""

from collections import Counter
from dataclasses import dataclass

from qzhou_eval.benchmark.averages import MEAN_TASK, MEAN_TYPE, mean_from_types
from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.packaged import packaged
from qzhou_eval.benchmark.published import card_tables
from qzhou_eval.checks.compare.differences import (
    SAME_STATISTICS,
    STATED,
    Difference,
    common_tasks,
    find_differences,
    replicates,
)
from qzhou_eval.checks.compare.matching import Pair
from qzhou_eval.checks.compare.rows import ComparedScore, mean_rows, side_row, task_rows, without_tolerance
from qzhou_eval.checks.compare.sides import THE_HUBS, Side

DATA_IS = {STATED["data"]: "uploaded again", SAME_STATISTICS: "same statistics"}
CARD_MODEL = "Kingsoft-LLM/QZhou-Embedding-Zh"


@dataclass(frozen=True)
class Comparison:
    """Two sides, what differs, and their scores side by side.

    Attributes:
        benchmark: the one whose means are compared.
        replication: both sides should have the same scores; otherwise rows have no tolerance and no verdict.
    """

    ours: Side
    theirs: Side
    benchmark: Benchmark
    replication: bool
    differences: list[Difference]
    rows: list[ComparedScore]
    means: list[ComparedScore]

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Tasks whose scores are not comparable, each with the facts that prevent it."""
        unlike = [d for d in self.differences if not d.comparable]
        found = {row.name: [d.fact for d in unlike if not d.tasks or row.name in d.tasks] for row in self.rows}
        return {task: facts for task, facts in found.items() if facts}

    @property
    def unlike(self) -> list[str]:
        """The facts that make scores incomparable."""
        return list(dict.fromkeys(d.fact for d in self.differences if not d.comparable))

    @property
    def compared(self) -> list[ComparedScore]:
        """The rows of the tasks whose scores are comparable."""
        left_out = self.left_out
        return [row for row in self.rows if row.name not in left_out]

    @property
    def compares(self) -> bool:
        """Whether at least one comparable task has a score on both sides."""
        return any(row.difference is not None for row in self.compared)

    @property
    def compared_means(self) -> list[ComparedScore]:
        """The means whose tasks are all comparable."""
        without = {self.ours.tasks[task].task.type for task in self.left_out}
        types = self.benchmark.types
        return [row for row in self.means if not without or (row.name in types and row.name not in without)]

    @property
    def verdicts(self) -> list[str]:
        """The verdicts that count: those of comparable tasks and means."""
        return [row.verdict for row in [*self.compared, *self.compared_means] if row.verdict]

    def data_of(self, task: str) -> str:
        """Whether a task's data are those that the other side's score was made from, in a few words."""
        found = next((d for d in self.differences if d.fact == "data" and task in d.tasks), None)
        if found is not None:
            return DATA_IS.get(found.meaning, "not proven")
        theirs = self.theirs.tasks[task].facts.get("data")
        if theirs is None or self.ours.tasks[task].facts.get("data") is None:
            return "unknown"
        return "the hub's" if theirs == THE_HUBS else "the same"

    @property
    def unmatched(self) -> dict[str, list[str]]:
        """Tasks that only one side has, by side."""
        both = common_tasks(self.ours, self.theirs)
        return {side.source: [t for t in side.tasks if t not in both] for side in (self.ours, self.theirs)}


def judge(ours: Side, theirs: Side) -> Comparison:
    """Compare two sides, which must have a task in common."""
    rows = task_rows(ours, theirs)
    benchmark = next(one for one in (*theirs.benchmarks, *ours.benchmarks) if rows[0].name in one.by_name)
    means = mean_rows(side_row(ours, benchmark), side_row(theirs, benchmark), benchmark)
    replication = replicates(ours, theirs)
    if not replication:
        rows, means = without_tolerance(rows), without_tolerance(means)
    return Comparison(ours, theirs, benchmark, replication, find_differences(ours, theirs), rows, means)


@dataclass(frozen=True)
class CardRow:
    """A result compared with one row of the card's tables 1, 2 and 3.

    Below full width the card's Mean(Task) does not follow from its own type means (docs/fidelity.md): ``means`` has
    what ``follows`` from them, ``printed`` is what the card says. ``unlike`` is as in :class:`Comparison`.
    """

    ours: Side
    title: str
    means: list[ComparedScore]
    follows: float
    printed: float
    unlike: list[str]

    @property
    def verdicts(self) -> list[str]:
        """The verdicts on the means, of which all have one."""
        return [mean.verdict for mean in self.means if mean.verdict]


@dataclass(frozen=True)
class Judged:
    """Every comparison and, where the card's own scores are the other side, the rows of its tables."""

    comparisons: list[Comparison]
    card: list[CardRow]

    @property
    def counts(self) -> Counter[str]:
        """How many scores and means are OK, CLOSE and OFF; ``compare`` and the report both use these counts."""
        found = [verdict for one in self.comparisons for verdict in one.verdicts]
        return Counter(found + [verdict for row in self.card if not row.unlike for verdict in row.verdicts])


def judge_all(pairs: list[Pair], sides: list[Side], score_profile: str) -> Judged:
    """Judge pairs and, if the score profile is the card's, ``sides`` at every dimension against the card's tables."""
    comparisons = [judge(*pair) for pair in pairs]
    card = next((theirs for _, theirs in pairs if theirs.published and theirs.model == CARD_MODEL), None)
    return Judged(comparisons, _card_rows(sides, card) if card is not None and score_profile == "card" else [])


def _card_rows(sides: list[Side], published: Side) -> list[CardRow]:
    """Compare complete results of the card's model with the rows of the card's tables that they correspond to.

    Args:
        published: the model's published scores; what differs from them makes a result incomparable, at any dimension.
    """
    card = card_tables()
    benchmark = packaged()[card["benchmark"]]
    found = []
    for ours in sides:
        row = side_row(ours, benchmark)
        if ours.name != published.name or row[MEAN_TYPE] is None:
            continue
        unlike = list(dict.fromkeys(d.fact for d in find_differences(ours, published) if not d.comparable))
        for table, name in _stands_for(ours):
            if name in card[table]["rows"]:
                theirs = dict(zip(card["columns"], card[table]["rows"][name], strict=True))
                follows = mean_from_types({kind: theirs[kind] for kind in benchmark.types}, benchmark)
                means = mean_rows(row, theirs | {MEAN_TASK: follows}, benchmark)
                title = f"{table.replace('_', ' ')}, {name}"
                found.append(CardRow(ours, title, means, follows, theirs[MEAN_TASK], unlike))
    return found


def _stands_for(ours: Side) -> list[tuple[str, str]]:
    """The rows a result corresponds to, as (table, row). Table 2's Original is another model, trained without TP."""
    full = ours.dim == ours.width
    if dict(ours.setting).get("token_prepending") == "off":
        return [("table_2", "Original")] if full else []
    narrow = [("table_3", str(ours.dim))]
    return [("table_1", ours.name), ("table_2", "TP"), *narrow] if full else narrow
