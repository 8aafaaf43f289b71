"""What identifies a result: its variant, and the record of what a task's result was made from."""

import re
from dataclasses import dataclass
from importlib.metadata import version

from qzhou_eval.system.mteb_version import generation

SCORING_VERSION = 1  # increased by every fix that changes a score, so that earlier results are evaluated again

SHARED, MTEB = EVALUATORS = ("shared", "mteb")  # share work between dimensions, or run mteb's code alone


@dataclass(frozen=True)
class Variant:
    """One model's setting at one dimension: everything that decides a score, apart from task and data.

    ``experiment`` holds the fields that differ from the profile's own protocol at full width; it is
    mteb's ``experiment_kwargs``, and names the results' folder.
    """

    model: str
    revision: str
    dim: int
    width: int
    profile: str
    profile_digest: str
    fingerprint: str
    token_prepending: tuple[int, int] | None
    normalize: bool
    use_instruction: bool
    max_length: int
    truncate: str
    dtype: str
    experiment: tuple[tuple[str, str | int], ...]

    @property
    def base(self) -> str:
        """The folder of all results of this model at this revision, relative to the output folder."""
        return f"results/{self.model.replace('/', '__').replace(' ', '_')}/{self.revision}"

    @property
    def folder(self) -> str:
        """The results' folder, relative to the output folder, as mteb names it."""
        if not self.experiment:
            return self.base
        return f"{self.base}/experiments/" + "__".join(f"{k}_{v}" for k, v in sorted(self.experiment))


@dataclass(frozen=True)
class Record:
    """What one task's result was made from, as recorded in the manifest; equal records mean equal scores.

    ``scoring_version`` is this project's own, 0 in manifests that predate it. ``subsets`` is empty for a data set
    without any.
    """

    type: str
    metric: str
    splits: tuple[str, ...]
    data: str
    mteb: str
    scikit_learn: str
    scoring_version: int = 0
    subsets: tuple[str, ...] = ()


def record_for(task, data_revision: str) -> Record:
    """The record of ``task`` (a :class:`qzhou_eval.benchmark.task.Task`) under the installed libraries."""
    return Record(
        type=task.type,
        metric=task.metric if generation() == "current" else task.card_metric or task.metric,
        splits=task.splits,
        data=data_revision,
        mteb=version("mteb"),
        scikit_learn=version("scikit-learn"),
        scoring_version=SCORING_VERSION,
        subsets=task.subsets,
    )


def is_label(value: object) -> bool:
    """Whether a value is a valid model label for reports: up to 60 letters, digits, spaces and ``. _ + = : -``.

    It cannot contain a slash, since a label is neither a path nor a model's name on the hub.
    """
    return isinstance(value, str) and re.fullmatch(r"\w([\w .+=:-]{0,58}[\w.+=:-])?", value) is not None
