"""Token ids: the limit and what it cuts off, the placeholder's place, the tokenizer's own special tokens."""

import base64
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from qzhou_eval import Embedder
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.model.folder.checkpoint import find_checkpoint
from qzhou_eval.model.settings import EncoderOptions, resolve_settings
from qzhou_eval.model.tokenizer import PromptTokenizer
from qzhou_eval.protocol.profile import SideTemplates
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import instruction_for, render

PROFILE = load_profile("qzhou-zh")
END = "” means in one word: “"


def prompt_tokenizer(folder, profile=PROFILE, *, max_length=1024, truncate="whole"):
    return PromptTokenizer(find_checkpoint(str(folder)), profile, max_length=max_length, truncate=truncate)


def test_a_short_prompt_is_what_the_tokenizer_says_with_nothing_added(tiny, tokenizer):
    prompt = render(PROFILE, "今天天气很好", "Retrieve")
    found = prompt_tokenizer(tiny)([prompt])[0]
    assert list(found.ids) == tokenizer(prompt)["input_ids"]
    assert not found.cut


def test_whole_keeps_the_first_tokens_and_loses_the_templates_end(tiny, tokenizer):
    prompt = render(PROFILE, "天气" * 100)
    found = prompt_tokenizer(tiny, max_length=40)([prompt])[0]
    assert found.cut
    assert list(found.ids) == tokenizer(prompt, truncation=True, max_length=40)["input_ids"]


@pytest.mark.parametrize("text", ["天气" * 100, "ab cd " * 60, "龘靐" * 50, "😀👍🏽" * 40])
def test_text_keeps_the_template_whole_and_as_much_text_as_fits(tiny, tokenizer, text):
    prompt = render(PROFILE, text, "Retrieve")
    found = prompt_tokenizer(tiny, max_length=60, truncate="text")([prompt])[0]
    shown = tokenizer.decode(found.ids)
    kept = shown.removeprefix(render(PROFILE, "@", "Retrieve").split("@")[0]).removesuffix(END)
    assert found.cut
    assert shown.endswith(END)
    assert text.startswith(kept)
    longer = render(PROFILE, text[: len(kept) + 1], "Retrieve")
    assert len(found.ids) <= 60 < len(tokenizer(longer)["input_ids"])


def test_both_rules_agree_on_a_prompt_that_fits(tiny):
    prompts = [render(PROFILE, text) for text in ("", "今天", " \n ")]
    assert prompt_tokenizer(tiny)(prompts) == prompt_tokenizer(tiny, truncate="text")(prompts)


def test_the_templates_own_placeholder_is_used_whatever_the_text_holds(tiny):
    tokenize = prompt_tokenizer(tiny)
    position, token = tokenize.placeholder()
    for text in ("", "<|im_start|>", "a <|im_start|> b <|im_start|>"):
        ids = list(tokenize([render(PROFILE, text)])[0].ids)
        assert ids[position] == token
        assert ids.index(token) == position


def test_a_begin_token_of_the_tokenizer_is_kept_and_shifts_the_placeholder(tmp_path, tiny):
    plain = AutoTokenizer.from_pretrained(tiny)
    begin = plain.convert_tokens_to_ids("<|im_end|>")
    plain.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_end|> $A", special_tokens=[("<|im_end|>", begin)]
    )
    folder = _with_tokenizer(tmp_path, tiny, plain)
    tokenize = prompt_tokenizer(folder)
    assert tokenize.placeholder()[0] == prompt_tokenizer(tiny).placeholder()[0] + 1
    long = tokenize([render(PROFILE, "天气" * 2000)])[0]
    assert (long.ids[0], len(long.ids)) == (begin, 1024)


@pytest.mark.parametrize("length", [3, 500])
def test_the_end_token_is_last_also_after_a_cut(tiny, tokenizer, length):
    profile = load_profile("qwen3-embedding")
    found = prompt_tokenizer(tiny, profile, max_length=30)(["天" * length])[0]
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert found.ids[-1] == end
    assert found.ids.count(end) == 1
    assert len(found.ids) <= 30


def test_a_tokenizer_without_the_placeholder_is_refused(tiny):
    other = replace_profile(placeholder="<ph>", template="<ph>{text}")
    with pytest.raises(BadInput, match="no token <ph>"):
        prompt_tokenizer(tiny, other).placeholder()


def replace_profile(**fields):
    return PROFILE.model_copy(update=fields)


