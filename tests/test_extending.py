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
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
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


def test_an_error_in_it_is_its_own(example, tmp_path, caplog):
    (tmp_path / "broken.py").write_text(example.replace("prompt.text.split()", "prompt.txt.split()"), "utf-8")
    argv = ["run", "--encoder", "broken:Ngrams", "--tasks", "MiniSTS", "--output_dir", "out", "--eval_workers", "1"]
    assert cli.main(argv) == 3
    assert "--encoder broken:Ngrams: AttributeError: 'PreparedText' object has no attribute 'txt'" in caplog.text
    assert "(broken.py, line " in caplog.text and "a bug in qzhou-eval" not in caplog.text


def test_a_class_with_only_encode_is_wrapped_as_the_page_shows(tmp_path, monkeypatch):
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    (tmp_path / "wrapped.py").write_text(code.replace("SentenceTransformer(MODEL)", "Model()"), "utf-8")
    model = "class Model:\n    def encode(self, texts):\n        return vectors(texts)\n"
    source = (
        (tmp_path / "wrapped.py")
        .read_text("utf-8")
        .replace(
            "from sentence_transformers import SentenceTransformer\n",
            f"from qzhou_eval.encode.char_ngrams import vectors\n\n{model}",
        )
    )
    (tmp_path / "wrapped.py").write_text(source.replace("width = 384", "width = 256"), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import wrapped

    texts = [f"第{number}句" for number in range(70)]
    encoder = wrapped.Wrapped()
    found = {}
    for done in encoder.stream(encoder.prepare(texts)):
        found |= dict(zip(done.rows, done.vectors.numpy(), strict=True))
    np.testing.assert_array_equal(np.stack([found[row] for row in range(70)]), vectors(texts))
