"""The miniature's rows in the folder layouts of the hub's data sets, so that the benchmark's own tasks read them."""

import atexit
import json
import shutil
import tempfile
from pathlib import Path

from qzhou_eval.benchmark.packaged import DATA, packaged_tasks


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


def as_on_the_hub(root: Path) -> Path:
    """The miniature's rows, which are plain files, in the layout of the hub's data sets, a folder for each task."""
    files = {path.relative_to(DATA / "mini").as_posix(): path for path in (DATA / "mini").rglob("*.jsonl")}
    rows = {name: read_rows(path) for name, path in files.items()}
    write_rows(root / "MiniSTS/data/test.jsonl", rows["sts.jsonl"])
    names = {"sentence1": "sentence1", "sentence2": "sentence2", "label": "labels"}
    pairs = {new: [row[old] for row in rows["pairs.jsonl"]] for old, new in names.items()}
    write_rows(root / "MiniPairClassification/data/validation.jsonl", [pairs])
    for split in ("train", "test"):
        write_rows(root / f"MiniClassification/data/{split}.jsonl", rows[f"classification/{split}.jsonl"])
    sets = [[row for row in rows["clustering.jsonl"] if row["set"] == number] for number in (1, 2)]
    lists = [{"sentences": [row["text"] for row in one], "labels": [row["label"] for row in one]} for one in sets]
    write_rows(root / "MiniClustering/data/test.jsonl", lists)
    corpus = [{"_id": row["_id"], "title": "", "text": row["text"]} for row in rows["retrieval/corpus.jsonl"]]
    tables = {"corpus": corpus, "queries": rows["retrieval/queries.jsonl"], "data": rows["retrieval/qrels.jsonl"]}
    _write_ranked(root / "MiniRetrieval", tables)
    _write_ranked(root / "MiniReranking", _candidates(rows["reranking.jsonl"]))
    return root


def _candidates(rows: list[dict]) -> dict[str, list[dict]]:
    tables: dict[str, list[dict]] = {"corpus": [], "queries": [], "data": [], "top_ranked": []}
    for number, row in enumerate(rows):
        texts = [*row["positive"], *row["negative"]]
        ids = [f"d{number}-{place}" for place in range(len(texts))]
        tables["queries"].append({"_id": f"q{number}", "text": row["query"]})
        tables["corpus"] += [{"_id": one, "title": "", "text": text} for one, text in zip(ids, texts, strict=True)]
        grades = [int(place < len(row["positive"])) for place in range(len(texts))]
        judged = zip(ids, grades, strict=True)
        tables["data"] += [{"query-id": f"q{number}", "corpus-id": one, "score": grade} for one, grade in judged]
        turn = number % len(ids)  # candidates come in any order
        tables["top_ranked"].append({"query-id": f"q{number}", "corpus-ids": ids[turn:] + ids[:turn]})
    return tables


def _write_ranked(folder: Path, tables: dict[str, list[dict]]) -> None:
    for name, rows in tables.items():
        write_rows(folder / name / "dev.jsonl", rows)
    configs = {"default" if name == "data" else name: {"dev": f"{name}/dev.jsonl"} for name in tables}
    write_header(folder, configs)


MINI = as_on_the_hub(Path(tempfile.mkdtemp()))
atexit.register(shutil.rmtree, MINI, ignore_errors=True)


def new_layout(root: Path) -> Path:
    """One task of each type in the layout of mteb 2.x; every other candidate of T2Reranking ends in white space."""
    for mini, task in (
        ("MiniSTS", "STSB"),
        ("MiniClustering", "CLSClusteringS2S"),
        ("MiniClassification", "Waimai"),
        ("MiniRetrieval", "EcomRetrieval"),
        ("MiniReranking", "T2Reranking"),
    ):
        shutil.copytree(MINI / mini, root / packaged_tasks()[task].path)
    (pairs,) = read_rows(MINI / "MiniPairClassification/data/validation.jsonl")
    renamed = {"sentence1": "sent1", "sentence2": "sent2", "labels": "labels"}
    rows = [{renamed[key]: value for key, value in pairs.items() if key in renamed}]
    write_rows(root / packaged_tasks()["Ocnli"].path / "data/validation.jsonl", rows)
    corpus = root / packaged_tasks()["T2Reranking"].path / "corpus/dev.jsonl"
    rows = [row | {"text": row["text"] + (" " if i % 2 else "")} for i, row in enumerate(read_rows(corpus))]
    write_rows(corpus, rows)
    return root


def old_layout(root: Path, new: Path) -> Path:
    """EcomRetrieval and T2Reranking of ``new`` in the layout that mteb 1.x reads."""
    source, folder = new / packaged_tasks()["EcomRetrieval"].path, root / "C-MTEB/EcomRetrieval"
    for kind in ("corpus", "queries"):
        rows = read_rows(source / kind / "dev.jsonl")
        write_rows(folder / f"{kind}.jsonl", [{"id": row["_id"], "text": row["text"]} for row in rows])
    write_header(folder, {"default": {"corpus": "corpus.jsonl", "queries": "queries.jsonl"}})
    names = {"query-id": "qid", "corpus-id": "pid", "score": "score"}
    judged = [{names[k]: v for k, v in row.items()} for row in read_rows(source / "data/dev.jsonl")]
    write_rows(root / "C-MTEB/EcomRetrieval-qrels/dev.jsonl", judged)
    write_header(root / "C-MTEB/EcomRetrieval-qrels", {"default": {"dev": "dev.jsonl"}})

    source = new / packaged_tasks()["T2Reranking"].path
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
