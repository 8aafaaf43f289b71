"""Print the scores of the public encoder inside mteb 1.38.30, as JSON: MODEL DATA_DIR STORE_DIR OUTPUT TASK...

At both dimensions, in mteb's own loop, task by task, and into one folder of its results. The store has all vectors,
so no model is loaded.
"""

import json
import sys
from pathlib import Path

import mteb

from qzhou_eval import MTEBEncoder
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.evaluate.mteb_adapter import v1
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.run import mteb_encoder

model, data, store, output, *names = sys.argv[1:]
quiet()
mteb_encoder.Embedder = None
found = []
for dim in (64, 96):
    encoder = MTEBEncoder.from_pretrained(model, profile="qzhou-zh", dim=dim, store_dir=store, device="cpu")
    for task in (packaged_tasks()[name] for name in names):
        mteb_task = v1.load(task, locate(task, Path(data)))  # loading sets the seeds
        (result,) = mteb.MTEB(tasks=[mteb_task]).run(encoder, output_folder=output, verbosity=0)
        found.append([task.name, dim, result.scores[task.splits[0]][0]["main_score"]])
print(json.dumps(found))
