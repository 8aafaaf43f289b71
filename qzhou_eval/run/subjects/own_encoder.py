"""A user's own encoder (``--encoder package.module:Class``) as what a run evaluates."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.encoder import Encoded, OwnEncoder, Prepared
from qzhou_eval.encode.readings import Reading
from qzhou_eval.errors import BadInput, TaskFailed, did_you_mean, in_one_line
from qzhou_eval.protocol.dimensions import dimensions
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import check_prompts
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.results.variant import Variant
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.filing import variant_without_checkpoint
from qzhou_eval.run.subjects.local_flags import refuse_local_flags
from qzhou_eval.run.subjects.subject import Subject
from qzhou_eval.system.digests import sha256_of_json

PROFILE = "plain"  # without --profile: the text alone
_NEEDED = ("identity", "width", "made_with", "prepare", "stream")


def own_subject(config: RunConfig, name: str, tasks: list[Task]) -> Subject:
    """Make the encoder that ``name`` (``package.module:Class``) says.

    Raises:
        BadInput: there is none, it lacks something, or flags are given that only a checkpoint has.
    """
    refuse_local_flags(config, f"--encoder {name}")
    encoder = _made(name)
    profile = load_profile(config.profile or config.default_profile or PROFILE)
    check_prompts(profile, tasks, use_instruction=config.use_instruction)
    identity = dict(encoder.identity)
    fingerprint = _digest(identity, name)
    variants = [
        variant_without_checkpoint(
            model=f"local/{name.rpartition(':')[2]}",
            revision=fingerprint[:12],
            dim=dim,
            width=encoder.width,
            profile=profile,
            own_profile=PROFILE,
            fingerprint=fingerprint,
            max_length=profile.max_length,
            dtype="own",
            normalize=config.normalize,
            use_instruction=config.use_instruction,
        )
        for dim in dimensions(config.dim, profile, encoder.width)
    ]
    return subject_of(_Told(encoder, name), profile, variants)


class _Told:
    """A user's encoder whose errors name its own file and line: they are not this project's."""

    def __init__(self, encoder: OwnEncoder, name: str) -> None:
        self._encoder, self._name = encoder, name
        self.identity, self.width = encoder.identity, encoder.width

    @property
    def made_with(self) -> MadeWith:
        return self._encoder.made_with

    def prepare(self, prompts: list[str]) -> Sequence[Prepared]:
        with self._told():
            return self._encoder.prepare(prompts)

    def stream(self, prepared: Sequence[Any]) -> Iterator[Encoded]:
        with self._told():
            yield from self._encoder.stream(prepared)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (BadInput, TaskFailed, MemoryError):
            raise
        except Exception as error:  # a user's own code may raise anything
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}, line {where.lineno}"
            raise TaskFailed(f"--encoder {self._name}: {in_one_line(error)} ({place})") from error


def subject_of(encoder: OwnEncoder, profile: Profile, variants: Sequence[Variant]) -> Subject:
    """An encoder that exists, filed as ``variants``."""
    identity = dict(encoder.identity)
    sent = f"sent to {variants[0].model}: the prompts of profile {profile.name}; {encoder.width} components"
    return Subject(
        profile=profile,
        readings=(Reading(None, list(variants), identity, {"model": {"name": variants[0].model, **identity}}),),
        sent=(sent,),
        open_tokenizer=lambda: encoder.prepare,
        open_encoder=lambda: encoder,
    )


def _made(name: str) -> OwnEncoder:
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name.isidentifier():
        raise BadInput(f"--encoder {name}: give package.module:Class")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as python -m finds modules
    if module_name.endswith(".py"):
        raise BadInput(f"--encoder {name}: give the module's name, without .py")
    try:
        module = importlib.import_module(module_name)
        if not hasattr(module, class_name):
            meant = did_you_mean(class_name, vars(module))
            raise BadInput(f"--encoder {name}: {meant}{module.__file__} has no {class_name}")
        encoder: Any = getattr(module, class_name)()
    except BadInput:
        raise
    except Exception as error:  # a user's own code may raise anything
        raise BadInput(f"--encoder {name}: cannot be made ({in_one_line(error)})") from error
    lacking = [field for field in _NEEDED if not hasattr(encoder, field)]
    if lacking:
        raise BadInput(f"--encoder {name}: lacks {', '.join(lacking)}; docs/extending.md has an example")
    if not isinstance(encoder.width, int) or encoder.width < 1:
        raise BadInput(f"--encoder {name}: width is {encoder.width!r}; give the number of components of a vector")
    return encoder


def _digest(identity: dict[str, object], name: str) -> str:
    try:
        return sha256_of_json(identity)
    except TypeError as error:
        raise BadInput(f"--encoder {name}: identity must hold JSON values ({error})") from None
