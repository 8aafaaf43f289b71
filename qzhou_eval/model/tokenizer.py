"""Rendered prompt -> token ids: adds the tokenizer's special tokens, applies the limit, locates the placeholder."""

from array import array
from dataclasses import dataclass

from tokenizers import Tokenizer

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.special_tokens import end_token, special_tokens
from qzhou_eval.model.folder.tokenizer_file import check_vocabulary, open_tokenizer
from qzhou_eval.model.pooling import LAST, Pooling
from qzhou_eval.model.text_limit import cut_text
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import beginnings
from qzhou_eval.system.options import option

CHUNK = 1024  # prompts tokenised at once; the tokenizer's own results take much memory


@dataclass(frozen=True)
class Tokenized:
    """Token ids of one prompt (compact: a task may have tens of millions) and whether the limit cut it.

    ``before`` is how many of them come before the text, for a pooling that leaves those out; else 0.
    """

    ids: "array[int]"
    cut: bool
    before: int = 0

    @property
    def size(self) -> int:
        """How many tokens."""
        return len(self.ids)


class PromptTokenizer:
    """Tokenises rendered prompts as the profile asks. Adds no padding.

    ``whole`` cuts the rendered prompt at ``max_length`` tokens, as published: with a long text, the end of
    the template is lost. ``text`` cuts the end of the text instead and keeps the template whole.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        profile: Profile,
        *,
        max_length: int,
        truncate: str,
        document_max_length: int | None = None,
        pooling: Pooling = LAST,
    ) -> None:
        self._counted: dict[str, int] = {}
        self._beginnings = [] if pooling.include_prompt else beginnings(profile)
        self.tokenizer: Tokenizer = open_tokenizer(checkpoint.tokenizer)
        self.truncate = truncate
        self._profile = profile
        self._rows = checkpoint.architecture.vocabulary
        self._rowless = check_vocabulary(self.tokenizer, checkpoint.tokenizer, self._rows)
        self._head, self._tail = special_tokens(self.tokenizer, checkpoint.tokenizer)
        if profile.end_token is not None:
            end = self._single_token(end_token(profile.end_token, checkpoint.tokenizer), role="end token")
            self._tail = self._tail if self._tail[-1:] == [end] else [*self._tail, end]
        if lost := [number for number in self._head + self._tail if number >= self._rows]:
            raise BadInput(f"{checkpoint.tokenizer}: {self.decode(lost)} is added to each text, but has no embedding")
        self._room = max_length - len(self._head) - len(self._tail)
        self._more_room = 0
        self._documents_begin: str | None = None
        if document_max_length is not None:
            self._more_room = document_max_length - max_length
            self._documents_begin = profile.documents_begin
        if self._room + min(0, self._more_room) < 1:
            raise BadInput(f"{option('max_length', max_length)}: no room for a single token of text")

    def __call__(self, prompts: list[str], *, beginning: str | None = None) -> list[Tokenized]:
        """Tokenise; ids are at most ``max_length`` long.

        Args:
            beginning: what comes before each text, if that is not the profile's beginning with a task's instruction.

        Raises:
            BadInput: a prompt contains a token for which the model has no embedding.
        """
        result = []
        for start in range(0, len(prompts), CHUNK):
            chunk = prompts[start : start + CHUNK]
            for prompt, ids in zip(chunk, self._ids(chunk), strict=True):
                room = self._room_for(prompt)
                cut = len(ids) > room
                kept = self._cut_text(prompt, room) if cut and self.truncate == "text" else ids[:room]
                if self._rowless and max(kept, default=0) >= self._rows:
                    lost = self.tokenizer.id_to_token(max(kept))
                    raise BadInput(f"a prompt contains {lost}, for which the model has no embedding: {prompt[:60]!r}")
                before = self._before(prompt, beginning) if self._beginnings else 0
                result.append(Tokenized(array("I", [*self._head, *kept, *self._tail]), cut, before))
        return result

    @property
    def tail(self) -> list[int]:
        """The special tokens after each text."""
        return self._tail

    def decode(self, ids: list[int]) -> str:
        """Decode token ids to text, special tokens included."""
        return self.tokenizer.decode(ids, skip_special_tokens=False)

    def placeholder(self) -> tuple[int, int]:
        """Return the placeholder's (position, token id), the same in every prompt that the profile renders.

        Raises:
            BadInput: the profile has no placeholder, or it is not a single token of the tokenizer.
        """
        if self._profile.placeholder is None:
            raise BadInput(f"{self._profile.called} names no placeholder token: token prepending needs one")
        token = self._single_token(self._profile.placeholder, role="placeholder token")
        before = self._profile.templates[0].split(self._profile.placeholder)[0]
        position = len(self._head) + len(self._ids([before])[0])
        if position >= len(self._head) + self._room:
            raise BadInput(f"{option('max_length')}: too short for the template up to the placeholder token")
        return position, token

    def _before(self, prompt: str, beginning: str | None) -> int:
        """The tokens before a prompt's text as sentence-transformers counts them: of the beginning on its own.

        A special token before the text counts if a prompt has a beginning, and not if it has none.
        """
        if beginning is None:
            beginning = next((one for one in self._beginnings if prompt.startswith(one)), "")
        if beginning not in self._counted:
            self._counted[beginning] = len(self._head) + len(self._ids([beginning])[0]) if beginning else 0
        return self._counted[beginning]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoded.ids for encoded in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _single_token(self, token: str, *, role: str) -> int:
        number = self.tokenizer.token_to_id(token)
        if number is None:
            raise BadInput(f"the model's tokenizer has no token {token}, the {role} of {self._profile.called}")
        return number

    def _room_for(self, prompt: str) -> int:
        """Tokens between the special ones; a prompt that begins as documents do may have another limit."""
        is_document = self._documents_begin is not None and prompt.startswith(self._documents_begin)
        return self._room + (self._more_room if is_document else 0)

    def _cut_text(self, prompt: str, whole: int) -> list[int]:
        suffix = max((end for end in self._profile.ends if prompt.endswith(end)), key=len, default="")
        if len(self._ids([suffix])[0]) >= whole:
            raise BadInput(f"{option('truncate', 'text')}: {option('max_length')} is too short for the template")
        return self._ids([cut_text(self.tokenizer, prompt.removesuffix(suffix), whole, suffix)])[0]
