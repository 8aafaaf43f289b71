"""A server that has answered: who it is, what goes with each request, and what it gives for the probe."""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qzhou_eval.encode.endpoint.client import Client
from qzhou_eval.encode.endpoint.encoder import BATCH_TOKENS, EndpointEncoder, Request
from qzhou_eval.encode.endpoint.first_contact import Probed, candidates, probe_server, settle_request, warn_of_unlisted
from qzhou_eval.encode.endpoint.options import KEY_VARIABLE, EndpointOptions
from qzhou_eval.encode.endpoint.prompts import ServedPrompt, ServedPrompts
from qzhou_eval.encode.probe import ProbePrompt, probe
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.tokenizer_file import open_tokenizer
from qzhou_eval.protocol.profile import Profile

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)

_LONGEST = 6  # characters for each token of the limit: a text of that length is cut, and a longer one only costs
_TRIAL = 0  # the probe's text by which the request is settled


@dataclass(frozen=True)
class Connection:
    """A server that has answered.

    Attributes:
        limit: who cuts at the limit, in words.
        counted: whether tokens are counted here, not estimated.
        probe: the probe's prompts as they are sent.
        probed: what the server gave for them.
    """

    client: Client
    model: str
    request: Request
    prompts: ServedPrompts
    encoder: EndpointEncoder
    limit: str
    counted: bool
    probe: list[ServedPrompt]
    probed: Probed


def key_of(options: EndpointOptions) -> str | None:
    """The key in the environment, or None.

    Raises:
        BadInput: the variable that was named is not set, or holds what no header can.
    """
    name = options.api_key_env or KEY_VARIABLE
    key = os.environ.get(name, "").strip()
    if options.api_key_env is not None and not key:
        raise BadInput(f"--api_key_env {name}: is not set; export {name}=KEY")
    if not key.isascii() or not key.isprintable():
        raise BadInput(f"{name}: holds characters that a key cannot have")
    return key or None


def probe_for(profile: Profile, max_length: int) -> list[ProbePrompt]:
    """The probe as servers get it, whose longest texts are not much longer than the limit."""
    return probe(profile, longest=_LONGEST * max_length)


def connect(
    client: Client,
    model: str,
    options: EndpointOptions,
    profile: Profile,
    *,
    max_length: int,
    tokenizer: "Tokenizer | None",
    batch_tokens: int | None = None,
) -> Connection:
    """Settle what is sent, and send the probe.

    Args:
        max_length: the limit in tokens.
        tokenizer: the one of :func:`tokenizer_of`, by which texts are cut here.
        batch_tokens: tokens of a request, as counted or estimated here.

    Raises:
        BadInput: the server does not answer, or not with usable vectors.
    """
    if options.endpoint_model is not None:
        warn_of_unlisted(client, model)
    rendered = [one.prompt for one in probe_for(profile, max_length)]
    prompts = ServedPrompts(profile, max_length=max_length, tokenizer=tokenizer)
    (trial,) = prompts([rendered[_TRIAL]])
    limit = None if tokenizer is not None else max_length
    request, per_byte = settle_request(client, model, candidates(model, options, profile, limit), trial)
    if tokenizer is None:
        prompts = ServedPrompts(profile, max_length=max_length, tokens_per_byte=per_byte)
    sent = list(prompts(rendered))
    log.info("sending the %d texts of the probe to %s", len(sent), client.url)
    encoder = EndpointEncoder(
        client, request, requests=options.endpoint_requests, batch_tokens=batch_tokens or BATCH_TOKENS
    )
    return Connection(
        client=client,
        model=model,
        request=request,
        prompts=prompts,
        encoder=encoder,
        limit=_limit(tokenizer is not None, "truncate" in request.fields),
        counted=tokenizer is not None,
        probe=sent,
        probed=probe_server(encoder, sent),
    )


def _limit(here: bool, asks: bool) -> str:
    if here:
        return "cut here"
    return "asked of the server, what it does is unknown" if asks else "left to the server, which takes no limit"


def tokenizer_of(options: EndpointOptions) -> "Tokenizer | None":
    """The tokenizer in the folder that the options name, or None.

    Raises:
        BadInput: it cannot be loaded.
    """
    return None if options.tokenizer is None else open_tokenizer(options.tokenizer)


def asked_of(
    model: str, options: EndpointOptions, profile: Profile, max_length: int, tokenizer: "Tokenizer | None"
) -> Mapping[str, object]:
    """Everything except the prompt and what answers that decides a vector."""
    cuts = None if tokenizer is None else hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
    return {
        "encoder": "endpoint",
        "model": model,
        "fields": dict(options.request_fields),
        "fields_by_side": profile.request and profile.request.model_dump(),
        "max_length": max_length,
        "document_max_length": profile.document_max_length,
        "tokenizer": cuts,
        "probe": profile.digest,
    }
