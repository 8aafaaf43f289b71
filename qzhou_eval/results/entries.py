"""The form of ``manifest.json`` as types: entries of variants and tasks, and what vectors were made with.

Manifests of earlier versions lack some fields. Results of plain mteb get entries of the same form, with None for what
is unknown.
"""

from typing import Any, NotRequired, TypeAlias, TypedDict

Provenance: TypeAlias = dict[str, object]  # model, profile, token prepending and encoding version; JSON values
VariantFields: TypeAlias = dict[str, Any]  # a Variant as JSON; its types are checked where it is read


class MadeWith(TypedDict, total=False):
    """What vectors were made with, apart from the settings; each encoder records what it knows."""

    device: str
    attention: str
    batch_plan: str
    served_model: str
    products: str
    guards: dict[str, str]
    hardware: dict[str, str | int | None]
    versions: dict[str, str]
    fp8_cosine: float | None


class RecordFields(TypedDict):
    """A :class:`~qzhou_eval.results.variant.Record` as JSON."""

    type: str
    metric: str | None
    splits: list[str]
    data: str | None
    mteb: str | None
    scikit_learn: str | None
    scoring_version: NotRequired[int]
    subsets: NotRequired[list[str]]


class Instruction(TypedDict):
    """A task's instruction, and the sides that get it."""

    instruct: str
    instruction: str
    document_instruction: NotRequired[str]


class Counts(TypedDict, total=False):
    """How many of a task's prompts had to be encoded, and how long it took, as in :mod:`qzhou_eval.encode.stage`."""

    prompts: int
    tokens: int
    cut: int
    encoded: int
    encoded_tokens: int
    padding_tokens: int
    seconds: float
    share_of_ceiling: float | None


class Made(Counts, total=False):
    """How a task's result was made, in addition to its record."""

    texts: int
    samples: dict[str, str]
    encoded_with: list[MadeWith]
    instruction: Instruction | None
    data_files: str | None
    official_statistics: bool | None
    evaluators: str
    scored_with: dict[str, str]
    seed: int
    code: dict[str, str | bool | None]


class TaskEntry(Made):
    """One task's result: its record, the digests of its files, and how it was made."""

    record: RecordFields
    sha256: NotRequired[str | None]
    items: NotRequired[str | None]


class VariantEntry(TypedDict):
    """One variant's results by task, with what the manifest records about model and profile."""

    variant: VariantFields
    provenance: Provenance
    tasks: dict[str, TaskEntry]


class ManifestContent(TypedDict):
    """The whole file: variants by folder, models' labels by the folder of all their results, and the benchmarks that
    were run, by name: as :func:`~qzhou_eval.benchmark.benchmark.recorded` makes them, None for packaged ones.
    """

    format: int
    variants: dict[str, VariantEntry]
    labels: NotRequired[dict[str, str]]
    benchmarks: NotRequired[dict[str, dict[str, Any] | None]]
