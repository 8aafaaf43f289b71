"""Makes rendered prompts ready for a server: their side, their tokens, and the limit if it is applied here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qzhou_eval.errors import BadInput
from qzhou_eval.model.text_limit import cut_text
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import side_and_prompt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENS_PER_BYTE = 1 / 3  # of UTF-8, where neither a tokenizer nor the server says: about a Chinese character


@dataclass(frozen=True, slots=True)
class ServedPrompt:
    """A prompt to send: the fields of its side go with it; ``size`` may be an estimate."""

    text: str
    side: str
    size: int
    cut: bool = False


class ServedPrompts:
    """Prepares prompts. Without a tokenizer nothing is cut here, and sizes are estimated from the text's bytes."""

    def __init__(
        self,
        profile: Profile,
        *,
        max_length: int,
        tokenizer: "Tokenizer | None" = None,
        tokens_per_byte: float = TOKENS_PER_BYTE,
    ) -> None:
        self._profile, self._tokenizer, self._tokens_per_byte = profile, tokenizer, tokens_per_byte
        self._room = self._documents_room = max_length
        self._documents_begin: str | None = None
        if profile.document_max_length is not None and max_length == profile.max_length:
            self._documents_room = profile.document_max_length
            self._documents_begin = profile.documents_begin
        if tokenizer is not None:
            special = tokenizer.num_special_tokens_to_add(is_pair=False)
            self._room, self._documents_room = self._room - special, self._documents_room - special
            if min(self._room, self._documents_room) < 1:
                raise BadInput(f"--max_length {max_length}: no room for a single token of text")

    def __call__(self, prompts: list[str]) -> Sequence[ServedPrompt]:
        split = [side_and_prompt(self._profile, prompt) for prompt in prompts]
        if self._tokenizer is None:
            return [ServedPrompt(text, side, self._estimate(text)) for side, text in split]
        encoded = self._tokenizer.encode_batch_fast([text for _, text in split], add_special_tokens=False)
        return [self._within_limit(text, side, len(ids)) for (side, text), ids in zip(split, encoded, strict=True)]

    def _within_limit(self, text: str, side: str, size: int) -> ServedPrompt:
        documents = self._documents_begin is not None and text.startswith(self._documents_begin)
        room = self._documents_room if documents else self._room
        if size <= room or self._tokenizer is None:
            return ServedPrompt(text, side, size)
        return ServedPrompt(cut_text(self._tokenizer, text, room), side, room, cut=True)

    def _estimate(self, text: str) -> int:
        return max(1, round(len(text.encode()) * self._tokens_per_byte)) if text else 0
