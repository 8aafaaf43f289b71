"""Packed batches compared with one prompt at a time through transformers' own attention, and with padded batches."""

import json
import logging
from array import array

import pytest
import torch
from decoders import make_decoder
from torch.nn.functional import cosine_similarity

from qzhou_eval import Embedder, cli, token_prepending
from qzhou_eval.errors import BadInput
from qzhou_eval.miniature.__main__ import CHECKPOINT
from qzhou_eval.model.batching import attention
from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED, PADDED, WAYS, pack, pad, plan, prefetch
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.token_prepending import PrependedLayers

PACKABLE = ["Qwen3", "Qwen2", "Llama", "Mistral", "Gemma", "Phi3"]
LENGTHS = [37, 5, 5, 12, 1, 64, 12, 12, 3]
PLACEHOLDER = 2
SPANS = [None, (1, 7), (0, 8)]  # off, as published, all layers
ON_CPU = {"device": "cpu", "max_length": 64}


def sequences(lengths: list[int], seed: int = 0) -> list[array]:
    generator = torch.Generator().manual_seed(seed)
    return [array("I", torch.randint(3, 500, (n,), generator=generator).tolist()) for n in lengths]


def one_by_one(model, prompts: list[array], span) -> torch.Tensor:
    """Last hidden states (n, size), each prompt alone, before packing has touched the model."""
    rows = []
    for ids in prompts:
        batch = torch.tensor([list(ids)])
        with torch.no_grad():
            if span is None:
                hidden = model(batch).last_hidden_state
            else:
                places = torch.tensor([PLACEHOLDER]), torch.tensor([len(ids) - 1])
                with token_prepending(
                    model,
                    placeholder_positions=places[0],
                    last_positions=places[1],
                    first_layer=span[0],
                    last_layer=span[1],
                ):
                    hidden = model(batch).last_hidden_state
        rows.append(hidden[0, -1])
    return torch.stack(rows)


def prepended_on(span) -> PrependedLayers | None:
    return span and PrependedLayers(*span, PLACEHOLDER)


def through(forward: Forward, prompts: list[array], span, budget: int = 64) -> torch.Tensor:
    result = None
    for rows in plan([len(ids) for ids in prompts], budget, forward.way):
        vectors = forward(forward.batch(rows, prompts), prepended_on(span))
        result = torch.empty(len(prompts), vectors.shape[1], dtype=vectors.dtype) if result is None else result
        result[rows] = vectors
    return result


def unit(vectors: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(vectors.float(), dim=1)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("family", PACKABLE)
def test_packed_and_padded_equal_one_prompt_at_a_time(family, span):
    prompts = sequences([n for n in LENGTHS if n > PLACEHOLDER])
    model = make_decoder(family)
    expected = unit(one_by_one(model, prompts, span))
    padded = Forward(model, None, **ON_CPU, attention="padded")
    assert (unit(through(padded, prompts, span)) - expected).abs().max() < 1e-5
    packed = Forward(model, None, **ON_CPU, attention="packed")
    assert packed.attention == "packed, runs"
    assert (unit(through(packed, prompts, span)) - expected).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("family", "reason"),
    [("Gemma2", "a soft cap in attention"), ("Gemma3Text", "window of 8 tokens")],
)
def test_a_decoder_that_cannot_be_packed_is_padded_aloud_or_refused(family, reason, caplog):
    prompts = sequences([n for n in LENGTHS if n > PLACEHOLDER])
    model = make_decoder(family)
    expected = unit(one_by_one(model, prompts, (1, 7)))
    with pytest.raises(BadInput, match=f"attention='packed': .*{reason}"):
        Forward(model, None, **ON_CPU, attention="packed")
    with caplog.at_level(logging.WARNING):
        forward = Forward(model, None, **ON_CPU)
    assert forward.way == PADDED
    assert [reason in record.message for record in caplog.records] == [True]
    assert (unit(through(forward, prompts, (1, 7))) - expected).abs().max() < 1e-5


def test_a_decoder_that_leaks_between_prompts_is_found_out(monkeypatch):
    """A decoder that drops the bounds between prompts on the way attends over the whole row."""

    def whole(query, key, value, starts, **how):
        return right(query, key, value, [0, starts[-1]], **how)

    right = attention._by_runs
    model = make_decoder("Qwen3")
    monkeypatch.setattr(attention, "_by_runs", whole)
    with pytest.raises(BadInput, match="attention='packed': a prompt changes the vectors of others"):
        Forward(model, None, **ON_CPU, attention="packed")
    forward = Forward(model, None, **ON_CPU)
    assert forward.way == PADDED
    prompts = sequences(LENGTHS)
    assert (unit(through(forward, prompts, None)) - unit(one_by_one(model, prompts, None))).abs().max() < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("span", SPANS)
def test_a_vector_does_not_depend_on_its_neighbours(dtype, span):
    """The same prompt first, in the middle and last, among few and many others, and alone."""
    model = make_decoder("Qwen3").to(getattr(torch, dtype))
    projection = torch.nn.Linear(64, 96, dtype=getattr(torch, dtype))
    forward = Forward(model, projection, **ON_CPU)
    assert forward.way == PACKED
    prompts = sequences([40, 40, 22, 22, 17, 22, 9, 4, 50, 61, 12, 12, 12, 33])
    mine = 2
    found = []
    for rows in [[2], [2, 7], [8, 0, 2, 6, 7], [9, 8, 1, 0, 13, 2], [3, 5, 2], list(range(14))]:
        vectors = forward(forward.batch(rows, prompts), prepended_on(span))
        found.append(vectors[rows.index(mine)].float())
    assert all((one - found[0]).abs().max() <= (1e-6 if dtype == "float32" else 0) for one in found)


