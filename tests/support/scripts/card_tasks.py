"""Print what the installed mteb pins for each task of the benchmark: data set revision and main score, as JSON."""

import json

import mteb

tasks = {t.metadata.name: t.metadata for t in mteb.get_benchmark("MTEB(cmn, v1)").tasks}
print(json.dumps({name: [meta.dataset["revision"], meta.main_score] for name, meta in tasks.items()}))
