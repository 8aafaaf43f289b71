"""The Embedder: texts or rendered prompts in, vectors out. Imports no mteb and knows no task's data."""

import logging
from array import array
from collections.abc import Iterator
from copy import copy
from dataclasses import replace

import numpy as np
import torch

from qzhou_eval import prompts as prompt_rules
from qzhou_eval.environment import ENCODING_LIBRARIES, hardware, versions
from qzhou_eval.errors import BadInput
from qzhou_eval.model.checkpoint import Checkpoint, find_checkpoint
from qzhou_eval.model.loading import load_decoder, load_projection
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings, resolve_settings
from qzhou_eval.model.token_prepending import token_prepending
from qzhou_eval.model.tokens import PromptTokenizer, Tokenized
from qzhou_eval.profile import Profile, load_profile
from qzhou_eval.vectors import cut_and_normalize

log = logging.getLogger(__name__)


class Embedder:
    """A decoder with last-token pooling, an optional projection, and optional token prepending.

    Vectors are those of the QZhou-Embedding-Zh protocol: projected in the model's dtype, then
    float32, then cut to a dimension, then L2-normalised.
    """

    def __init__(self, checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings) -> None:
        self.checkpoint = checkpoint
        self.profile = profile
        self.settings = settings
        self.tokenize = PromptTokenizer(checkpoint, profile, max_length=settings.max_length, truncate=settings.truncate)
        self._placeholder = self.tokenize.placeholder() if settings.token_prepending else None
        dtype, device = getattr(torch, settings.dtype), settings.device
        self.model = load_decoder(checkpoint, dtype=dtype, device=device, trust_remote_code=settings.trust_remote_code)
        self.projection = load_projection(checkpoint, dtype=dtype, device=device)
        self._check_parameters()

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str,
        *,
        profile: str = "qzhou-zh",
        revision: str | None = None,
        token_prepending: str | tuple[int, int] = "auto",
        dtype: str = "auto",
        device: str = "auto",
        max_length: int | None = None,
        truncate: str = "whole",
        trust_remote_code: bool = False,
        batch_tokens: int | None = None,
    ) -> "Embedder":
        """Load a model folder or hub id.

        Args:
            profile: a profile's name or YAML file.
            token_prepending: ``"auto"`` (as the profile says), ``"on"``, ``"off"``, or an inclusive
                0-based layer range such as ``(1, 7)``.
            dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.
            max_length: in tokens, template included; None is the profile's limit (1024 for qzhou-zh).
            truncate: ``"whole"`` cuts the rendered prompt, as published; ``"text"`` cuts the text.
            trust_remote_code: run the code that the checkpoint brings, if it brings any. It then decides on token
                prepending; ours stays off, and asking for it is an error.

        Raises:
            BadInput: no such model, tensors missing or unexpected, no placeholder token, or a
                setting that does not fit the model.
        """
        checkpoint = find_checkpoint(model_name_or_path, revision=revision, trust_remote_code=trust_remote_code)
        rules = load_profile(profile)
        options = EncoderOptions(
            token_prepending=token_prepending,
            dtype=dtype,
            device=device,
            max_length=max_length,
            truncate=truncate,
            trust_remote_code=trust_remote_code,
            batch_tokens=batch_tokens,
        )
        return cls(checkpoint, rules, resolve_settings(checkpoint, rules, options))

    @property
    def width(self) -> int:
        """Size of the full vector."""
        return self.checkpoint.width

    @property
    def made_with(self) -> dict:
        """What vectors owe to this machine rather than to the settings: precision's companions, for the manifest."""
        return {
            "device": self.settings.device,
            "attention": self.model.config._attn_implementation,
            "batch_plan": f"longest first, padded left, up to {self.settings.batch_tokens} tokens with padding",
            "hardware": hardware(self.settings.device),
            "versions": versions(ENCODING_LIBRARIES),
        }

    @property
    def parameters(self) -> int:
        """Number of parameters, decoder and projection."""
        modules = [self.model] if self.projection is None else [self.model, self.projection]
        return sum(p.numel() for module in modules for p in module.parameters())

    def with_token_prepending(self, span: tuple[int, int] | None) -> "Embedder":
        """The same loaded weights with token prepending on another range of layers, or None for off.

        Raises:
            BadInput: no placeholder token.
        """
        other = copy(self)
        other.settings = replace(self.settings, token_prepending=span)
        other._placeholder = self.tokenize.placeholder() if span else None
        return other

    def encode(
        self,
        texts: list[str],
        *,
        instruction: str | None = None,
        dim: int | None = None,
        normalize: bool = True,
    ) -> np.ndarray:
        """Embed plain texts: the profile's template and, where given, the instruction are put around each.

        Returns:
            float32 array (n, dim); dim is the full width if None.

        Raises:
            BadInput: ``dim`` is not between 1 and the model's width.
        """
        prompts = [prompt_rules.render(self.profile, text, instruction) for text in texts]
        return cut_and_normalize(self.encode_prompts(prompts), dim, normalize=normalize)

    def encode_prompts(self, prompts: list[str]) -> np.ndarray:
        """Embed rendered prompts as they are; nothing is added.

        Returns:
            float32 array (n, width), neither cut nor normalised.
        """
        vectors = torch.empty(len(prompts), self.width)
        for rows, batch in self.stream(self.tokenize(prompts)):
            vectors[rows] = batch.float()
        return vectors.numpy()

    def stream(self, tokenized: list[Tokenized]) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Yield (rows, vectors) per batch, longest prompts first; vectors (b, width) in the model's dtype, on CPU.

        A batch holds prompts of similar length, at most ``batch_tokens`` tokens with their padding. A prompt
        without a single token has no last one: its vector is zero.
        """
        order = sorted(range(len(tokenized)), key=lambda i: -len(tokenized[i].ids))
        start = 0
        while start < len(order):
            longest = max(1, len(tokenized[order[start]].ids))
            rows = order[start : start + max(1, self.settings.batch_tokens // longest)]
            yield rows, self._forward([tokenized[i].ids for i in rows])
            start += len(rows)

    @torch.inference_mode()
    def _forward(self, sequences: list[array]) -> torch.Tensor:
        width = max(1, *map(len, sequences))
        ids = torch.zeros(len(sequences), width, dtype=torch.long)
        mask = torch.zeros(len(sequences), width, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            ids[row, width - len(sequence) :] = torch.tensor(sequence, dtype=torch.long)
            mask[row, width - len(sequence) :] = 1
        lengths = mask.sum(dim=1)
        batch = dict(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
        )
        batch = {name: tensor.to(self.settings.device) for name, tensor in batch.items()}
        hidden = self._decode(batch, ids, width - lengths)[:, -1]
        vectors = hidden if self.projection is None else self.projection(hidden)
        vectors[(lengths == 0).to(vectors.device)] = 0
        return vectors.cpu()

    def _decode(self, batch: dict, ids: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
        if self.settings.token_prepending is None:
            return self.model(**batch, use_cache=False).last_hidden_state
        position, token = self._placeholder
        columns = starts + position
        if ids.shape[1] <= position or not (ids.gather(1, columns[:, None]) == token).all():
            raise BadInput(
                f"token prepending: a prompt does not hold {self.profile.placeholder} as token {position}; "
                f"is it rendered by profile {self.profile.name}?"
            )
        first, last = self.settings.token_prepending
        with token_prepending(
            self.model,
            placeholder_positions=columns.to(self.settings.device),
            last_positions=torch.full_like(columns, ids.shape[1] - 1).to(self.settings.device),
            first_layer=first,
            last_layer=last,
        ):
            return self.model(**batch, use_cache=False).last_hidden_state

    def _check_parameters(self) -> None:
        """Hold the parameter count against the profile's, if this is the profile's model."""
        published = self.profile.published_parameters(self.checkpoint.name)
        if published is None:
            log.info("%s: %s parameters", self.checkpoint.name, f"{self.parameters:,}")
        elif self.parameters != published:
            named = f"{self.profile.model.name} has {published:,}"
            raise BadInput(f"{self.checkpoint.folder}: {self.parameters:,} parameters, but {named}")
