"""Results that plain mteb wrote: read as mteb's own ``TaskResult.from_disk`` does, in every generation's format."""

import json
import math
import shutil

import mteb
import pytest
from comparing import BAD, compared
from mteb.results import TaskResult

from qzhou_eval import cli, load_results
from qzhou_eval.benchmark.packaged import packaged_tasks
from qzhou_eval.errors import BadInput
from qzhou_eval.results.combined import read_results

REVISION = "5617a9f61b028005a4858fdac845db406aefb181"
PAIRS = {"cos_sim": {"accuracy": 0.71, "ap": 0.75}, "max": {"accuracy": 0.72, "ap": 0.76, "f1": 0.7}}


def historic(task, version="1.1.1", **splits):
    """A file of mteb before 1.11: splits at the top level, the metrics of that time."""
    return {"mteb_version": version, "mteb_dataset_name": task, "dataset_revision": None} | {
        split: metrics | {"evaluation_time": 3.2} for split, metrics in splits.items()
    }


def current(task, version, **splits):
    """A file of mteb from 1.11 on: rows by split, one per subset."""
    about = {"hf_subset": "default", "languages": ["cmn-Hans"]}
    rows = {split: [about | metrics] for split, metrics in splits.items()}
    return {
        **{"task_name": task, "mteb_version": version, "dataset_revision": "0cde68302b3541bb8b3c340dc0644b0b745b3dc0"},
        **{"scores": rows, "evaluation_time": 1.0, "kg_co2_emissions": None},
    }


SUBSETS = current("STSB", "2.26.24", test={"main_score": 0.8})
SUBSETS["scores"]["test"].append(SUBSETS["scores"]["test"][0] | {"main_score": 0.4, "hf_subset": "more"})

FILES = {
    "STS 1.1": historic("STSB", test={"cos_sim": {"pearson": 0.8, "spearman": 0.79}, "dot": {"spearman": 0.6}}),
    "STS with subsets 1.2": historic("PAWSX", "1.2.0", test={"zh": {"cos_sim": {"spearman": 0.31}}}),
    "classification 1.1": historic("Waimai", test={"accuracy": 0.86, "accuracy_stderr": 0.01, "main_score": 0.86}),
    "two splits 1.1": historic("MultilingualSentiment", validation={"accuracy": 0.74}, test={"accuracy": 0.75}),
    "clustering 1.1": historic("ThuNewsClusteringS2S", test={"v_measure": 0.6, "v_measures": {"0": [0.5, 0.7]}}),
    "retrieval 1.1": historic("T2Retrieval", dev={"ndcg_at_1": 0.5, "ndcg_at_10": 0.81, "map_at_10": 0.7}),
    "pairs 1.1": historic("Ocnli", validation=PAIRS),
    "a name in other letters 1.1": historic("stsb", test={"cos_sim": {"spearman": 0.79}}),
    "without a version": {
        k: v for k, v in historic("BQ", test={"cos_sim": {"spearman": 0.5}}).items() if "ver" not in k
    },
    "pairs 1.12": current("Cmnli", "1.12.3", validation=PAIRS | {"main_score": 0.72}),
    "pairs by another metric 1.14": current("Cmnli", "1.14.0", validation=PAIRS | {"main_score": 0.76}),
    "reranking 1.38": current("T2Reranking", "1.38.30", dev={"map": 0.66, "mrr": 0.77, "main_score": 0.66}),
    "STS 2.26": current("STSB", "2.26.24", test={"cosine_spearman": 0.8, "main_score": 0.8}),
    "main score alone 2.26": current("AFQMC", "2.26.24", validation={"main_score": 0.41}),
    "a range of versions": current("ATEC", "2.12.16-2.15.4", test={"cosine_spearman": 0.5, "main_score": 0.5}),
    "several subsets 2.26": SUBSETS,
}


