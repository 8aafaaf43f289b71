"""What each shipped profile sends for all 31 tasks: compared with a table written by hand and with mteb's own code."""

import json

import mteb
import pytest
import torch
from datasets import Dataset
from mteb.models.model_implementations import seed_1_6_embedding_models, seed_models
from mteb.types import PromptType

from qzhou_eval.benchmark.packaged import cmteb, packaged_tasks
from qzhou_eval.protocol.profile_files import load_profile, profile_names, shipped_profiles
from qzhou_eval.protocol.prompts import prompts_of, sides_of

CMTEB = list(cmteb().tasks)
TEXT = "今天{text}天气很好。"
EOL = "This sentence: <|im_start|>“{}” means in one word: “"

# What is sent for a text <T> with the task's instruction <I>. Keys: a task's name, else its type and side, else (of
# symmetric texts) its type or else its side, else "".
PLAIN = {"": "<T>"}
QUERIES = {"document": "<T>"}
FORMS = {
    **dict.fromkeys(("plain", "all-minilm", "bge-m3", "gte-zh", "gte-multilingual", "ritrieve-zh-v1"), PLAIN),
    **dict.fromkeys(("xiaobu-embedding-v2", "conan-embedding-v1", "conan-embedding-v2", "zpoint-large-zh"), PLAIN),
    "bge-zh-v1.5": PLAIN | {("Retrieval", "query"): "为这个句子生成表示以用于检索相关文章：<T>"},
    "multilingual-e5": {"": "query: <T>", "document": "passage: <T>"},
    "embeddinggemma": {
        "document": "title: none | text: <T>",
        "query": "task: search result | query: <T>",
        "STS": "task: sentence similarity | query: <T>",
        "PairClassification": "task: sentence similarity | query: <T>",
        "Classification": "task: classification | query: <T>",
        "Clustering": "task: clustering | query: <T>",
    },
    "seed1.5-embedding": QUERIES | {"": "Instruct: <I>\nQuery: <T>"},
    "seed1.6-embedding": QUERIES | {"query": "为这个句子生成表示以用于检索相关内容：<T>", "": "<I>\n<T>"},
    "youtu-embedding": QUERIES | {"": "Instruction: <I> \nQuery: <T>"},
    "kalm-mini-v2.5": QUERIES | {"": "Instruct: <I> \n Query: <T>"},
    "f2llm-v2": QUERIES | {"": "Instruct: <I>\nQuery: <T>"},
    "gte-qwen2-instruct": QUERIES | {"": "Instruct: <I>\nQuery: <T>"},
    "qwen3-embedding": {"": "Instruct: <I>\nQuery:<T>", ("Retrieval", "document"): "<T>"},
    "qwen3-embedding-mteb": QUERIES | {"": "Instruct: <I>\nQuery:<T>"},
    "qzhou-embedding": {"": "Instruct: <I>\nQuery: <T>", ("Retrieval", "document"): "<T>"},
    "qzhou-zh": {"": EOL.format("Instruct: <I>\nQuery: <T>"), ("Retrieval", "document"): EOL.format("<T>")},
    "qzhou-zh-quickstart": {"": EOL.format("Instruct: <I>\nQuery:<T>"), ("Retrieval", "document"): EOL.format("<T>")},
}
FORMS["qzhou-zh-mini"] = FORMS["qzhou-zh"]

# Instructions that a source states for several tasks at once, by profile and type.
STATED = {
    ("qwen3-embedding", "STS"): "Retrieve semantically similar text",
    ("qwen3-embedding", "PairClassification"): "Retrieve semantically similar text",
    ("qwen3-embedding-mteb", "STS"): "Retrieve semantically similar text.",
    ("gte-qwen2-instruct", "STS"): "Retrieve semantically similar text",
    ("gte-qwen2-instruct", "PairClassification"): "Retrieve semantically similar text.",
    ("qzhou-embedding", "STS"): "Retrieve semantically similar text",
    ("qzhou-embedding", "PairClassification"): "Retrieve semantically similar text.",
    ("seed1.5-embedding", "STS"): "Retrieve semantically similar text.",
    ("seed1.6-embedding", "STS"): "Retrieve semantically similar text",
    ("f2llm-v2", "STS"): "Retrieve semantically similar text.",
    ("f2llm-v2", "PairClassification"): "Retrieve semantically entailed text.",
    ("kalm-mini-v2.5", "Retrieval"): "Given a query, retrieve documents that answer the query",
}


def sent(name: str, task, side: str | None) -> str:
    (prompt,) = prompts_of(load_profile(name), task, side, [TEXT], use_instruction=True)
    return prompt


def form(name: str, task, side: str | None) -> str:
    keys = (task.name, (task.type, side), *([task.type] if side is None else [side]), "")
    return next(FORMS[name][key] for key in keys if key in FORMS[name]).replace("<T>", TEXT)


