"""A user's own benchmark: what is read from which files, and what is refused by file and line."""

import json

import pandas as pd
import pytest
from own_files import jsonl, rows, task, written

from qzhou_eval.benchmark.data_sources import locate
from qzhou_eval.benchmark.own_data.files import read_table
from qzhou_eval.benchmark.own_data.rows import read_rows
from qzhou_eval.errors import BadInput

PAIRS = [{"sentence1": "一", "sentence2": "二", "score": 1}, {"sentence1": "三", "sentence2": "四", "score": 2.5}]


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte-order mark"])
def test_every_kind_of_file_gives_the_same_rows(tmp_path, kind, mark):
    frame, path = pd.DataFrame(PAIRS), tmp_path / f"pairs{kind}"
    if kind == ".parquet":
        frame.to_parquet(path)
    else:
        text = {
            ".csv": frame.to_csv(index=False),
            ".tsv": frame.to_csv(index=False, sep="\t"),
            ".jsonl": jsonl(*PAIRS),
            ".json": json.dumps(PAIRS),
        }[kind]
        path.write_bytes(mark + text.encode())
    found = rows(tmp_path, f"{{type: STS, path: pairs{kind}}}").tables["test"]
    assert found == {"sentence1": ["一", "三"], "sentence2": ["二", "四"], "score": [1.0, 2.5]}


def test_line_breaks_quotes_and_windows_lines_in_csv(tmp_path):
    text = 'text,label\r\n"one, with\na break",a\r\n"says ""so""",b\r\n'
    table = read_table(written(tmp_path, {"x.csv": text}) / "x.csv")
    assert [row["text"] for row in table.rows] == ["one, with\na break", 'says "so"'] and table.numbers == [2, 4]


def test_a_tab_separated_file_has_no_quotes(tmp_path):
    table = read_table(written(tmp_path, {"x.tsv": 'text\tlabel\n"begins with one\ta\n'}) / "x.tsv")
    assert table.rows == [{"text": '"begins with one', "label": "a"}]


def test_columns_are_renamed_and_labels_may_be_any_texts(tmp_path):
    files = {"in/train.jsonl": jsonl({"q": "a", "y": "yes"}, {"q": "b", "y": "no"}), "in/test.csv": "q,y\nc,yes\n"}
    written(tmp_path, files)
    found = rows(tmp_path, "{type: Classification, path: in, columns: {text: q, label: y}}").tables
    assert found["train"] == {"text": ["a", "b"], "label": ["yes", "no"]}
    assert found["test"] == {"text": ["c"], "label": ["yes"]}


def test_numbers_in_a_csv_are_the_labels_that_they_are_in_jsonl(tmp_path):
    written(tmp_path, {"in/train.jsonl": jsonl({"text": "a", "label": 0}, {"text": "b", "label": 1})})
    written(tmp_path, {"in/test.csv": "text,label\nc,1\n"})
    assert rows(tmp_path, "{type: Classification, path: in}").tables["test"]["label"] == [1]


CORPUS = jsonl({"_id": 1, "text": "甲"}, {"_id": "2", "title": "标题", "text": None}, {"_id": 3, "text": ""})
QUERIES = jsonl({"_id": "q1", "text": "问"}, {"_id": "q2", "text": "答"})
JUDGED = "query-id\tcorpus-id\tscore\nq1\t1\t2\nq1\t9\t1\nq7\t1\t1\n"


def test_ids_titles_empty_documents_and_what_is_not_judged(tmp_path):
    """Beir's form: ids are texts or numbers, titles may be missing, qrels may be in a folder of their own."""
    written(tmp_path, {"s/corpus.jsonl": CORPUS, "s/queries.jsonl": QUERIES, "s/qrels/test.tsv": JUDGED})
    found = rows(tmp_path, "{type: Retrieval, path: s}")
    assert found.tables["corpus"] == {"id": ["1", "2", "3"], "title": ["", "标题", ""], "text": ["甲", "", ""]}
    assert found.tables["judged"]["score"] == [2, 1, 1]
    assert found.oddities == [
        "1 of 3 documents without text: 3",
        "1 judgements (line 4) name ids that the queries lack, left out: q7",
        "1 judgements (line 3) name ids that the corpus lacks, never found: 9",
        "1 of 2 queries without a judgement, left out: q2",
    ]


def test_a_renamed_column_may_be_one_of_the_files_alone(tmp_path):
    corpus = jsonl({"doc": 1, "body": "甲"}, {"doc": 2, "body": "乙"})
    judged = "query-id\tcorpus-id\tscore\nq1\t1\t1\nq2\t2\t0\n"
    written(tmp_path, {"s/corpus.jsonl": corpus, "s/queries.jsonl": QUERIES, "s/qrels.tsv": judged})
    found = rows(tmp_path, "{type: Retrieval, path: s, columns: {_id: doc, text: body}}")
    assert found.tables["corpus"] == {"id": ["1", "2"], "title": ["", ""], "text": ["甲", "乙"]}
    assert found.tables["queries"] == {"id": ["q1", "q2"], "text": ["问", "答"]}
    assert found.oddities == ["1 of 2 queries without a relevant document, scored 0: q2"]


