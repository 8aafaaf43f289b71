"""Everything except the prompt that decides a vector: options, resolved once for the Embedder and the fingerprint."""

import logging
import re
from dataclasses import dataclass
from importlib.metadata import version
from operator import index
from typing import Any

from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import Checkpoint, find_checkpoint
from qzhou_eval.model.folder.tokenizer_file import token_rule
from qzhou_eval.model.max_length import check_limit
from qzhou_eval.model.pooling import KINDS, Pooling
from qzhou_eval.protocol.profile import Profile
from qzhou_eval.protocol.prompts import beginnings
from qzhou_eval.system.digests import sha256_of_json
from qzhou_eval.system.options import option

log = logging.getLogger(__name__)

DTYPES = ("float32", "bfloat16", "float16")
TRUNCATE = ("whole", "text")
ATTENTION = ("auto", "packed", "padded")

CAUSAL, BIDIRECTIONAL = "causal", "bidirectional"

ENCODING_VERSION = 1  # raised by every fix that changes vectors: earlier ones are then not reused


@dataclass(frozen=True)
class EncoderOptions:
    """Options of an Embedder as given; see its ``from_pretrained`` for their meanings."""

    token_prepending: str | tuple[int, int] = "auto"
    dtype: str = "auto"
    device: str = "auto"
    max_length: int | None = None
    truncate: str = "whole"
    trust_remote_code: bool = False
    allow_pickle: bool = False
    attention: str = "auto"
    batch_tokens: int | None = None
    compile: bool = False
    fp8: bool = False


