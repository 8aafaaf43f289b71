"""An endpoint as what a run evaluates: asked at the start who it is, and told apart by its vectors of the probe."""

import json
import math
import re
from array import array
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

from qzhou_eval.benchmark.task import Task
from qzhou_eval.encode.endpoint.client import Client
from qzhou_eval.encode.endpoint.connection import Connection, asked_of, connect, key_of, tokenizer_of
from qzhou_eval.encode.endpoint.encoder import BATCH_TEXTS, BATCH_TOKENS
from qzhou_eval.encode.endpoint.first_contact import model_name, own_dimension_line
from qzhou_eval.encode.endpoint.options import EndpointOptions
from qzhou_eval.encode.endpoint.reference import Reference, only_one, record, settle
from qzhou_eval.encode.readings import Reading
from qzhou_eval.errors import BadInput
from qzhou_eval.model.profile_choice import Choice, named_choice
from qzhou_eval.model.sent_lines import sent_text
from qzhou_eval.model.settings import ENCODING_VERSION
from qzhou_eval.protocol.dimensions import dimensions
from qzhou_eval.protocol.profile import PUBLISHED_FACTS, Profile
from qzhou_eval.protocol.prompts import check_prompts
from qzhou_eval.results.entries import Provenance
from qzhou_eval.run.config import RunConfig
from qzhou_eval.run.filing import variant_without_checkpoint
from qzhou_eval.run.subjects.local_flags import refuse_local_flags
from qzhou_eval.run.subjects.subject import Subject
from qzhou_eval.system.digests import sha256_of_json

PROFILE = "plain"  # for a model that no shipped profile names: the text alone
DTYPE = "as served"


def endpoint_subject(
    config: RunConfig, served: EndpointOptions, tasks: list[Task], *, contacts: bool, writes: bool
) -> Subject:
    """Resolve an endpoint. Each time the server is contacted, the probe is sent.

    Args:
        contacts: whether the server is needed; if not, what an earlier run recorded is used.
        writes: whether what the server gives for the probe is recorded beside the store.

    Raises:
        BadInput: no usable answer, other vectors than those in the store, or something that does not fit.
    """
    refuse_local_flags(config, "--endpoint", but=("max_length", "batch_tokens"))
    client = Client(served.endpoint, key_of(served))
    if not contacts and served.endpoint_model is None:
        raise BadInput("evaluate does not ask the server what it serves; give --endpoint_model NAME")
    model = model_name(client, served)
    choice = named_choice(config.profile or config.default_profile, model, otherwise=PROFILE)
    check_prompts(choice.profile, tasks, use_instruction=config.use_instruction)
    max_length = config.options.max_length or choice.profile.max_length
    tokenizer = tokenizer_of(served)
    asked = asked_of(model, served, choice.profile, max_length, tokenizer)
    store_dir = config.folders(_filed(model))[1]
    if not contacts:
        reading = _reading(config, choice.profile, model, asked, only_one(store_dir, asked))
        return Subject(choice.profile, (reading,), (), open_tokenizer=_not_asked, open_encoder=_not_asked)
    batch_tokens = config.options.batch_tokens
    connection = connect(
        client,
        model,
        served,
        choice.profile,
        max_length=max_length,
        tokenizer=tokenizer,
        batch_tokens=batch_tokens,
    )
    reference = settle(store_dir, asked, Reference(connection.probed, _about(connection)))
    if writes:
        record(store_dir, asked, reference)
    return Subject(
        profile=choice.profile,
        readings=(_reading(config, choice.profile, model, asked, reference),),
        sent=tuple(_lines(config, choice, connection, max_length)),
        open_tokenizer=lambda: connection.prompts,
        open_encoder=lambda: connection.encoder,
        counts_tokens=connection.counted,
        plan_lines=partial(_plan_lines, connection, served.price_per_million_tokens, batch_tokens or BATCH_TOKENS),
    )