def _with_tokenizer(tmp_path, tiny, tokenizer) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in Path(tiny).iterdir():
        if not file.name.startswith("tokenizer"):
            (folder / file.name).symlink_to(file)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def qwen(tmp_path_factory, tiny):
    """A folder with the real Qwen vocabulary, read from the file that the package dashscope ships."""
    dashscope = pytest.importorskip("dashscope")
    from dashscope.tokenizers import qwen_tokenizer

    lines = (Path(dashscope.__file__).parent / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    letters = {byte: letter for letter, byte in zip(*_byte_letters(), strict=True)}
    spelled = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [tuple(spelled[part] for part in _halves(token, ranks)) for token in ranks if len(token) > 1]
    tokenizer = Tokenizer(models.BPE({spelled[t]: rank for t, rank in ranks.items()}, merges))
    words = pre_tokenizers.Split(Regex(qwen_tokenizer.PAT_STR), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in specials])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>")
    folder = _with_tokenizer(tmp_path_factory.mktemp("qwen"), tiny, fast)
    for name in ("config.json", "model.safetensors"):
        (folder / name).unlink()
    fields = json.loads((Path(tiny) / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(fields | {"vocab_size": len(fast)}), "utf-8")
    save_file({"embed_tokens.weight": torch.zeros(len(fast), 1)}, folder / "model.safetensors")
    return folder


def _byte_letters() -> tuple[list[str], list[int]]:
    """GPT-2's printable letters for the 256 bytes: printable Latin-1 for itself, the rest from 256 on."""
    own = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255]
    rest = [b for b in range(256) if b not in own]
    return [chr(b) for b in own] + [chr(256 + i) for i in range(len(rest))], own + rest


def _halves(token: bytes, ranks: dict[bytes, int]) -> tuple[bytes, bytes]:
    """The last merge that makes ``token``: BPE on its bytes with the lower ranks only."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        pairs = [ranks.get(parts[i] + parts[i + 1], 10**9) for i in range(len(parts) - 1)]
        best = min(range(len(pairs)), key=pairs.__getitem__)
        if pairs[best] >= ranks[token]:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
    return parts[0], b"".join(parts[1:])


@pytest.mark.slow
def test_token_ids_in_the_real_qwen_vocabulary(qwen):
    """Compared with Qwen's own tiktoken tokenizer, an independent implementation."""
    import dashscope

    tokenize = prompt_tokenizer(qwen)
    assert tokenize.placeholder() == (4, 151644)
    texts = ["天气", "", "3.14 and it's\n\n 好", "龘😀 <|im_start|> {text}", "a  b\tc“”"]
    prompts = [render(PROFILE, text, instruction_for(PROFILE, packaged_tasks()["STSB"], None)) for text in texts]
    peer = dashscope.get_tokenizer("qwen-7b-chat")
    for prompt, found in zip(prompts, tokenize(prompts), strict=True):
        assert list(found.ids) == peer.encode(prompt)
    assert tokenize([prompts[0]])[0].ids[:5].tolist() == [1986, 11652, 25, 220, 151644]


SIDES = {"query": "query: {text}", "document": "passage: {text}"}


@pytest.mark.parametrize("truncate", ["whole", "text"])
def test_documents_may_have_a_limit_of_their_own(tiny, truncate):
    profile = load_profile("plain").model_copy(update={"template": SideTemplates(**SIDES), "document_max_length": 30})
    text = "今天天气很好，" * 20
    limits = {"max_length": 20, "document_max_length": 30, "truncate": truncate}
    tokenize = PromptTokenizer(find_checkpoint(str(tiny)), profile, **limits)
    prompts = [render(profile, text, None, side) for side in ("query", "document", None)]
    assert [len(found.ids) for found in tokenize(prompts)] == [20, 30, 20]
    assert [found.cut for found in tokenize(prompts)] == [True] * 3
    whole = PromptTokenizer(find_checkpoint(str(tiny)), profile, max_length=1000, truncate=truncate)
    for short, long in zip(tokenize(prompts), whole(prompts), strict=True):
        assert short.ids == long.ids[: len(short.ids)]


def test_the_limit_of_documents_is_part_of_a_vectors_identity_and_goes_if_a_limit_is_asked_for(tiny, tmp_path):
    path = tmp_path / "mine.yaml"
    fields = {"name": "mine", "source": "this test", "template": SIDES, "max_length": 20}
    path.write_text(yaml.safe_dump(fields | {"document_max_length": 30}))
    profile, checkpoint = load_profile(str(path)), find_checkpoint(str(tiny))
    settings = resolve_settings(checkpoint, profile, EncoderOptions(device="cpu"))
    assert (settings.max_length, settings.document_max_length, settings.longest) == (20, 30, 30)
    asked = resolve_settings(checkpoint, profile, EncoderOptions(device="cpu", max_length=20))
    assert (asked.max_length, asked.document_max_length, asked.longest) == (20, None, 20)
    assert settings.fingerprint(checkpoint, profile) != asked.fingerprint(checkpoint, profile)
    model = Embedder.from_pretrained(str(tiny), profile=str(path), device="cpu")
    prompts = [render(profile, "今天天气很好，" * 20, None, side) for side in ("query", "document")]
    assert [len(found.ids) for found in model.tokenize(prompts)] == [20, 30]
    path.write_text(yaml.safe_dump(fields | {"template": "{text}", "document_max_length": 30}))
    with pytest.raises(BadInput, match="document_max_length needs a template for each side, of which none begins like"):
        load_profile(str(path))
