"""Pooling: how a prompt's hidden states become its vector, by the names of sentence-transformers' ``Pooling``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from qzhou_eval.model.batching.batches import Batch

# Their names are part of the fingerprint, so another kind must have another name.
LAST_TOKEN, CLS, MEAN, WEIGHTED_MEAN, MAX = KINDS = ("last token", "cls", "mean", "weighted mean", "max")
SPELLINGS = {  # as in 1_Pooling/config.json, either the value of pooling_mode or the name of a field that is true
    LAST_TOKEN: ("lasttoken", "pooling_mode_lasttoken"),
    CLS: ("cls", "pooling_mode_cls_token"),
    MEAN: ("mean", "pooling_mode_mean_tokens"),
    WEIGHTED_MEAN: ("weightedmean", "pooling_mode_weightedmean_tokens"),
    MAX: ("max", "pooling_mode_max_tokens"),
}


@dataclass(frozen=True)
class Pooling:
    """A kind of pooling, one of :data:`KINDS`, and whether the tokens before the text take part in it.

    Those tokens are the special ones at the beginning, the template's beginning and the instruction line;
    sentence-transformers calls them the prompt.
    """

    kind: str = LAST_TOKEN
    include_prompt: bool = True

    @property
    def name(self) -> str:
        """The kind in words, for the fingerprint and the manifest."""
        return self.kind if self.include_prompt else f"{self.kind} without the prompt"

    @property
    def averages(self) -> bool:
        """Whether several tokens make the vector, each with its weight."""
        return self.kind not in (LAST_TOKEN, CLS)

    def weights(self, lengths: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Return the weight of each token, the prompts' tokens one after another; 0 leaves a token out.

        Args:
            lengths: integers (n,), the prompts' tokens.
            before: integers (n,), how many of them come before the text.
        """
        position = np.arange(lengths.sum()) - (lengths.cumsum() - lengths).repeat(lengths)
        weight = position + 1 if self.kind == WEIGHTED_MEAN else np.ones_like(position)
        return (weight * (self.include_prompt | (position >= before.repeat(lengths)))).astype(np.float32)


LAST = Pooling()  # a decoder's, where nothing else is said


def pooling_named(spelling: object) -> str | None:
    """Return the kind that sentence-transformers spells so, as a mode or a field's name, or None."""
    return next((kind for kind, spellings in SPELLINGS.items() if spelling in spellings), None)


def pool(pooling: Pooling, hidden: "torch.Tensor", batch: "Batch") -> "torch.Tensor":
    """Return the vectors (n, size) of a batch's n prompts, in the dtype of ``hidden``; sums are made in float32.

    Args:
        hidden: (rows, columns, size), the last layer's states.
    """

    if not pooling.averages:
        row, column = batch.last if pooling.kind == LAST_TOKEN else batch.first
        return hidden[row, column]
    tokens = hidden.flatten(0, 1) if batch.kept is None else hidden.flatten(0, 1)[batch.kept]
    if batch.weights is None:
        raise ValueError(f"{pooling.name} needs a batch with weights")
    weights = batch.weights[:, None]
    if pooling.kind == MAX:
        return _largest(tokens.masked_fill(weights == 0, float("-inf")), batch.lengths)
    sums, total = _sums(tokens.float() * weights, batch.lengths), _sums(weights, batch.lengths)
    return (sums / total.clamp(min=1e-9)).to(hidden.dtype)


def _sums(tokens: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
    """Sum each prompt's tokens (tokens, size), in the same order in every run."""
    import torch

    if tokens.is_cuda:  # where index_add_ adds in any order; on a CPU it is many times faster
        return torch.segment_reduce(tokens, "sum", lengths=lengths, axis=0, unsafe=True)
    return tokens.new_zeros(len(lengths), tokens.shape[1]).index_add_(0, _prompts(lengths, len(tokens)), tokens)


def _largest(tokens: "torch.Tensor", lengths: "torch.Tensor") -> "torch.Tensor":
    start = tokens.new_full((len(lengths), tokens.shape[1]), float("-inf"))
    return start.scatter_reduce_(0, _prompts(lengths, len(tokens))[:, None].expand_as(tokens), tokens, "amax")


def _prompts(lengths: "torch.Tensor", tokens: int) -> "torch.Tensor":
    """The number of each token's prompt; the size is given so that a GPU need not be asked for it."""
    import torch

    rows = torch.arange(len(lengths), device=lengths.device)
    return rows.repeat_interleave(lengths, output_size=tokens)
