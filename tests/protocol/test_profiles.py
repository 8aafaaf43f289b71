"""A profile is validated data; qzhou-zh holds the published protocol to the byte."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml

from qzhou_eval.benchmark.packaged import cmteb, packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.instructions import TaskPrompt
from qzhou_eval.protocol.profile_files import load_profile, profile_names, profile_of
from qzhou_eval.protocol.prompts import OtherTask, instruction_for, prompts_of, render
from qzhou_eval.system.paths import data_folder


def test_every_shipped_profile_is_valid():
    assert {"qzhou-zh", "plain", "qwen3-embedding"} <= set(profile_names())
    for name in profile_names():
        assert load_profile(name).name == name


def test_qzhou_zh_states_the_published_protocol():
    profile = load_profile("qzhou-zh")
    assert profile.template == "This sentence: <|im_start|>\u201c{text}\u201d means in one word: \u201c"
    assert profile.instruction == "Instruct: {instruction}\nQuery: "
    assert (profile.empty_text, profile.max_length, profile.token_prepending) == ("Null", 1024, (1, 7))
    assert profile.matryoshka_dims == (128, 256, 512, 768, 1024, 1280, 1536, 1792)
    assert profile.models[0].parameters == 7_575_747_328


def test_qzhou_zh_instructs_the_31_tasks_and_the_eight_retrieval_documents_not():
    profile = load_profile("qzhou-zh")
    known = cmteb().by_name
    assert profile.tasks.keys() == known.keys()
    assert len(known) == 31
    without = {name for name in known if instruction_for(profile, packaged_tasks()[name], "document") is None}
    assert without == {name for name, task in known.items() if task.type == "Retrieval"}
    assert len(without) == 8


def test_qzhou_zh_equals_the_reference_record(data_root):
    reference = data_root.parent / "reference" / "protocol.json"
    if not reference.is_file():
        pytest.skip("no reference record of the protocol beside the data")
    protocol = json.loads(reference.read_text("utf-8"))
    profile = load_profile("qzhou-zh")
    assert profile.template == protocol["template"]["prompteol"]
    assert profile.instruction == protocol["template"]["instruction_in_benchmark"]
    sides = {"both": "both sides", "queries": "queries only"}
    ours = {name: (sides[task.instruct], task.instruction) for name, task in profile.tasks.items()}
    assert ours == {name: (task["instruct"], task["instruction"]) for name, task in protocol["tasks"].items()}


def test_the_miniature_speaks_the_same_protocol():
    mini, published = load_profile("qzhou-zh-mini"), load_profile("qzhou-zh")
    for field in ("template", "instruction", "empty_text", "max_length", "token_prepending", "placeholder"):
        assert getattr(mini, field) == getattr(published, field)


def test_rendering_is_exact():
    profile = load_profile("qzhou-zh")
    instruction = instruction_for(profile, packaged_tasks()["T2Retrieval"], "query")
    assert render(profile, "长城多长", instruction) == (
        "This sentence: <|im_start|>\u201cInstruct: Given a Chinese search query, retrieve web passages that "
        "answer the question\nQuery: 长城多长\u201d means in one word: \u201c"
    )
    assert render(profile, "长城多长") == "This sentence: <|im_start|>\u201c长城多长\u201d means in one word: \u201c"


@pytest.mark.parametrize("text", [" ", "\n", "0", "{text}", "{instruction}", "{0}", "<|im_start|>", "“”", "{{}}"])
def test_user_text_is_never_parsed(text):
    profile = load_profile("qzhou-zh")
    expected = "This sentence: <|im_start|>“Instruct: a {text} b\nQuery: " + text + "” means in one word: “"
    assert render(profile, text, "a {text} b") == expected


def test_only_the_exactly_empty_text_becomes_null():
    profile = load_profile("qzhou-zh")
    assert render(profile, "") == render(profile, "Null")
    assert "Null" not in render(profile, " ")


def test_qwen3_embedding_instructs_queries_alone():
    profile = load_profile("qwen3-embedding-mteb")
    instruction = instruction_for(profile, packaged_tasks()["CMedQAv1-reranking"], "query")
    assert render(profile, "头疼", instruction).startswith("Instruct: ")
    assert instruction_for(profile, packaged_tasks()["CMedQAv1-reranking"], "document") is None
    assert render(profile, "头疼") == "头疼"
    assert profile.end_token == "<|endoftext|>"


def test_an_unknown_task_has_no_silent_default():
    with pytest.raises(BadInput, match=r"no instruction for task STSb .*did you mean STSB"):
        instruction_for(load_profile("qzhou-zh"), OtherTask("STSb", "STS"), None)


def test_a_profile_from_a_file_is_called_by_its_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", "extends": "qzhou-zh", "source": "this test"}))
    with pytest.raises(BadInput, match=f"^profile {path} has no instruction for task STSb"):
        instruction_for(load_profile(str(path)), OtherTask("STSb", "STS"), None)
    assert load_profile("qzhou-zh").called == "profile qzhou-zh"


TITLED = {"template": {"query": "<|im_start|>{text}", "document": "<|im_start|>{title} {text}"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"template": "no place"}, "template: .*{text} exactly once"),
        ({"template": "{text} <|im_start|> {text}"}, "template: .*{text} exactly once"),
        ({"template": "{text} <|im_start|>"}, "placeholder token before {text}"),
        ({"max_length": 0}, "max_length"),
        ({"lenght": 3}, "lenght"),
        ({"instruction": "Instruct:"}, "{instruction} exactly once"),
        ({"name": "../up"}, "name"),
        ({"template": {"query": "<|im_start|>{text}", "document": "<|im_start|>{text} {title}"}}, "must come before"),
        ({"pooling": "mean", "include_prompt": False} | TITLED, "cannot be false for a template with {title}"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_field(tmp_path, change, message):
    fields = {
        "name": "mine",
        "source": "test",
        "template": "<|im_start|>{text}",
        "max_length": 8,
        "placeholder": "<|im_start|>",
    }
    path = Path(tmp_path) / "mine.yaml"
    path.write_text(json.dumps(fields | change), "utf-8")
    with pytest.raises(BadInput, match=message):
        load_profile(str(path))


def test_a_key_that_is_there_twice_is_refused_since_yaml_takes_the_last_and_says_nothing(tmp_path):
    path = tmp_path / "mine.yaml"
    tasks = "tasks:\n  STSB: {text: one}\n  AFQMC: {text: two}\n"
    path.write_text(f"name: mine\nextends: qzhou-zh\nsource: test\n{tasks}  STSB: {{text: three}}\n", "utf-8")
    with pytest.raises(BadInput, match=r"mine.yaml: not a YAML file \(STSB twice, in lines 5 and 7\)"):
        load_profile(str(path))
    path.write_text(f"name: mine\nextends: qzhou-zh\nsource: test\n{tasks}source: other\n", "utf-8")
    with pytest.raises(BadInput, match=r"source twice, in lines 3 and 7"):
        load_profile(str(path))


def test_a_profile_can_extend_another(tmp_path):
    path = tmp_path / "quick.yaml"
    path.write_text('name: quick\nextends: qzhou-zh\nsource: test\ninstruction: "Instruct: {instruction}\\nQuery:"\n')
    profile = load_profile(str(path))
    assert render(profile, "a", "b").startswith("This sentence: <|im_start|>“Instruct: b\nQuery:a”")
    assert profile.tasks == load_profile("qzhou-zh").tasks


def test_two_profiles_that_name_one_model_are_one_line(tmp_path, monkeypatch):
    folder = tmp_path / "task_instructions"
    shutil.copytree(data_folder("task_instructions"), folder)
    text = (folder / "bge-m3.yaml").read_text("utf-8").replace("name: bge-m3\n", "name: mine\n")
    (folder / "mine.yaml").write_text(text, "utf-8")
    monkeypatch.setattr("qzhou_eval.protocol.profile_files.data_folder", lambda _name: folder)
    with pytest.raises(BadInput, match=r"^bge-m3 and mine in task_instructions/ both name BAAI/bge-m3 in models$"):
        profile_of("BAAI/bge-m3")
    assert profile_of("BAAI/bge-large-zh-v1.5").name == "bge-zh-v1.5"


def test_a_type_stands_in_for_a_task_that_is_not_named_and_default_for_all_other_types():
    bge, seed = load_profile("bge-zh-v1.5"), load_profile("seed1.6-embedding")
    assert instruction_for(bge, OtherTask("Mine", "Retrieval"), "query").startswith("为这个句子")
    assert instruction_for(bge, OtherTask("Mine", "Retrieval"), "document") is None
    assert instruction_for(bge, OtherTask("Mine", "Summarization"), None) is None
    with pytest.raises(BadInput, match="has no instruction for task Mine; add one to its tasks or types"):
        instruction_for(seed, OtherTask("Mine", "STS"), None)


def test_documents_may_have_an_instruction_of_their_own(tmp_path):
    path = tmp_path / "mine.yaml"
    prompt = {"instruct": "both", "instruction": "Q", "document_instruction": "D"}
    fields = {"name": "mine", "source": "t", "template": "{text}", "max_length": 9, "instruction": "{instruction}: "}
    path.write_text(yaml.safe_dump(fields | {"types": {"Retrieval": prompt}}), "utf-8")
    profile = load_profile(str(path))
    task = OtherTask("Mine", "Retrieval")
    assert [prompts_of(profile, task, side, ["x"], use_instruction=True) for side in ("query", "document")] == [
        ["Q: x"],
        ["D: x"],
    ]


@pytest.mark.parametrize("name", ["qzhou-zh", "plain", "qwen3-embedding-mteb"])
def test_fields_that_a_profile_does_not_use_leave_its_digest_alone(name):
    """Results are filed under it: those from before there were sides, types and models stay valid."""
    profile = load_profile(name)
    first = ("name", "template", "max_length", "instruction", "empty_text", "end_token", "placeholder")
    fields = {field: getattr(profile, field) for field in first}
    fields["token_prepending"] = profile.token_prepending and list(profile.token_prepending)
    fields["tasks"] = {
        task: {"instruct": prompt.instruct, "instruction": prompt.instruction} for task, prompt in profile.tasks.items()
    }
    assert profile.digest == hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    assert profile.model_copy(update={"models": (), "trained_on": 3}).digest == profile.digest
    assert profile.model_copy(update={"attention": "causal"}).digest != profile.digest


def test_an_empty_instruction_of_documents_is_not_the_queries():
    prompt = TaskPrompt(instruct="both", instruction="Q", document_instruction="")
    assert (prompt.of("query"), prompt.of("document")) == ("Q", "")
