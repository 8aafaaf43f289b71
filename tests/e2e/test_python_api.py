"""Embedder.encode as users of sentence-transformers call it: one text, many texts, and input that is not text."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sentence_transformers import SentenceTransformer

from qzhou_eval import Embedder, cli
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.matryoshka import cut_and_normalize

TEXTS = ["昨天妈妈怎么评价拉面？", "天气", "a"]


@pytest.fixture(scope="module")
def model(tiny):
    return Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", max_length=512)


@pytest.fixture(scope="module")
def peer(tiny):
    return SentenceTransformer(str(tiny), device="cpu")


def test_one_text_is_one_vector_as_in_sentence_transformers(model, peer):
    """The shapes are the peer's, and the vector is that of the same text in a list."""
    alone = model.encode(TEXTS[0])
    assert alone.shape == peer.encode(TEXTS[0]).shape == (96,)
    assert alone == pytest.approx(model.encode(TEXTS[:1])[0])
    assert model.encode(TEXTS[0], dim=16).shape == (16,)
    assert model.encode_prompts("This sentence: <|im_start|>“a").shape == (96,)
    assert model.encode("").shape == (96,)


@pytest.mark.parametrize("wrap", [tuple, np.array, pd.Series, iter, lambda texts: (text for text in texts)])
def test_any_sequence_of_strings_is_a_list(model, wrap):
    assert np.array_equal(model.encode(wrap(TEXTS)), model.encode(TEXTS))


def test_nothing_is_an_array_without_rows(model):
    assert model.encode([]).shape == (0, 96)
    assert model.encode(iter([]), dim=16).shape == (0, 16)
    assert model.encode_prompts([]).shape == (0, 96)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a", None], "1: None is NoneType, not a string"),
        (["a", 3], "1: 3 is int, not a string"),
        ([float("nan")], "0: nan is float, not a string"),
        ([b"a"], r"0: b'a' is bytes, not a string"),
        ([["a"]], r"0: \['a'\] is list, not a string"),
        ([("a", "b")], "0: .* is tuple, not a string"),
        (np.array([["a"]]), "0: .* is ndarray, not a string"),
        (["a", "b\ud83d"], r"1: '\\ud83d' at character 1 is half of a surrogate pair"),
        (None, "s: expected a list of strings, not NoneType"),
        (3, "s: expected a list of strings, not int"),
        (b"a", "s: expected a list of strings, not bytes"),
        ({"a": 1}, "s: expected a list of strings, not dict"),
        ({"a"}, "s: expected a list of strings, not set"),
        (np.array("a"), "s: expected a list of strings, not ndarray"),
    ],
)
def test_what_is_no_text_is_refused_by_its_position(model, texts, words):
    with pytest.raises(BadInput, match=f"^text ?{words}"):
        model.encode(texts)
    with pytest.raises(BadInput, match=f"^prompt ?{words}"):
        model.encode_prompts(texts)


def test_half_of_a_pair_alone_and_in_an_instruction_is_refused(model):
    with pytest.raises(BadInput, match="text 0: "):
        model.encode("a\ud83d")
    with pytest.raises(BadInput, match="instruction: "):
        model.encode(["a"], instruction="a\udc00")
    with pytest.raises(BadInput, match="instruction: 3 is int"):
        model.encode(["a"], instruction=3)


def test_other_odd_characters_are_text(model):
    assert np.isfinite(model.encode(["a\0b", "\ufeff", "\U0010ffff", "\u202e", "\r\n"])).all()


@pytest.mark.parametrize("dim", [0, -1, 97, True, False, 16.0, "16", np.True_])
def test_what_is_no_dimension_is_refused_before_anything_is_encoded(model, dim, monkeypatch):
    monkeypatch.setattr(model, "encode_prompts", None)
    with pytest.raises(BadInput, match=r"^dim=.*96 dimensions; choose 1 to 96"):
        model.encode(["a"], dim=dim)
    with pytest.raises(BadInput, match="dim="):
        cut_and_normalize(np.ones((2, 96), np.float32), dim)


def test_a_number_of_numpy_is_a_dimension(model):
    assert model.encode(["a"], dim=np.int64(16)).shape == (1, 16)


