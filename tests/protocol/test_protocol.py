"""What the card's protocol says about vectors and prompts, each compared with something written out by hand."""

import mteb
import numpy as np
import pytest
import torch
import transformers
from datasets import Dataset
from decoders import reference
from mteb.models.instruct_wrapper import InstructSentenceTransformerModel
from mteb.types import PromptType
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer

from qzhou_eval import Embedder
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.protocol.prompts import instruction_for, render
from qzhou_eval.system.paths import data_folder

PROFILE = load_profile("qzhou-zh")
QUICKSTART = load_profile("qzhou-zh-quickstart")
FIDELITY = data_folder("docs") / "fidelity.md"
NAME = "Kingsoft-LLM/QZhou-Embedding-Zh"


def by_hand(model: Embedder, folder, ids: list[int], last_layer: int) -> np.ndarray:
    """One prompt's unit vector: a loop over layers, the last row, the stored projection, in float32."""
    weights = load_file(folder / "2_Dense" / "model.safetensors")
    with torch.no_grad():
        decoder = transformers.AutoModel.from_pretrained(model.checkpoint.body, dtype=torch.float32).eval()
        hidden = reference(decoder, torch.tensor(ids), 4, 1, last_layer)[-1]
        vector = weights["linear.weight"].float() @ hidden + weights["linear.bias"].float()
    return (vector / vector.norm()).numpy()


@pytest.mark.parametrize("last_layer", [6, 7])
def test_a_cut_prompt_has_no_suffix_and_its_last_text_token_is_pooled_and_prepended(tiny, tokenizer, last_layer):
    model = Embedder.from_pretrained(
        str(tiny), profile="qzhou-zh", device="cpu", max_length=40, token_prepending=(1, last_layer)
    )
    long = "火锅很好吃，火车晚点到达。" * 30
    instruction = PROFILE.tasks["STSB"].instruction
    ids = tokenizer(render(PROFILE, long, instruction), add_special_tokens=False)["input_ids"][:40]
    whole = tokenizer(render(PROFILE, "", instruction), add_special_tokens=False)["input_ids"]
    assert ids[-1] not in (whole[-1], tokenizer.eos_token_id)  # neither the closing quote nor an end token
    found = model.encode([long, "短"], instruction=instruction)[0]
    assert np.abs(found - by_hand(model, tiny, ids, last_layer)).max() < 1e-6


def test_two_readings_of_1_and_7_are_told_apart_in_float32(tiny, tokenizer):
    """A tolerance of 1e-6 to the written-out reference tells 1-7 from 1-6: their components differ by far more."""
    prompt = render(PROFILE, "今天天气很好。", PROFILE.tasks["STSB"].instruction)
    ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    vectors = {}
    for last_layer in (6, 7):
        model = Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", token_prepending=(1, last_layer))
        (found,) = model.encode_prompts([prompt])
        vectors[last_layer] = found / np.linalg.norm(found)
        assert np.abs(vectors[last_layer] - by_hand(model, tiny, ids, last_layer)).max() < 1e-6
    assert np.abs(vectors[6] - vectors[7]).max() > 1e-3


def test_projection_in_the_models_dtype_then_float32_then_cut_then_normalise(tiny):
    """bfloat16 shows the order: values are rounded up to and including the projection and never after it."""
    model = Embedder.from_pretrained(str(tiny), profile="qzhou-zh", device="cpu", dtype="bfloat16")
    full = model.encode_prompts([render(PROFILE, "今天天气很好。")])
    assert full.dtype == np.float32
    as_bfloat16 = torch.from_numpy(full).bfloat16().float().numpy()
    assert np.array_equal(full, as_bfloat16)  # the projection's output was bfloat16
    (found,) = model.encode(["今天天气很好。"], dim=64)
    expected = full[0, :64].astype(np.float64) / np.linalg.norm(full[0, :64].astype(np.float64))
    assert np.abs(found - expected).max() < 1e-7  # cut, then normalised, in float32


def test_the_quickstart_differs_by_one_space():
    for task in PROFILE.tasks:
        for side in ("query", "document"):
            ours = render(PROFILE, "文本", instruction_for(PROFILE, packaged_tasks()[task], side))
            theirs = render(QUICKSTART, "文本", instruction_for(QUICKSTART, packaged_tasks()[task], side))
            assert theirs == ours.replace("Query: 文本", "Query:文本")
            assert (theirs == ours) == ("Query:" not in ours)
    fields = {"name", "source", "instruction", "models", "published", "trained_on"}
    assert PROFILE.model_dump(exclude=fields) == QUICKSTART.model_dump(exclude=fields)


def sent_by(model: SentenceTransformer, encode) -> str:
    """The text of the token ids that enter a sentence-transformers model while ``encode`` runs."""
    ids = []
    handle = model[0].register_forward_pre_hook(lambda _module, args: ids.append(args[0]["input_ids"][0]))
    encode()
    handle.remove()
    return model.tokenizer.decode(ids[0])


def sent_by_mtebs_entry(folder, task: str, text: str, side: str | None) -> str:
    """What mteb's own entry for the card's model sends, by its own code, with other weights."""
    entry = mteb.get_model_meta(NAME)
    assert entry.loader is InstructSentenceTransformerModel
    model = InstructSentenceTransformerModel(str(folder), revision=None, device="cpu", **entry.loader_kwargs)
    rows = torch.utils.data.DataLoader(Dataset.from_list([{"text": text}]))
    options = {"task_metadata": mteb.get_task(task).metadata, "hf_split": "test", "hf_subset": "default"}
    return sent_by(model.model, lambda: model.encode(rows, **options, prompt_type=PromptType(side) if side else None))


@pytest.mark.parametrize(("task", "side"), [("T2Retrieval", "query"), ("T2Retrieval", "document"), ("STSB", None)])
def test_the_document_shows_what_each_route_sends(tiny, task, side):
    """docs/fidelity.md prints each route's prompt; here each is produced again by the code that sends it."""
    text = "今天天气很好。"
    document = FIDELITY.read_text("utf-8")
    routes = {
        "qzhou-zh": render(PROFILE, text, instruction_for(PROFILE, packaged_tasks()[task], side)),
        "quickstart": render(QUICKSTART, text, instruction_for(QUICKSTART, packaged_tasks()[task], side)),
        "mteb": sent_by_mtebs_entry(tiny, task, text, side),
    }
    assert len({*routes.values()}) == (2 if side == "document" else 3)
    for prompt in routes.values():
        assert f"```text\n{prompt}\n```" in document
    plain = SentenceTransformer(str(tiny), device="cpu")
    assert sent_by(plain, lambda: plain.encode(text)) == text
