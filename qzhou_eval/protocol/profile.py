"""Reads a profile: one YAML in task_instructions/ per evaluation protocol (template, instructions, sides, limits).

A profile does not depend on models or tasks' data; :mod:`qzhou_eval.protocol.prompts` applies it to texts.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from qzhou_eval.errors import BadInput, did_you_mean
from qzhou_eval.system.options import option
from qzhou_eval.system.paths import data_folder

Sides = Literal["both", "queries"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class TaskPrompt(_Strict):
    """A task's instruction and who gets it: ``both`` sides, or all but documents (``queries``)."""

    instruct: Sides
    instruction: str


class ProfileModel(_Strict):
    """The checkpoint that a profile was published with; its parameter count is checked on loading."""

    name: str
    parameters: int


class Profile(_Strict):
    """A validated evaluation protocol.

    ``template`` contains ``{text}`` exactly once; the instruction line is put before the text,
    inside the template. ``dtype`` is the published precision; a run in another one is filed separately.
    ``token_prepending`` is the inclusive 0-based layer range
    that ``--token_prepending auto`` uses, or None for off. ``attention``, ``pooling`` and ``include_prompt`` (whether
    the tokens before the text are pooled too) are for models whose folder says nothing or something else.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    source: str
    template: str
    max_length: int = Field(gt=0)
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    model: ProfileModel | None = None
    instruction: str | None = None
    empty_text: str = ""
    end_token: str | None = None
    placeholder: str | None = None
    token_prepending: tuple[int, int] | None = None
    attention: Literal["causal", "bidirectional"] | None = None
    pooling: Literal["last token", "cls", "mean", "weighted mean", "max"] | None = None
    include_prompt: bool | None = None
    matryoshka_dims: tuple[int, ...] = ()
    tasks: dict[str, TaskPrompt] = {}
    _file: Path | None = PrivateAttr(default=None)

    @field_validator("template")
    @classmethod
    def _one_text(cls, value: str) -> str:
        if value.count("{text}") != 1:
            raise ValueError("the template must contain {text} exactly once")
        return value

    @field_validator("instruction")
    @classmethod
    def _one_instruction(cls, value: str | None) -> str | None:
        if value is not None and value.count("{instruction}") != 1:
            raise ValueError("the instruction line must contain {instruction} exactly once")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Profile":
        if self.placeholder is not None and self.placeholder not in self.prefix:
            raise ValueError("the template must contain the placeholder token before {text}")
        if self.token_prepending is not None and self.placeholder is None:
            raise ValueError("token_prepending needs a placeholder token")
        if self.tasks and self.instruction is None:
            raise ValueError("tasks have instructions but the profile has no instruction line")
        if self.token_prepending is not None and self.attention == "bidirectional":
            raise ValueError("token_prepending needs causal attention")
        if self.include_prompt is not None and self.pooling is None:
            raise ValueError("include_prompt needs a pooling")
        if self.include_prompt is False and self.pooling == "cls":
            raise ValueError("pooling cls needs the tokens before the text, so include_prompt cannot be false")
        return self

    @property
    def prefix(self) -> str:
        """The part of the template before the text."""
        return self.template.split("{text}")[0]

    def is_of(self, model: str) -> bool:
        """Whether ``model`` (``org/name``) is the one that the profile was published with."""
        return self.model is not None and self.model.name == model

    @property
    def called(self) -> str:
        """How messages name the profile: by its name or, if it was given as a file, by that file."""
        return f"profile {self._file or self.name}"

    @property
    def suffix(self) -> str:
        """The part of the template after the text."""
        return self.template.split("{text}")[1]

    def published_parameters(self, model: str) -> int | None:
        """The parameter count to check, if ``model`` (``org/name``) is the profile's own; else None."""
        if self.model is None or Path(model).name != Path(self.model.name).name:
            return None
        return self.model.parameters

    @property
    def filed_as(self) -> str:
        """The name that results are filed under; it includes the digest if the profile is not as shipped."""
        shipped = self.name in profile_names() and load_profile(self.name).digest == self.digest
        return self.name if shipped else f"{self.name}-{self.digest[:8]}"

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything in the profile that changes a prompt or a vector."""
        fields = self.model_dump(exclude={"source", "model", "dtype", "matryoshka_dims"})
        for name in ("attention", "pooling", "include_prompt"):
            if fields[name] is None:
                del fields[name]  # as before there were such fields, so that results stay valid
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def profile_names() -> list[str]:
    """Names of the profiles that are shipped with the project."""
    return sorted(p.stem for p in data_folder("task_instructions").glob("*.yaml"))


def load_profile(name_or_path: str) -> Profile:
    """Load a profile by name (``task_instructions/NAME.yaml``) or from a YAML file.

    Raises:
        BadInput: no such profile, not YAML, or a field is missing, unknown or wrong.
    """
    path = given = Path(name_or_path).expanduser()
    if path.suffix not in {".yaml", ".yml"}:
        if "/" in name_or_path and path.exists():
            raise BadInput(f"{option('profile', name_or_path)}: not a .yaml file")
        path = _shipped(name_or_path)
    fields = _read(path)
    try:
        profile = Profile.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "profile"
        raise BadInput(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    profile._file = path if path is given else None
    return profile


def _shipped(name: str) -> Path:
    known = profile_names()
    if name not in known:
        hint = did_you_mean(name, known)
        raise BadInput(f"{option('profile', name)}: no such profile; {hint}known: {', '.join(known)}, or a .yaml file")
    return data_folder("task_instructions") / f"{name}.yaml"


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a duplicate key in a mapping, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if (first := lines.setdefault(str(key.value), line)) != line:
                raise yaml.constructor.ConstructorError(problem=f"{key.value} twice, in lines {first} and {line}")
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{option('profile', str(path))}: {what}; known profiles: {', '.join(profile_names())}")
    try:
        fields = _EachKeyOnce(path.read_text("utf-8")).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a YAML file ({str(error).splitlines()[0]})") from None
    if not isinstance(fields, dict):
        raise BadInput(f"{path}: expected a mapping of profile fields")
    if base := fields.pop("extends", None):
        parent = _read(_shipped(str(base)))
        own = fields.get("tasks") or {}
        if not isinstance(own, dict):
            raise BadInput(f"{path}: tasks: expected a mapping of task names")
        inherited = {k: v for k, v in parent.items() if k not in ("name", "source", "model")}
        fields = inherited | fields | {"tasks": parent.get("tasks", {}) | own}
    return fields
