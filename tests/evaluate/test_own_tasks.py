"""A user's own files: each of the six types has the scores of the same task that a user of mteb builds by hand."""

import csv
import json

import pytest
from datasets import Dataset, DatasetDict
from mteb.abstasks import (
    AbsTaskClassification,
    AbsTaskClusteringLegacy,
    AbsTaskPairClassification,
    AbsTaskRetrieval,
    AbsTaskSTS,
)
from mteb.abstasks.task_metadata import TaskMetadata
from plain_texts import DIMS, PROFILE, PlainEncoder, stored
from stored import variant

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.find import find_benchmark
from qzhou_eval.benchmark.own_data.example import write_example
from qzhou_eval.evaluate.stage import EvaluateJob, evaluate
from qzhou_eval.statistics.item_scores import read_items
from qzhou_eval.system.paths import items_path


def about(name: str, kind: str, metric: str) -> TaskMetadata:
    unknown = dict.fromkeys(("reference", "date", "domains", "task_subtypes", "license", "annotations_creators"))
    return TaskMetadata(
        name=name,
        description="by hand",
        dataset={"path": "by/hand", "revision": "1"},
        type=kind,
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["cmn-Hans"],
        main_score=metric,
        dialect=None,
        sample_creation=None,
        bibtex_citation="",
        **unknown,
    )


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def cells(path, mark: str) -> list[list[str]]:
    return [line.split(mark) for line in path.read_text("utf-8").splitlines()[1:]]


def retrieval(folder):
    class Faq(AbsTaskRetrieval):
        metadata = about("faq", "Retrieval", "ndcg_at_10")

        def load_data(self, **_):
            self.corpus = {
                "test": {r["_id"]: {"title": r["title"], "text": r["text"]} for r in lines(folder / "faq/corpus.jsonl")}
            }
            self.queries = {"test": {r["_id"]: r["text"] for r in lines(folder / "faq/queries.jsonl")}}
            judged = cells(folder / "faq/qrels.tsv", "\t")
            self.relevant_docs = {"test": {query: {document: int(score)} for query, document, score in judged}}
            self.data_loaded = True

    return Faq()


def reranking(folder):
    class Rerank(AbsTaskRetrieval):
        metadata = about("rerank", "Reranking", "map_at_1000")

        def load_data(self, **_):
            self.corpus, self.queries, self.relevant_docs, self.top_ranked = ({"test": {}} for _ in range(4))
            for number, row in enumerate(lines(folder / "rerank.jsonl")):
                judged = {text: 1 for text in row["positive"]} | {text: 0 for text in row["negative"]}
                ids = {f"{number}-{place:03d}": text for place, text in enumerate(judged)}
                self.corpus["test"] |= {one: {"text": text} for one, text in ids.items()}
                self.queries["test"][str(number)] = row["query"]
                self.relevant_docs["test"][str(number)] = {one: judged[text] for one, text in ids.items()}
                self.top_ranked["test"][str(number)] = list(ids)
            self.data_loaded = True

    return Rerank()


def rows_of(kind, name, type_, metric, tables):
    members = {
        "metadata": about(name, type_, metric),
        "load_data": lambda self, **_: self.__dict__.update(
            dataset=DatasetDict({split: Dataset.from_list(rows) for split, rows in tables.items()}), data_loaded=True
        ),
    }
    return type("ByHand", (kind,), members)()


def similar(folder):

    with (folder / "similar.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {"sentence1": r["question"], "sentence2": r["other"], "score": int(r["score"])}
            for r in csv.DictReader(file)
        ]
    return rows_of(AbsTaskSTS, "similar", "STS", "cosine_spearman", {"test": rows})


def same(folder):
    rows = [{"sentence1": a, "sentence2": b, "labels": int(label)} for a, b, label in cells(folder / "same.tsv", "\t")]
    return rows_of(AbsTaskPairClassification, "same", "PairClassification", "max_accuracy", {"test": rows})


def topics(folder):
    rows = lines(folder / "topics.jsonl")
    one = {"sentences": [row["text"] for row in rows], "labels": [row["label"] for row in rows]}
    return rows_of(AbsTaskClusteringLegacy, "topics", "Clustering", "v_measure", {"test": [one]})


def intents(folder):
    tables = {
        split: [dict(zip(("text", "label"), row, strict=True)) for row in cells(folder / f"intents/{split}.csv", ",")]
        for split in ("train", "test")
    }
    return rows_of(AbsTaskClassification, "intents", "Classification", "accuracy", tables)


@pytest.mark.parametrize("by_hand", [retrieval, reranking, similar, same, topics, intents], ids=lambda f: f.__name__)
def test_scores_are_those_of_the_task_built_by_hand(tmp_path, by_hand):
    """The rows are those that ``data init`` writes; mteb evaluates the other side with an encoder of its own."""
    file = write_example(tmp_path / "shop")
    theirs = by_hand(file.parent)
    task = find_benchmark(str(file)).by_name[theirs.metadata.name]
    source = locate(task, None)
    stored(tmp_path / "store", task, source)
    variants = tuple(variant(dim) for dim in DIMS)
    found = evaluate(EvaluateJob(task, source, PROFILE, tmp_path / "store", tmp_path, variants)).scores
    theirs.load_data()
    for one in variants:
        (expected,) = theirs.evaluate(PlainEncoder(one.dim), "test", encode_kwargs={"batch_size": 64}).values()
        assert found[one.dim] == pytest.approx(expected["main_score"], abs=1e-6)
        path = tmp_path / one.folder / f"{task.name}.json"
        assert json.loads(path.read_text("utf-8"))["dataset_revision"] == source.revision
        assert read_items(items_path(path)).splits["test"].shape[1] >= 4  # so that the score has an interval
