"""Texts and scores by mteb 1.x's own loader and by ours: run in a folder with data in the layout of mteb 1.x.

Prints [texts, main score] of each as JSON for TASK: by its loader, by ours from DATA_DIR in the layout of 2.x, and by
ours from this folder.
"""

import json
import sys
from pathlib import Path

from qzhou_eval.benchmark.data_sources import DataSource, locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.evaluate.mteb_adapter import v1
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet, use_source
from qzhou_eval.evaluate.mteb_adapter.stored_vectors import Recorded

quiet()
v1.use_source = lambda mteb_task, source: source.folder and use_source(mteb_task, source)  # this folder acts as the hub
task = packaged_tasks()[sys.argv[1]]
found = []
for source in (DataSource(None, "local"), locate(task, Path(sys.argv[2])), locate(task, Path.cwd())):
    mteb_task = v1.load(task, source)
    encoder = v1._Encoder(Recorded(), dim=2, normalize=True)
    scores = v1._evaluate(mteb_task, task, encoder)[task.splits[0]]["default"]
    calls = [(call.side, sorted(set(call.texts))) for call in v1.calls(mteb_task, task, source)]
    found.append([calls, scores["main_score"]])
print(json.dumps(found))
