"""Every body, pooling and head compared with sentence-transformers and transformers, in float32, to 1e-5."""

import json
from array import array
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from decoders import make_decoder
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from qzhou_eval import Embedder
from qzhou_eval.errors import BadInput
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.batching.batches import PACKED, PADDED, WAYS, plan
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.pooling import KINDS
from qzhou_eval.model.pooling import Pooling as Kind
from qzhou_eval.protocol.matryoshka import cut_and_normalize

TEXTS = [f"第{n}个句子说的是天气，" * (1 + n * 5 % 7) + "好" * n for n in range(1, 25)]
VOCABULARY = len(AutoTokenizer.from_pretrained(CHECKPOINT))
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4}
BODIES = {
    "Bert": {},
    "Roberta": {"pad_token_id": 0, "max_position_embeddings": 513},
    "XLMRoberta": {"pad_token_id": 0, "max_position_embeddings": 513},
    "MPNet": {"pad_token_id": 0, "max_position_embeddings": 513},
    "ModernBert": {"pad_token_id": 0, "local_attention": 1024},
    "Electra": {"embedding_size": 64},
    "Albert": {"embedding_size": 64},
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "DistilBert": {"dim": 64, "hidden_dim": 96, "n_layers": 3, "n_heads": 4},
    "NomicBert": {},
    "Gte": {},
}
NOT_PACKED = {"DebertaV2", "MPNet"}  # their attention is relative, by their own code


def encoder(name: str, **more) -> torch.nn.Module:
    torch.manual_seed(0)
    fields = {"vocab_size": VOCABULARY, "initializer_range": 0.2} | SIZES | BODIES[name] | more
    return getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")(**fields)).eval()


def saved(folder: Path, body, modules=(), *, pooling="mean", tokenizer=None, **how) -> SentenceTransformer:
    """Save a body with these modules as sentence-transformers does, and return what it loads again."""
    bare = folder / "bare"
    body.save_pretrained(bare)
    (tokenizer or special_tokenizer()).save_pretrained(bare)
    chain = [Transformer(str(bare)), Pooling(body.config.hidden_size, pooling_mode=pooling, **how), *modules]
    SentenceTransformer(modules=chain, device="cpu").save_pretrained(str(folder / "model"), create_model_card=False)
    return SentenceTransformer(str(folder / "model"), device="cpu")


def special_tokenizer():
    """The miniature's tokenizer with a token before each text and one after it, as encoders have."""
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    tokenizer.padding_side = "right"
    begin, end = "<|im_start|>", "<|im_end|>"
    tokenizer.sep_token = end  # sentence-transformers does not count it as part of a prompt
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in (begin, end)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{begin} $A {end}", special_tokens=ids)
    return tokenizer


