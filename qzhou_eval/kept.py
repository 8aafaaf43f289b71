"""Which results of a run are there already. Knows no torch: a run that finds them all ends at once."""

import logging

from qzhou_eval.config import Run
from qzhou_eval.results import Manifest, Variant, record_for

log = logging.getLogger(__name__)


def wanted(run: Run) -> dict[str, list[Variant]]:
    """Per task the variants that have no result made from exactly the same data, settings and libraries."""
    manifest = Manifest(run.output_dir)
    todo, stale = {}, 0
    for task in run.tasks:
        record = record_for(task, run.sources[task.name].revision)
        new = [v for v in run.variants if not manifest.keeps(v, task.name, record)]
        stale += sum(manifest.has(v, task.name) for v in new)
        if new:
            todo[task.name] = new
    if stale:
        log.warning(
            "%d earlier results were made from other data, settings or libraries, or lack items; evaluated again",
            stale,
        )
    return todo
