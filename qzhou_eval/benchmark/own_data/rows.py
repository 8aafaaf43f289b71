"""Reads the rows of a user's own task into tables of the columns that mteb's task classes read.

Data that mteb would crash on, or score without sense, are refused by file and line. What mteb handles in a defined way
is left to it, and said.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from qzhou_eval.benchmark.own_data.columns import Columns
from qzhou_eval.benchmark.own_data.files import Table, read_table
from qzhou_eval.benchmark.own_data.places import files_of
from qzhou_eval.benchmark.task import OwnFiles, Task
from qzhou_eval.errors import BadInput
from qzhou_eval.system.formatting import first_few

Lists = dict[str, list]
_TRUTH = {"true": 1, "false": 0}  # as spreadsheets write a pair's label


@dataclass(frozen=True)
class OwnRows:
    """A task's data.

    Attributes:
        tables: columns of equal length, by table: ``test``, and ``train`` of a classification task; or ``corpus``,
            ``queries``, ``judged`` and, for reranking, ``candidates``.
        oddities: a line for each thing that is odd but has a defined score.
    """

    tables: dict[str, Lists]
    oddities: list[str] = field(default_factory=list)


def read_rows(task: Task) -> OwnRows:
    """Read and check all of a task's files.

    Raises:
        BadInput: a file or a row cannot be used; names the task, the file and the line.
    """
    files = files_of(task)
    assert task.own is not None
    names = dict(task.own.columns)
    try:
        tables = {role: read_table(path) for role, path in files.items()}
        _check_names(task.own, tables)
        columns = {role: Columns(table, names) for role, table in tables.items()}
        read = _FOLDERS[task.type] if "test" not in files or task.type == "Classification" else _FILES[task.type]
        return read(columns)
    except BadInput as error:
        raise BadInput(f"{task.name}: {error}") from None


def _check_names(own: OwnFiles, tables: Mapping[str, Table]) -> None:
    """Refuse a column's name that none of the task's files has."""
    for column, name in own.columns:
        if not any(name in row for table in tables.values() for row in table.rows):
            has = {key: None for table in tables.values() for row in table.rows for key in row}
            raise BadInput(
                f"{own.path}: columns: {column}: no file has a column {name}; there are {', '.join(map(str, has))}"
            )


def _sts(of: dict[str, Columns]) -> OwnRows:
    rows = of["test"]
    pairs, gold = _pair(rows), rows.numbers("score")
    if len(set(gold)) < 2:
        raise rows.table.refuse(f"all {len(gold)} scores are {gold[0]:g}: no correlation can be computed")
    return OwnRows({"test": pairs | {"score": gold}})


def _pairs(of: dict[str, Columns]) -> OwnRows:
    rows = of["test"]
    pairs, labels = _pair(rows), [_TRUTH.get(str(label).lower(), label) for label in rows.labels("label")]
    for row, label in enumerate(labels):
        if label not in (0, 1):
            raise rows.table.refuse_at(row, f"the label of a pair is 1 (the same) or 0, not {label!r:.40}")
    if len(set(labels)) < 2:
        raise rows.table.refuse(f"all {len(labels)} labels are {labels[0]}: pairs of both kinds are needed")
    return OwnRows({"test": pairs | {"labels": labels}})


def _pair(rows: Columns) -> Lists:
    return {side: rows.texts(side) for side in ("sentence1", "sentence2")}


def _clustering(of: dict[str, Columns]) -> OwnRows:
    """One set of texts to cluster or, with a column ``set``, several, in the order in which they first occur."""
    rows = of["test"]
    texts, labels = rows.texts("text"), rows.labels("label")
    names = rows.ids("set") if rows.has("set") else [""] * len(rows)
    sets: dict[str, tuple[list[str], list]] = {}
    for name, text, label in zip(names, texts, labels, strict=True):
        in_set = sets.setdefault(name, ([], []))
        in_set[0].append(text)
        in_set[1].append(label)
    for name, (_, inside) in sets.items():
        if len(set(inside)) < 2:
            raise rows.table.refuse(f"{f'set {name}' if name else 'it'} has only the label {inside[0]!r}")
    sentences, by_set = map(list, zip(*sets.values(), strict=True))
    return OwnRows({"test": {"sentences": sentences, "labels": by_set}})


def _classification(of: dict[str, Columns]) -> OwnRows:
    tables: dict[str, Lists] = {
        role: {"text": rows.texts("text"), "label": rows.labels("label")} for role, rows in of.items()
    }
    known, asked = (Counter(tables[role]["label"]) for role in ("train", "test"))
    kinds = {role: {type(label) for label in tables[role]["label"]} for role in tables}
    if kinds["train"] != kinds["test"]:
        raise of["test"].table.refuse("has labels that are texts where those of train are whole numbers, or vice versa")
    if len(known) < 2:
        raise of["train"].table.refuse(f"has only the label {next(iter(known))!r}: a classifier needs two")
    unknown = [label for label in asked if label not in known]
    oddities = (
        [f"{len(unknown)} labels of test that train lacks, so always wrong: {first_few(unknown)}"] if unknown else []
    )
    return OwnRows(tables, oddities)


def _reranking(of: dict[str, Columns]) -> OwnRows:
    """A query with its positive and negative documents in each row; ids are made from the row's number."""
    rows = of["test"]
    queries, tables = rows.texts("query"), _ranked_tables()
    for row, (positive, negative) in enumerate(zip(rows.lists("positive"), rows.lists("negative"), strict=True)):
        if not positive or not negative:
            which = "positive" if not positive else "negative"
            raise rows.table.refuse_at(row, f"has no {which} document; a query needs one of each kind")
        query = f"q{row}"
        _append(tables["queries"], id=query, text=queries[row])
        names = []
        for kind, grade, texts in (("positive", 1, positive), ("negative", 0, negative)):
            for number, text in enumerate(texts):
                names.append(f"{query}-{kind}-{number:05d}")
                _append(tables["corpus"], id=names[-1], title="", text=rows.text(row, text, kind))
                _append(tables["judged"], **{"query-id": query, "corpus-id": names[-1], "score": grade})
        _append(tables["candidates"], **{"query-id": query, "corpus-ids": names})
    return OwnRows(tables)