def put(folder, content, name=None, meta=None):
    """Write a result file, and what mteb writes about the model beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or content.get('task_name') or content.get('mteb_dataset_name')}.json"
    path.write_text(json.dumps(content))
    if meta is not None:
        (folder / "model_meta.json").write_text(json.dumps(meta))
    return path


@pytest.mark.parametrize("case", FILES)
def test_every_generation_is_read_as_mteb_reads_it(tmp_path, case):
    path = put(tmp_path, FILES[case])
    theirs = TaskResult.from_disk(path)
    (recorded,) = read_results(path)
    ((task, scores),) = recorded.scores.items()
    assert task == theirs.task_name
    splits = packaged_tasks()[task].splits
    assert scores == {split: pytest.approx(theirs.get_score(splits=[split])) for split in splits}
    record = recorded.tasks[task]["record"]
    assert record["data"] == theirs.dataset_revision
    assert record["mteb"] == (None if case == "without a version" else theirs.mteb_version)


def test_what_mteb_writes_today_is_read(tmp_path):
    result = TaskResult.from_task_results(
        mteb.get_task("STSB"), {"test": {"default": {"main_score": 0.8, "cosine_spearman": 0.8}}}, evaluation_time=1.0
    )
    result.to_disk(tmp_path / "STSB.json")
    (recorded,) = read_results(tmp_path)
    assert recorded.scores == {"STSB": {"test": 0.8}}
    assert recorded.tasks["STSB"]["record"]["metric"] == "cosine_spearman"


@pytest.mark.parametrize(
    ("content", "metric", "score"),
    [
        (historic("T2Reranking", dev={"map": 0.66, "mrr": 0.77}), "map", 0.66),  # mteb itself finds no main score
        (historic("CMedQAv2", test={"map": 0.8, "mrr": 0.9}), "map", 0.8),
        (FILES["reranking 1.38"], "map", 0.66),
        (FILES["pairs by another metric 1.14"], "max_ap", 0.76),
        (historic("Ocnli", validation={"cos_sim": {"accuracy": 0.7, "ap": 0.75}}), "cosine_accuracy", 0.7),
    ],
)
def test_another_metric_than_the_tasks_is_named(tmp_path, caplog, content, metric, score):
    path = put(tmp_path, content)
    (recorded,) = read_results(tmp_path)
    ((task, scores),) = recorded.scores.items()
    assert list(scores.values()) == [score]
    assert recorded.tasks[task]["record"]["metric"] == metric
    assert caplog.messages == [f"{path}: its main score is {metric}, the task's is {packaged_tasks()[task].metric}"]


def test_models_revisions_and_experiments_are_told_apart(tmp_path):
    base = tmp_path / "results" / "BAAI__bge-m3" / REVISION
    meta = {"name": "BAAI/bge-m3", "revision": REVISION, "embed_dim": 1024}
    put(base, FILES["STS 2.26"], meta=meta)
    cut = {"name": "org/third", "revision": "main", "embed_dim": 32, "experiment_kwargs": {"dim": 32}}
    narrow = meta | {"embed_dim": 256, "experiment_kwargs": {"dim": 256, "dtype": "float16"}}
    put(base / "experiments" / "dim_256__dtype_float16", FILES["STS 2.26"], meta=narrow)
    put(base / "experiments" / "own", FILES["STS 2.26"])
    put(tmp_path / "results" / "org__third" / "main" / "experiments" / "dim_32", FILES["STS 2.26"], meta=cut)
    put(tmp_path / "results" / "org__other" / "main", FILES["STS 2.26"])
    put(tmp_path / "results" / "old_name", FILES["STS 1.1"])
    found = {(n.variant.model, n.variant.revision, n.variant.dim, n.variant.experiment) for n in read_results(tmp_path)}
    plain = ("from", "plain mteb")
    assert found == {
        ("BAAI/bge-m3", REVISION, 1024, (plain,)),
        ("BAAI/bge-m3", REVISION, 256, (("dim", 256), ("dtype", "float16"), plain)),
        ("BAAI/bge-m3", REVISION, 1024, (("experiment", "own"), plain)),
        ("org/third", "main", 0, (("dimension", "32"), plain)),
        ("org/other", "main", 0, (plain,)),
        ("local/old_name", None, 0, (plain,)),
    }


BROKEN = {
    "not-json": "{",
    "not-a-result": json.dumps({"models": []}),
    "a-list": "[1]",
    "deep": "[" * 100_000,
    "foreign": json.dumps(current("Banking77Classification", "2.26.24", test={"main_score": 0.8})),
    "no-split": json.dumps(current("ATEC", "2.26.24", train={"main_score": 0.8})),
    "no-score": json.dumps(current("BQ", "2.26.24", test={"main_score": None})),
    "nan": json.dumps(current("AFQMC", "2.26.24", validation={"main_score": math.nan})),
    "percent": json.dumps(current("LCQMC", "2.26.24", test={"main_score": 74.5})),
    "text": json.dumps(current("QBQTC", "2.26.24", test={"main_score": "0.5"})),
}


def test_what_is_no_score_of_a_task_is_named_and_left_out(tmp_path, caplog):
    put(tmp_path, FILES["STS 2.26"])
    for name, text in BROKEN.items():
        (tmp_path / f"{name}.json").write_text(text)
    (recorded,) = read_results(tmp_path)
    assert recorded.scores == {"STSB": {"test": 0.8}}
    said = "\n".join(caplog.messages)
    for words in (
        "a-list.json and 1 more: left out, it is not a result of mteb",
        "deep.json and 1 more: left out, it is not a JSON file that can be read",
        "foreign.json: left out, not a task of the benchmarks that are read; --benchmark names another",
        "no-split.json: left out, no score on test",
        "no-score.json and 1 more: left out, neither a main score nor cosine_spearman",
        "nan.json: left out, its score on validation is nan",
        "percent.json: left out, its score on test is 74.5",
    ):
        assert words in said
    for name in BROKEN:
        with pytest.raises(BadInput, match=name):
            read_results(tmp_path / f"{name}.json")


@pytest.fixture
def own_results(finished, tmp_path):
    """The results of a run of this project as mteb's cache would hold them: without manifest and items."""
    root = tmp_path / "mteb"
    shutil.copytree(finished / "results", root / "results", ignore=shutil.ignore_patterns("*.safetensors"))
    return root


