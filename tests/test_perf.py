"""The benchmarks count correctly: the other sides' batches, compared with sentence-transformers and mteb themselves."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import mteb
import pytest
from datasets import Dataset
from mteb._create_dataloaders import create_dataloader
from mteb.models import CachedEmbeddingWrapper
from perf_scripts import perf_script
from sentence_transformers import SentenceTransformer


@pytest.fixture
def counted(tiny):
    """A sentence-transformers model that counts the tokens it forwards, padding included."""
    model = SentenceTransformer(str(tiny), device="cpu")
    model.seen = 0

    def count(_module, args):
        model.seen += args[0]["input_ids"].numel()

    model[0].register_forward_pre_hook(count)
    return model


@pytest.fixture
def texts() -> list[str]:
    words = random.Random(3)
    return ["".join(words.choices("今天气很好吗 abc，。", k=words.randint(1, 60))) for _ in range(180)] * 2


def lengths(texts: list[str], model) -> dict[str, int]:
    return {text: len(model.tokenizer(text)["input_ids"]) for text in texts}


def test_the_published_procedures_batches_are_counted_as_sentence_transformers_makes_them(counted, texts):
    for start in range(0, len(texts), 128):
        counted.encode(texts[start : start + 128], batch_size=32)
    assert perf_script("tokens").published_pass([texts], lengths(texts, counted)) == counted.seen


def test_mtebs_cache_is_counted_as_it_works(counted, texts, tmp_path):
    class Encoder:
        mteb_model_meta = mteb.models.ModelMeta.create_empty()

        def encode(self, inputs, **kwargs):
            return counted.encode([text for batch in inputs for text in batch["text"]], batch_size=32)

        similarity = similarity_pairwise = None

    wrapper = CachedEmbeddingWrapper(Encoder(), tmp_path)
    task = mteb.get_task("STSB")
    calls = [texts[:150], texts[100:]]
    for call in calls:
        inputs = create_dataloader(Dataset.from_dict({"text": call}), task_metadata=task.metadata)
        wrapper.encode(inputs, task_metadata=task.metadata, hf_split="test", hf_subset="default")
    wrapper.close()
    count = perf_script("tokens").cached_pass([(None, call) for call in calls], lengths(texts, counted))
    assert count == counted.seen


@pytest.mark.slow
def test_the_packaged_checkpoints_tokens_are_counted_as_they_are_forwarded(tmp_path):
    first, second = perf_script("tokens").forwarded_in_fact(tmp_path)
    assert first > 100_000 and second == 0


def checked_without_a_gpu(script: str) -> subprocess.CompletedProcess:
    """Run a script of perf/ with --check where there is no GPU, which must fail."""
    argv = [sys.executable, Path(__file__).parents[1] / "perf" / script, "--check"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1, done.stderr
    return done


@pytest.mark.slow
def test_the_gpu_benchmark_runs_to_its_end_without_a_gpu():
    done = checked_without_a_gpu("gpu_encode.py")
    assert done.stderr.splitlines()[-1] == "missed: no GPU: the goals were not measured"
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 7 and rows[-1][0] == "+ FP8"
    for row in rows:
        assert [bool(re.match(r"[\d,]+ tokens/s, \d+%, x [\d.]+$", cell)) for cell in row[1:3]] == [True, True]
        assert row[3:] == ["not measured", "not measured"]
    assert "last of a pack" in done.stdout and "bitwise equal" in done.stdout


@pytest.mark.slow
def test_the_gpu_benchmark_of_encoders_runs_to_its_end_without_a_gpu():
    done = checked_without_a_gpu("gpu_encoders.py")
    assert done.stderr.splitlines()[-1] == "missed: no GPU: nothing was measured"
    assert done.stdout.count("lowest cosine of packed and padded vectors 1.0000") == 2
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    ways = [row[2].split(",")[0].strip() for row in rows]
    assert ways == ["padded", "packed", "sentence-transformers", "padded", "packed"]


def test_an_etas_error_is_the_worst_after_the_first_tenth():
    eta = perf_script("eta")
    rows = [(0, 1, 500), (5, 4, None), (20, 20, 60), (60, 60, 48), (95, 95, 40), (100, 100, 0)]
    whole, of_whole, of_left = eta.errors([eta.Forecast(*row) for row in rows])
    assert (whole, of_whole, of_left) == (
        100,
        0.35,
        0.25,
    )  # the last: 35 late; the second: 20 of 80


@pytest.mark.parametrize("holds", [[], ["cmteb/other/data"], ["STSB"]])
def test_tokens_refuses_a_folder_that_holds_none_of_the_data(tmp_path, monkeypatch, capsys, holds):
    """It would count the miniature alone and call that everything."""
    for name in holds:
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["tokens.py", "--data_dir", str(tmp_path)])
    assert perf_script("tokens").main() == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert (
        f"--data_dir {tmp_path}: no data set of CMTEB in {tmp_path}/cmteb or {tmp_path}/cmteb-lookalike" in captured.err
    )
