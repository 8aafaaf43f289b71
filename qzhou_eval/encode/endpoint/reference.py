"""The probe's vectors beside the store: what a server gave at first, with which it is compared at each later start.

    STORE/endpoint-<digest of what is asked>-<digest of the vectors>.safetensors

A name says little about what answers to it: the model behind it, or its precision, may have been changed. The digest of
these vectors is part of the fingerprint, so vectors of two of them are never mixed.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from qzhou_eval.encode.endpoint.first_contact import Probed, distances
from qzhou_eval.errors import BadInput
from qzhou_eval.system.digests import sha256_of_json
from qzhou_eval.system.files import publish, temporary_in
from qzhou_eval.system.options import option

ROUNDING = 2e-5  # of 1 - cosine: more than float32 and less than a change of precision moves any text's vector
_TIMES_NOISE = 10.0  # a server whose vectors depend on the batch is allowed this much of what it showed


@dataclass(frozen=True)
class Reference:
    """The probe's vectors as first recorded, and what is known of the server that gave them."""

    probed: Probed
    about: Mapping[str, object]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the vectors and of which texts they are."""
        content = np.asarray(self.probed.rows, np.int64).tobytes() + self.probed.vectors.tobytes()
        return hashlib.sha256(content).hexdigest()


def allowed_distance(one: Probed, two: Probed) -> float:
    """The 1 - cosine up to which vectors of two probes are the same: rounding, as far as the servers showed any."""
    return max(ROUNDING, _TIMES_NOISE * max(one.noise, two.noise))


def settle(store_dir: Path, asked: Mapping[str, object], found: Reference) -> Reference:
    """The recorded reference of this endpoint, if the server still gives its vectors; ``found`` if there is none yet.

    Args:
        asked: everything except the prompt and the server that decides a vector.

    Raises:
        BadInput: the server gives other vectors than were recorded.
    """
    earlier = _recorded(store_dir, asked)
    moved = [(one, path, _moved(one.probed, found.probed)) for path, one in earlier.items()]
    for one, _, how in moved:
        if not how:
            return one
    if moved:
        _, path, how = moved[0]
        raise BadInput(
            f"the server gives other vectors than those in the store: {how}. It is another model, or another precision "
            f"of it; give another {option('store_dir')} and {option('output_dir')} (what it gave before: {path})"
        )
    return found


def record(store_dir: Path, asked: Mapping[str, object], reference: Reference) -> None:
    """Write a reference, unless it is there.

    Raises:
        BadInput: it cannot be written.
    """
    path = store_dir / f"{_stem(asked)}-{reference.digest[:16]}.safetensors"
    if path.exists():
        return
    tensors = {"rows": np.asarray(reference.probed.rows, np.int64), "vectors": reference.probed.vectors}
    about = {"noise": repr(reference.probed.noise), "about": json.dumps(reference.about, ensure_ascii=False)}
    try:
        store_dir.mkdir(parents=True, exist_ok=True)
        with temporary_in(store_dir) as temporary:
            temporary.write_bytes(save(tensors, about))
            publish(temporary, path)
    except OSError as error:
        raise BadInput(f"{option('store_dir', str(store_dir))}: cannot write there ({error.strerror})") from None


def only_one(store_dir: Path, asked: Mapping[str, object]) -> Reference:
    """The one recorded reference, for scoring without the server.

    Raises:
        BadInput: there is none.
    """
    found = list(_recorded(store_dir, asked).values())
    if len(found) != 1:
        raise BadInput(f"{store_dir}: has vectors of {len(found)} such endpoints, not of one; run encode first")
    return found[0]


def _stem(asked: Mapping[str, object]) -> str:
    return f"endpoint-{sha256_of_json(asked)[:16]}"


def _recorded(store_dir: Path, asked: Mapping[str, object]) -> dict[Path, Reference]:
    found = {}
    for path in sorted(store_dir.glob(f"{_stem(asked)}-*.safetensors")):
        try:
            with safe_open(path, framework="np") as file:
                rows, vectors = file.get_tensor("rows").tolist(), file.get_tensor("vectors")
                about = file.metadata()
                one = Reference(Probed(rows, vectors, float(about["noise"])), json.loads(about["about"]))
            if one.digest[:16] != path.stem.rpartition("-")[2]:
                raise ValueError("its content does not match its name")
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}: damaged ({error}); remove it") from None
        found[path] = one
    return found


def _moved(before: Probed, now: Probed) -> str:
    """How the vectors differ by more than rounding, in a few words; empty if they do not."""
    if before.vectors.shape[1] != now.vectors.shape[1]:
        return f"{now.vectors.shape[1]} components, before {before.vectors.shape[1]}"
    common = sorted(set(before.rows) & set(now.rows))
    if not common:
        return "it took none of the probe's texts that it took before"
    places = [[probed.rows.index(row) for row in common] for probed in (before, now)]
    apart = distances(before.vectors[places[0]], now.vectors[places[1]])
    far = int((apart > allowed_distance(before, now)).sum())
    return f"{far} of {len(common)} texts of the probe moved, least cosine {1 - apart.max():.5f}" if far else ""
