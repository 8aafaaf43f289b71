"""Checks at load against loaders that change what is sent: what was found is logged in a line, and recorded.

What cannot be right is refused elsewhere: a module that is not run (folder/modules.py), an attention that a forward
pass contradicts (direction.py), an end token that the tokenizer lacks (folder/special_tokens.py).
"""

import logging
from pathlib import Path

from tokenizers import Tokenizer

from qzhou_eval.errors import in_one_line
from qzhou_eval.model.folder.checkpoint import Checkpoint
from qzhou_eval.model.folder.files import read_if_there
from qzhou_eval.model.folder.special_tokens import special_tokens
from qzhou_eval.model.folder.tokenizer_file import FILE
from qzhou_eval.model.settings import EncoderSettings
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.probe_texts import TEXTS

log = logging.getLogger(__name__)


def check_loaded(checkpoint: Checkpoint, tokenize: PromptTokenizer, settings: EncoderSettings) -> dict[str, str]:
    """What was checked, by name, with what was found; it is logged, and a difference is a warning."""
    ids = _token_ids(checkpoint.tokenizer, tokenize.tokenizer)
    ends = [tokenize.decode([number]) for number in tokenize.tail]
    modules = ["Transformer", f"pooling {settings.pooling.name}", *(module.kind for module in checkpoint.head)]
    found = {
        "token ids": ids,
        "each text ends with": " ".join(ends) or "no special token",
        "attention": settings.direction if settings.trust_remote_code else f"{settings.direction}, by a forward pass",
        "modules run": ", ".join(modules),
    }
    log.info("%s, as loaded: %s", checkpoint.name, "; ".join(f"{name} {value}" for name, value in found.items()))
    if ids.startswith(_OTHER):
        words = "%s: token ids %s; those of %s are sent, sentence-transformers would send the others"
        log.warning(words, checkpoint.name, ids, FILE)
    if read_if_there(checkpoint.tokenizer / "sentence_bert_config.json").get("do_lower_case") is True:
        found["do_lower_case"] = "not used"
        words = "%s: do_lower_case in sentence_bert_config.json is not used; texts keep their case"
        log.warning(words, checkpoint.name)
    return found


_SAME, _OTHER = f"as AutoTokenizer's on {len(TEXTS)} texts", "other than AutoTokenizer's on "


def _token_ids(folder: Path, tokenizer: Tokenizer) -> str:
    """Compare the ids of tokenizer.json with those of transformers' class, which may rebuild parts of the file."""
    if not (folder / FILE).exists():
        return "from transformers' own tokenizer"
    from transformers import AutoTokenizer

    try:
        peer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        theirs = [list(peer(text)["input_ids"]) for text in TEXTS]
    except Exception as error:  # whatever a library raises for a tokenizer that it cannot build
        return f"not compared with AutoTokenizer's ({in_one_line(error, 80)})"
    head, tail = special_tokens(tokenizer, folder)
    ours = [[*head, *tokenizer.encode(text, add_special_tokens=False).ids, *tail] for text in TEXTS]
    other = [number for number, ids in enumerate(ours) if ids != theirs[number]]
    if not other:
        return _SAME
    lost = bool(tail) and all(ours[number] == [*theirs[number], *tail] for number in other)
    why = f", which leaves out {tokenizer.decode(tail, skip_special_tokens=False)} at the end" if lost else ""
    return f"{_OTHER}{len(other)} of {len(TEXTS)} texts{why}"