def _ranked_tables() -> dict[str, Lists]:
    return {
        "corpus": {"id": [], "title": [], "text": []},
        "queries": {"id": [], "text": []},
        "judged": {"query-id": [], "corpus-id": [], "score": []},
        "candidates": {"query-id": [], "corpus-ids": []},
    }


def _append(table: Lists, **row) -> None:
    for name, value in row.items():
        table[name].append(value)


def _searched(of: dict[str, Columns]) -> OwnRows:
    """BEIR's form: a corpus, queries and judgements; for reranking also each query's candidates."""
    corpus, queries, judged = of["corpus"], of["queries"], of["qrels"]
    corpus.require("text")
    tables: dict[str, Lists] = {
        "corpus": {
            "id": _unique(corpus),
            "title": corpus.texts("title", optional=True),
            "text": corpus.texts("text", optional=True),
        },
        "queries": {"id": _unique(queries), "text": queries.texts("text")},
        "judged": {
            "query-id": judged.ids("query-id"),
            "corpus-id": judged.ids("corpus-id"),
            "score": judged.whole_numbers("score", 1),
        },
    }
    documents, asked = set(tables["corpus"]["id"]), set(tables["queries"]["id"])
    oddities = [*_empty(tables["corpus"]), *_judgements(judged.table, tables["judged"], asked, documents)]
    with_answer = {q for q, score in _pairs_of(tables["judged"], "query-id", "score") if score > 0} & asked
    if not with_answer:
        raise judged.table.refuse("no query has a relevant document (a judgement above 0)")
    with_judgement = set(tables["judged"]["query-id"]) & asked
    for names, what in (
        (asked - with_judgement, "without a judgement, left out"),
        (with_judgement - with_answer, "without a relevant document, scored 0"),
    ):
        if names:
            oddities.append(f"{len(names):,} of {len(asked):,} queries {what}: {first_few(sorted(names))}")
    if "candidates" in of:
        tables["candidates"] = _candidates(of["candidates"], documents, with_answer, oddities)
    return OwnRows(tables, oddities)


def _pairs_of(table: Lists, one: str, two: str) -> Iterable[tuple]:
    return zip(table[one], table[two], strict=True)


def _unique(rows: Columns) -> list[str]:
    column = "_id" if rows.has("_id") else "id" if rows.has("id") else "_id"
    found = rows.ids(column)
    first: dict[str, int] = {}
    for row, one in enumerate(found):
        if first.setdefault(one, row) != row:
            before = rows.table.numbers[first[one]]
            raise rows.table.refuse_at(row, f"the id {one} again, as in {rows.table.unit} {before}")
    return found


def _empty(corpus: Lists) -> list[str]:
    empty = [name for name, title, text in zip(*corpus.values(), strict=True) if not (title.strip() or text.strip())]
    return [f"{len(empty):,} of {len(corpus['id']):,} documents without text: {first_few(empty)}"] if empty else []


def _judgements(table: Table, judged: Lists, asked: set[str], documents: set[str]) -> list[str]:
    first: dict[tuple[str, str], int] = {}
    for row, pair in enumerate(_pairs_of(judged, "query-id", "corpus-id")):
        before = first.setdefault(pair, row)
        if judged["score"][before] != judged["score"][row]:
            where = f"{table.unit} {table.numbers[before]}"
            raise table.refuse_at(row, f"{' and '.join(pair)} are judged otherwise than in {where}")
    said = []
    for column, known, what in (
        ("query-id", asked, "that the queries lack, left out"),
        ("corpus-id", documents, "that the corpus lacks, never found"),
    ):
        unknown = [row for row, one in enumerate(judged[column]) if one not in known]
        if len(unknown) == len(judged[column]):
            raise table.refuse_at(0, f"{column}: {judged[column][0]}: none of the ids in this column is known")
        if unknown:
            number = table.numbers[unknown[0]]
            names = [judged[column][row] for row in unknown]
            said.append(f"{len(names):,} judgements ({table.unit} {number}) name ids {what}: {first_few(names)}")
    return said


def _candidates(rows: Columns, documents: set[str], asked: set[str], oddities: list[str]) -> Lists:
    queries = rows.ids("query-id")
    names = [rows.ids_of(row, several, "corpus-ids") for row, several in enumerate(rows.lists("corpus-ids"))]
    for row, several in enumerate(names):
        if unknown := [one for one in several if one not in documents]:
            raise rows.table.refuse_at(row, f"corpus-ids: {first_few(unknown)}: not in the corpus")
    without = sorted(asked - {query for query, several in zip(queries, names, strict=True) if several})
    if len(without) == len(asked):
        raise rows.table.refuse("no judged query has candidates")
    if without:
        oddities.append(f"{len(without):,} of the judged queries without candidates, scored 0: {first_few(without)}")
    return {"query-id": queries, "corpus-ids": names}


_FILES: dict[str, Callable[[dict[str, Columns]], OwnRows]] = {
    "Clustering": _clustering,
    "PairClassification": _pairs,
    "Reranking": _reranking,
    "STS": _sts,
}
_FOLDERS: dict[str, Callable[[dict[str, Columns]], OwnRows]] = {
    "Classification": _classification,
    "Reranking": _searched,
    "Retrieval": _searched,
}
