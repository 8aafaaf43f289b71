"""The example of docs/extending.md runs as it stands there, and gives the built-in encoder's vectors and scores."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from qzhou_eval import cli
from qzhou_eval.encode.char_ngrams import vectors
from qzhou_eval.results.reader import read_recorded

PAGE = (Path(__file__).parents[1] / "docs/extending.md").read_text("utf-8")


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The current folder with the example in it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "my_encoder.py").write_text(code, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield code
    sys.modules.pop("my_encoder", None)


def test_the_example_is_short(example):
    assert len([line for line in example.splitlines() if line.strip()]) <= 25


def test_its_command_gives_the_scores_of_the_built_in_encoder(example, tmp_path):
    (command,) = re.findall(r"```bash\nqzhou-eval (run --encoder .*?)\n```", PAGE)
    assert cli.main([*command.split(), "--eval_workers", "1"]) == 0
    built_in = command.replace("my_encoder:Ngrams", "qzhou_eval.encode.char_ngrams:CharNgram").replace("results/", "x/")
    assert cli.main([*built_in.split(), "--eval_workers", "1"]) == 0
    ours, theirs = (read_recorded(tmp_path / folder)[0] for folder in ("results/ngrams", "x/ngrams"))
    assert ours.scores == theirs.scores and len(ours.scores) == 2
    assert ours.variant.model == "local/Ngrams"


def test_its_vectors_are_the_built_in_encoders(example, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_encoder

    texts = ["今天天气很好。", "a b", "", " \n", "🙂字"]
    encoder = my_encoder.Ngrams()
    found = np.concatenate([done.vectors.numpy() for done in encoder.stream(encoder.prepare(texts))])
    np.testing.assert_array_equal(found, vectors(texts))
