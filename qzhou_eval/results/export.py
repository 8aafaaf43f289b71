"""``export``: copies results in the layout of mteb's results repository, with hub names and revisions.

    DIR/results/<org__name>/<revision>/<Task>.json, model_meta.json            the profile's own protocol
    DIR/results/<org__name>/<revision>/experiments/<name>/...                   any other dimension or setting

DIR is a cache root for mteb, and what its ``submit-results`` copies. Does not import mteb.
"""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from qzhou_eval.errors import BadInput
from qzhou_eval.results.reader import META, RecordedResults, read_recorded
from qzhou_eval.results.variant import Variant
from qzhou_eval.system.files import write_text
from qzhou_eval.system.mteb_version import CARD_MTEB

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def export(results: Path, to: Path, model_name: str | None, model_revision: str | None, mteb: str) -> list[Path]:
    """Copy every result of one generation of mteb to ``to``, under the model's name and revision on the hub.

    A result file names its mteb version, so the folder name need not.

    Args:
        model_name: ``ORG/NAME`` on the hub, for a model that was run from a folder.
        model_revision: its commit on the hub, also for a model that was run from a folder.

    Returns:
        The result files written.

    Raises:
        BadInput: no results, a result that was changed, several models, no hub name and commit for the model, or a file
            that already exists with other content.
    """
    found = list(read_recorded(results))
    wanted = [recorded for recorded in found if _generation(recorded) == mteb]
    if not wanted:
        raise BadInput(f"{results}: has no results of --mteb {mteb}")
    if len(wanted) < len(found):
        log.warning("%d results folders of the other mteb are left out; select with --mteb", len(found) - len(wanted))
    models = sorted({f"{recorded.variant.model}@{recorded.variant.revision}" for recorded in wanted})
    if len(models) > 1:
        raise BadInput(f"{results}: several models ({', '.join(models)}); export takes the results of one model")
    copies = {path: text for recorded in wanted for path, text in _copies(recorded, to, model_name, model_revision)}
    _refuse_to_overwrite(copies)
    if any(
        (task["record"]["data"] or "").startswith("local-") for recorded in wanted for task in recorded.tasks.values()
    ):
        log.warning("some results were scored on local data: their dataset_revision says so")
    if all("experiments" in path.relative_to(to).parts for path in copies):
        log.warning(
            "every result is filed under an experiment (%s), so submit-results finds none to submit: it takes the "
            "profile's precision at full width (--dtype bfloat16 on a CPU)",
            ", ".join(dict.fromkeys(path.parent.name for path in copies)),
        )
    for path, text in copies.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return [path for path in copies if path.name != META]


def _generation(recorded: RecordedResults) -> str:
    return "card" if ("mteb", CARD_MTEB) in recorded.variant.experiment else "current"


def _copies(recorded: RecordedResults, to: Path, name: str | None, revision: str | None) -> Iterator[tuple[Path, str]]:
    """Yield the files of one variant, as (path, content)."""
    variant = _as_on_the_hub(recorded.variant, name, revision)
    folder = to / variant.folder
    try:
        meta = dict(json.loads((recorded.place / META).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        again = f"remove {recorded.place}, then repeat the run's command"
        raise BadInput(f"{recorded.place / META}: missing or damaged; {again}") from None
    meta |= {"name": variant.model, "revision": variant.revision}
    meta["experiment_kwargs"] = dict(variant.experiment) or None
    yield folder / META, json.dumps(meta, indent=4, ensure_ascii=False)
    for task in recorded.scores:
        yield folder / f"{task}.json", recorded.path(task).read_text("utf-8")


def _as_on_the_hub(variant: Variant, name: str | None, revision: str | None) -> Variant:
    given = {"--model_name": (name, variant.model), "--model_revision": (revision, variant.revision)}
    for flag, (wanted, own) in given.items():
        if wanted and wanted != own and not variant.model.startswith("local/"):
            raise BadInput(f"{flag} {wanted}: these are results of {variant.model} at {variant.revision}")
    experiment = tuple((key, value) for key, value in variant.experiment if key != "mteb")
    named = replace(variant, model=name or variant.model, revision=revision or variant.revision, experiment=experiment)
    if not _NAME.fullmatch(named.model) or named.model.startswith("local/"):
        raise BadInput(f"{named.model}: not a model's name on the hub; give --model_name ORG/NAME")
    if not _COMMIT.fullmatch(named.revision):
        raise BadInput(f"{named.model}: {named.revision} is not a commit on the hub; give --model_revision COMMIT")
    return named


def _refuse_to_overwrite(copies: dict[Path, str]) -> None:
    for path, text in copies.items():
        if path.exists() and path.read_text("utf-8") != text:
            raise BadInput(f"{path}: exists already with other content; export to another folder")