def test_an_instruction_is_plain_text_and_needs_a_line_in_the_profile(model, tiny):
    odd = model.encode(TEXTS, instruction="{text} {0} %s <|im_start|>")
    assert np.isfinite(odd).all() and np.abs(odd - model.encode(TEXTS)).max() > 1e-3
    plain = Embedder.from_pretrained(str(tiny), profile="plain", device="cpu", max_length=512)
    with pytest.raises(BadInput, match="profile plain has no instruction line"):
        plain.encode(TEXTS, instruction="Retrieve")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_tokens": 0}, "batch_tokens=0: must be a whole number of at least 1"),
        ({"batch_tokens": True}, "batch_tokens=True"),
        ({"max_length": "12"}, "max_length='12': must be a whole number"),
        ({"max_length": 1.5}, "max_length=1.5"),
        ({"token_prepending": ("1", "7")}, "token_prepending"),
        ({"token_prepending": (False, 7)}, "token_prepending"),
        ({"device": "cuda:²"}, "device='cuda:²': choose auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:٣"}, "choose auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:-1"}, "choose auto, cpu, cuda or cuda:N"),
    ],
)
def test_numbers_that_are_none_are_refused(tiny, options, words):
    with pytest.raises(BadInput) as error:
        Embedder.from_pretrained(str(tiny), **{"profile": "qzhou-zh", "device": "cpu", "max_length": 512} | options)
    assert words in str(error.value)


@pytest.mark.parametrize("span", ["sometimes", (0, 99), [1, 7]])
def test_an_error_names_the_argument_and_on_the_command_line_the_flag(tiny, capsys, span):
    with pytest.raises(BadInput, match=r"^token_prepending=") as error:
        Embedder.from_pretrained(str(tiny), profile="qzhou-zh", token_prepending=span)
    assert "--" not in str(error.value) and "_prepending=" + repr(span) in str(error.value)
    if isinstance(span, tuple):
        argv = ["plan", "--model_name_or_path", str(tiny), "--profile", "qzhou-zh-mini", "--tasks", "MiniSTS"]
        assert cli.main([*argv, "--token_prepending", "0-99"]) == cli.EXIT_BAD_INPUT
        assert "error: --token_prepending 0-99: the model has layers 0 to 8" in capsys.readouterr().err
        with pytest.raises(BadInput, match=r"^token_prepending="):  # still the parameter's name after a command
            Embedder.from_pretrained(str(tiny), profile="qzhou-zh", token_prepending=span)


def test_sentence_transformers_name_of_normalize_is_an_alias(model, peer):
    lengths = [np.linalg.norm(model.encode(TEXTS, normalize_embeddings=on), axis=1) for on in (True, False)]
    theirs = [np.linalg.norm(peer.encode(TEXTS, normalize_embeddings=on), axis=1) for on in (True, False)]
    assert np.allclose(lengths[0], 1, atol=1e-5) and np.allclose(theirs[0], 1, atol=1e-5)
    assert not np.allclose(lengths[1], 1, atol=1e-2) and not np.allclose(theirs[1], 1, atol=1e-2)
    assert np.array_equal(model.encode(TEXTS, normalize_embeddings=False), model.encode(TEXTS, normalize=False))
    assert np.array_equal(model.encode(TEXTS, normalize=True, normalize_embeddings=True), model.encode(TEXTS))
    with pytest.raises(BadInput, match=r"^normalize=True contradicts normalize_embeddings=False; give one"):
        model.encode(TEXTS[0], normalize=True, normalize_embeddings=False)


def test_the_package_lists_its_public_names_before_they_are_imported():
    code = "import sys, qzhou_eval; print([n for n in dir(qzhou_eval) if n[0] != '_'], 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['Embedder', 'MTEBEncoder', 'load_results', 'token_prepending'] False"


@pytest.mark.parametrize("span", [(0, 99), (7, 1), (-1, 3), "1-7"])
def test_another_range_of_layers_must_be_within_the_decoder(model, span):
    with pytest.raises(BadInput, match=r"layers|token_prepending"):
        model.with_token_prepending(span)


def test_a_path_object_is_a_folder(tiny):
    model = Embedder.from_pretrained(tiny, profile="qzhou-zh", device="cpu", max_length=512)
    assert model.checkpoint.name == "local/tiny"


def test_prompts_show_refuses_what_no_tokenizer_takes(tiny, capsys):
    argv = ["prompts", "show", "STSB", "--model_name_or_path", str(tiny), "--text", "a\udcff"]
    assert cli.main(argv) == cli.EXIT_BAD_INPUT
    assert "--text: '\\udcff' at character 1 is half of a surrogate pair" in capsys.readouterr().err
