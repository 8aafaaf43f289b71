"""``export``: results in the form of the results repository: hub names and revisions, no local ones.

    DIR/results/<org__name>/<revision>/<Task>.json, model_meta.json            the profile's own protocol
    DIR/results/<org__name>/<revision>/experiments/<name>/...                   any other dimension or setting

DIR is a cache root for mteb, and what its ``submit-results`` copies. Imports no mteb.
"""

import json
import logging
import re
from dataclasses import replace
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.files import write_text
from qzhou_eval.generation import CARD_MTEB
from qzhou_eval.results import Manifest, Variant

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def export(results: Path, to: Path, model_name: str | None, model_revision: str | None, mteb: str) -> list[Path]:
    """Copy every result of one generation of mteb to ``to``, under the model's name and revision on the hub.

    A result file says which mteb it comes from, so that its folder need not.

    Args:
        model_name: ``ORG/NAME`` for a model that was run from a folder; the same with ``model_revision``, a commit.

    Returns:
        The result files written.

    Raises:
        BadInput: no results, one of them changed, or no hub name and commit for the model.
    """
    if not (results / "manifest.json").is_file():
        raise BadInput(f"{results}: no results there (no manifest.json)")
    manifest = Manifest(results)
    entries = {place: e for place, e in manifest.content["variants"].items() if _generation(e) == mteb}
    if not entries:
        raise BadInput(f"{results}: no results of --mteb {mteb} there")
    if left_out := len(manifest.content["variants"]) - len(entries):
        log.warning("%d folders of results of the other mteb are left out; --mteb chooses", left_out)
    copies: dict[Path, str] = {}
    for place, entry in entries.items():
        variant = _as_on_the_hub(_variant(entry["variant"]), model_name, model_revision)
        folder = to / variant.folder
        if folder / "model_meta.json" in copies:
            raise BadInput(f"{results}: several models would become {variant.model} at {variant.revision}")
        copies[folder / "model_meta.json"] = _meta(results / place, variant)
        for task in entry["tasks"]:
            if not manifest.intact(place, task):
                raise BadInput(f"{results / place / task}.json: missing or changed; run the evaluation again")
            copies[folder / f"{task}.json"] = (results / place / f"{task}.json").read_text("utf-8")
    if any(t["record"]["data"].startswith("local-") for e in entries.values() for t in e["tasks"].values()):
        log.warning("some results were scored on local data: their dataset_revision says so")
    for path, text in copies.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return [path for path in copies if path.name != "model_meta.json"]


def _generation(entry: dict) -> str:
    return "card" if ["mteb", CARD_MTEB] in entry["variant"]["experiment"] else "current"


def _meta(folder: Path, variant: Variant) -> str:
    """The folder's ``model_meta.json`` under the hub's name."""
    meta = json.loads((folder / "model_meta.json").read_text("utf-8"))
    meta |= {"name": variant.model, "revision": variant.revision}
    meta["experiment_kwargs"] = dict(variant.experiment) or None
    return json.dumps(meta, indent=4, ensure_ascii=False)


def _variant(fields: dict) -> Variant:
    return Variant(**fields | {"experiment": tuple((key, value) for key, value in fields["experiment"])})


def _as_on_the_hub(variant: Variant, name: str | None, revision: str | None) -> Variant:
    experiment = tuple((key, value) for key, value in variant.experiment if key != "mteb")
    named = replace(variant, model=name or variant.model, revision=revision or variant.revision, experiment=experiment)
    if not _NAME.fullmatch(named.model) or named.model.startswith("local/"):
        raise BadInput(f"{named.model}: not a model's name on the hub; give --model_name ORG/NAME")
    if not _COMMIT.fullmatch(named.revision):
        raise BadInput(f"{named.model}: {named.revision} is no commit of the hub; give --model_revision COMMIT")
    return named