@pytest.mark.parametrize("name", profile_names())
def test_each_side_of_each_task_has_the_form_that_its_source_states(name):
    for task in CMTEB:
        for side in sides_of(task):
            before, has_instruction, after = form(name, task, side).partition("<I>")
            prompt = sent(name, task, side)
            assert prompt.startswith(before), (task.name, side)
            assert prompt.endswith(after), (task.name, side)
            instruction = prompt.removeprefix(before).removesuffix(after)
            stated = STATED.get((name, task.type), instruction)
            assert instruction == (stated if has_instruction else ""), (task.name, side)
            assert bool(instruction) == bool(has_instruction)


def test_each_profile_is_in_the_table_and_each_model_in_one_profile():
    assert FORMS.keys() == set(profile_names())
    models = [model.name for profile in shipped_profiles() for model in profile.models]
    assert len(models) == len(set(models)) >= 30


REFERENCE = {
    "Seed1.5-Embedding": "seed1.5-embedding",
    "Seed1.6-embedding": "seed1.6-embedding",
    "Youtu-Embedding": "youtu-embedding",
    "KaLM-mini-v2/v2.5": "kalm-mini-v2.5",
}


@pytest.mark.parametrize("model", REFERENCE)
def test_instructions_are_those_of_the_reference_record(data_root, model):
    reference = data_root.parent / "reference" / "instructions_of_models.json"
    if not reference.is_file():
        pytest.skip("no reference record of instructions beside the data")
    for name, entry in json.loads(reference.read_text("utf-8"))[model].items():
        stated = entry.get("both", entry)
        instruction = stated["query"] if isinstance(stated, dict) else stated
        task = packaged_tasks()[name]
        assert instruction.removesuffix("{}") in sent(REFERENCE[model], task, sides_of(task)[0])


PAIRS = ("PairClassification", None)
# A profile, the model by which mteb knows it, and the types and sides in which the published run differed from mteb's.
PEERS = [
    ("bge-zh-v1.5", "BAAI/bge-large-zh-v1.5", {("Reranking", "query")}),
    ("bge-m3", "BAAI/bge-m3", set()),
    ("multilingual-e5", "intfloat/multilingual-e5-large", {("symmetric", None)}),
    ("qwen3-embedding-mteb", "Qwen/Qwen3-Embedding-8B", set()),
    (
        "qwen3-embedding",
        "Qwen/Qwen3-Embedding-8B",
        {("STS", None), ("PairClassification", None), ("Reranking", "document")},
    ),
    ("gte-qwen2-instruct", "Alibaba-NLP/gte-Qwen2-7B-instruct", {("STS", None)}),
    ("kalm-mini-v2.5", "KaLM-Embedding/KaLM-embedding-multilingual-mini-instruct-v2.5", {("STS", None), PAIRS}),
    ("f2llm-v2", "codefuse-ai/F2LLM-v2-8B", set()),
    ("youtu-embedding", "tencent/Youtu-Embedding", set()),
]


@pytest.mark.parametrize(("name", "model", "other"), PEERS, ids=[name for name, _, _ in PEERS])
def test_mtebs_own_code_sends_the_same_except_where_the_published_run_did_not(tiny, name, model, other):
    """mteb's wrapper for the model runs with other weights; what it hands to sentence-transformers is recorded."""
    entry = mteb.get_model_meta(model, fetch_from_hf=False)
    arguments = dict(entry.loader_kwargs, trust_remote_code=False) | {"device": "cpu"}
    peer = entry.loader(str(tiny), revision=None, **arguments)
    handed = []

    def encode(*texts, prompt=None, **named):
        (text,) = texts[0] if texts else next(named[name] for name in ("sentences", "inputs") if name in named)
        handed.append((prompt or "") + (text["text"] if isinstance(text, dict) else text))
        return torch.zeros(1, 4)

    peer.model.encode = encode
    for task in CMTEB:
        metadata = mteb.get_task(task.name).metadata
        for side in sides_of(task):
            rows = torch.utils.data.DataLoader(Dataset.from_list([{"text": TEXT}]))
            options = {"task_metadata": metadata, "hf_split": "test", "hf_subset": "default"}
            peer.encode(rows, **options, prompt_type=PromptType(side) if side else None)
            differs = {(task.type, side), ("symmetric" if side is None else task.type, side)} & other
            assert (sent(name, task, side) == handed[-1]) == (not differs), (task.name, side)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("seed1.5-embedding", lambda task, text: seed_models.TASK_NAME_TO_INSTRUCTION[task] + text),
        (
            "seed1.6-embedding",
            lambda task, text: seed_1_6_embedding_models.TASK_NAME_TO_INSTRUCTION[task].replace("{}", text),
        ),
    ],
)
def test_mtebs_tables_for_the_closed_models_say_the_same(name, theirs):
    for task in CMTEB:
        assert sent(name, task, sides_of(task)[0]) == theirs(task.name, TEXT)
