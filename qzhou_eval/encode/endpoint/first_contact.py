"""The first words with a server: its model's name, the fields that it takes, and the vectors of the probe."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qzhou_eval.encode.endpoint.answers import tokens_in, vectors_in
from qzhou_eval.encode.endpoint.client import Client, EndpointError
from qzhou_eval.encode.endpoint.encoder import EndpointEncoder, Request
from qzhou_eval.encode.endpoint.options import EndpointOptions
from qzhou_eval.encode.endpoint.prompts import TOKENS_PER_BYTE, ServedPrompt
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.matryoshka import cut_and_normalize
from qzhou_eval.protocol.profile import Profile

log = logging.getLogger(__name__)

_ASKED = 16  # texts of the probe, to ask for a dimension
_SHORT = 200  # tokens
_SAME_PREFIX = 0.9999  # of cosines: far from another prefix, and far from rounding


@dataclass(frozen=True)
class Probed:
    """What a server makes of the probe.

    Attributes:
        rows: which of the probe's texts it took; too long or empty ones it may refuse.
        vectors: theirs, float32 (n, width).
        noise: the largest 1 - cosine of a text's vector with its vector from another batch.
    """

    rows: list[int]
    vectors: np.ndarray
    noise: float


def model_name(client: Client, options: EndpointOptions) -> str:
    """The model's name: the one asked for, or the only one that the server lists.

    Raises:
        BadInput: it lists several, or none.
    """
    if options.endpoint_model is not None:
        return options.endpoint_model
    names = client.models()
    if len(names) != 1:
        listed = f"has {', '.join(names)}" if names else "lists no models"
        raise BadInput(f"{client.url} {listed}; give --endpoint_model NAME")
    return names[0]


def warn_of_unlisted(client: Client, model: str) -> None:
    """Say in one line that a server does not list the model that it is asked for; some answer to any name."""
    names = client.models()
    if names and model not in names:
        log.warning("%s lists %s, not %s; it is asked for all the same", client.url, ", ".join(names), model)


def settle_request(
    client: Client, model: str, candidates: Sequence[Request], prompt: ServedPrompt
) -> tuple[Request, float]:
    """Find out which request the server takes, by sending one prompt in each form until one is answered.

    Returns:
        The request, and how many tokens a byte has by the server's count.

    Raises:
        BadInput: the server takes no request for this model.
    """
    refused: EndpointError | None = None
    for request in candidates:
        try:
            answer = client.embeddings(request.body([prompt.text], prompt.side), patient=False)
            vectors_in(answer, 1)
        except EndpointError as error:
            refused = refused or error
            continue
        tokens = tokens_in(answer)
        return request, tokens / len(prompt.text.encode()) if tokens else TOKENS_PER_BYTE
    names = client.models()
    raise BadInput(f"--endpoint_model {model}: {refused}; models there: {', '.join(names) or 'none listed'}")


def candidates(model: str, options: EndpointOptions, profile: Profile, limit: int | None) -> list[Request]:
    """Requests to try: for exact vectors and a cut at ``limit`` tokens first; some servers refuse unknown fields.

    ``limit`` is None if texts are cut here.
    """
    by_side = {} if profile.request is None else profile.request.model_dump()
    cut = {"truncate": True, "truncate_prompt_tokens": limit}  # text-embeddings-inference and Ollama; vLLM
    found = []
    for encoding in ({"encoding_format": "base64"}, {"encoding_format": "float"}, {}):
        for more in ({},) if limit is None else (cut, {}):
            found.append(Request({"model": model, **encoding, **more, **options.request_fields}, by_side))
    return found


def probe_server(encoder: EndpointEncoder, prompts: Sequence[ServedPrompt]) -> Probed:
    """Send the probe text by text, and its short texts once more together.

    Raises:
        BadInput: no text has a usable vector.
    """
    taken, vectors, reason = [], [], ""
    for row, prompt in enumerate(prompts):
        try:
            (vector,) = encoder.vectors([prompt])
        except EndpointError as error:
            reason = reason or str(error)
            continue
        if not np.isfinite(vector).all():
            raise BadInput(f"the server gave NaN or infinity for text {row + 1} of the probe: {prompt.text[:60]!r}")
        if vector.any():
            taken.append(row)
            vectors.append(vector)
    if not taken:
        raise BadInput(f"the server gave no vector for any text of the probe; {reason or 'all are zero'}")
    alone = np.stack(vectors)
    short = [place for place, row in enumerate(taken) if prompts[row].size <= _SHORT]
    noise = 0.0
    for done in encoder.stream([prompts[taken[place]] for place in short]):
        before = alone[[short[row] for row in done.rows]]
        noise = max(noise, float(distances(before, done.vectors.numpy()).max()))
    return Probed(taken, alone, noise)


def distances(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """1 - cosine of pairs of vectors (n, width), float64 (n,); 0 for two zero vectors, and 1 for one."""
    one, two = one.astype(np.float64), two.astype(np.float64)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    cosines = (one * two).sum(axis=1) / np.where(norms, norms, 1.0)
    cosines[~one.any(axis=1) & ~two.any(axis=1)] = 1.0
    return np.maximum(0.0, 1.0 - cosines)


def own_dimension_line(
    client: Client, request: Request, prompts: Sequence[ServedPrompt], full: np.ndarray, dim: int
) -> str:
    """A line that says whether the server's own ``dimensions`` gives what is cut here from ``full`` (n, width)."""
    side = prompts[0].side
    same = [row for row, prompt in enumerate(prompts) if prompt.side == side][:_ASKED]
    texts = [prompts[row].text for row in same]
    try:
        own = vectors_in(client.embeddings({**request.body(texts, side), "dimensions": dim}), len(texts))
    except EndpointError:
        return f"dimension {dim} is cut here; the server has no dimensions of its own"
    if own.shape[1] != dim:
        return f"dimension {dim} is cut here; the server's own dimensions gives {own.shape[1]} components"
    least = 1.0 - distances(own, cut_and_normalize(full[same], dim)).max()
    what = "is the same" if least > _SAME_PREFIX else "is NOT the same: an API need not cut"
    return f"dimension {dim} is cut here; the server's own {what} (least cosine {least:.5f} on the probe)"