def ours(folder: Path, **options) -> Embedder:
    return Embedder.from_pretrained(
        str(folder / "model"), **{"profile": "plain", "max_length": 256, "device": "cpu"} | options
    )


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", BODIES)
def test_every_body_gives_sentence_transformers_vectors_however_prompts_share_batches(tmp_path, name):
    theirs = saved(tmp_path, encoder(name)).encode(TEXTS, normalize_embeddings=True)
    model = ours(tmp_path)
    assert model.way == (PADDED if name in NOT_PACKED else PACKED)
    assert_same(model.encode(TEXTS), theirs)
    assert_same(np.stack([model.encode(text) for text in TEXTS]), theirs)
    assert_same(ours(tmp_path, attention="padded").encode(TEXTS), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lasttoken", "cls", "mean", "weightedmean", "max"])
@pytest.mark.parametrize("body", ["Bert", "Qwen3"])
def test_every_pooling(tmp_path, kind, body):
    model = encoder(body) if body == "Bert" else make_decoder(body, vocab_size=VOCABULARY)
    theirs = saved(tmp_path, model, pooling=kind).encode(TEXTS)
    for way in ("packed", "padded"):
        assert_same(ours(tmp_path, attention=way).encode(TEXTS, normalize=False), theirs)


def test_the_older_spelling_of_pooling(tmp_path):
    theirs = saved(tmp_path, encoder("Bert"), pooling="cls").encode(TEXTS)
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    fields = {f"pooling_mode_{name}": name == "cls_token" for name in names}
    (tmp_path / "model/1_Pooling/config.json").write_text(json.dumps({"word_embedding_dimension": 64} | fields))
    assert_same(ours(tmp_path).encode(TEXTS, normalize=False), theirs)


def test_a_chain_of_modules(tmp_path):
    torch.manual_seed(1)
    chain = [
        Dense(64, 80, activation_function=torch.nn.GELU()),
        Normalize(),
        Dense(80, 48, bias=False, activation_function=torch.nn.Tanh()),
        LayerNorm(48),
        Normalize(),
    ]
    torch.nn.init.normal_(chain[3].norm.weight)
    theirs = saved(tmp_path, encoder("Bert"), chain).encode(TEXTS)
    model = ours(tmp_path)
    assert model.width == 48
    assert_same(model.encode(TEXTS), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mean", "weightedmean", "max", "lasttoken"])
def test_the_prompt_may_be_left_out_of_pooling(tmp_path, kind):
    """The instruction's tokens and the special one before them take part in attention alone."""
    instruction = "给出一个句子，找出意思相同的："
    theirs = saved(tmp_path, encoder("Bert"), pooling=kind, include_prompt=False)
    profile = tmp_path / "own.yaml"
    profile.write_text('{name: own, extends: plain, source: a test, instruction: "{instruction}"}', "utf-8")
    for way in ("packed", "padded"):
        model = ours(tmp_path, profile=str(profile), attention=way)
        found = model.encode(TEXTS, instruction=instruction, normalize=False)
        assert_same(found, theirs.encode(TEXTS, prompt=instruction))
        assert_same(model.encode(TEXTS, normalize=False), theirs.encode(TEXTS))


def test_rendered_prompts_are_recognised_by_their_tasks_instruction(tmp_path):
    """A run has rendered prompts only: those of one task with its instruction, of another without any."""
    saved(tmp_path, encoder("Bert"), include_prompt=False)
    line = "给出一个句子，找出意思相同的："
    (tmp_path / "own.yaml").write_text(
        '{name: own, extends: plain, source: a test, instruction: "{instruction}",'
        f' tasks: {{One: {{instruct: both, instruction: "{line}"}}, Two: {{instruct: both, instruction: "给出"}}}}}}',
        "utf-8",
    )
    model = ours(tmp_path, profile=str(tmp_path / "own.yaml"))
    for instruction in (line, "给出", None):
        prompts = [(instruction or "") + text for text in TEXTS]
        assert_same(cut_and_normalize(model.encode_prompts(prompts), 64), model.encode(TEXTS, instruction=instruction))
    other = ours(tmp_path)  # the same prompts under a profile without these instructions have other vectors
    rules = [one.settings.fingerprint(one.checkpoint, one.profile) for one in (model, other)]
    assert rules[0] != rules[1]
    assert model.checkpoint.digest == other.checkpoint.digest
    whole, short, bare = (model.tokenize([text])[0].before for text in (line + "好", "给出好", "好"))
    assert whole > short > bare == 0


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Qwen2", "Qwen3", "Llama", "Mistral", "Gemma", "Gemma3Text", "Phi3"])
@pytest.mark.parametrize("said_by", ["profile", "config"])
def test_a_decoder_made_bidirectional_is_the_stock_class_with_a_mask_of_ones(tmp_path, family, said_by):
    body = make_decoder(family, vocab_size=VOCABULARY)
    if family == "Gemma3Text":
        body.config.sliding_window = 4096
    if said_by == "config":
        body.config.is_causal = False
    saved(tmp_path, body)
    (tmp_path / "both.yaml").write_text("{name: both, extends: plain, source: a test, attention: bidirectional}")
    body.config.is_causal = True
    expected = []
    for row in ours(tmp_path, profile=str(tmp_path / "both.yaml")).tokenize(TEXTS):
        ids = torch.tensor([list(row.ids)])
        mask = torch.zeros(1, 1, ids.shape[1], ids.shape[1])  # added to attention's scores: nothing is hidden
        with torch.no_grad():
            hidden = body(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        expected.append(hidden[0].mean(dim=0).numpy())
    for way in ("packed", "padded"):
        more = {"profile": str(tmp_path / "both.yaml")} if said_by == "profile" else {}
        model = ours(tmp_path, attention=way, **more)
        assert model.way == way
        assert_same(model.encode(TEXTS, normalize=False), np.stack(expected))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_pooling_is_that_of_a_plain_loop_in_every_way(way, kind):
    body = encoder("XLMRoberta")
    model = Forward(body, None, device="cpu", max_length=64, pooling=Kind(kind), both_ways=True)
    model.way = way
    draw = torch.Generator().manual_seed(1)
    prompts = [array("I", torch.randint(3, VOCABULARY, (n,), generator=draw).tolist()) for n in (9, 9, 5, 1, 30)]
    prompts[0][4] = 0  # a padding token in the text has no position of its own
    for rows in plan([len(ids) for ids in prompts], 512, way):
        found = model(model.batch(rows, prompts))
        for row, vector in zip(rows, found, strict=True):
            ids = torch.tensor([list(prompts[row])])
            with torch.no_grad():
                states = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
            weights = torch.arange(1.0, len(states) + 1)[:, None]
            by_hand = {
                "last token": states[-1],
                "cls": states[0],
                "mean": states.mean(0),
                "weighted mean": (states * weights).sum(0) / weights.sum(),
                "max": states.max(0).values,
            }
            assert (vector - by_hand[kind]).abs().max() < 1e-5


def test_a_text_longer_than_the_table_of_positions_is_cut_and_counted(tmp_path):
    theirs = saved(tmp_path, encoder("XLMRoberta"))
    long = "天气" * 600
    model = ours(tmp_path, max_length=512)
    (tokens,) = model.tokenize([long])
    assert (len(tokens.ids), tokens.cut) == (512, True)
    theirs.max_seq_length = 512
    assert_same(model.encode([long]), theirs.encode([long], normalize_embeddings=True))
    with pytest.raises(BadInput, match="513 tokens, but local/model has a table of 512 positions"):
        ours(tmp_path, max_length=513)


def test_a_window_shorter_than_the_limit_is_kept(tmp_path):
    theirs = saved(tmp_path, encoder("ModernBert", local_attention=16, global_attn_every_n_layers=2))
    model = ours(tmp_path)
    assert model.way != PACKED
    assert_same(model.encode(TEXTS), theirs.encode(TEXTS, normalize_embeddings=True))


def test_a_window_that_a_mask_of_ones_would_open_is_refused(tmp_path):
    body = make_decoder("Mistral", vocab_size=VOCABULARY)
    body.config.sliding_window = 8
    saved(tmp_path, body)
    (tmp_path / "both.yaml").write_text("{name: both, extends: plain, source: a test, attention: bidirectional}")
    with pytest.raises(BadInput, match="window of 8 tokens is shorter than max_length"):
        ours(tmp_path, profile=str(tmp_path / "both.yaml"))
    assert ours(tmp_path, profile=str(tmp_path / "both.yaml"), max_length=8).way == PACKED
