"""The miniature's scores mean something: a trained model beats n-grams on held-out meanings, an untrained does not."""

import json
import random

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from qzhou_eval import Embedder
from qzhou_eval.benchmark.packaged import DATA
from qzhou_eval.encode.char_ngrams import vectors
from qzhou_eval.miniature import build_data, grammar, lessons, train
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.family import decoder_layers
from qzhou_eval.protocol.profile_files import load_profile

PROFILE = load_profile("qzhou-zh-mini")
MARGIN = 0.10


@pytest.fixture(scope="module")
def pairs():
    path = DATA / "mini" / "sts.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def spearman(one: np.ndarray, two: np.ndarray, pairs) -> float:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    return spearmanr((one * two).sum(axis=1) / norms, [pair["score"] for pair in pairs]).statistic


def model_spearman(folder, pairs, **options) -> float:
    model = Embedder.from_pretrained(str(folder), profile="qzhou-zh-mini", device="cpu", **options)
    instruction = PROFILE.tasks["MiniSTS"].instruction
    sides = [[pair[side] for pair in pairs] for side in ("sentence1", "sentence2")]
    return spearman(*(model.encode(texts, instruction=instruction) for texts in sides), pairs)


@pytest.fixture(scope="module")
def spelling(pairs):
    """Spearman of the character n-gram baseline."""
    sides = [vectors([pair[side] for pair in pairs]) for side in ("sentence1", "sentence2")]
    return spearman(*sides, pairs)


def beats_spelling(score: float, spelling: float) -> bool:
    return score >= spelling + MARGIN


def test_the_data_is_what_the_grammar_writes(tmp_path):
    build_data.write(tmp_path)
    written = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    packaged = {p.relative_to(DATA): p.read_bytes() for p in DATA.rglob("*.jsonl")}
    assert written == packaged


def test_test_meanings_and_training_meanings_never_meet(pairs):
    rng = random.Random(0)
    trained = {grammar.random_frame(rng, held_out=False) for _ in range(20_000)}
    tested = {grammar.random_frame(rng, held_out=True) for _ in range(5_000)}
    assert trained.isdisjoint(tested)
    drawn = lessons.draw(PROFILE, rng, 400, batch=16)
    seen = {prompt.split("Query: ")[-1] for lesson in drawn for column in lesson.columns for prompt in column}
    assert len(seen) > 5_000
    assert not any(pair["sentence1"] + "” means in one word: “" in seen for pair in pairs)


def test_at_least_600_pairs_with_opposites_that_look_alike_and_synonyms_that_do_not(pairs):
    def overlap(pair) -> float:
        one, two = (set(pair[side]) for side in ("sentence1", "sentence2"))
        return len(one & two) / len(one | two)

    assert len(pairs) >= 600
    opposites = [overlap(pair) for pair in pairs if pair["score"] == 1]
    same = [overlap(pair) for pair in pairs if pair["score"] == 5]
    assert len(opposites) >= 30 and np.mean(opposites) > 0.6
    assert sum(value < 0.2 for value in same) >= 30


def test_the_checkpoint_is_small_and_has_no_code():
    files = [path for path in CHECKPOINT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 10e6
    assert {path.suffix for path in files} <= {".json", ".safetensors"}


@pytest.mark.slow
def test_the_trained_checkpoint_beats_spelling_by_ten_points(pairs, spelling):
    assert beats_spelling(model_spearman(CHECKPOINT, pairs), spelling)


@pytest.mark.slow
def test_an_untrained_checkpoint_of_the_same_shape_does_not(pairs, spelling, tmp_path):
    train.save(train.new_model(PROFILE, seed=0), tmp_path / "untrained")
    assert not beats_spelling(model_spearman(tmp_path / "untrained", pairs), spelling)


@pytest.mark.slow
def test_token_prepending_is_on_while_training():
    """The losses call ``model.forward`` by name; the copied state must still reach layers 1 to 7."""
    model = train.new_model(PROFILE, seed=0)
    touched = set()

    def look(index):
        def hook(_module, args, kwargs):
            hidden = args[0] if args else kwargs["hidden_states"]
            if (hidden[:, -1][:, None] == hidden[:, :-1]).all(dim=-1).any(dim=1).all():
                touched.add(index)

        return hook

    forward = train.PrependingTransformer.forward

    def watched(self, features, **kwargs):
        layers = decoder_layers(self.auto_model)
        original = type(self).__mro__[1].forward

        def inner(module, features, **kwargs):
            handles = [layer.register_forward_pre_hook(look(i), with_kwargs=True) for i, layer in enumerate(layers)]
            try:
                return original(module, features, **kwargs)
            finally:
                for handle in handles:
                    handle.remove()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(self).__mro__[1], "forward", inner)
            return forward(self, features, **kwargs)

    before = [p.detach().clone() for p in model.parameters()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.PrependingTransformer, "forward", watched)
        train.train(model, PROFILE, steps=2, batch=2, seed=0)
    assert touched == set(range(1, 8))
    assert any(not torch.equal(one, two) for one, two in zip(before, model.parameters(), strict=True))
