"""Token prepending equals a plain, slow reference: a loop over layers, one unpadded sequence at a time."""

import pytest
import torch
from decoders import DECODERS, make_decoder, reference
from torch.nn.functional import normalize

from qzhou_eval.model.family import decoder_layers
from qzhou_eval.model.token_prepending import token_prepending

PLACEHOLDER = 2
LENGTHS = (3, 17, 8, 30)


def padded_batch(vocab: int, seed: int = 3):
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(3, vocab, (length,), generator=generator) for length in LENGTHS]
    width = max(LENGTHS)
    ids = torch.zeros(len(LENGTHS), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = sequence
        mask[row, width - len(sequence) :] = 1
    starts = torch.tensor([width - length for length in LENGTHS])
    positions = {
        "placeholder_positions": starts + PLACEHOLDER,
        "last_positions": torch.full_like(starts, width - 1),
    }
    return sequences, {"input_ids": ids, "attention_mask": mask}, positions


def run(model, batch, positions, **layers):
    with torch.no_grad(), token_prepending(model, **positions, **layers):
        return model(**batch, use_cache=False).last_hidden_state[:, -1]


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("span", [(1, 7), (1, 6), (0, 8), (4, 4)])
def test_equals_the_reference_in_left_padded_batches(family, span):
    model = make_decoder(family)
    sequences, batch, positions = padded_batch(model.config.vocab_size)
    found = run(model, batch, positions, first_layer=span[0], last_layer=span[1])
    with torch.no_grad():
        expected = torch.stack([reference(model, s, PLACEHOLDER, *span)[-1] for s in sequences])
    assert (normalize(found) - normalize(expected)).abs().max() < 1e-6
    assert (found - expected).abs().max() < 1e-5


def test_the_reference_can_tell_ranges_apart():
    model = make_decoder("Qwen3")
    ids = padded_batch(model.config.vocab_size)[0][3]
    with torch.no_grad():
        ends = [reference(model, ids, PLACEHOLDER, 1, last)[-1] for last in (5, 6, 7)]
        off = model(input_ids=ids[None]).last_hidden_state[0, -1]
        none = reference(model, ids, PLACEHOLDER, 99, 99)[-1]
    assert torch.allclose(off, none, atol=1e-5)
    for one, two in ((ends[0], ends[1]), (ends[1], ends[2]), (ends[2], off)):
        assert (one - two).abs().max() > 1e-3


def test_1_to_7_touches_the_inputs_of_layers_1_to_7_and_of_no_other():
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    rows = torch.arange(1, len(LENGTHS))  # the first sequence ends at its placeholder
    touched = set()

    def look(index):
        def hook(_module, args, kwargs):
            hidden = args[0] if args else kwargs["hidden_states"]
            at = positions["placeholder_positions"][rows], positions["last_positions"][rows]
            if torch.equal(hidden[rows, at[0]], hidden[rows, at[1]]):
                touched.add(index)

        return hook

    with torch.no_grad(), token_prepending(model, **positions, first_layer=1, last_layer=7):
        for index, layer in enumerate(decoder_layers(model)):
            layer.register_forward_pre_hook(look(index), with_kwargs=True)
        model(**batch)
    assert touched == set(range(1, 8))


def test_no_trace_is_left_also_after_an_exception():
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    kind, attributes = type(decoder_layers(model)[1]), set(decoder_layers(model)[1].__dict__)
    with torch.no_grad():
        before = model(**batch).last_hidden_state
        with pytest.raises(KeyError), token_prepending(model, **positions):
            raise KeyError
        after = model(**batch).last_hidden_state
    assert torch.equal(before, after)
    for layer in decoder_layers(model):
        assert type(layer) is kind
        assert layer.__dict__.keys() == attributes
        assert not layer._forward_pre_hooks


def test_blocks_do_not_nest_and_the_outer_one_survives_the_attempt():
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    expected = run(model, batch, positions)
    with torch.no_grad(), token_prepending(model, **positions):
        with pytest.raises(ValueError, match="already active"), token_prepending(model, **positions, last_layer=3):
            pass
        assert torch.equal(model(**batch, use_cache=False).last_hidden_state[:, -1], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "first"),
    [
        *(("eager", "plain"), ("eager", "prepended"), ("inductor", "plain")),
        pytest.param("inductor", "prepended", marks=pytest.mark.exhaustive),
    ],
)
def test_works_under_torch_compile_whichever_pass_is_compiled_first(backend, first):
    """Compiled code must notice that the block began, that positions changed and that the block ended."""
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    moved = positions | {"placeholder_positions": positions["placeholder_positions"] - 1}
    with torch.no_grad():
        plain = model(**batch, use_cache=False).last_hidden_state[:, -1]
        expected = [run(model, batch, where) for where in (positions, moved)]
        torch._dynamo.reset()
        compiled = torch.compile(model, backend=backend)
        if first == "plain":
            assert torch.allclose(compiled(**batch, use_cache=False).last_hidden_state[:, -1], plain, atol=1e-5)
        for _ in range(2):
            for where, wanted in zip((positions, moved), expected, strict=True):
                assert (run(compiled, batch, where) - wanted).abs().max() < 1e-5
            found = compiled(**batch, use_cache=False).last_hidden_state[:, -1]
            assert (found - plain).abs().max() < 1e-5
            narrow = run(compiled, batch, positions, first_layer=1, last_layer=6)
            assert (narrow - run(model, batch, positions, first_layer=1, last_layer=6)).abs().max() < 1e-5
            assert (narrow - expected[0]).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["Qwen3", "Llama"])
