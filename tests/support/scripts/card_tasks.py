"""Print, as JSON, what the installed mteb pins for each task of the benchmark.

Data set, its revision, the revision of its judgements or null, and the main score. A script, not a test:
test_generations.py runs it in the card's environment.
"""

import json

import mteb

tasks = {t.metadata.name: t.metadata for t in mteb.get_benchmark("MTEB(cmn, v1)").tasks}
pinned = {
    name: [*(meta.dataset.get(key) for key in ("path", "revision", "qrel_revision")), meta.main_score]
    for name, meta in tasks.items()
}
print(json.dumps(pinned))
