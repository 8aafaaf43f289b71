"""A profile: one evaluation protocol, that is, what is sent to a model (templates, instructions, sides, limits).

A profile does not depend on models or tasks' data. :mod:`qzhou_eval.protocol.profile_files` reads it from YAML and
:mod:`qzhou_eval.protocol.prompts` applies it to texts.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, PrivateAttr, field_validator, model_validator

from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.instructions import TYPES, Strict, TaskPrompt

TEXT, TITLE = "{text}", "{title}"
_UNVERIFIED = re.compile(r"\((?:inf|gk)\)")
# Part of the digest only if they are given, so that results from before there were such fields stay valid.
_LATER = ("attention", "pooling", "include_prompt", "types", "no_title", "document_max_length", "request")
PUBLISHED_FACTS = {"models", "published", "open", "trained_on"}  # about models and runs, not about what is sent
_NOT_SENT = PUBLISHED_FACTS | {"source", "dtype", "matryoshka_dims"}


class ProfileModel(Strict):
    """A checkpoint that the profile was published with.

    ``revision`` is the commit that the published scores are of. The parameter count is checked on loading; the sizes
    (layers, hidden size, vector size) say whether a local folder can be this model.
    """

    name: str
    revision: str | None = None
    parameters: int | None = None
    model_type: str | None = None
    layers: int | None = None
    hidden: int | None = None
    width: int | None = None


class Published(Strict):
    """What the published run was made with, as far as it is known; for the reader, nothing is set by it."""

    mteb: str | None = None
    attention_kernel: str | None = None
    padding_side: Literal["left", "right"] | None = None


class SideTemplates(Strict):
    """A template for queries and symmetric texts, and one for documents."""

    query: str | None = None
    document: str | None = None


class SideFields(Strict):
    """Fields of a request to an endpoint, such as ``model`` or ``input_type``, by the side that its texts are on."""

    query: dict[str, JsonValue] = Field(default_factory=dict)
    document: dict[str, JsonValue] = Field(default_factory=dict)


class Profile(Strict):
    """A validated evaluation protocol.

    Each template contains ``{text}`` exactly once, and a document's may contain ``{title}`` before it: the document's
    own title or, where it has none, ``no_title``. The instruction line is put before the text, inside the template.
    ``types`` says which instruction the tasks get that ``tasks`` does not name. ``max_length`` is in tokens, template
    included; ``document_max_length`` is that of documents if it is another one: a prompt's beginning tells which it is.

    ``dtype`` is the published precision; a run in another one is filed separately. ``token_prepending`` is the
    inclusive 0-based layer range that ``--token_prepending auto`` uses, or None for off. ``attention``, ``pooling`` and
    ``include_prompt`` (whether the tokens before the text are pooled too) are for models whose folder says nothing or
    something else. ``request`` is for endpoints that are told the side; symmetric texts are on that of queries.
    ``trained_on`` is what the makers say about training data: how many of CMTEB's tasks are in it, or
    which.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    source: str
    template: str | SideTemplates
    max_length: int = Field(gt=0)
    document_max_length: int | None = Field(default=None, gt=0)
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    models: tuple[ProfileModel, ...] = ()
    published: Published = Published()
    open: Literal["yes", "api", "no"] = "yes"
    trained_on: int | tuple[str, ...] | None = None
    instruction: str | None = None
    empty_text: str = ""
    no_title: str | None = None
    end_token: str | None = None
    placeholder: str | None = None
    token_prepending: tuple[int, int] | None = None
    attention: Literal["causal", "bidirectional"] | None = None
    pooling: Literal["last token", "cls", "mean", "weighted mean", "max"] | None = None
    include_prompt: bool | None = None
    matryoshka_dims: tuple[int, ...] = ()
    request: SideFields | None = None
    types: dict[str, TaskPrompt] = Field(default_factory=dict)
    tasks: dict[str, TaskPrompt] = Field(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)

    @field_validator("open", mode="before")
    @classmethod
    def _yaml_booleans(cls, value: object) -> object:
        return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value

    @field_validator("template")
    @classmethod
    def _one_text(cls, value: str | SideTemplates) -> str | SideTemplates:
        query, document = (value, value) if isinstance(value, str) else (value.query, value.document)
        if query is None and document is None:
            raise ValueError("a template for queries, documents or both is needed")
        for template in (query, document):
            if template is not None and template.count(TEXT) != 1:
                raise ValueError("the template must contain {text} exactly once")
        if TITLE in (query or "") or (document or "").count(TITLE) > 1:
            raise ValueError("{title} can be in the document's template alone, and once")
        if TITLE in (document or "").partition(TEXT)[2]:
            raise ValueError("{title} must come before {text}")
        return value

    @field_validator("instruction")
    @classmethod
    def _one_instruction(cls, value: str | None) -> str | None:
        if value is not None and value.count("{instruction}") != 1:
            raise ValueError("the instruction line must contain {instruction} exactly once")
        return value

    @field_validator("types")
    @classmethod
    def _known_types(cls, value: dict[str, TaskPrompt]) -> dict[str, TaskPrompt]:
        for name in value:
            if name not in TYPES:
                raise ValueError(f"unknown type {name}; known: {', '.join(TYPES)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "Profile":
        if self.placeholder is not None:
            before = {template.partition(TEXT)[0].partition(self.placeholder) for template in self.templates}
            if any(not found for _, found, _ in before):
                raise ValueError("the template must contain the placeholder token before {text}")
            if len({start for start, _, _ in before}) > 1:
                raise ValueError("the templates must be the same up to the placeholder token")
        if self.document_max_length is not None and not self._begin_differently():
            raise ValueError("document_max_length needs a template for each side, of which none begins like the other")
        if self.token_prepending is not None and self.placeholder is None:
            raise ValueError("token_prepending needs a placeholder token")
        if self.instruction is None and any(prompt.texts for prompt in (*self.types.values(), *self.tasks.values())):
            raise ValueError("tasks have instructions but the profile has no instruction line")
        if self.token_prepending is not None and self.attention == "bidirectional":
            raise ValueError("token_prepending needs causal attention")
        return self

    @model_validator(mode="after")
    def _can_leave_the_prompt_out(self) -> "Profile":
        if self.include_prompt is not None and self.pooling is None:
            raise ValueError("include_prompt needs a pooling")
        if self.include_prompt is False and any(TITLE in template for template in self.templates):
            raise ValueError("include_prompt cannot be false for a template with {title}")
        if self.include_prompt is False and self.pooling == "cls":
            raise ValueError("pooling cls needs the tokens before the text, so include_prompt cannot be false")
        return self

    def _begin_differently(self) -> bool:
        starts = [_start(template) for template in self.templates]
        return len(starts) == 2 and not any(one.startswith(other) for one, other in (starts, starts[::-1]))

    @property
    def documents_begin(self) -> str | None:
        """What tells documents' prompts from others, where they have a limit of their own; else None."""
        return None if self.document_max_length is None else _start(self.template_of("document"))

    def template_of(self, side: str | None) -> str:
        """The template of ``"query"``, ``"document"`` or, of symmetric texts, None.

        Raises:
            BadInput: there is none.
        """
        if isinstance(self.template, str):
            return self.template
        found = self.template.document if side == "document" else self.template.query
        if found is None:
            raise BadInput(f"{self.called} has no template for {'documents' if side == 'document' else 'queries'}")
        return found

    @property
    def templates(self) -> list[str]:
        """Its one template, or that of queries and that of documents, as far as it has them."""
        sides = (self.template,) if isinstance(self.template, str) else (self.template.query, self.template.document)
        return [template for template in sides if template is not None]

    @property
    def called(self) -> str:
        """How messages name the profile: by its name or, if it was given as a file, by that file."""
        return f"profile {self._file or self.name}"

    @property
    def ends(self) -> list[str]:
        """What follows the text in each of :attr:`templates`."""
        return [template.partition(TEXT)[2] for template in self.templates]

    def model_named(self, model: str) -> ProfileModel | None:
        """The model ``org/name`` among those that the profile was published with, or None."""
        return next((one for one in self.models if one.name == model), None)

    def is_of(self, model: str) -> bool:
        """Whether ``model`` (``org/name``) is one that the profile was published with."""
        return self.model_named(model) is not None

    def published_parameters(self, model: str) -> int | None:
        """The parameter count to check, if ``model`` (``org/name``) is named like one of the profile's; else None."""
        named = (one for one in self.models if Path(one.name).name == Path(model).name)
        return next((one.parameters for one in named), None)

    @property
    def unverified(self) -> list[str]:
        """The facts that its source marks as inferred (inf) or general knowledge (gk)."""
        return [fact.strip() for fact in self.source.split(";") if _UNVERIFIED.search(fact)]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything in the profile that changes a prompt or a vector."""
        fields = self.model_dump(exclude=_NOT_SENT)
        for name in _LATER:
            if not fields[name] and fields[name] is not False:
                del fields[name]
        for prompt in (*fields["tasks"].values(), *fields.get("types", {}).values()):
            if prompt["document_instruction"] is None:
                del prompt["document_instruction"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _start(template: str) -> str:
    """What comes before title and text."""
    return template.partition(TEXT)[0].partition(TITLE)[0]
