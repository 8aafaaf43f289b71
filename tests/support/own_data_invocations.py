"""Command lines about benchmarks and own data that cannot work, each with a part of the one line of answer."""

from pathlib import Path

import pytest

RUN = ["run", "--quiet", "--model_name_or_path", "model", "--profile", "plain", "--output_dir", "out"]
BENCHMARK = [*RUN, "--device", "cpu", "--benchmark"]
SLOW = {"marks": pytest.mark.slow}
PAIRS = "sentence1,sentence2,score\n"
DEFINITIONS = {  # of benchmarks with one task, by the file's name
    "good": "dup: {type: STS, path: pairs.csv}",
    "gbk": "dup: {type: STS, path: gbk.csv}",
    "column": "dup: {type: STS, path: pairs.csv, columns: {sentence1: question}}",
    "no-file": "dup: {type: STS, path: gone.csv}",
    "no-type": "dup: {path: pairs.csv}",
    "field": "dup: {type: STS, path: pairs.csv, colums: {}}",
    "known": "STSB: {type: STS, path: pairs.csv}",
    "task": "STS2222: {}",
    "folder": "faq: {type: Retrieval, path: faq}",
}
FILES: dict[str, str | bytes] = {
    "pairs.csv": f"{PAIRS}one,two,1\nthree,four,2\n",
    "gbk.csv": f"{PAIRS}one,two,1\n三,四,2\n".encode("gbk"),
    "faq/corpus.jsonl": '{"_id": "d1", "text": "a"}\n',
    "faq/queries.jsonl": '{"_id": "q1", "text": "b"}\n{"_id": "q1", "text": "c"}\n',
    "faq/qrels.tsv": "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
}


def write_own_data(root: Path) -> None:
    """Write a folder ``own`` with these benchmarks and files."""
    for name, task in DEFINITIONS.items():
        FILES[f"{name}.yaml"] = f"name: mine\ntasks:\n  {task}\n"
    for name, content in FILES.items():
        path = root / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def of(name: str) -> str:
    return f"own/{name}.yaml"


CHECK = ["data", "check"]
OWN_DATA = [
    (
        [*CHECK, of("gbk")],
        "dup: own/gbk.csv, line 3: is not UTF-8 but may be GBK; save it as UTF-8, or: iconv ",
    ),
    ([*CHECK, of("column")], "dup: own/pairs.csv: columns: sentence1: no file has a column question; there are sent"),
    ([*CHECK, of("folder")], "faq: own/faq/queries.jsonl, line 2: the id q1 again, as in line 1"),
    ([*CHECK, of("no-file")], "dup: own/gone.csv: no such file or folder"),
    ([*CHECK, of("no-type")], "own/no-type.yaml, line 3: tasks.dup: type is missing"),
    ([*CHECK, of("gone")], "own/gone.yaml: no such file; name a benchmark's YAML file"),
    (["data", "init", "own"], "own: is not empty; name a new folder"),
    (["data", "init", "a-file"], "a-file is a file, not a folder"),
    (
        [*BENCHMARK, of("field")],
        "own/field.yaml, line 3: tasks.dup.colums: unknown field; did you mean col",
    ),
    ([*BENCHMARK, of("known")], "own/known.yaml: tasks: STSB is a task of CMTEB; choose another name"),
    ([*BENCHMARK, of("no-file")], "dup: own/gone.csv: no such file or folder"),
    ([*BENCHMARK, of("good"), "--tasks", "STSB"], "--tasks STSB: not in mine; known: dup"),
    ([*BENCHMARK, "own"], "--benchmark own: neither a benchmark's name nor a .yaml file"),
    pytest.param([*BENCHMARK, of("task")], "own/task.yaml: tasks: STS2222: no task of mteb", marks=pytest.mark.slow),
    pytest.param([*BENCHMARK, "MTEB(eng v2)"], "did you mean MTEB(eng, v2)?", **SLOW),
    pytest.param([*BENCHMARK, of("gbk")], "dup: own/gbk.csv, line 3: is not UTF-8", **SLOW),
    (["report", "finished", "--benchmark", of("no-type")], "own/no-type.yaml, line 3: tasks.dup: type is missing"),
    (["report", "finished", "--benchmark", of("good")], "finished: no results of mine"),
    (["compare", "finished", "--benchmark", of("gone")], "own/gone.yaml: no such file"),
    (["prompts", "show", "dup", "--benchmark", of("no-type")], "own/no-type.yaml, line 3"),
    (["fetch", "--to", "new", "--benchmark", of("good")], "dup: its files are on this machine; nothing to fetch"),
]
