"""How the prompts of every decoder family that transformers can build share batches: a Markdown table.

Each family is built from its configuration with small sizes and random weights, in float32 on the CPU, and goes
through the same trial as a checkpoint that is loaded: packed, padded, one length at a time, or refused. It needs no
weights and no hub. With real weights, or other options in its configuration, a family may give another result; the
trial is repeated whenever a model is loaded.

    python perf/decoders.py [MODEL_TYPE ...]
"""

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_MAPPING_NAMES

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qzhou_eval.errors import BadInput, in_one_line
from qzhou_eval.model.batching.batches import WAYS
from qzhou_eval.model.folder.config_file import attends_both_ways
from qzhou_eval.model.forward import Forward
from qzhou_eval.system.options import call_options_flags

LARGEST = 30_000_000  # parameters; a larger model has parts that these names do not shrink
MAX_LENGTH = 256
LOUD = 0.1  # standard deviation of matrices: in fresh weights, tokens hardly influence each other

# Small sizes by the names that configurations give them.
NAMES = {
    64: "hidden_size d_model n_embd dim embedding_size word_embed_proj_dim lru_width attention_hidden_size",
    96: "intermediate_size ffn_dim d_ff n_inner ffn_hidden_size decoder_ffn_dim encoder_ffn_dim mlp_intermediate_size "
    "shared_intermediate_size block_ff_dim dim_ff feed_forward_size intermediate_size_mlp expert_ffn_hidden_size",
    4: "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_attention_heads n_head n_heads "
    "num_heads decoder_attention_heads encoder_attention_heads num_decoder_attention_heads "
    "num_encoder_attention_heads num_experts num_local_experts n_routed_experts moe_num_experts mamba_n_heads "
    "mamba_num_heads linear_num_value_heads",
    2: "num_key_value_heads num_kv_heads num_experts_per_tok experts_per_token moe_k num_experts_per_token moe_topk "
    "linear_num_key_heads n_group topk_group",
    16: "head_dim kv_lora_rank q_lora_rank v_head_dim qk_nope_head_dim mamba_d_state ssm_state_size state_size "
    "linear_key_head_dim linear_value_head_dim index_head_dim dim_head global_head_dim",
    8: "qk_rope_head_dim rotary_dim",
    32: "moe_intermediate_size mamba_chunk_size moe_ffn_hidden_size mamba_d_head mamba_head_dim",
    512: "vocab_size n_positions n_ctx max_position_embeddings vocab_size_per_layer_input max_seq_len",
}
SIZES = {name: size for size, names in NAMES.items() for name in names.split()}
DROP = object()
HYBRID = ["conv", "full_attention", "conv", "full_attention"]
MORE = {  # additional settings of single families
    "lfm2": {"layer_types": HYBRID},
    "lfm2_moe": {"layer_types": HYBRID},
    "mamba2": {"head_dim": 32, "n_groups": 1},
    "nemotron_h": {"n_groups": 1},
    "falcon_h1": {"mamba_d_ssm": 128},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "xlstm": {"v_head_dim": DROP},
    "falcon": {"head_dim": DROP},
}


@dataclass(frozen=True)
class Row:
    """The result of one family: one of the ways, ``refused``, or ``not built``; and why not a faster way."""

    family: str
    way: str
    reason: str


def small_config(family: str):
    """The family's configuration with small sizes."""
    kind = CONFIG_MAPPING[family]
    default = kind()
    sizes = {name: size for name, size in SIZES.items() if _is_size(default, name)}
    for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
        if isinstance(getattr(default, name, None), int) and getattr(default, name) >= sizes.get("vocab_size", 0):
            sizes[name] = 1
    if "qk_rope_head_dim" in sizes and "head_dim" in sizes:
        sizes["head_dim"] = sizes["qk_rope_head_dim"]  # the rotary part of a head
    if "kv_lora_rank" in sizes:
        sizes["num_key_value_heads"] = sizes["num_attention_heads"]
    sizes |= MORE.get(family, {})
    return kind(**{name: size for name, size in sizes.items() if size is not DROP})


def _is_size(default, name: str) -> bool:
    try:
        value = getattr(default, name, DROP)
    except Exception:  # a size that differs between layers
        return False
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def random_decoder(family: str) -> torch.nn.Module:
    """The family's decoder with random weights.

    Raises:
        ValueError: it is too large even so.
    """
    name = MODEL_MAPPING_NAMES[family]
    build = getattr(transformers, name if isinstance(name, str) else name[0])
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build(small_config(family)).parameters())
    if parameters > LARGEST:
        raise ValueError(f"{parameters:,} parameters at least: it has other parts than a text decoder")
    torch.manual_seed(0)
    model = build(small_config(family)).eval()
    with torch.no_grad():
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, torch.nn.Parameter) and weight.ndim == 2 and 0 < weight.std() < LOUD:
                weight *= LOUD / weight.std()
            if isinstance(getattr(module, "bias", None), torch.nn.Parameter):
                module.bias.normal_(std=LOUD)  # zero in fresh weights, which would hide leaks from padding
    return model


def row(family: str) -> Row:
    """Build one family and try it."""
    try:
        model = random_decoder(family)
    except Exception as error:
        return Row(family, "not built", in_one_line(error, 90))
    reasons: list[str] = []
    try:
        both_ways = attends_both_ways(Path(family), model.config.to_dict())
    except BadInput as error:
        return Row(family, "refused", str(error).removeprefix(f"{family}: "))
    for way in WAYS:
        try:
            Forward(model, None, device="cpu", max_length=MAX_LENGTH, attention=way, both_ways=both_ways)
        except BadInput as error:
            reasons.append(str(error).removeprefix(f"--attention {way}: ").removesuffix("; use --attention auto"))
        else:
            return Row(family, way, "; ".join(dict.fromkeys(reasons)))
    return Row(family, "refused", "; ".join(dict.fromkeys(reasons)))


def main() -> None:
    """Print the table."""
    families = [name for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES if name in MODEL_MAPPING_NAMES]
    parser = argparse.ArgumentParser(description="How the prompts of every decoder family share batches.")
    parser.add_argument("families", nargs="*", metavar="MODEL_TYPE", default=families)
    args = parser.parse_args()
    torch.set_num_threads(1)
    call_options_flags()  # as in a command's messages
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    print("| model type | batches | why not faster |\n| --- | --- | --- |")
    for family in args.families:
        found = row(family)
        print(f"| `{found.family}` | {found.way} | {found.reason} |", flush=True)


if __name__ == "__main__":
    main()
