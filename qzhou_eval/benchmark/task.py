"""A task of a benchmark, as a value: its name and type, where its data are, and what its score counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TYPES = (  # of mteb's, those whose tasks can be run here, in the order of a table's columns
    *("BitextMining", "Classification", "Clustering", "InstructionReranking", "InstructionRetrieval"),
    *("MultilabelClassification", "PairClassification", "Regression", "Reranking", "Retrieval", "STS", "Summarization"),
)
RANKED = ("Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking")  # queries, and documents in order


@dataclass(frozen=True)
class OwnFiles:
    """A user's own files, which a task is made of.

    Attributes:
        path: a file, or a folder of several.
        columns: the files' names of columns by the names they have here, as pairs.
        options: further fields of the task, such as ``samples_per_label``, as pairs.
    """

    path: Path
    columns: tuple[tuple[str, str], ...] = ()
    options: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Task:
    """One task; ``path`` and ``revision`` are its data set's on the hub.

    Attributes:
        type: one of :data:`TYPES`.
        splits: the splits that are evaluated, in mteb's order.
        metric: its main score's metric.
        subsets: the data set's subsets that are evaluated; empty for a data set without any.
        card_path: the data set of mteb 1.38.30, where it is another upload; ``card_revision`` is its commit, and
            ``card_qrels_revision`` that of its judgements, where they are a data set of their own.
        card_metric: the metric of mteb 1.38.30, where it is another.
        card_splits: the splits that the card counts, where it does not count all.
        texts: distinct texts of the official data, of each split and side, and of the training split if the task
            fits a classifier; ``characters`` is how many characters they have. 0 if unknown.
        checked: whether the columns of its data set are known here, so that a local copy's rows can be checked.
        own: the user's files that it is made of; None for a task of mteb.
        cannot: why it cannot be run here, if so.
    """

    name: str
    type: str
    path: str
    revision: str
    splits: tuple[str, ...]
    metric: str
    subsets: tuple[str, ...] = ()
    card_path: str | None = None
    card_revision: str | None = None
    card_qrels_revision: str | None = None
    card_metric: str | None = None
    card_splits: tuple[str, ...] = ()
    texts: int = 0
    characters: int = 0
    checked: bool = False
    own: OwnFiles | None = None
    cannot: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """What is scored on its own: each split or, of several subsets, ``split/subset``."""
        return parts(self.splits, self.subsets)

    def part(self, split: str, subset: str) -> str:
        """The name of one part."""
        return split if len(self.subsets) < 2 else f"{split}/{subset}"

    def counted(self, score_profile: str) -> tuple[str, ...]:
        """The parts whose mean is the task's score, by mteb's rule: the mean over all splits and subsets.

        Args:
            score_profile: ``card`` or ``mteb2``; they differ only in MultilingualSentiment.
        """
        return parts(self.card_splits, self.subsets) if score_profile == "card" and self.card_splits else self.parts

    def score(self, by_part: Mapping[str, float], score_profile: str) -> float | None:
        """The task's score from the scores of its parts; None if one that counts is missing."""
        counted = self.counted(score_profile)
        if any(part not in by_part for part in counted):
            return None
        return sum(by_part[part] for part in counted) / len(counted)


def parts(splits: Sequence[str], subsets: Sequence[str]) -> tuple[str, ...]:
    """Each split or, of several subsets, ``split/subset``."""
    if len(subsets) < 2:
        return tuple(splits)
    return tuple(f"{split}/{subset}" for split in splits for subset in subsets)
