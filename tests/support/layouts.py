"""The miniature's rows in the folder layouts of the hub's data sets, so that the benchmark's own tasks read them."""

import json
import shutil
from pathlib import Path

from qzhou_eval.benchmark.data_sources import MINIATURE_DATA
from qzhou_eval.benchmark.registry import all_tasks

MINI = MINIATURE_DATA / "mini"


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def write_header(folder: Path, configs: dict[str, dict[str, str]]) -> None:
    """Write the YAML header of a data set's README: configuration -> split -> file."""
    lines = ["---", "configs:"]
    for config, files in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, file in files.items():
            lines += [f"  - split: {split}", f"    path: {file}"]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]), "utf-8")


def new_layout(root: Path) -> Path:
    """One task of each type in the layout of mteb 2.x; every other candidate of T2Reranking ends in white space."""
    for mini, task in (
        ("MiniSTS", "STSB"),
        ("MiniClustering", "CLSClusteringS2S"),
        ("MiniClassification", "Waimai"),
        ("MiniRetrieval", "EcomRetrieval"),
        ("MiniReranking", "T2Reranking"),
    ):
        shutil.copytree(MINI / mini, root / all_tasks()[task].path)
    (pairs,) = read_rows(MINI / "MiniPairClassification/data/validation.jsonl")
    renamed = {"sentence1": "sent1", "sentence2": "sent2", "labels": "labels"}
    rows = [{renamed[key]: value for key, value in pairs.items() if key in renamed}]
    write_rows(root / all_tasks()["Ocnli"].path / "data/validation.jsonl", rows)
    corpus = root / all_tasks()["T2Reranking"].path / "corpus/dev.jsonl"
    rows = [row | {"text": row["text"] + (" " if i % 2 else "")} for i, row in enumerate(read_rows(corpus))]
    write_rows(corpus, rows)
    return root


def old_layout(root: Path, new: Path) -> Path:
    """EcomRetrieval and T2Reranking of ``new`` in the layout that mteb 1.x reads."""
    source, folder = new / all_tasks()["EcomRetrieval"].path, root / "C-MTEB/EcomRetrieval"
    for kind in ("corpus", "queries"):
        rows = read_rows(source / kind / "dev.jsonl")
        write_rows(folder / f"{kind}.jsonl", [{"id": row["_id"], "text": row["text"]} for row in rows])
    write_header(folder, {"default": {"corpus": "corpus.jsonl", "queries": "queries.jsonl"}})
    names = {"query-id": "qid", "corpus-id": "pid", "score": "score"}
    judged = [{names[k]: v for k, v in row.items()} for row in read_rows(source / "data/dev.jsonl")]
    write_rows(root / "C-MTEB/EcomRetrieval-qrels/dev.jsonl", judged)
    write_header(root / "C-MTEB/EcomRetrieval-qrels", {"default": {"dev": "dev.jsonl"}})

    source = new / all_tasks()["T2Reranking"].path
    texts = {row["_id"]: row["text"] for row in read_rows(source / "corpus/dev.jsonl")}
    relevant = {(row["query-id"], row["corpus-id"]) for row in read_rows(source / "data/dev.jsonl") if row["score"] > 0}
    candidates = {row["query-id"]: row["corpus-ids"] for row in read_rows(source / "top_ranked/dev.jsonl")}
    rows = [
        {
            "query": row["text"],
            "positive": [texts[one] for one in candidates[row["_id"]] if (row["_id"], one) in relevant],
            "negative": [texts[one] for one in candidates[row["_id"]] if (row["_id"], one) not in relevant],
        }
        for row in read_rows(source / "queries/dev.jsonl")
    ]
    write_rows(root / "C-MTEB/T2Reranking/dev.jsonl", rows)
    write_header(root / "C-MTEB/T2Reranking", {"default": {"dev": "dev.jsonl"}})
    return root
