"""The public encoder inside mteb itself: a run's scores, each dimension in its own folder, nothing encoded twice."""

import os
import re
import subprocess
import sys
from pathlib import Path

import mteb
import numpy as np
import pytest
from layouts import new_layout, read_rows, write_rows
from mteb.cache import ResultCache
from mteb.models import EncoderProtocol

from qzhou_eval import MTEBEncoder, cli
from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.packaged import miniature, packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter import v2
from qzhou_eval.evaluate.mteb_adapter.data_loading import quiet
from qzhou_eval.protocol.profile_files import load_profile
from qzhou_eval.results.reader import read_recorded
from qzhou_eval.run import mteb_encoder

TASKS = list(miniature().names)
DIMS = (16, 96)
DOCS = Path(__file__).parents[2] / "docs" / "mteb.md"


def encoder(tiny, **more) -> MTEBEncoder:
    return MTEBEncoder.from_pretrained(str(tiny), **{"profile": "qzhou-zh-mini", "device": "cpu"} | more)


def loaded(*names: str) -> list:
    """mteb's own task objects with their local data; made again for each evaluation."""
    quiet()
    return [v2.load(packaged_tasks()[name], locate(packaged_tasks()[name], None)) for name in names]


def scores(result: mteb.results.ModelResult) -> dict[str, float]:
    return {one.task_name: one.get_score() for one in result.task_results}


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """A run's output folder: all six tasks at both dimensions."""
    output = tmp_path_factory.mktemp("encoder") / "out"
    argv = ["run", "--model_name_or_path", str(tiny), "--profile", "qzhou-zh-mini", "--device", "cpu"]
    argv += ["--tasks", *TASKS, "--dim", *map(str, DIMS), "--output_dir", str(output), "--eval_workers", "1"]
    assert cli.main(argv) == 0
    return output


@pytest.mark.slow
def test_mteb_evaluate_gives_the_runs_scores_and_files_each_dimension_apart(tiny, run, tmp_path, monkeypatch):
    expected = {}
    for found in read_recorded(run):
        for task in found.tasks:
            (expected[task, found.variant.dim],) = found.scores[task].values()
    cache = ResultCache(tmp_path / "cache")
    store = tmp_path / "vectors"
    for number, dim in enumerate(DIMS):
        with monkeypatch.context() as context:
            if number:  # all vectors are stored at full width: no model is needed
                context.setattr(mteb_encoder, "Embedder", None)
            ours = scores(mteb.evaluate(encoder(tiny, dim=dim, store_dir=store), loaded(*TASKS), cache=cache))
        assert ours == {task: pytest.approx(expected[task, dim], abs=1e-6) for task in TASKS}
    filed = {path.parent.name for path in (tmp_path / "cache").rglob("MiniSTS.json")}
    assert filed == {"dim_16__profile_qzhou-zh-mini", "profile_qzhou-zh-mini"}
    monkeypatch.setattr(MTEBEncoder, "encode", None)  # mteb's cache answers
    again = mteb.evaluate(encoder(tiny, dim=16), loaded("MiniSTS"), cache=cache)
    assert scores(again) == {"MiniSTS": pytest.approx(expected["MiniSTS", 16], abs=1e-6)}
    # the run's own store works, too
    monkeypatch.undo()
    monkeypatch.setattr(mteb_encoder, "Embedder", None)
    other = mteb.evaluate(encoder(tiny, dim=16, store_dir=run / "store"), loaded("MiniRetrieval"), cache=None)
    assert scores(other) == {"MiniRetrieval": pytest.approx(expected["MiniRetrieval", 16], abs=1e-6)}


class _Meta:
    def __init__(self, name: str) -> None:
        self.name = name


def test_each_side_is_sent_what_the_profile_says(tiny, monkeypatch):
    model = encoder(tiny)
    assert isinstance(model, EncoderProtocol)
    sent = []

    def record(prompts):
        sent.append(prompts)
        return np.ones((len(prompts), 96), np.float32)

    monkeypatch.setattr(model.embedder, "encode_prompts", record)
    profile = load_profile("qzhou-zh-mini")
    line = profile.instruction.format(instruction=profile.tasks["MiniRetrieval"].instruction)
    for kind, expected in (("query", f"{line}甲"), ("document", "甲"), ("passage", "甲")):
        how = {"prompt_type": kind, "hf_split": "dev", "hf_subset": "default"}
        vectors = model.encode([{"text": ["甲", "甲"]}, {"text": ["甲"]}], task_metadata=_Meta("MiniRetrieval"), **how)
        assert sent.pop() == [profile.template.replace("{text}", expected)]  # equal texts are sent once
        assert vectors == pytest.approx(np.full((3, 96), 96**-0.5))
    model.encode(["甲"], task_name="MiniRetrieval", prompt_type=mteb.types.PromptType.query)  # as mteb 1.x calls it
    assert sent.pop() == [profile.template.replace("{text}", f"{line}甲")]
    plain = encoder(tiny, use_instruction=False)
    monkeypatch.setattr(plain.embedder, "encode_prompts", record)
    plain.encode(["甲"], task_name="any task")
    assert sent.pop() == [profile.template.replace("{text}", "甲")]


