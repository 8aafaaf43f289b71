"""No vector depends on its neighbours: how every kind of decoder is run, compared with each prompt alone."""

from array import array

import pytest
import torch
import transformers
from decoders import make_decoder
from perf_scripts import perf_script

from qzhou_eval.errors import BadInput
from qzhou_eval.model.batching.batches import ONE_LENGTH, PACKED, PADDED
from qzhou_eval.model.batching.independence import leak, trial_prompts
from qzhou_eval.model.forward import Forward
from qzhou_eval.model.speed.cost import cost_of

ON_CPU = {"device": "cpu", "max_length": 64}
LENGTHS = [40, 23, 23, 9, 9, 30, 4, 2]

TELLING = {  # how the project runs each: attention alone is packed, a state or a convolution is not
    "qwen3": PACKED,
    "llama": PACKED,
    "gemma3_text": PACKED,
    "mixtral": PACKED,
    "qwen3_moe": PACKED,
    "gpt2": PACKED,
    "opt": PACKED,
    "bloom": PADDED,
    "mpt": PADDED,
    "falcon_h1": PADDED,
    "lfm2": PADDED,
    "mamba": PADDED,
    "recurrent_gemma": ONE_LENGTH,
    "rwkv": ONE_LENGTH,
}
ROUTED = ("mixtral", "qwen3_moe")


@pytest.fixture(autouse=True)
def one_thread():
    """Use one thread: tiny products are slower on many, and very slow on a shared machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def prompts(seed: int = 0) -> list[array]:
    generator = torch.Generator().manual_seed(seed)
    return [array("I", torch.randint(3, 500, (n,), generator=generator).tolist()) for n in LENGTHS]


def vectors(forward: Forward, some: list[array], budget: int = 4096) -> torch.Tensor:
    found = {row: v for done in forward.stream(some, budget) for row, v in zip(done.rows, done.vectors, strict=True)}
    return torch.stack([found[row] for row in range(len(some))])


@pytest.mark.parametrize(("family", "way"), TELLING.items())
def test_a_vector_is_that_of_its_prompt_alone_whatever_the_decoder(family, way):
    """The prompt alone is transformers' own call, made before anything of this project has touched the model."""
    model = perf_script("decoders").random_decoder(family)
    with torch.inference_mode():
        alone = torch.stack([model(torch.tensor([list(ids)])).last_hidden_state[0, -1] for ids in prompts()])
    forward = Forward(model, None, **ON_CPU)
    assert forward.way == way
    found = vectors(forward, prompts())
    assert ((found - alone).norm(dim=1) / alone.norm(dim=1)).max() < 1e-4
    others = prompts()
    others[2] = array("I", [7 + token % 400 for token in others[2]])
    changed = vectors(forward, others)
    rest = [row for row in range(len(others)) if row != 2]
    assert not torch.equal(changed[2], found[2])
    assert (changed[rest] - found[rest]).abs().max() <= (1e-6 if model.config.model_type in ROUTED else 0)


@pytest.mark.parametrize("family", ["falcon_h1", "lfm2", "rwkv"])
def test_what_leaks_is_refused_where_it_is_asked_for(family):
    model = perf_script("decoders").random_decoder(family)
    ways = [PACKED, PADDED] if family == "rwkv" else [PACKED]
    for way in ways:
        with pytest.raises(BadInput, match=f"attention='{way}': .*; use attention='auto'"):
            Forward(model, None, **ON_CPU, attention=way)


def test_in_half_precision_a_decoder_with_a_state_is_not_padded():
    model = perf_script("decoders").random_decoder("recurrent_gemma").bfloat16()
    assert Forward(model, None, **ON_CPU).way == ONE_LENGTH


