"""Rendered prompt -> token ids: the tokenizer's own special tokens, the limit, the placeholder's place."""

from array import array
from dataclasses import dataclass

from qzhou_eval.errors import BadInput
from qzhou_eval.model.checkpoint import Checkpoint
from qzhou_eval.profile import Profile

CHUNK = 8192  # prompts tokenised at once: what the tokenizer keeps of each is large


@dataclass(frozen=True)
class Tokenized:
    """Token ids of one prompt (compact: a task may have tens of millions) and whether the limit cut it."""

    ids: array
    cut: bool


class PromptTokenizer:
    """Tokenises rendered prompts as the profile asks. Adds no padding.

    ``whole`` cuts the rendered prompt at ``max_length`` tokens, as published: a long text loses the
    template's end. ``text`` cuts the end of the text instead and keeps the template whole.
    """

    def __init__(self, checkpoint: Checkpoint, profile: Profile, *, max_length: int, truncate: str) -> None:
        from transformers import AutoTokenizer
        from transformers.utils import logging

        logging.set_verbosity_error()
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(checkpoint.decoder, trust_remote_code=False)
        except Exception as error:  # whatever a library makes of a broken file: KeyError, TypeError, its own kinds
            reason = " ".join(str(error).split())[:300]
            raise BadInput(
                f"{checkpoint.decoder}: cannot load the tokenizer ({type(error).__name__}: {reason})"
            ) from error
        self.tokenizer.model_max_length = 10**9  # the limit is ours; no warning about a longer prompt
        self.truncate = truncate
        self._profile = profile
        self._head, self._tail = self._own_special_tokens()
        if profile.end_token is not None:
            end = self._single_token(profile.end_token, role="end token")
            self._tail = self._tail if self._tail[-1:] == [end] else [*self._tail, end]
        self._room = max_length - len(self._head) - len(self._tail)
        if self._room < 1:
            raise BadInput(f"--max_length {max_length}: no room for a single token of text")

    def __call__(self, prompts: list[str]) -> list[Tokenized]:
        """Tokenise; ids are at most ``max_length`` long."""
        result = []
        for start in range(0, len(prompts), CHUNK):
            chunk = prompts[start : start + CHUNK]
            for prompt, ids in zip(chunk, self._ids(chunk), strict=True):
                cut = len(ids) > self._room
                kept = self._cut_text(prompt) if cut and self.truncate == "text" else ids[: self._room]
                result.append(Tokenized(array("I", [*self._head, *kept, *self._tail]), cut))
        return result

    def placeholder(self) -> tuple[int, int]:
        """The placeholder's (position, token id): the same in every prompt of the profile's template.

        Raises:
            BadInput: the profile has no placeholder, or the tokenizer has no such single token.
        """
        if self._profile.placeholder is None:
            raise BadInput(f"profile {self._profile.name} names no placeholder token: token prepending needs one")
        token = self._single_token(self._profile.placeholder, role="placeholder token")
        before = self._profile.prefix.split(self._profile.placeholder)[0]
        position = len(self._head) + len(self._ids([before])[0])
        if position >= len(self._head) + self._room:
            raise BadInput("--max_length: shorter than the template's beginning, up to the placeholder token")
        return position, token

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]

    def _single_token(self, token: str, *, role: str) -> int:
        number = self.tokenizer.convert_tokens_to_ids(token)
        if number is None or self.tokenizer.convert_ids_to_tokens(number) != token:
            raise BadInput(f"the model's tokenizer has no token {token}, the {role} of profile {self._profile.name}")
        return number

    def _own_special_tokens(self) -> tuple[list[int], list[int]]:
        """What the tokenizer puts before and behind any text (Gemma: <bos>; Qwen3: nothing)."""
        bare = self._ids(["a"])[0]
        full = self.tokenizer("a", add_special_tokens=True)["input_ids"]
        start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
        return full[:start], full[start + len(bare) :]

    def _cut_text(self, prompt: str) -> list[int]:
        suffix = self._profile.suffix
        body = prompt.removesuffix(suffix)
        offsets = self.tokenizer(body, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        room = self._room - len(self._ids([suffix])[0])
        if room < 1:
            raise BadInput("--truncate text: --max_length is too short for the template")
        end = offsets[min(room, len(offsets)) - 1][1]
        while len(ids := self._ids([body[:end] + suffix])[0]) > self._room:
            end -= 1
        return ids