def test_position_ids_of_left_padded_batches_may_be_counted_either_way(family):
    """Rotary positions are relative: counted from the first token or from the padding, the vector is the same."""
    model = make_decoder(family)
    sequences, batch, positions = padded_batch(model.config.vocab_size)
    with torch.no_grad():
        alone = [
            run(model, {"input_ids": s[None]}, {k: torch.tensor([at]) for k, at in _places(len(s)).items()})[0]
            for s in sequences
        ]
    from_token = (batch["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    from_padding = torch.arange(from_token.shape[1]).expand_as(from_token)
    for position_ids in (from_token, from_padding):
        found = run(model, batch | {"position_ids": position_ids}, positions)
        assert (normalize(found) - normalize(torch.stack(alone))).abs().max() < 1e-5


def _places(length: int) -> dict[str, int]:
    return {"placeholder_positions": PLACEHOLDER, "last_positions": length - 1}


def test_the_residual_stream_is_replaced_before_the_layers_input_norm():
    """The first layer in range normalises the last token's state, and adds its output to that state, too."""
    model = make_decoder("Qwen3")
    _, batch, positions = padded_batch(model.config.vocab_size)
    rows, seen = torch.arange(len(LENGTHS)), {}
    layer = decoder_layers(model)[1]
    layer.input_layernorm.register_forward_pre_hook(lambda _m, args: seen.update(normed=args[0].clone()))
    run(model, batch, positions, first_layer=1, last_layer=1)
    at = [(rows, positions[name]) for name in ("placeholder_positions", "last_positions")]
    assert torch.equal(seen["normed"][at[0]], seen["normed"][at[1]])


def test_works_under_autograd_and_leaves_the_input_alone():
    model = make_decoder("Llama")
    _, batch, positions = padded_batch(model.config.vocab_size)
    embeddings = model.get_input_embeddings()(batch["input_ids"]).detach().requires_grad_()
    copy = embeddings.detach().clone()
    with token_prepending(model, **positions, first_layer=0, last_layer=3):
        model(inputs_embeds=embeddings, attention_mask=batch["attention_mask"]).last_hidden_state[
            :, -1
        ].sum().backward()
    assert torch.equal(embeddings.detach(), copy)
    rows = torch.arange(1, len(LENGTHS))  # the first sequence ends at its placeholder
    gradient = embeddings.grad[rows, positions["placeholder_positions"][rows]]
    assert (gradient == 0).all()  # layer 0 never sees the placeholder's own embedding
    assert embeddings.grad[rows, positions["last_positions"][rows]].abs().sum() > 0


@pytest.mark.parametrize("span", [(1, 9), (-1, 3), (5, 4)])
def test_a_range_beyond_the_model_is_refused(span):
    model = make_decoder("Qwen2")
    _, batch, positions = padded_batch(model.config.vocab_size)
    with pytest.raises(ValueError, match="layers 0 to 8"):
        run(model, batch, positions, first_layer=span[0], last_layer=span[1])


def test_positions_must_be_integers_of_one_shape():
    model = make_decoder("Qwen2")
    _, batch, positions = padded_batch(model.config.vocab_size)
    right = positions["placeholder_positions"]
    for wrong in (right[:2], right.float(), right.bool(), right - 20):
        with pytest.raises(ValueError, match="placeholder_positions"):
            run(model, batch, positions | {"placeholder_positions": wrong})


def test_a_batch_of_another_size_is_refused_not_changed_in_part():
    model = make_decoder("Qwen2")
    _, batch, positions = padded_batch(model.config.vocab_size)
    with pytest.raises(ValueError, match="positions of 2 sequences, but 4 in the batch"):
        run(model, batch, {name: at[:2] for name, at in positions.items()})
    assert not any(hasattr(layer, "_token_prepending") for layer in decoder_layers(model))
