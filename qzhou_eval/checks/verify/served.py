"""Is what is served what was evaluated? Compares a server's vectors of the probe with ours, or with another's."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tabulate

from qzhou_eval.checks.verify.served_readings import AS_EVALUATED, Ours, readings, spreads
from qzhou_eval.encode.endpoint.client import Client
from qzhou_eval.encode.endpoint.connection import Connection, connect, key_of, probe_for, tokenizer_of
from qzhou_eval.encode.endpoint.first_contact import distances, model_name
from qzhou_eval.encode.endpoint.options import EndpointOptions
from qzhou_eval.encode.endpoint.reference import allowed_distance
from qzhou_eval.errors import EXIT_CHECK_FAILED, BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.profile_choice import choose_profile, named_choice
from qzhou_eval.model.settings import EncoderOptions, resolve_settings
from qzhou_eval.protocol.profile import Profile

log = logging.getLogger(__name__)

EXACT = 1e-8  # of 1 - cosine: the same arithmetic in float32, whose rounding moves it by less
APART = 1e-3  # beyond what half precision does to most texts
CLOSE = 1e-2  # on average: a reading that fits this well is named, with what is left
FAR = 0.3  # on average: no precision does that
BETTER = 1.5  # times: a reading that fits less than this better is not told apart from the one as evaluated
_ALIKE = np.log(2)  # precisions whose spreads are within this factor are not told apart
HALF = ("float16", "bfloat16")  # precisions in which a model is published: rounding, not another model


@dataclass(frozen=True)
class Fit:
    """How far a reading's vectors are from the server's: 1 - cosine of each text, float64 (n,)."""

    reading: str
    apart: np.ndarray

    def cells(self, texts: Sequence[int]) -> list[str]:
        """A row of the table; ``texts`` are the texts' places in the probe."""
        far = [str(texts[row] + 1) for row in np.flatnonzero(self.apart > APART).tolist()]
        named = ", ".join(far[:8]) + (", ..." if len(far) > 8 else "")
        which = f"{len(far)} of {len(texts)}: {named}" if far else "none"
        return [self.reading, f"{1 - self.apart.max():.6f}", f"{1 - self.apart.mean():.6f}", which]


def verify_served(
    model_name_or_path: str, served: EndpointOptions, *, revision: str | None, profile: str | None, device: str
) -> int:
    """Compare a checkpoint with what is served under its name; print a table and a verdict, return the exit code.

    Raises:
        BadInput: no model, or no usable answer.
    """
    checkpoint = find_checkpoint(model_name_or_path, revision=revision)
    choice = choose_profile(profile, checkpoint)
    settings = resolve_settings(checkpoint, choice.profile, EncoderOptions(device=device, dtype="float32"))
    connection = _connected(served, choice.profile, settings.max_length)
    taken = connection.probed
    sent = probe_for(choice.profile, settings.max_length)
    ours = Ours(checkpoint, choice.profile, settings, [sent[row] for row in taken.rows])
    print(f"this side:  {checkpoint.name}, revision {checkpoint.revision}, {choice}")
    print(f"other side: {connection.model} at {connection.client.url}, {_looks(taken.vectors)}\n")
    if taken.vectors.shape[1] != checkpoint.width:
        words = f"{taken.vectors.shape[1]} components, not {checkpoint.width}"
        print(f"verdict: NOT THE SAME: {words}; is a module after pooling left out, or are vectors cut?")
        return EXIT_CHECK_FAILED
    tried = list(readings(ours))
    fits = [Fit(one.name, distances(one.vectors, taken.vectors)) for one in tried]
    columns = ["reading", "least cosine", "mean cosine", "texts apart"]
    _print_table(columns, [fit.cells(taken.rows) for fit in fits])
    own, best = fits[0], min(fits, key=lambda fit: float(fit.apart.mean()))
    near = own.apart.mean() < FAR and own.apart.mean() <= BETTER * best.apart.mean()
    if own.apart.max() <= EXACT:
        print("verdict: OK: what is served is what was evaluated")
        return 0
    if near:
        return _precision(ours, own, exact=tried[0].vectors)
    fits_best = best.apart.mean() < CLOSE
    what = f"what fits is '{best.reading}'" if fits_best else f"no reading fits; the closest is '{best.reading}'"
    print(f"verdict: NOT THE SAME: {what}{_also(best)}")
    return EXIT_CHECK_FAILED


