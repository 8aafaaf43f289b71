"""Score the drift data from one store under the mteb of this interpreter: DRIFT_FOLDER OUTPUT_FOLDER TASK...

A script, not a test: test_generations.py runs it once in each environment. Prints the folder of the results.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.encode.store import Store, prompt_key
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.results.variant import Variant

PLAIN = load_profile("plain")  # the texts of the drift data are opaque keys: nothing is added around them
WIDTH = 64
VARIANT = Variant(
    model="test/drift",
    revision="1",
    dim=WIDTH,
    width=WIDTH,
    profile=PLAIN.name,
    profile_digest=PLAIN.digest,
    fingerprint="d" * 64,
    token_prepending=None,
    normalize=True,
    use_instruction=False,
    max_length=PLAIN.max_length,
    truncate="whole",
    dtype="float32",
    experiment=(),
)


def main(drift: Path, output: Path, names: list[str]) -> None:
    quiet()
    torch.set_num_threads(1)
    texts = json.loads((drift / "texts.json").read_text("utf-8"))
    with np.load(drift / "vectors.npz") as file:
        vectors = torch.from_numpy(file[file.files[0]])
    store = Store(output / "store", VARIANT.fingerprint)
    store.create({})
    store.add([prompt_key(text) for text in texts], vectors)
    for name in names:
        task = packaged_tasks()[name]
        if name == "MultilingualSentiment":  # the drift data have only one of its two splits
            task = replace(task, splits=("validation",))
        evaluate(EvaluateJob(task, locate(task, drift / "data"), PLAIN, output / "store", output, (VARIANT,)))
    print(output / VARIANT.folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