def test_what_a_crash_left_is_not_encoded_again(tiny, tmp_path, monkeypatch):
    texts = [f"第{n}句" for n in range(40)]
    expected = encoder(tiny).encode(texts, task_name="MiniSTS")
    monkeypatch.setattr(mteb_encoder, "PART", 16)
    model = encoder(tiny, store_dir=tmp_path)
    first = model.encode(texts[:20], task_name="MiniSTS")
    sent = []
    other = encoder(tiny, store_dir=tmp_path)
    stream = other.embedder.stream
    monkeypatch.setattr(other.embedder, "stream", lambda tokenized: sent.extend(tokenized) or stream(tokenized))
    vectors = other.encode([*texts, *texts], task_name="MiniSTS")
    assert len(sent) == 20
    assert vectors[:20] == pytest.approx(first, abs=1e-6)
    assert vectors == pytest.approx(np.concatenate([expected, expected]), abs=1e-6)


def test_the_meta_names_every_setting_that_changes_a_score(tiny):
    seen = set()
    for more in (
        {},
        {"dim": 16},
        {"normalize": False},
        {"use_instruction": False},
        {"token_prepending": "off"},
        {"token_prepending": (1, 6)},
        {"max_length": 64},
        {"truncate": "text"},
        {"dtype": "bfloat16"},
        {"profile": "plain"},
    ):
        meta = encoder(tiny, **more).mteb_model_meta
        assert meta.name == "local/tiny"
        assert re.fullmatch(r"local-\w{12}", meta.revision)
        seen.add(meta.experiment_name)
    assert len(seen) == 10


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"dim": 97}, BadInput, "the model's vectors have 96 dimensions"),
        ({"dim": 0}, BadInput, "the model's vectors have 96 dimensions"),
        ({"colour": "red"}, TypeError, "colour"),
        ({"profile": "qzhou"}, BadInput, "no such profile"),
    ],
)
def test_bad_keywords_are_named(tiny, more, error, words):
    with pytest.raises(error, match=words):
        encoder(tiny, **more)


def test_a_task_without_an_instruction_and_a_text_that_is_none_are_named(tiny):
    model = encoder(tiny)
    with pytest.raises(BadInput, match="has no instruction for task MiniSTSB"):
        model.encode(["甲"], task_name="MiniSTSB")
    with pytest.raises(BadInput, match="MiniSTS: text 1: None is NoneType, not a string"):
        model.encode(["甲", None], task_name="MiniSTS")


@pytest.mark.slow
def test_the_documented_script_runs(tiny, tmp_path):
    """Run the first code block of the page, with a local model and local tasks."""
    code = re.search(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)[1]
    code = code.replace('"Kingsoft-LLM/QZhou-Embedding-Zh"', repr(str(tiny))).replace("qzhou-zh", "qzhou-zh-mini")
    tasks = "from qzhou_eval.benchmark.data_sources import locate\n"
    tasks += "from qzhou_eval.benchmark.packaged import miniature, packaged_tasks\n"
    tasks += "from qzhou_eval.evaluate.mteb_adapter import v2\n"
    tasks += "task = packaged_tasks()['MiniSTS']\n"
    code = code.replace('mteb.get_benchmark("MTEB(cmn, v1)")', "[v2.load(task, locate(task, None))]")
    code = tasks + code.replace("dim=512", "dim=16") + "\nprint(results[0].get_score())"
    environment = os.environ | {"MTEB_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert -1 <= float(done.stdout.split()[-1]) <= 1


@pytest.mark.slow
def test_documents_titles_are_sent_and_scored_alike_by_a_run_and_by_mteb(tiny, tmp_path):
    task = packaged_tasks()["EcomRetrieval"]
    data = new_layout(tmp_path / "data")
    corpus = data / task.path / "corpus/dev.jsonl"
    write_rows(corpus, [row | {"title": row["text"][:3] * (i % 3)} for i, row in enumerate(read_rows(corpus))])
    profile = tmp_path / "titled.yaml"
    profile.write_text(
        "{name: titled, source: t, max_length: 512, no_title: none,"
        " template: {query: 'q: {text}', document: '{title} | {text}'}}",
        "utf-8",
    )
    argv = ["--tasks", task.name, "--data_dir", str(data), "--device", "cpu", "--eval_workers", "1"]
    model = ["--model_name_or_path", str(tiny), "--output_dir", str(tmp_path / "out")]
    assert cli.main(["run", *model, *argv, "--profile", str(profile)]) == 0
    (found,) = read_recorded(tmp_path / "out")
    (expected,) = found.scores[task.name].values()
    quiet()
    ours = encoder(tiny, profile=str(profile))
    sent = []
    encode_prompts = ours.embedder.encode_prompts
    ours.embedder.encode_prompts = lambda prompts: sent.extend(prompts) or encode_prompts(prompts)
    theirs = scores(mteb.evaluate(ours, [v2.load(task, locate(task, data))], cache=None))
    assert theirs == {task.name: pytest.approx(expected, abs=1e-6)}
    rows = read_rows(corpus)
    assert {f"{row['title'] or 'none'} | {row['text']}" for row in rows} <= set(sent)