def test_report_shows_them_beside_a_run_and_says_what_is_not_known(finished, own_results, tmp_path, capsys):
    copy = shutil.copytree(finished, tmp_path / "copy")
    assert cli.main(["report", str(copy), str(own_results)]) == 0
    out = capsys.readouterr().out
    assert "tiny (from plain mteb)" in out and "Profile, instructions, precision and length limit are unknown" in out
    frame = load_results(copy, own_results, resamples=0)
    plain = frame[frame.setting.str.contains("from plain mteb")]
    run = frame[~frame.setting.str.contains("from plain mteb")]
    assert sorted(plain.score) == sorted(run.score) and set(plain.tp) == {"unknown"}


def test_report_of_old_results_alone_without_a_known_dimension(tmp_path, capsys):
    put(tmp_path / "zh_results" / "bge", FILES["STS 1.1"])
    assert cli.main(["report", str(tmp_path / "zh_results")]) == 0
    out = capsys.readouterr().out
    assert "bge (from plain mteb)" in out and "79.00" in out
    assert "full width" in (tmp_path / "zh_results" / "report" / "report.md").read_text("utf-8")
    assert "TP off" not in out


@pytest.mark.parametrize("of_file", [False, True])
def test_compare_says_what_is_not_known_and_compares_the_scores(finished, own_results, capsys, of_file):
    (file,) = own_results.glob("results/*/*/STSB.json")
    code, out, _ = compared(capsys, finished, "--to", file if of_file else own_results)
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("unknown for ")]
    assert str(file if of_file else own_results) in line
    assert all(fact in line for fact in ("weights", "precision", "token prepending", "limit", "instruction used"))
    assert "no known fact differs" in out
    assert ("verdict: 1 OK" if of_file else "OK, 0 CLOSE, 0 OFF") in out
    code, out, _ = compared(capsys, own_results, "--to", finished)
    assert code == 0 and "0 CLOSE, 0 OFF" in out


def test_compare_never_sets_one_dimension_against_another(finished, tmp_path, capsys):
    """mteb's folder name says what vectors were cut to, not how wide they were."""
    for dim in (64, 16):
        meta = {"name": "org/tiny", "revision": "main", "embed_dim": dim, "experiment_kwargs": {"dim": dim}}
        place = tmp_path / str(dim) / "results/org__tiny/main/experiments" / f"dim_{dim}"
        put(place, FILES["STS 2.26"], meta=meta)
    code, out, err = compared(capsys, tmp_path / "64", "--to", tmp_path / "16")
    assert code == BAD and "tiny, dim 64: only in" in err and "tiny, dim 16: only in" in err
    assert compared(capsys, tmp_path / "64", "--to", tmp_path / "64")[0] == 0
    code, out, err = compared(capsys, finished, "--to", tmp_path / "64", "--allow-mismatch")
    assert code == 0 and "tiny, dim 64 @ " in out and "tiny, dim 96 @ " not in out


def test_compare_refuses_other_data_and_another_metric_by_name(finished, tmp_path, capsys):
    put(tmp_path, FILES["STS 2.26"])
    code, _, err = compared(capsys, finished, "--to", tmp_path)
    assert code == BAD and "not comparable: data" in err
    code, out, _ = compared(capsys, finished, "--to", tmp_path, "--allow-mismatch")
    assert code == 0 and "80.00" in out
