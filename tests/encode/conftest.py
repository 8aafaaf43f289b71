"""Fixtures for runs through a server."""

import pytest
from embedding_server import Served, serving
from endpoint_runs import TASKS, run_scores

from qzhou_eval import cli
from qzhou_eval.encode.endpoint import client


@pytest.fixture
def server():
    """A server of character n-grams."""
    with serving(Served()) as served:
        yield served


@pytest.fixture
def impatient(monkeypatch):
    """Waits are short."""
    monkeypatch.setattr(client, "PATIENCE", 3.0)
    monkeypatch.setattr(client, "_backoff", lambda state: 0.05)


@pytest.fixture(scope="session")
def expected(tmp_path_factory):
    """Scores of the same encoder without a server."""
    output = tmp_path_factory.mktemp("own") / "out"
    encoder = "qzhou_eval.encode.char_ngrams:CharNgram"
    argv = ["run", "--encoder", encoder, "--tasks", *TASKS, "--dim", "64", "256", "--output_dir", str(output)]
    assert cli.main([*argv, "--eval_workers", "1"]) == 0
    return run_scores(output)