class Padded(torch.nn.Module):
    """A checkpoint's own code that sees padding: its first token affects all that follow."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config

    def forward(self, input_ids, attention_mask, position_ids=None):
        return self.inner(input_ids=input_ids)


def test_own_code_that_sees_padding_goes_one_length_at_a_time(caplog):
    model = Padded(make_decoder("Qwen3"))
    forward = Forward(model, None, **ON_CPU, own_code=True)
    assert forward.way == ONE_LENGTH
    assert "not padded: a prompt's vector among others differs from its vector alone" in caplog.text
    alone = torch.cat([vectors(forward, [ids]) for ids in prompts()])
    assert (vectors(forward, prompts()) - alone).abs().max() < 1e-5


class Broken(Padded):
    """Every row of a batch sees the mean of all."""

    def forward(self, input_ids, attention_mask, position_ids=None):
        result = self.inner(input_ids=input_ids)
        result.last_hidden_state += result.last_hidden_state.mean(dim=0)
        return result


def test_a_decoder_whose_prompts_cannot_be_kept_apart_is_refused_by_name():
    with pytest.raises(
        BadInput, match=r"model type 'qwen3' .*: its prompts cannot be kept independent: .*one length: a prompt"
    ):
        Forward(Broken(make_decoder("Qwen3")), None, **ON_CPU, own_code=True)


@pytest.mark.parametrize(
    ("family", "more", "way"),
    [
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, None),
        ("Llama", {}, PACKED),
        ("Phi3", {"original_max_position_embeddings": 32, "rope_parameters": "longrope"}, ONE_LENGTH),
        ("Llama4Text", {"attention_chunk_size": 32}, ONE_LENGTH),
        ("Llama4Text", {"attention_chunk_size": 64}, PACKED),
    ],
)
def test_what_only_long_prompts_would_show_is_read_from_the_configuration(family, more, way):
    """The trial's prompts are short: positions and windows that change beyond them leak only in real batches."""
    sizes = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
    if more.get("rope_parameters") == "longrope":
        factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8, "rope_theta": 1e4}
        more = more | {"rope_parameters": {"rope_type": "longrope", **factors, "original_max_position_embeddings": 32}}
    if family == "Llama4Text":
        more = more | {"head_dim": 16, "num_local_experts": 2, "intermediate_size_mlp": 96}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "vocab_size": 512, "num_key_value_heads": 4}
    config = getattr(transformers, f"{family}Config")(**sizes, **tokens, max_position_embeddings=32, **more)
    torch.manual_seed(0)
    model = getattr(transformers, f"{family}Model")(config).eval()
    if way is None:
        with pytest.raises(BadInput, match=r"beyond 32 tokens, .*; give max_length=32"):
            Forward(model, None, **ON_CPU)
        return
    forward = Forward(model, None, **ON_CPU)
    assert forward.way == way
    alone = torch.cat([vectors(forward, [ids]) for ids in prompts()])
    assert (vectors(forward, prompts()) - alone).abs().max() < 1e-5


def test_token_prepending_is_part_of_the_trial(monkeypatch):
    """A placeholder filled from another prompt's last token is detected, and only with token prepending."""
    from qzhou_eval.model import token_prepending

    def from_the_first(self, *args, **kwargs):
        return wrong(self, *args, **kwargs)

    right = token_prepending._Prepending.__call__

    def wrong(self, *args, **kwargs):
        places = self._token_prepending
        rows, columns = places.last
        shifted = token_prepending.TokenPositions(places.rows, places.placeholder, (rows.roll(1), columns.roll(1)))
        self._token_prepending = shifted
        try:
            return right(self, *args, **kwargs)
        finally:
            self._token_prepending = places

    monkeypatch.setattr(token_prepending._Prepending, "__call__", from_the_first)
    head = array("I", [5, 6, 7])
    assert Forward(make_decoder("Qwen3"), None, **ON_CPU, begins=head).way == PACKED
    with pytest.raises(BadInput, match="attention='packed': a prompt changes the vectors of others"):
        Forward(make_decoder("Qwen3"), None, **ON_CPU, attention="packed", span=(1, 7), begins=head)
    with pytest.raises(BadInput, match="token prepending on layers"):
        Forward(make_decoder("Qwen3"), None, **ON_CPU, begins=head).check((1, 7), head)


def test_the_trials_prompts_keep_the_limit_and_differ_in_one():
    for limit in (3, 4, 11, 64):
        one, two = trial_prompts(array("I", [1, 2, 3]), vocabulary=50, max_length=limit)
        assert all(len(ids) <= max(limit, 4) and ids[:3] == array("I", [1, 2, 3]) for ids in one + two)
        assert [a == b for a, b in zip(one, two, strict=True)] == [True, True, False, True]


def test_weights_that_give_no_numbers_are_not_called_a_leak():
    alone = torch.full((4, 8), float("nan"))
    assert leak(lambda some: alone, prompts=([], []), alone=alone, dtype=torch.float32, routed=False) is None


@pytest.mark.parametrize("family", ["mixtral", "mamba", "lfm2", "gpt2"])
def test_what_cannot_be_counted_has_no_cost(family):
    model = perf_script("decoders").random_decoder(family)
    forward = Forward(model, None, **ON_CPU)
    cost = cost_of(forward.body.layers, model.config, None)
    assert (cost is None) == (family != "gpt2")