def test_a_spreadsheets_true_and_false_are_labels_of_pairs(tmp_path):
    written(tmp_path, {"x.tsv": "sentence1\tsentence2\tlabel\na\tb\tTRUE\nc\td\tFALSE\n"})
    assert rows(tmp_path, "{type: PairClassification, path: x.tsv}").tables["test"]["labels"] == [1, 0]


def test_candidates_in_a_file_of_their_own_are_reranked(tmp_path):
    ranked = jsonl({"query-id": "q1", "corpus-ids": [1, "2"]}, {"query-id": "q2", "corpus-ids": []})
    written(tmp_path, {"s/corpus.jsonl": CORPUS, "s/queries.jsonl": QUERIES, "s/candidates.jsonl": ranked})
    written(tmp_path, {"s/qrels.tsv": "query-id\tcorpus-id\tscore\nq1\t1\t1\nq2\t2\t1\n"})
    found = rows(tmp_path, "{type: Reranking, path: s}")
    assert found.tables["candidates"] == {"query-id": ["q1", "q2"], "corpus-ids": [["1", "2"], []]}
    assert found.oddities[-1] == "1 of the judged queries without candidates, scored 0: q2"


def test_sets_of_texts_are_clustered_apart(tmp_path):
    several = [{"text": t, "label": y, "set": s} for t, y, s in (("a", 1, 9), ("b", 2, 9), ("c", 1, 7), ("d", 3, 7))]
    found = rows(written(tmp_path, {"t.jsonl": jsonl(*several)}), "{type: Clustering, path: t.jsonl}").tables["test"]
    assert found == {"sentences": [["a", "b"], ["c", "d"]], "labels": [[1, 2], [1, 3]]}


STS = "{type: STS, path: x.csv}"
LINES = "{type: STS, path: x.jsonl}"
SAME = "{type: PairClassification, path: x.tsv}"
TOPICS = "{type: Clustering, path: x.csv}"
INTENTS = "{type: Classification, path: s}"
SEARCH = "{type: Retrieval, path: s}"
RERANK = "{type: Reranking, path: x.jsonl}"
HEAD = "sentence1,sentence2,score\n"
SEARCHED = {"s/corpus.jsonl": CORPUS, "s/queries.jsonl": QUERIES, "s/qrels.tsv": JUDGED}


def csv(text: str) -> dict[str, str | bytes]:
    return {"x.csv": text}


def line(**row) -> dict[str, str]:
    return {"x.jsonl": jsonl(row)}


def judged(text: str) -> dict[str, str]:
    return SEARCHED | {"s/qrels.tsv": f"query-id\tcorpus-id\tscore\n{text}\n".replace(" ", "\t")}


def same(text: str) -> dict[str, str]:
    return {"x.tsv": f"sentence1 sentence2 label\n{text}\n".replace(" ", "\t")}


