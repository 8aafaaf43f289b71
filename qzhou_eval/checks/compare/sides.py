"""One side of a comparison: a model at one setting and dimension, with its scores and how they were made.

A fact that is None is unknown, and is never compared with the other side.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.published import Published, named, read_scores_file, scores_of
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput, did_you_mean
from qzhou_eval.results.combined import read_results
from qzhou_eval.results.facts import NOTHING, instruction_text, run_facts, task_facts
from qzhou_eval.results.plain_mteb import CUT, PLAIN
from qzhou_eval.results.reader import RecordedResults
from qzhou_eval.results.setting import label
from qzhou_eval.system.mteb_version import CARD_MTEB

if TYPE_CHECKING:
    from qzhou_eval.protocol.profile import Profile

THE_HUBS = "the hub's, at a revision that is not recorded"


@dataclass(frozen=True)
class TaskSide:
    """One task on one side.

    Attributes:
        task: what is scored.
        score: main score, 0 to 100; None if a counted part is missing.
        facts: data, splits, metric, instruction, and what encoded and scored it.
        counted: the parts whose mean the score is.
        items: the file with the items of the score; None if they were not kept.
        files: the digest of the data's files; equal digests mean the same data, whatever the revision is called.
        official: whether the data have the statistics that mteb ships of the official data.
    """

    task: Task
    score: float | None
    facts: dict[str, object]
    counted: tuple[str, ...] = ()
    items: Path | None = None
    files: str | None = None
    official: bool = False

    def has_data_of(self, other: "TaskSide") -> bool:
        """Whether the data are known to be the same."""
        if self.files is not None and self.files == other.files:
            return True
        return self.facts.get("data") is not None and self.facts.get("data") == other.facts.get("data")


@dataclass(frozen=True)
class Side:
    """One model at one setting and dimension.

    ``setting`` is what differs from the profile's own protocol, except dimension and mteb. ``generation`` is the mteb
    it was scored with, as results are filed; empty for published scores and plain mteb's. These have ``width`` 0 if the
    model's full width is unknown, and ``dim`` 0 if they are not known to be cut. ``published``: scores without
    result files. ``model_label`` is the label given to the model, if any; it does not affect the comparison.
    """

    source: str
    model: str
    revision: str | None
    setting: tuple[tuple[str, str | int], ...]
    generation: str
    dim: int
    width: int
    facts: dict[str, object]
    benchmarks: tuple[Benchmark, ...]
    tasks: dict[str, TaskSide] = field(default_factory=dict)
    published: bool = False
    model_label: str | None = None

    @property
    def name(self) -> str:
        """The model's name without its organisation."""
        return self.model.split("/")[-1]

    @property
    def label(self) -> str:
        """Model, setting and dimension, for headings."""
        scored_by = [("mteb", CARD_MTEB)] if self.generation == "card" else []
        shown = label(self.model_label or self.name, [*self.setting, *scored_by])
        return f"{shown}, dim {self.dim}" if self.dim else shown


def from_folder(folder: Path, score_profile: str, benchmark: Benchmark | None = None) -> list[Side]:
    """Every model, setting and dimension of an output folder, or of results of plain mteb, widest first.

    Raises:
        BadInput: no results there.
    """
    sides = [side_of(folder, recorded, score_profile) for recorded in read_results(folder, benchmark)]
    return sorted(sides, key=lambda side: (side.name, side.setting, side.generation, -side.dim))


def side_of(folder: Path, recorded: RecordedResults, score_profile: str) -> Side:
    """One variant of an output folder."""
    variant = recorded.variant
    given = str(dict(variant.experiment).get(CUT, ""))  # plain mteb's, if the model's full width is unknown
    apart = ("dim", "mteb", PLAIN[0], *([CUT] if given.isdecimal() else []))
    tasks = {}
    for task, made in recorded.tasks.items():
        of = recorded.of[task]
        score = of.score(recorded.scores[task], score_profile)
        tasks[task] = TaskSide(
            of,
            None if score is None else 100 * score,
            task_facts(made),
            of.counted(score_profile),
            recorded.items_file(task),
            made.get("data_files"),
            made.get("official_statistics") is True,
        )
    return Side(
        source=str(folder),
        model=variant.model,
        revision=variant.revision,
        setting=tuple((key, value) for key, value in variant.experiment if key not in apart),
        generation="" if recorded.plain else "card" if ("mteb", CARD_MTEB) in variant.experiment else "current",
        dim=int(given) if given.isdecimal() else variant.dim,
        width=variant.width,
        facts={} if recorded.plain else _run_facts(recorded),
        benchmarks=recorded.benchmarks,
        tasks=tasks,
        model_label=recorded.label,
    )