@pytest.mark.parametrize("way", WAYS)
def test_the_same_plan_gives_bitwise_the_same(way):
    prompts = sequences(LENGTHS)
    forward = Forward(make_decoder("Qwen3"), None, **ON_CPU, attention=way)
    assert torch.equal(through(forward, prompts, None), through(forward, prompts, None))


def test_in_bfloat16_packed_and_padded_agree_to_cosine_09999():
    texts = [f"第{n}个句子说的是天气，" * (1 + n % 7) for n in range(60)]
    vectors = {
        way: torch.from_numpy(
            Embedder.from_pretrained(
                str(CHECKPOINT), profile="qzhou-zh", dtype="bfloat16", attention=way, device="cpu"
            ).encode(texts)
        )
        for way in ("packed", "padded")
    }
    assert cosine_similarity(vectors["packed"], vectors["padded"]).min() > 0.9999


@pytest.mark.slow
def test_compiled_layers_give_the_same(tiny):
    texts = ["今天天气很好。" * n for n in (1, 4, 2, 30, 7, 1, 12)]
    plain, compiled = (
        Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", batch_tokens=128, compile=on).encode(
            texts
        )
        for on in (False, True)
    )
    assert abs(plain - compiled).max() < 1e-5


@pytest.mark.parametrize("way", WAYS)
def test_a_plan_holds_every_prompt_once_within_the_budget(way):
    lengths = [7, 0, 100, 3, 3, 64, 12, 64, 65, 1, 0, 30]
    batches = list(plan(lengths, 64, way))
    assert sorted(row for rows in batches for row in rows) == [i for i, n in enumerate(lengths) if n]
    order = [lengths[row] for rows in batches for row in rows]
    assert order == sorted(order, reverse=True)
    for rows in batches:
        size = sum(lengths[row] for row in rows) if way == PACKED else len(rows) * lengths[rows[0]]
        assert size <= 64 or len(rows) == 1
        assert way != ONE_LENGTH or len({lengths[row] for row in rows}) == 1
    assert any({3, 4} <= set(rows) for rows in batches), "two of one length share a batch in every way"
    assert list(plan([0, 0], 64, way)) == []


def test_a_packed_batch_has_no_padding_and_restarts_its_positions():
    prompts = [array("I", ids) for ids in ([5, 6, 7], [8, 9, 10], [11])]
    packed, padded = pack([0, 2, 1], prompts), pad([0, 2, 1], prompts)
    assert packed.ids.tolist() == [[5, 6, 7, 11, 8, 9, 10]] and packed.tokens == 7
    assert packed.positions.tolist() == [[0, 1, 2, 0, 0, 1, 2]]
    assert packed.starts.tolist() == [0, 3, 4, 7]
    assert packed.first.tolist() == [[0, 0, 0], [0, 3, 4]] and packed.last.tolist() == [[0, 0, 0], [2, 3, 6]]
    assert padded.ids.tolist() == [[5, 6, 7], [0, 0, 11], [8, 9, 10]] and padded.tokens == 9
    assert padded.mask.tolist() == [[1, 1, 1], [0, 0, 1], [1, 1, 1]]
    assert padded.first.tolist() == [[0, 1, 2], [0, 2, 0]] and padded.last.tolist() == [[0, 1, 2], [2, 2, 2]]


def test_attention_refuses_what_it_does_not_know():
    states = torch.zeros(1, 2, 6, 4)
    bounds = dict(cu_seq_lens_q=torch.tensor([0, 6], dtype=torch.int32), max_length_q=6)
    for wrong in ({}, bounds | {"softcap": 50.0}, bounds | {"sliding_window": 5}):
        with pytest.raises(ValueError, match="packed attention"):
            attention._causal(None, states, states, states, None, **wrong)
    assert attention._causal(None, states, states, states, None, **bounds)[0].shape == (1, 6, 2, 4)


def test_the_gpu_kernel_takes_our_call():
    """Without a GPU: torch's own shape rules on the meta device bind the arguments and give the result's shape."""
    query, key = (torch.empty(6, heads, 16, dtype=torch.bfloat16, device="meta") for heads in (4, 2))
    starts = torch.empty(3, dtype=torch.int32, device="meta")
    for causal in (True, False):
        found = attention._varlen(query, key, key, starts, longest=4, scale=0.25, causal=causal)
        assert found.shape == query.shape


def test_items_are_made_ahead_and_errors_come_out():
    def items():
        yield 1
        yield 2
        raise BadInput("three")

    seen = prefetch(items())
    assert [next(seen), next(seen)] == [1, 2]
    with pytest.raises(BadInput, match="three"):
        next(seen)


@pytest.mark.slow
def test_in_bfloat16_packed_and_padded_runs_score_the_same_within_005_points(tmp_path):
    scores = {}
    for way in ("packed", "padded"):
        argv = ["run", "--model_name_or_path", str(CHECKPOINT), "--profile", "qzhou-zh-mini", "--attention", way]
        argv += ["--tasks", "MiniSTS", "MiniRetrieval", "--dim", "128", "1792", "--dtype", "bfloat16"]
        assert cli.main([*argv, "--device", "cpu", "--output_dir", str(tmp_path / way)]) == 0
        manifest = json.loads((tmp_path / way / "manifest.json").read_text())
        for place, entry in manifest["variants"].items():
            for task, recorded in entry["tasks"].items():
                assert {one["attention"] for one in recorded["encoded_with"]} == {
                    "packed, runs" if way == "packed" else "padded, sdpa"
                }
                result = json.loads((tmp_path / way / place / f"{task}.json").read_text())
                (split,) = result["scores"].values()
                scores.setdefault((place, task), []).append(100 * split[0]["main_score"])
    assert len(scores) == 4
    assert all(abs(one - two) <= 0.05 for one, two in scores.values())