def find_model(model_name_or_path: str, *, revision: str | None, options: EncoderOptions) -> Checkpoint:
    """Find a checkpoint, with what the options allow.

    Raises:
        BadInput: as :func:`~qzhou_eval.model.folder.checkpoint.find_checkpoint`.
    """
    return find_checkpoint(
        model_name_or_path,
        revision=revision,
        trust_remote_code=options.trust_remote_code,
        allow_pickle=options.allow_pickle,
    )


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of an :class:`~qzhou_eval.model.embedder.Embedder`, with every ``auto`` resolved."""

    token_prepending: tuple[int, int] | None
    both_ways: bool
    pooling: Pooling
    max_length: int
    document_max_length: int | None
    truncate: str
    dtype: str
    device: str
    trust_remote_code: bool
    attention: str
    batch_tokens: int
    compile: bool
    fp8: bool

    @property
    def precision(self) -> str:
        """The dtype, or ``fp8``; results are filed under it."""
        return "fp8" if self.fp8 else self.dtype

    @property
    def direction(self) -> str:
        """Which tokens a token attends to: ``causal``, ``bidirectional``, or as the checkpoint's own code decides."""
        if self.trust_remote_code:
            return "the checkpoint's own"
        return BIDIRECTIONAL if self.both_ways else CAUSAL

    @property
    def tokenizing(self) -> dict[str, Any]:
        """The arguments of :class:`~qzhou_eval.model.tokenizer.PromptTokenizer` after checkpoint and profile."""
        limits = {"max_length": self.max_length, "document_max_length": self.document_max_length}
        return {**limits, "truncate": self.truncate, "pooling": self.pooling}

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt that can be."""
        return max(self.max_length, self.document_max_length or 0)

    def identity(self, checkpoint: Checkpoint, profile: Profile) -> dict[str, object]:
        """Everything except the prompt that decides a vector, without library versions (the manifest records those)."""
        return {
            "encoding_version": ENCODING_VERSION,
            "checkpoint": checkpoint.digest,
            "token_ids": token_rule(checkpoint.tokenizer),
            "remote_code": checkpoint.code_digest if self.trust_remote_code else False,
            "token_prepending": self.token_prepending,
            "placeholder": profile.placeholder if self.token_prepending else None,
            "max_length": self.max_length,
            "truncate": self.truncate,
            "template_end": _template_end(profile) if self.truncate == "text" else None,
            "end_token": profile.end_token,
            "pooling": self.pooling.name,
            "dtype": self.precision,
            "width": checkpoint.width,
            **({"document_max_length": self.document_max_length} if self.document_max_length else {}),
            **({"attention": BIDIRECTIONAL} if self.both_ways else {}),  # nothing for causal: as before encoders
            **({} if self.pooling.include_prompt else {"text_begins_after": beginnings(profile)}),
        }

    def fingerprint(self, checkpoint: Checkpoint, profile: Profile) -> str:
        """SHA-256 (hex) of the identity."""
        return sha256_of_json(self.identity(checkpoint, profile))


def resolve_settings(
    checkpoint: Checkpoint, profile: Profile, options: EncoderOptions, *, here: bool = True
) -> EncoderSettings:
    """Replace every ``auto`` and default by what it means for this checkpoint and machine.

    Args:
        here: whether the model will run on this machine, which must then have the device.

    Raises:
        BadInput: a value is unknown, or does not fit the model or the machine.
    """
    if profile.request is not None:
        raise BadInput(f"{profile.called}: its request is for servers ({option('endpoint')}), not for a model here")
    device = resolve_device(options.device) if here else options.device
    on_gpu = device.startswith("cuda")
    dtype = options.dtype
    if dtype == "auto":
        dtype = "bfloat16" if on_gpu else "float32"
    if dtype not in DTYPES:
        raise BadInput(f"{option('dtype', dtype)}: choose auto, {', '.join(DTYPES)}")
    if options.fp8 and dtype != "bfloat16":
        raise BadInput(
            f"{option('fp8', True)}: needs bfloat16 weights, not {dtype}; give {option('dtype', 'bfloat16')}"
        )
    if options.attention not in ATTENTION:
        raise BadInput(f"{option('attention', options.attention)}: choose {', '.join(ATTENTION)}")
    if options.truncate not in TRUNCATE:
        raise BadInput(f"{option('truncate', options.truncate)}: choose {' or '.join(TRUNCATE)}")
    max_length = _count("max_length", options.max_length, profile.max_length)
    batch_tokens = _count("batch_tokens", options.batch_tokens, 16384 if on_gpu else 1024)
    remote_code = options.trust_remote_code and checkpoint.own_code is not None
    if remote_code and options.token_prepending != "auto":
        raise BadInput(
            f"{option('trust_remote_code', True)}: the checkpoint's own code decides on token prepending; "
            f"drop {option('token_prepending', options.token_prepending)}"
        )
    if remote_code and (options.fp8 or options.compile):
        raise BadInput(
            f"{option('trust_remote_code', True)}: the checkpoint's own code runs as it is; "
            f"drop {option('fp8')} and {option('compile')}"
        )
    both_ways = checkpoint.both_ways if profile.attention is None else profile.attention == BIDIRECTIONAL
    asked = profile.token_prepending if options.token_prepending == "auto" else options.token_prepending
    if both_ways and not remote_code and asked not in (None, "off"):
        auto = options.token_prepending == "auto"
        asker = profile.called if auto else option("token_prepending", options.token_prepending)
        raise BadInput(
            f"{asker}: token prepending needs a causal decoder, and in {checkpoint.name} a token attends to those "
            f"after it too; give {option('token_prepending', 'off')}, or another profile, such as "
            f"{option('profile', 'plain')}"
        )
    layers = None if remote_code else layer_range(options.token_prepending, profile, checkpoint)
    source = profile.called if options.max_length is None else option("max_length")
    document_max_length = profile.document_max_length if options.max_length is None else None
    check_limit(checkpoint, max(max_length, document_max_length or 0), source)
    _say_what_is_left_out(checkpoint, layers, can_run=checkpoint.own_code is not None and not remote_code)
    return EncoderSettings(
        token_prepending=layers,
        both_ways=both_ways,
        pooling=_pooling(checkpoint, profile),
        max_length=max_length,
        document_max_length=document_max_length,
        truncate=options.truncate,
        dtype=dtype,
        device=device,
        trust_remote_code=remote_code,
        attention=options.attention,
        batch_tokens=batch_tokens,
        compile=options.compile,
        fp8=options.fp8,
    )


def resolve_device(device: str) -> str:
    """Resolve a device to ``cpu``, ``cuda`` or ``cuda:N``. Imports torch only if there may be a GPU.

    Raises:
        BadInput: no such device on this machine.
    """
    without_cuda = version("torch").endswith("+cpu")
    if device == "cpu" or (device == "auto" and without_cuda):
        return "cpu"
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    match = re.fullmatch(r"cuda(?::([0-9]{1,4}))?", str(device))
    if match is None:
        raise BadInput(f"{option('device', device)}: choose auto, cpu, cuda or cuda:N")
    if int(match[1] or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise BadInput(
            f"{option('device', device)}: torch sees {found} GPUs on this machine; use {option('device', 'cpu')}"
        )
    return device


def layer_range(
    wanted: str | tuple[int, int] | None, profile: Profile, checkpoint: Checkpoint
) -> tuple[int, int] | None:
    """Return the layers with token prepending (0-based, both ends included), or None for off.

    Raises:
        BadInput: not a range, or not within the decoder.
    """
    if wanted is None or wanted == "off" or (wanted == "auto" and profile.token_prepending is None):
        return None
    if wanted in ("auto", "on"):
        wanted = profile.token_prepending or (1, 7)
    if not isinstance(wanted, tuple) or len(wanted) != 2 or any(type(layer) is not int for layer in wanted):
        raise BadInput(f"{option('token_prepending', wanted)}: choose auto, on, off or layers such as (1, 7)")
    first, last = wanted
    if not 0 <= first <= last < checkpoint.layers:
        raise BadInput(
            f"{option('token_prepending', wanted)}: the model has layers 0 to {checkpoint.layers - 1} "
            "(both ends included)"
        )
    return first, last


def _template_end(profile: Profile) -> str | list[str]:
    """What the identity has of it: one text for a profile with one template, as before there were sides."""
    return profile.ends[0] if isinstance(profile.template, str) else profile.ends


def _pooling(checkpoint: Checkpoint, profile: Profile) -> Pooling:
    """The profile's pooling or, if it names none, the checkpoint's.

    Raises:
        BadInput: neither names one, and the model is not a decoder, whose last token has seen the whole text.
    """
    own = checkpoint.pooling
    if profile.pooling is not None:
        return Pooling(profile.pooling, include_prompt=profile.include_prompt is not False)
    if own is None:
        raise BadInput(
            f"{checkpoint.folder}: it does not say how a text's vector is made from its tokens'; "
            f"give a profile with a line such as pooling: mean ({', '.join(KINDS)})"
        )
    return own


def _count(name: str, asked: int | None, default: int) -> int:
    """Return a number of tokens, at least 1: the one asked for, or the default."""
    if asked is None:
        return default
    try:
        number = index(asked)
    except TypeError:
        number = 0
    if isinstance(asked, bool) or number < 1:
        raise BadInput(f"{option(name, asked)}: must be a whole number of at least 1")
    return number


def _say_what_is_left_out(checkpoint: Checkpoint, layers: tuple[int, int] | None, *, can_run: bool) -> None:
    """Warn in one line about code of the checkpoint that is not run."""
    if not checkpoint.left_out:
        return
    ours = f"Token prepending is applied by this harness, on layers {layers[0]}-{layers[1]}. " if layers else ""
    log.warning(
        "%s has its own code, which is not run: %s. It may change attention, pooling, token prepending or token ids; "
        "vectors made without it may be wrong. %s%s",
        checkpoint.name,
        ", ".join(checkpoint.left_out),
        ours,
        f"To run the model's, read it, then give {option('trust_remote_code', True)}; qzhou-eval verify compares both"
        if can_run
        else "Only a transformer's code can run",
    )
