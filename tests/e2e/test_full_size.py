"""The full-size rehearsal, at a small size: synthetic data after mteb's statistics, every stage, one kill."""

import re
import subprocess
import sys
from pathlib import Path

import mteb
import numpy as np
import pyarrow.parquet as pq
import pytest

from qzhou_eval.benchmark.packaged import packaged_tasks

ROOT = Path(__file__).parents[2]
SHARE = 0.004
TASKS = ("CovidRetrieval", "Ocnli", "STSB")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory) -> tuple[Path, str]:
    """The folder that a rehearsal of three tasks left, and its output."""
    folder = tmp_path_factory.mktemp("rehearsal")
    script = [sys.executable, str(ROOT / "perf/full_size.py")]
    argv = ["--tasks", *TASKS, "--share", str(SHARE), "--folder", str(folder), "--kills", "1"]
    argv += ["--against_mteb", "CovidRetrieval"]
    done = subprocess.run([*script, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def column(folder: Path, task: str, config: str, name: str) -> list[str]:
    (file,) = (folder / "data" / packaged_tasks()[task].path / config).glob(f"{packaged_tasks()[task].splits[0]}-*")
    found = pq.read_table(file)[name].to_pylist()
    return found[0] if isinstance(found[0], list) else found


@pytest.mark.slow
def test_synthetic_data_have_the_official_numbers_and_lengths(rehearsed):
    folder, _ = rehearsed
    for task, config, name, statistics in (
        ("CovidRetrieval", "corpus", "text", "documents_text_statistics"),
        ("STSB", "data", "sentence1", "text1_statistics"),
        ("Ocnli", "data", "sent2", "text2_statistics"),
    ):
        official = mteb.get_task(task).metadata.descriptive_stats[packaged_tasks()[task].splits[0]][statistics]
        texts = column(folder, task, config, name)
        number = official["total_text_length"] / official["average_text_length"]
        assert len(texts) == max(30, round(SHARE * number))
        assert len(set(texts)) == pytest.approx(len(texts) * official["unique_texts"] / number, abs=1)
        lengths = np.array([len(text) for text in texts])
        assert official["min_text_length"] <= lengths.min() and lengths.max() <= official["max_text_length"]
        assert lengths.mean() == pytest.approx(official["average_text_length"], rel=0.1)


@pytest.mark.slow
def test_a_rehearsal_ends_and_says_what_it_took(rehearsed):
    folder, said = rehearsed
    documents, queries = (column(folder, "CovidRetrieval", config, "_id") for config in ("corpus", "queries"))
    (line,) = re.findall(r"^CovidRetrieval +([\d,]+) ", said, re.MULTILINE)
    assert int(line.replace(",", "")) == len(documents) + len(queries)
    for stage in (
        "data",
        "run",
        "evaluate, alone",
        "encode again: nothing to do",
        "the rest of a killed run",
        "report",
    ):
        assert re.search(rf"^{stage} +[\d,]+", said, re.MULTILINE), stage
    assert "killed after" in said and "exit code -9" in said
    (keys,) = re.findall(r"^store: ([\d,]+) keys", said, re.MULTILINE)
    (distinct,) = re.findall(r"^all +[\d,]+ +([\d,]+) ", said, re.MULTILINE)
    assert keys == distinct  # no prompt is in two tasks
