"""The profile ``checkpoint``: what the checkpoint's own files say is sent to it, as sentence-transformers and mteb do.

Prompts come from ``config_sentence_transformers.json``. Their names are mteb's: a task, a type, ``query`` or
``document``, or a task or type with a side; the most specific wins. Without a name that fits, queries and documents are
sent as they are, and symmetric texts after the default prompt, if there is one.
"""

import logging
import re
from dataclasses import dataclass

from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import read_if_there
from qzhou_eval.model.max_length import own_limit
from qzhou_eval.protocol.instructions import ASYMMETRIC, SYMMETRIC, TaskPrompt
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.profile_files import CHECKPOINT
from qzhou_eval.protocol.prompts import SIDES

log = logging.getLogger(__name__)

OWN_PROMPTS = "config_sentence_transformers.json"
_NO_LIMIT = 512  # tokens, if no file states a limit


@dataclass(frozen=True)
class OwnPrompts:
    """What ``config_sentence_transformers.json`` says: prompts by name, and the name of the default one, or None."""

    texts: dict[str, str]
    default: str | None

    @property
    def names(self) -> list[str]:
        """The names of the prompts that have a text; the default one is marked."""
        return [f"{name}, the default" if name == self.default else name for name, text in self.texts.items() if text]

    @property
    def without_use(self) -> list[str]:
        """The names that mean neither a task, a type nor a side to mteb: only a caller could ask for them."""
        known = {*SIDES, *packaged_tasks(), *ASYMMETRIC, *SYMMETRIC}
        given = [name for name, text in self.texts.items() if text]
        return [name for name in given if _without_side(name) not in known and name != self.default]

    def first(self, names: list[str]) -> str | None:
        """The text of the first of these names that is there; an empty text means none."""
        return next((self.texts[name] for name in names if name in self.texts), None) or None


def _without_side(name: str) -> str:
    """The task or type in a prompt's name, which a side may follow."""
    return re.sub(rf"-({'|'.join(SIDES)})$", "", name)


def own_prompts(checkpoint: Checkpoint) -> OwnPrompts:
    """Read the prompts that sentence-transformers would put in front of texts.

    Raises:
        BadInput: the file that contains them is damaged.
    """
    path = checkpoint.folder / OWN_PROMPTS
    content = read_if_there(path)
    prompts, default = content.get("prompts") or {}, content.get("default_prompt_name")
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise BadInput(f"{path}: prompts is not a mapping from names to texts")
    if default is not None and default not in prompts:
        raise BadInput(f"{path}: default_prompt_name is {default!r}, which is not among its prompts")
    texts = {str(name): text or "" for name, text in prompts.items()}
    return OwnPrompts(texts, None if default is None else str(default))


def checkpoint_profile(checkpoint: Checkpoint) -> Profile:
    """Make the profile from the checkpoint's files.

    Raises:
        BadInput: a file is damaged.
    """
    prompts = own_prompts(checkpoint)
    named = {_without_side(name) for name in prompts.texts}
    tasks = {name: task.type for name, task in packaged_tasks().items() if name in named}
    limit = own_limit(checkpoint)
    if limit is None:
        log.warning("%s states no limit in tokens: texts are cut at %d", checkpoint.name, _NO_LIMIT)
    has_any = any(prompts.texts.values())
    return Profile(
        name=CHECKPOINT,
        source=f"the files of {checkpoint.name}",
        template="{text}",
        instruction="{instruction}" if has_any else None,
        max_length=limit or _NO_LIMIT,
        types={kind: _prompt(prompts, [kind], kind) for kind in (*ASYMMETRIC, *SYMMETRIC)} if has_any else {},
        tasks={name: _prompt(prompts, [name, kind], kind) for name, kind in tasks.items()} if has_any else {},
    )


def _prompt(prompts: OwnPrompts, names: list[str], kind: str) -> TaskPrompt:
    """The prompts of a task or type, ``names`` from the most specific to the least."""
    if kind not in ASYMMETRIC:
        text = prompts.first([*names, *([prompts.default] if prompts.default else [])])
        return TaskPrompt(instruct="none") if text is None else TaskPrompt(instruct="both", instruction=text)
    query, document = (
        prompts.first([*(one for name in names for one in (f"{name}-{side}", name)), side]) for side in SIDES
    )
    if document is None:
        return TaskPrompt(instruct="none") if query is None else TaskPrompt(instruct="queries", instruction=query)
    return TaskPrompt(instruct="both", instruction=query or "", document_instruction=document)