def _run_facts(recorded: RecordedResults) -> dict[str, object]:
    facts = run_facts(recorded)
    if facts["remote code"]:
        facts["token prepending"] = facts["attention direction"] = None  # decided by the checkpoint's own code
    return facts


def from_published(file: Path | None, model: str, benchmark: Benchmark, score_profile: str) -> Side:
    """A model's published scores on a benchmark: from the project's own table, or from a file of the same form.

    A file that holds only one model is used whatever that model is called.

    Raises:
        BadInput: not such a file, or the model is not in it.
    """
    from qzhou_eval.protocol.profile_files import profile_of  # pydantic and YAML: only for published scores

    entry = _published_entry(file, model, benchmark)
    profile = profile_of(entry.model)  # by which the published scores were made
    tasks = {}
    for task in benchmark.tasks:
        score = task.score(entry.scores.get(task.name, {}), score_profile)
        if score is not None:
            facts = _published_facts(task, entry.mteb_versions, profile, official=file is None)
            tasks[task.name] = TaskSide(task, 100 * score, facts)
    source = str(file or "published scores")
    of = _protocol_facts(profile), (benchmark,), tasks
    return Side(source, entry.model, entry.revision, (), "", 0, 0, *of, published=True)


def _published_entry(file: Path | None, model: str, benchmark: Benchmark) -> Published:
    entries = read_scores_file(file) if file else scores_of(benchmark, some=True)
    found = list(entries) if file is not None and len(entries) == 1 else named(model, entries)
    if len(found) != 1:
        short = sorted(name.split("/")[-1] for name in entries)
        meant, known = did_you_mean(model.rsplit("/", maxsplit=1)[-1], short), ", ".join(short)
        hint = f"it holds {known}" if file else f"{meant}give published:NAME, with one of {known}"
        on = "" if file else f" on {benchmark.title.en}"
        raise BadInput(f"--to {file or 'published'}: no scores for {model}{on}; {hint}")
    return entries[found[0]]


def _published_facts(
    task: Task, versions: list[str], profile: "Profile | None", *, official: bool
) -> dict[str, object]:
    facts: dict[str, object] = {"mteb": versions[0] if len(versions) == 1 else None}
    if official:
        facts["data"] = (task.card_revision or task.revision) if versions == [CARD_MTEB] else THE_HUBS
    if versions == [CARD_MTEB]:
        facts["metric"] = task.card_metric or task.metric
    if profile is not None:
        from qzhou_eval.protocol.prompts import task_prompt

        prompt = task_prompt(profile, task)
        if prompt is not None and prompt.instruction is not None:
            facts["instruction"] = instruction_text(prompt.model_dump())
    return facts


def _protocol_facts(profile: "Profile | None") -> dict[str, object]:
    if profile is None:
        return {}
    return {
        "precision": profile.dtype,
        "token prepending": list(profile.token_prepending) if profile.token_prepending else NOTHING,
        "limit": profile.max_length,
        "truncation": "whole",
        "normalisation": True,
        "instruction used": True,
        "template": profile.model_dump()["template"],
        "placeholder": profile.placeholder or NOTHING,
        "instruction line": profile.instruction or NOTHING,
        "text for the empty one": profile.empty_text,
        "limit of documents": profile.document_max_length or NOTHING,
        "word for no title": profile.no_title or NOTHING,
        "end token": profile.end_token or NOTHING,
        "fields by side": profile.request or NOTHING,
    }
