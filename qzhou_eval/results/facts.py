"""Reads the facts that a manifest records about a result, by name, for all code that compares or shows results.

A fact that is None is unknown; one that was recorded as nothing is "none".
"""

from collections.abc import Iterable, Mapping

from qzhou_eval.results.entries import TaskEntry
from qzhou_eval.results.reader import RecordedResults
from qzhou_eval.system.environment import ENCODING_LIBRARIES, SCORING_LIBRARIES

NOTHING = "none"
SERVED = "served by"
MADE = ("attention", "device", "batch_plan", "products")  # facts about how vectors were made
_OF_RUN = {  # fact -> where a manifest's entry has it
    "weights": ("provenance", "model", "weights_sha256"),
    "tokenizer": ("provenance", "model", "tokenizer_sha256"),
    "pooling": ("provenance", "model", "pooling"),
    "attention direction": ("provenance", "model", "attention"),
    "remote code": ("provenance", "model", "remote_code"),
    SERVED: ("provenance", "model", "endpoint"),
    "precision": ("variant", "dtype"),
    "token prepending": ("variant", "token_prepending"),
    "limit": ("variant", "max_length"),
    "truncation": ("variant", "truncate"),
    "normalisation": ("variant", "normalize"),
    "instruction used": ("variant", "use_instruction"),
    "template": ("provenance", "profile", "template"),
    "placeholder": ("provenance", "profile", "placeholder"),
    "instruction line": ("provenance", "profile", "instruction"),
    "text for the empty one": ("provenance", "profile", "empty_text"),
    "limit of documents": ("provenance", "profile", "document_max_length"),
    "word for no title": ("provenance", "profile", "no_title"),
    "end token": ("provenance", "profile", "end_token"),
    "fields by side": ("provenance", "profile", "request"),
    "encoding version": ("provenance", "encoding_version"),
}


def run_facts(recorded: RecordedResults) -> dict[str, object]:
    """Facts about a setting: checkpoint, precision, protocol. ``profile`` is a digest if only that was recorded."""
    facts = {name: _at(recorded.entry, keys) for name, keys in _OF_RUN.items()}
    if facts[SERVED] is not None:  # what a server does with a prompt is not known
        facts |= dict.fromkeys(("token prepending", "precision", "truncation"))
    if facts["template"] is None:
        facts["profile"] = recorded.variant.profile_digest  # an old manifest, without the profile's fields
    return facts


def task_facts(made: TaskEntry) -> dict[str, object]:
    """Facts about one task, from its part of an entry: data, metric, instruction, and what encoded and scored it."""
    record, scored_with = made["record"], made.get("scored_with") or {}
    encoded_with = made.get("encoded_with") or []
    versions = [one.get("versions") or {} for one in encoded_with]
    return {
        "data": record["data"],
        "splits": ", ".join(record["splits"]) or None,
        "metric": record["metric"],
        "instruction": instruction_text(made["instruction"]) if "instruction" in made else None,
        "seed": made.get("seed"),
        "mteb": record["mteb"],
        "scikit-learn": record["scikit_learn"],
        "scoring version": record.get("scoring_version"),
        **{name: scored_with.get(name) for name in SCORING_LIBRARIES if name not in ("mteb", "scikit-learn", "torch")},
        **{name: joined(one.get(name) for one in encoded_with) for name in MADE},
        "machine": machines([made]),
        **{name: joined(one.get(name) for one in versions) for name in ENCODING_LIBRARIES},
        "code": (made.get("code") or {}).get("commit"),
    }


def machines(several: Iterable[TaskEntry]) -> str | None:
    """The hardware that encoded tasks: the GPU, else the CPU, of each machine that wrote to the store."""
    hardware = [one.get("hardware") or {} for made in several for one in made.get("encoded_with") or []]
    return joined(one.get("gpu") or one.get("cpu") for one in hardware)


def joined(values: Iterable[object]) -> str | None:
    """The distinct values in one text; None if all are unknown."""
    return " and ".join(sorted({str(value) for value in values if value})) or None


def instruction_text(instruction: Mapping[str, object] | None) -> str:
    """A task's instruction and the sides that get it, in one text."""
    if not instruction:
        return NOTHING
    documents = instruction.get("document_instruction")
    also = f"; documents: {documents}" if documents else ""
    return f"{instruction['instruct']}: {instruction['instruction']}{also}"


def _at(entry: Mapping[str, object], keys: tuple[str, ...]) -> object:
    *path, last = keys
    for key in path:
        inner = entry.get(key)
        entry = inner if isinstance(inner, Mapping) else {}
    if last not in entry:
        return None
    return NOTHING if entry[last] is None else entry[last]
