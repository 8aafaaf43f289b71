"""Compare a task's data with the statistics that mteb 2.26.24 ships of the official data.

They count samples, characters, distinct texts and labels, and give the shortest, mean and longest text of each side.
A local folder with the same statistics is taken for the official data, though nothing says where it is from.
"""

import json
import logging
from collections.abc import Mapping

from mteb.abstasks import AbsTask

log = logging.getLogger(__name__)

_COUNTED_OTHERWISE = {"unique_pairs"}  # shipped for ordered pairs, computed for unordered ones


def has_official_statistics(mteb_task: AbsTask) -> bool | None:
    """Whether all evaluated splits of a loaded task have the shipped statistics; None if mteb ships none for them."""
    shipped = mteb_task.metadata.descriptive_stats
    if mteb_task.metadata.is_multilingual:
        return None  # they are nested by subset
    if not shipped or any(split not in shipped for split in mteb_task.eval_splits):
        return None
    try:
        found = {one: mteb_task._calculate_descriptive_statistics_from_split(one) for one in mteb_task.eval_splits}
    except Exception as error:
        log.warning("%s: mteb cannot compute statistics of its data: %s", mteb_task.metadata.name, error)
        return None
    return all(_plain(dict(found[split])) == _plain(dict(shipped[split])) for split in found)


def _plain(statistics: Mapping[str, object]) -> object:
    kept = {name: value for name, value in statistics.items() if name not in _COUNTED_OTHERWISE and value is not None}
    return json.loads(json.dumps(kept, default=str))