def verify_two(one: EndpointOptions, two: EndpointOptions, *, profile: str | None) -> int:
    """Compare two servers on the probe; print a table and a verdict, return the exit code.

    Raises:
        BadInput: no usable answer from one of them.
    """
    client = Client(one.endpoint, key_of(one))
    choice = named_choice(profile, model_name(client, one), otherwise="plain")
    sides = [_connected(side, choice.profile, choice.profile.max_length) for side in (one, two)]
    for name, side in zip(("this side: ", "other side:"), sides, strict=True):
        print(f"{name} {side.model} at {side.client.url}, {_looks(side.probed.vectors)}")
    widths = [side.probed.vectors.shape[1] for side in sides]
    if widths[0] != widths[1]:
        print(f"\nverdict: NOT THE SAME: {widths[0]} and {widths[1]} components")
        return EXIT_CHECK_FAILED
    common = sorted(set(sides[0].probed.rows) & set(sides[1].probed.rows))
    if not common:
        raise BadInput("the servers took none of the probe's texts in common; nothing can be compared")
    vectors = [side.probed.vectors[[side.probed.rows.index(row) for row in common]] for side in sides]
    fit = Fit("one against the other", distances(*vectors))
    print()
    _print_table(["", "least cosine", "mean cosine", "texts apart"], [fit.cells(common)])
    if fit.apart.max() <= allowed_distance(sides[0].probed, sides[1].probed):
        print("verdict: OK: the same vectors")
        return 0
    print("verdict: NOT THE SAME")
    return EXIT_CHECK_FAILED


def _connected(served: EndpointOptions, profile: Profile, max_length: int) -> Connection:
    client = Client(served.endpoint, key_of(served))
    model, tokenizer = model_name(client, served), tokenizer_of(served)
    return connect(client, model, served, profile, max_length=max_length, tokenizer=tokenizer)


def _looks(vectors: np.ndarray) -> str:
    """What the vectors tell by themselves: their lengths, and whether their components were rounded."""
    norms = np.linalg.norm(vectors, axis=1)
    unit = np.abs(norms - 1).max() < 1e-2
    said = "vectors of norm 1" if unit else f"vectors NOT normalised (norms {norms.min():.3g} to {norms.max():.3g})"
    rounded = [places for places in range(5) if np.abs(vectors - vectors.round(places)).max() < 1e-7]
    return f"{said}, components ROUNDED to {rounded[0]} decimals" if rounded else said


def _also(best: Fit) -> str:
    return "" if best.apart.max() <= EXACT else f" up to a least cosine of {1 - best.apart.max():.5f}"


def _precision(ours: Ours, own: Fit, *, exact: np.ndarray) -> int:
    """Judge vectors that are as evaluated, up to a precision that the spread of their cosines tells.

    Args:
        exact: our vectors as evaluated, float32 (n, width).
    """
    log.info("computing our side in lower precisions")
    found = {one.name: distances(one.vectors, exact) for one in spreads(ours) if np.isfinite(one.vectors).all()}
    rows = [[name, *_spread(apart)] for name, apart in {"as served": own.apart, **found}.items()]
    _print_table(["spread of the cosines", "least", "mean", "median of 1 - cosine"], rows)
    factors = {name: abs(np.log(_median(apart) / _median(own.apart))) for name, apart in found.items()}
    like = min(factors, key=lambda name: factors[name])
    alike = [name for name, factor in factors.items() if name != like and factor < _ALIKE]
    named = f"{like} ({' and '.join(alike)} spread alike)" if alike else like
    if own.apart.max() > 10 * found[like].max():
        print(f"verdict: NOT THE SAME: no reading fits; '{AS_EVALUATED}' does{_also(own)}")
        return EXIT_CHECK_FAILED
    if like in HALF:
        print(f"verdict: OK: what is served is what was evaluated, to the rounding of {named}")
        return 0
    print(f"verdict: NOT THE SAME: lower precision somewhere; the cosines spread as with {named}")
    return EXIT_CHECK_FAILED


def _median(apart: np.ndarray) -> float:
    return max(float(np.median(apart)), 1e-12)


def _spread(apart: np.ndarray) -> list[str]:
    return [f"{1 - apart.max():.6f}", f"{1 - apart.mean():.6f}", f"{np.median(apart):.1e}"]


def _print_table(columns: list[str], rows: list[list[str]]) -> None:
    align = ["left", "right", "right", "left"]
    print(f"{tabulate.tabulate(rows, columns, tablefmt='simple', colalign=align, disable_numparse=True)}\n")
