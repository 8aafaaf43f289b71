"""The Embedder: texts or rendered prompts in, vectors out. Imports no mteb and needs no task's data."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from qzhou_eval.errors import BadInput
from qzhou_eval.model import fp8
from qzhou_eval.model.cpu_half_precision import settle_products
from qzhou_eval.model.encoded import Encoded
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.guards import check_loaded
from qzhou_eval.model.head import load_head
from qzhou_eval.model.loading import load_body
from qzhou_eval.model.made_with import batch_plan
from qzhou_eval.model.profile_choice import check_parameters, profile_for
from qzhou_eval.model.settings import EncoderOptions, EncoderSettings, find_model, layer_range, resolve_settings
from qzhou_eval.model.speed.cost import Cost, cost_of
from qzhou_eval.model.speed.matmul_rate import matmul_rate
from qzhou_eval.model.token_prepending import PrependedLayers
from qzhou_eval.model.tokenizer import PromptTokenizer, Tokenized
from qzhou_eval.protocol import prompts as prompt_rules
from qzhou_eval.protocol.matryoshka import check_dim, cut_and_normalize, normalizes
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.texts import as_texts, check_text
from qzhou_eval.results.entries import MadeWith
from qzhou_eval.system.environment import ENCODING_LIBRARIES, hardware, versions
from qzhou_eval.system.options import option


class Embedder:
    """A transformer with pooling, an optional head, and optional token prepending.

    Vectors follow the QZhou-Embedding-Zh protocol: pooled and projected in the model's dtype, converted
    to float32, cut to a dimension, then L2-normalised.
    """

    def __init__(self, checkpoint: Checkpoint, profile: Profile, settings: EncoderSettings) -> None:
        self.checkpoint = checkpoint
        self.profile = profile
        self.settings = settings
        self.tokenize = PromptTokenizer(checkpoint, profile, **settings.tokenizing)
        self._placeholder = self.tokenize.placeholder() if settings.token_prepending else None
        dtype, device = getattr(torch, settings.dtype), settings.device
        self.model = load_body(checkpoint, dtype=dtype, device=device, trust_remote_code=settings.trust_remote_code)
        self.head = load_head(checkpoint, dtype=dtype, device=device)
        self._multiplies = settle_products(filter(None, (self.model, self.head)), device, dtype)
        self.parameters = sum(p.numel() for m in (self.model, self.head) if m for p in m.parameters())
        check_parameters(profile, checkpoint, self.parameters)
        self._forward = Forward(
            self.model,
            self.head,
            device=device,
            max_length=settings.longest,
            attention=settings.attention,
            own_code=settings.trust_remote_code,
            pooling=settings.pooling,
            both_ways=settings.both_ways,
            span=settings.token_prepending,
            begins=self._template_begins(),
        )
        if self._forward.width != self.width:
            found = f"its vectors have {self._forward.width} components, not {self.width} as its configuration says"
            raise BadInput(f"{checkpoint.folder}: {found}")
        self.guards = check_loaded(checkpoint, self.tokenize, settings)
        self.fp8_cosine = self._use_fp8() if settings.fp8 else None
        if settings.compile:
            self._forward.body.compile()

    @classmethod
    def from_pretrained(
        cls,
        model_name_or_path: str,
        *,
        profile: str | None = None,
        revision: str | None = None,
        token_prepending: str | tuple[int, int] = "auto",
        dtype: str = "auto",
        device: str = "auto",
        max_length: int | None = None,
        truncate: str = "whole",
        trust_remote_code: bool = False,
        allow_pickle: bool = False,
        attention: str = "auto",
        batch_tokens: int | None = None,
        compile: bool = False,
        fp8: bool = False,
    ) -> "Embedder":
        """Load a model folder or hub id.

        Args:
            profile: a profile's name or YAML file; None is the model's own, or what the checkpoint's files say.
            token_prepending: ``"auto"`` (as the profile says), ``"on"``, ``"off"``, or an inclusive
                0-based layer range such as ``(1, 7)``.
            dtype: ``"auto"`` is bfloat16 on a GPU and float32 on a CPU.
            max_length: in tokens, template included; None is the profile's limit (1024 for qzhou-zh).
            truncate: ``"whole"`` cuts the rendered prompt, as published; ``"text"`` cuts the text.
            trust_remote_code: run the checkpoint's own code, if it has any. That code then decides on token
                prepending; this harness's stays off, and asking for it is an error.
            allow_pickle: load a ``pytorch_model.bin`` where there is no safetensors file; no code in it runs.
            attention: ``"packed"`` puts many prompts in one row without padding, ``"padded"`` pads them;
                ``"auto"`` takes the first of packed, padded and batches of one length in which no vector depends on
                its neighbours, and logs it once if that is not packed.
            batch_tokens: tokens per forward pass; None is 16384 on a GPU and 1024 on a CPU.
            compile: compile the model's layers with torch.compile.
            fp8: FP8 matrix products in the model's layers; vectors differ, not for published scores.

        Raises:
            BadInput: no such model, tensors missing or unexpected, no placeholder token, or a
                setting that does not fit the model.
        """
        options = EncoderOptions(
            token_prepending=token_prepending,
            dtype=dtype,
            device=device,
            max_length=max_length,
            truncate=truncate,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
            attention=attention,
            batch_tokens=batch_tokens,
            compile=compile,
            fp8=fp8,
        )
        checkpoint = find_model(model_name_or_path, revision=revision, options=options)
        rules = profile_for(profile, checkpoint)
        return cls(checkpoint, rules, resolve_settings(checkpoint, rules, options))

    @property
    def width(self) -> int:
        """Size of the full vector."""
        return self.checkpoint.width

    @property
    def way(self) -> str:
        """How prompts share batches, one of :data:`~qzhou_eval.model.batching.batches.WAYS`."""
        return self._forward.way

    @property
    def made_with(self) -> MadeWith:
        """How vectors are made apart from the settings: device, kernels, batches and libraries, for the manifest."""
        made: MadeWith = {
            "device": self.settings.device,
            "attention": self._forward.attention + (", compiled" if self.settings.compile else ""),
            "batch_plan": batch_plan(self._forward.limit(self.settings.batch_tokens)),
            "guards": self.guards,
            "products": str(self._multiplies).removeprefix("torch."),
            **self._machine,
        }
        if self.settings.fp8:
            made["fp8_cosine"] = self.fp8_cosine
        return made

    @cached_property
    def _machine(self) -> MadeWith:
        """The part that stays the same; cached, since it is written with every shard and made by reading files."""
        return {"hardware": hardware(self.settings.device), "versions": versions(ENCODING_LIBRARIES)}

    def ideal_seconds(self, lengths: list[int]) -> float | None:
        """Seconds that these token counts' arithmetic would take as one large matrix product on this device."""
        return None if self.cost is None else self.cost(lengths) / self._matmul_rate

    @cached_property
    def cost(self) -> Cost | None:
        """The arithmetic of a prompt; None if it cannot be counted, as with the checkpoint's own code."""
        if self._forward.body.layers is None:
            return None
        config = self.model.config.get_text_config(decoder=True)
        return cost_of(self._forward.body.layers, config, self.head, both_ways=self.settings.both_ways)

    @cached_property
    def _matmul_rate(self) -> float:
        return matmul_rate(self.settings.device, self._multiplies)

    def with_token_prepending(self, span: tuple[int, int] | None) -> "Embedder":
        """Return an Embedder with the same loaded weights and token prepending on another range of layers (None: off).

        Raises:
            BadInput: no placeholder token, no such layers, no causal decoder, or a model whose own code decides.
        """
        if span and self.settings.trust_remote_code:
            raise BadInput("token prepending: the checkpoint's own code decides on it")
        if span and self.settings.both_ways:
            raise BadInput("token prepending: needs a causal decoder, and here a token attends to those after it too")
        span = layer_range(span, self.profile, self.checkpoint)
        other = copy(self)
        other.settings = replace(self.settings, token_prepending=span)
        other._placeholder = self.tokenize.placeholder() if span else None
        if span not in (None, self.settings.token_prepending):
            self._forward.check(span, other._template_begins())
        return other

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        instruction: str | None = None,
        side: str | None = None,
        dim: int | None = None,
        normalize: bool | None = None,
        normalize_embeddings: bool | None = None,
    ) -> np.ndarray:
        """Embed plain texts: the profile's template and, if given, the instruction are put around each.

        Args:
            texts: a list, tuple, generator or array of strings, or one string.
            instruction: plain text, the same for all; braces and special tokens in it are treated as plain text.
            side: ``"query"`` or ``"document"``: the profile's template of that side and, unless one is given, the
                instruction that it has for retrieval; None is the template of queries, without an instruction.
            normalize: whether vectors get L2 norm 1; they do unless this is False.
            normalize_embeddings: sentence-transformers' name for ``normalize``, an alias.

        Returns:
            float32 array (n, dim), or (dim,) for one string; dim is the full width if None.

        Raises:
            BadInput: an item is not a text (the message has its position); the profile has no line for an instruction,
                or no template for the side; ``dim`` is not between 1 and the width; or ``normalize``'s names disagree.
        """
        normalize = normalizes(normalize, normalize_embeddings)
        if isinstance(texts, str):
            return self.encode([texts], instruction=instruction, side=side, dim=dim, normalize=normalize)[0]
        dim = self.width if dim is None else check_dim(dim, self.width)
        if instruction is not None:
            check_text(instruction, "instruction")
        elif side is not None:
            instruction = prompt_rules.retrieval_instruction(self.profile, side)
        texts = as_texts(texts)
        prompts = [prompt_rules.render(self.profile, text, instruction, side) for text in texts]
        beginning = "".join(prompt_rules.prompt_parts(self.profile, "", instruction, side)[:2])
        return cut_and_normalize(self._vectors(self.tokenize(prompts, beginning=beginning)), dim, normalize=normalize)

    def encode_prompts(self, prompts: str | Iterable[str]) -> np.ndarray:
        """Embed rendered prompts as they are; nothing is added.

        Returns:
            float32 array (n, width), or (width,) for one string, neither cut nor normalised.

        Raises:
            BadInput: an item is not a text (the message has its position), or a prompt that this model cannot take.
        """
        if isinstance(prompts, str):
            return self.encode_prompts([prompts])[0]
        return self._vectors(self.tokenize(as_texts(prompts, "prompt")))

    def _vectors(self, tokenized: list[Tokenized]) -> np.ndarray:
        vectors = torch.empty(len(tokenized), self.width)
        for done in self.stream(tokenized):
            vectors[done.rows] = done.vectors.float()
        return vectors.numpy()

    def stream(self, tokenized: Sequence[Tokenized]) -> Iterator[Encoded]:
        """Yield vectors per batch, longest prompts first, in the model's dtype.

        A prompt without any tokens has no last token: its vector is zero.

        Raises:
            BadInput: with token prepending, a prompt lacks the placeholder at its position.
        """
        sequences = [prompt.ids for prompt in tokenized]
        self._check_placeholder(sequences)
        empty = [row for row, ids in enumerate(sequences) if not ids]
        if empty:
            yield Encoded(empty, torch.zeros(len(empty), self.width, dtype=getattr(torch, self.settings.dtype)), 0)
        span = self.settings.token_prepending
        prepended = PrependedLayers(*span, self._placeholder[0]) if span and self._placeholder else None
        before = None if self.settings.pooling.include_prompt else [prompt.before for prompt in tokenized]
        yield from self._forward.stream(sequences, self.settings.batch_tokens, before=before, prepended=prepended)

    def _template_begins(self) -> array:
        """The tokens that all prompts begin with, up to the placeholder; empty if nothing looks for a placeholder."""
        if self._placeholder is None and not self.settings.trust_remote_code:
            return array("I")
        (template,) = self.tokenize([prompt_rules.render(self.profile, "")])
        return template.ids if self._placeholder is None else template.ids[: self._placeholder[0] + 1]

    def _check_placeholder(self, sequences: list[array]) -> None:
        if self._placeholder is None:
            return
        position, token = self._placeholder
        if any(len(ids) <= position or ids[position] != token for ids in sequences if ids):
            raise BadInput(
                f"token prepending: a prompt does not have {self.profile.placeholder} as token {position}; "
                f"was it rendered by {self.profile.called}?"
            )

    def _use_fp8(self) -> float:
        """Switch to FP8 and return the mean cosine of a few texts' vectors to their earlier bfloat16 vectors."""
        exact = torch.from_numpy(self.encode(fp8.PROBE, normalize=False))
        try:
            fp8.use_fp8(self._forward.body.layers or torch.nn.ModuleList())
        except ValueError as error:
            raise BadInput(f"{option('fp8', True)}: {error}; drop it") from None
        return fp8.state_loss(exact, torch.from_numpy(self.encode(fp8.PROBE, normalize=False)))