TWICE = jsonl({"_id": "q1", "text": "a"}, {"_id": "q1", "text": "b"})
LOST = jsonl({"query-id": "q1", "corpus-ids": ["1", "8"]})
BAD = {  # definition, files, what is said after the path
    "GBK": (STS, {"x.csv": f"{HEAD}a,b,1\n中文,字,2\n".encode("gbk")}, "x.csv, line 3: is not UTF-8 but may be GBK; "),
    "UTF-16": (STS, {"x.csv": f"{HEAD}a,b,1\n".encode("utf-16")}, "x.csv: is UTF-16; save it as UTF-8"),
    "Latin-1": (STS, {"x.csv": HEAD.encode() + b"caf\xe9,b,1\n"}, "x.csv, line 2: is not UTF-8"),
    "a cell too many": (STS, csv(f"{HEAD}a,b,1\na,b,c,2\n"), "x.csv, line 3: 4 cells, but the first line names 3 col"),
    "no such column": (STS, csv("one,two,score\na,b,1\n"), "x.csv, line 2: there is no sentence1, only one, two, sc"),
    "tabs": (STS, csv("sentence1\tsentence2\tscore\na\tb\t1\n"), "x.csv: its first line is one column, "),
    "semicolons": (STS, csv("sentence1;sentence2;score\na;b;1\n"), "x.csv: its first line is one column, "),
    "an empty cell": (STS, csv(f"{HEAD}a,b,1\nc,d,\n"), "x.csv, line 3: score: is empty"),
    "a name no file has": (
        "{type: Retrieval, path: s, columns: {title: heding}}",
        SEARCHED,
        "s: columns: title: no file has a column heding; there are _id, text, title, query-id, corpus-id, score",
    ),
    "no text column": (
        SEARCH,
        SEARCHED | {"s/corpus.jsonl": jsonl({"_id": "1", "title": "a", "body": "b"})},
        "s/corpus.jsonl, line 1: there is no text, only _id, title, body",
    ),
    "judged twice": (
        SEARCH,
        judged("q1 1 1\nq1 1 0"),
        "s/qrels.tsv, line 3: q1 and 1 are judged otherwise than in",
    ),
    "no number": (STS, csv(f"{HEAD}a,b,1\nc,d,high\n"), "x.csv, line 3: score: 'high' is not a number"),
    "one score": (STS, csv(f"{HEAD}a,b,1\nc,d,1\n"), "x.csv: all 2 scores are 1: no correlation can be computed"),
    "no rows": (STS, csv(HEAD), "x.csv: has no rows"),
    "twice a column": (STS, csv("score,score\n1,2\n"), "x.csv: its first line names the column score twice"),
    "no file": (STS, {}, "x.csv: no such file or folder"),
    "a kind not read": (
        "{type: STS, path: x.txt}",
        {"x.txt": "a"},
        "x.txt: not one of the kinds that are read: .csv, ",
    ),
    "not JSON": (LINES, {"x.jsonl": '{"a": 1}\n{"a"\n'}, "x.jsonl, line 2: not JSON"),
    "JSONL as JSON": ("{type: STS, path: x.json}", {"x.json": jsonl(*PAIRS)}, "x.json: not JSON"),
    "not a text": (
        LINES,
        line(sentence1=3, sentence2="a", score=1),
        "x.jsonl, line 1: sentence1: 3 is int, not a string",
    ),
    "null": (LINES, line(sentence1="a", sentence2=None, score=1), "x.jsonl, line 1: sentence2 is null; give a value"),
    "half a letter": (
        LINES,
        {"x.jsonl": '{"sentence1": "\\ud800", "sentence2": "a", "score": 1}\n'},
        "x.jsonl, line 1: sentence1: '\\ud800' at character 0 is half of a surrogate pair",
    ),
    "parquet": ("{type: STS, path: x.parquet}", {"x.parquet": "no"}, "x.parquet: not a parquet file that can be read"),
    "a pair's label": (SAME, same("a b yes"), "x.tsv, line 2: the label of a pair is 1 (the same) or 0, not 'yes'"),
    "one kind of pair": (SAME, same("a b 1"), "x.tsv: all 1 labels are 1: pairs of both kinds are needed"),
    "one label": (TOPICS, csv("text,label\na,x\nb,x\n"), "x.csv: it has only the label 'x'"),
    "no train": (INTENTS, {"s/test.csv": "text,label\na,x\n"}, "s: has no train file (.csv, .tsv"),
    "labels of two kinds": (
        INTENTS,
        {"s/train.csv": "text,label\na,1\nb,2\n", "s/test.csv": "text,label\na,x\n"},
        "s/test.csv: has labels that are texts where those of train are whole numbers",
    ),
    "two of a file": (
        SEARCH,
        SEARCHED | {"s/corpus.csv": "_id,text\n1,a\n"},
        "s: corpus.csv and corpus.jsonl; keep one",
    ),
    "a file, no folder": (
        "{type: Retrieval, path: x.csv}",
        csv(HEAD),
        "x.csv: is a file; a Retrieval task is a folder",
    ),
    "a folder, no file": ("{type: STS, path: s}", {"s/x.csv": HEAD}, "s: is a folder; a STS task is one file"),
    "an id twice": (
        SEARCH,
        SEARCHED | {"s/queries.jsonl": TWICE},
        "s/queries.jsonl, line 2: the id q1 again, as in line 1",
    ),
    "unknown ids": (
        SEARCH,
        judged("x 1 1"),
        "s/qrels.tsv, line 2: query-id: x: none of the ids in this column is known",
    ),
    "nothing relevant": (SEARCH, judged("q1 1 0"), "s/qrels.tsv: no query has a relevant document"),
    "half a grade": (SEARCH, judged("q1 1 0.5"), "s/qrels.tsv, line 2: score: 0.5 is not a whole number"),
    "no positive": (RERANK, line(query="a", positive=[], negative=["b"]), "x.jsonl, line 1: has no positive document"),
    "a lost candidate": (
        "{type: Reranking, path: s}",
        SEARCHED | {"s/candidates.jsonl": LOST},
        "s/candidates.jsonl, line 1: corpus-ids: 8: not in the corpus",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_refused_by_file_and_line(tmp_path, name):
    definition, files, said = BAD[name]
    of = task(written(tmp_path, files), definition)
    with pytest.raises(BadInput) as raised:
        read_rows(of)
    message = str(raised.value)
    assert message.startswith(f"one: {tmp_path}/{said}") and len(message.splitlines()) == 1


def test_the_revision_names_the_files_and_how_they_are_read(tmp_path):
    written(tmp_path, {"x.csv": f"{HEAD}a,b,1\nc,d,2\n", "elsewhere/x.csv": f"{HEAD}a,b,1\nc,d,2\n"})
    first = locate(task(tmp_path, STS), None).revision
    assert first.startswith("local-")
    assert locate(task(tmp_path, "{type: STS, path: elsewhere/x.csv}"), None).revision == first
    assert locate(task(tmp_path, "{type: STS, path: x.csv, columns: {sentence1: sentence2}}"), None).revision != first
    written(tmp_path, {"x.csv": f"{HEAD}a,b,1\nc,d,3\n"})
    assert locate(task(tmp_path, STS), None).revision != first
