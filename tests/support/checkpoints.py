"""Checkpoints that tests derive from another one: with its own code, or with one thing broken."""

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

# Token prepending as a checkpoint's own code may do it: a loop over the layers, row by row, without hooks.
REMOTE_CODE = """
from transformers import Qwen3Model
from transformers.masking_utils import create_causal_mask
from transformers.modeling_outputs import BaseModelOutputWithPast


class PrependingQwen3(Qwen3Model):
    def forward(self, input_ids, attention_mask, position_ids=None, **kwargs):
        hidden = self.embed_tokens(input_ids)
        if position_ids is None:
            position_ids = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=attention_mask,
            past_key_values=None,
            position_ids=position_ids,
        )
        rotary = self.rotary_emb(hidden, position_ids)
        for index, layer in enumerate(self.layers):
            if 1 <= index <= LAST:
                hidden = self.prepend(hidden, input_ids, attention_mask)
            hidden = layer(hidden, attention_mask=mask, position_ids=position_ids, position_embeddings=rotary)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden))

    def prepend(self, hidden, input_ids, attention_mask):
        hidden = hidden.clone()
        for row, ids in enumerate(input_ids.tolist()):
            last = attention_mask[row].nonzero().max()
            hidden[row, ids.index(PLACEHOLDER)] = hidden[row, last]
        return hidden
"""


def edit_json(path: Path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | fields), "utf-8")


def with_remote_code(folder: Path, copy: Path, *, placeholder: int, last_layer: int) -> Path:
    """Copy a checkpoint and give it code that does token prepending on layers 1 to ``last_layer``."""
    shutil.copytree(folder, copy)
    constants = f"PLACEHOLDER, LAST = {placeholder}, {last_layer}\n"
    (copy / "modeling_prepending.py").write_text(constants + REMOTE_CODE, "utf-8")
    edit_json(copy / "config.json", auto_map={"AutoModel": "modeling_prepending.PrependingQwen3"})
    return copy


def scale_tensor(file: Path, name: str, factor: float) -> None:
    """Change one stored tensor."""
    tensors = load_file(file)
    tensors[name] = tensors[name] * factor
    save_file(tensors, file, {"format": "pt"})


def replace_in_every_text(folder: Path, old: str, new: str) -> None:
    """Make a checkpoint's tokenizer read ``new`` wherever a text has ``old``."""
    edit_json(folder / "tokenizer.json", normalizer={"type": "Replace", "pattern": {"String": old}, "content": new})
