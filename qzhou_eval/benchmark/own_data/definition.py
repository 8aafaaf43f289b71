"""Reads the definition of a benchmark from a YAML file: tasks of a user's own files, and tasks of mteb by name.

name: our-search
tasks:
  faq: {type: Retrieval, path: faq/}
  dup: {type: STS, path: pairs.csv, columns: {sentence1: question, sentence2: other}}
  STS22.v2: {subsets: [zh]}
"""

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qzhou_eval.benchmark.benchmark import Benchmark, Said, type_by_type
from qzhou_eval.benchmark.own_data.forms import COLUMNS, METRICS, OPTIONS, SPLIT
from qzhou_eval.benchmark.task import OwnFiles, Task
from qzhou_eval.errors import BadInput, did_you_mean
from qzhou_eval.system.yaml_files import line_of, read_mapping

_NAME = r"^\w[\w.-]*$"  # of a task or a benchmark: part of files' names
_OWN = "own data need type and path"
_FORMS = ("str", "_Said", "_TaskFields")  # pydantic's names for the forms that a value may have
OwnType: TypeAlias = Literal["Classification", "Clustering", "PairClassification", "Reranking", "Retrieval", "STS"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Said(_Strict):
    en: str
    zh: str = ""


class _TaskFields(_Strict):
    """A task's fields; those of a task of mteb are ``splits`` and ``subsets`` alone."""

    type: OwnType | None = None
    path: str | None = Field(default=None, min_length=1)
    columns: dict[str, str] = Field(default_factory=dict)
    samples_per_label: int | None = Field(default=None, gt=0)
    splits: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_one_kind(self) -> "_TaskFields":
        if (self.type is None) != (self.path is None):
            missing = "type" if self.type is None else "path"
            raise ValueError(f"{missing} is missing: own data need type and path, a task of mteb neither")
        if self.type is None and (self.columns or self.samples_per_label):
            raise ValueError("columns and samples_per_label are for own data, which need type and path")
        if self.type is not None:
            self._check_own(self.type)
        return self

    def _check_own(self, kind: str) -> None:
        if self.splits or self.subsets:
            raise ValueError("splits and subsets are for tasks of mteb; own data have none")
        for column in self.columns:
            if column not in COLUMNS[kind]:
                known = ", ".join(COLUMNS[kind])
                raise ValueError(f"columns: {column} is no column of {kind}; on the left stands one of {known}")
        if self.samples_per_label and "samples_per_label" not in OPTIONS.get(kind, ()):
            raise ValueError(f"samples_per_label is for Classification, not for {kind}")


class _Definition(_Strict):
    name: str = Field(pattern=_NAME, max_length=80)
    title: str | _Said | None = None
    note: str | _Said | None = None
    comparable: bool = True
    tasks: dict[str, _TaskFields | None] = Field(min_length=1)

    @field_validator("tasks")
    @classmethod
    def _named(cls, value: dict[str, _TaskFields | None]) -> dict[str, _TaskFields | None]:
        for name in value:
            if not name or len(name) > 80 or any(letter in "/\\ \t\n" for letter in name):
                raise ValueError(f"{name!r}: a task's name has no slash and no space, and at most 80 characters")
        return value


def read_definition(path: Path, *, packaged: bool = False) -> Benchmark:
    """Read a definition. The files that it names are not opened.

    Raises:
        BadInput: no such file, not YAML, or a field is missing, unknown or wrong; names file and line.
    """
    if not path.is_file():
        raise BadInput(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; name a benchmark's YAML file")
    fields = read_mapping(path, "benchmark")
    try:
        given = _Definition.model_validate(fields)
    except ValidationError as error:
        raise _refusal(path, error) from None
    own = [_own_task(name, one, path.parent) for name, one in given.tasks.items() if one and one.type]
    others = {name: one or _TaskFields() for name, one in given.tasks.items() if not (one and one.type)}
    if others:
        from qzhou_eval.benchmark.of_mteb import task_of_mteb  # mteb takes seconds to import

        own += [
            task_of_mteb(name, one.splits, one.subsets, where=f"{path}: tasks:", otherwise=_OWN)
            for name, one in others.items()
        ]
    title, note = (_said(text) for text in (given.title or given.name, given.note))
    assert title is not None
    return Benchmark(given.name, title, type_by_type(own), note, given.comparable, packaged)


def _said(given: str | _Said | None) -> Said | None:
    if isinstance(given, _Said):
        return Said(given.en, given.zh)
    return Said(given) if given else None


def _own_task(name: str, fields: _TaskFields, folder: Path) -> Task:
    kind, place = str(fields.type), str(fields.path)
    options = (("samples_per_label", fields.samples_per_label),) if fields.samples_per_label else ()
    files = OwnFiles((folder / Path(place).expanduser()), tuple(sorted(fields.columns.items())), options)
    return Task(name, kind, place, "local", (SPLIT,), METRICS[kind], own=files)


def _refusal(path: Path, error: ValidationError) -> BadInput:
    first = error.errors()[0]
    place = [part for part in first["loc"] if part not in _FORMS]
    where = ".".join(map(str, place)) or "benchmark"
    what = first["msg"].removeprefix("Value error, ")
    if first["type"] == "literal_error":
        what = f"{first['input']}: unknown; {did_you_mean(str(first['input']), METRICS)}known: {', '.join(METRICS)}"
    elif first["type"] == "string_pattern_mismatch":
        what = f"{first['input']}: give letters, digits, dots and hyphens, without spaces"
    elif first["type"] == "string_type":
        what = f"{first['input']!r} is not a text; put it in quotes"
    elif first["type"] in ("dict_type", "model_type", "model_attributes_type"):
        what = "expected fields, as in name: {type: STS, path: pairs.csv}"
    elif first["type"] == "extra_forbidden":
        known = _TaskFields.model_fields if place[0] == "tasks" else _Definition.model_fields
        what = f"unknown field; {did_you_mean(str(place[-1]), known)}known: {', '.join(known)}"
    return BadInput(f"{path}{line_of(path, place)}: {where}: {what}")
