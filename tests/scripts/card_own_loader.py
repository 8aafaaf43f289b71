"""Run in a folder with data in the layout of mteb 1.x: texts and scores by its own loader, and by ours from 2.x's.

Prints both as JSON: [[texts, main score], [texts, main score]] for TASK, with DATA_DIR in the layout of 2.x.
"""

import json
import sys
from pathlib import Path

from qzhou_eval.adapter import card
from qzhou_eval.adapter.reading import point_at, quiet
from qzhou_eval.adapter.vectors import Recorded
from qzhou_eval.tasks import DataSource, all_tasks, locate

quiet()
card.point_at = lambda mteb_task, source: source.folder and point_at(mteb_task, source)  # this folder is the hub here
task = all_tasks()[sys.argv[1]]
found = []
for source in (DataSource(None, "local"), locate(task, Path(sys.argv[2]))):
    mteb_task = card.load(task, source)
    encoder = card._Encoder(Recorded(), dim=2, normalize=True)
    scores = card._evaluate(mteb_task, task, encoder)[task.splits[0]]["default"]
    calls = [(call.side, sorted(set(call.texts))) for call in card.calls(mteb_task, task, source)]
    found.append([calls, scores["main_score"]])
print(json.dumps(found))