def _not_asked() -> NoReturn:
    raise RuntimeError("the server was not asked, so nothing can be encoded")


def _filed(model: str) -> str:
    """The name that results are filed under: never that of a checkpoint, since nobody knows what is served."""
    return "endpoint/" + re.sub(r"[^\w.+-]", "-", model.replace("/", "--"))


def _about(connection: Connection) -> dict[str, object]:
    """What the manifest records about the server."""
    return {
        "endpoint": connection.client.url,
        "served_model": connection.model,
        "request": dict(connection.request.fields),
        "limit": connection.limit,
        "tokens": "counted" if connection.counted else "estimated",
        "probe_texts": len(connection.probed.rows),
        "probe_noise": connection.probed.noise,
    }


def _lines(config: RunConfig, choice: Choice, connection: Connection, max_length: int) -> list[str]:
    """What is sent, in a few lines."""
    profile, probed = choice.profile, connection.probed
    sent = sent_text(profile, use_instruction=config.use_instruction)
    found = [
        f"sent to {connection.model} at {connection.client.url}: {sent}, {choice}; what the server adds is not known",
        *(f"not verified in profile {profile.name}: {fact}" for fact in profile.unverified),
        f"at most {max_length} tokens: {connection.limit}; {probed.vectors.shape[1]} components; {len(probed.rows)} of "
        f"{len(connection.probe)} texts of the probe taken; in another batch a text's vector moves by "
        f"{probed.noise:.0e} (1 - cosine)",
    ]
    if profile.request is not None:
        fields = json.dumps(profile.request.model_dump(), ensure_ascii=False)
        found.append(f"sent beside the texts, by side: {fields}")
    dims = dimensions(config.dim, profile, probed.vectors.shape[1])
    if dims[0] < probed.vectors.shape[1]:
        prompts = [connection.probe[row] for row in probed.rows]
        found.append(own_dimension_line(connection.client, connection.request, prompts, probed.vectors, dims[0]))
    return found


def _reading(
    config: RunConfig, profile: Profile, model: str, asked: Mapping[str, object], reference: Reference
) -> Reading:
    width = reference.probed.vectors.shape[1]
    identity = {"encoding_version": ENCODING_VERSION, **asked, "probe_vectors": reference.digest}
    own = named_choice(None, model, otherwise=PROFILE).profile
    variants = [
        variant_without_checkpoint(
            model=_filed(model),
            revision=f"probe-{reference.digest[:12]}",
            dim=dim,
            width=width,
            profile=profile,
            own_profile=own.name,
            fingerprint=sha256_of_json(identity),
            max_length=config.options.max_length or profile.max_length,
            dtype=DTYPE,
            normalize=config.normalize,
            use_instruction=config.use_instruction,
        )
        for dim in dimensions(config.dim, profile, width)
    ]
    provenance: Provenance = {
        "model": {"name": variants[0].model, "probe_sha256": reference.digest, **reference.about},
        "profile": {"digest": profile.digest}
        | profile.model_dump(mode="json", exclude=PUBLISHED_FACTS | {"tasks", "types"}),
        "token_prepending": None,
        "encoding_version": ENCODING_VERSION,
    }
    return Reading(None, variants, identity, provenance)


def _plan_lines(connection: Connection, price: float | None, batch_tokens: int, sizes: "array[int]") -> list[str]:
    """How many requests and tokens, and what they cost."""
    tokens = sum(sizes)
    requests = max(math.ceil(len(sizes) / BATCH_TEXTS), math.ceil(tokens / batch_tokens))
    about = "" if connection.counted else "about "
    why = "" if connection.counted else " (estimated from the texts' bytes; --tokenizer FOLDER counts them)"
    found = [f"at least {requests:,} requests of up to {BATCH_TEXTS} texts, {about}{tokens:,} tokens{why}"]
    if price is not None:
        found.append(f"price: {about}{tokens / 1e6 * price:,.2f} at {price:g} per million tokens")
    return found
