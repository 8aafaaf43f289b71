"""Finds which results of a run exist already. Does not import torch, so that a run with all results ends quickly."""

import logging
from collections.abc import Mapping, Sequence

from qzhou_eval.model.made_with import flags_that_differ
from qzhou_eval.results.manifest import Manifest
from qzhou_eval.results.variant import Variant, record_for
from qzhou_eval.run.prepare import Run
from qzhou_eval.system.formatting import first_few

log = logging.getLogger(__name__)


def missing_results(run: Run) -> dict[str, list[Variant]]:
    """Per task, the variants without a result made from exactly the same data, settings and libraries.

    One-line warnings name results that are reused although a flag asks to make them in another way.
    """
    manifest = Manifest(run.output_dir)
    todo, stale = {}, 0
    vectors: dict[str, list[str]] = {}
    scored_otherwise = set()
    for task in run.tasks:
        record = record_for(task, run.sources[task.name].revision)
        new = [v for v in run.variants if task.name in run.reevaluate or not manifest.keeps(v, task.name, record)]
        for variant in run.variants:
            if variant not in new:
                made = manifest.made(variant, task.name)
                vectors[task.name] = flags_that_differ(run.subject.asked, made.get("encoded_with", []))
                if made.get("evaluators", run.evaluators) != run.evaluators:
                    scored_otherwise.add(task.name)
        if task.name not in run.reevaluate:
            stale += sum(manifest.has(v, task.name) for v in new)
        if new:
            todo[task.name] = new
    if stale:
        log.warning(
            "%d earlier results were made from other data, settings or libraries, or lack items; evaluated again",
            stale,
        )
    warn_of_flags(vectors)
    if scored_otherwise:
        names = ", ".join(sorted(scored_otherwise))
        log.warning("scores of %s are reused despite other --evaluators; --reevaluate evaluates them again", names)
    return todo


def warn_of_flags(differing: Mapping[str, Sequence[str]]) -> None:
    """Warn in one line which tasks' vectors were made in another way than the flags ask for now.

    Args:
        differing: by task, as :func:`~qzhou_eval.model.made_with.flags_that_differ` returns it.
    """
    tasks = [task for task, flags in differing.items() if flags]
    if tasks:
        flags = "; ".join(dict.fromkeys(flag for found in differing.values() for flag in found))
        log.warning("vectors of %s are reused despite %s; --reencode encodes them again", first_few(tasks), flags)
