"""Checks that the rows of a local data folder are what a task type needs, before mteb reads them. Imports no mteb.

Where mteb handles odd data in a defined way, that is left to mteb: :func:`check_rows` returns a line to log. Where
mteb would crash, or return nan or a meaningless number, the folder is refused.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, get_dataset_config_names, get_dataset_split_names, load_dataset, load_dataset_builder

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter.data_errors import readable_errors


@dataclass(frozen=True)
class Table:
    """One split of one configuration (None: the only one), as read from its files."""

    task: Task
    folder: Path
    config: str | None
    split: str
    rows: Dataset

    def refuse(self, what: str) -> BadInput:
        """An error that names the task, the file and the split."""
        return BadInput(f"{self.task.name}: {self._file()}, split {self.split}: {what}")

    def refuse_at(self, row: int, column: str, what: str) -> BadInput:
        return self.refuse(f"row {row} (from 0), column {column} {what}")

    def _file(self) -> Path:
        """The split's file, or its folder if it has several."""
        files = load_dataset_builder(str(self.folder), self.config).config.data_files[self.split]
        return Path(files[0]) if len(files) == 1 else Path(files[0]).parent

    def column(self, name: str) -> pa.ChunkedArray:
        if name not in self.rows.column_names:
            raise self.refuse(f"there is no column {name}, only {', '.join(self.rows.column_names)}")
        return self.rows.data.column(name)

    def values(self, name: str) -> list:
        """A column's values; refuses nulls."""
        array = self.column(name)
        if array.null_count:
            raise self.refuse_at(pc.index(pc.is_null(array), pa.scalar(True)).as_py(), name, "is null")
        return self._all(name)

    def texts(self, name: str) -> None:
        """Refuse a column that holds anything but text."""
        array = self.column(name)
        plain = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
        if not plain or array.null_count or not _is_utf8(array):
            check_texts(self, name, enumerate(self._all(name)))

    def _all(self, name: str) -> list:
        try:
            return self.rows[name][:]
        except UnicodeDecodeError as error:
            raise self.refuse(f"column {name} has non-UTF-8 bytes ({error}); fetch or write it again") from None

    def numbers(self, name: str) -> np.ndarray:
        """A column's values as float64; refuses what is not a finite number."""
        found = self.values(name)
        for row, value in enumerate(found):
            if not isinstance(value, int | float) or not np.isfinite(value):
                raise self.refuse_at(row, name, f"holds {_short(value)}, which is not a finite number")
        return np.array(found, np.float64)


def _is_utf8(array: pa.ChunkedArray) -> bool:
    """Whether a column of strings can be decoded: pyarrow reads damaged bytes without checking them."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def check_texts(table: Table, column: str, texts: Iterable[tuple[int, object]]) -> None:
    """Refuse values that are not text; ``texts`` are pairs of (row, value)."""
    for row, text in texts:
        if text is None:
            raise table.refuse_at(row, column, "is null; give an empty text or leave the row out")
        if not isinstance(text, str):
            raise table.refuse_at(row, column, f"holds {_short(text)}, which is not text")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def table(task: Task, source: DataSource, split: str, config: str | None = None) -> Table:
    """Load one split; a configuration's only split is used whatever its name, as in mteb.

    Raises:
        BadInput: it cannot be read, or the split is missing or has no rows.
    """
    folder = source.folder
    assert folder is not None  # only local folders are checked
    with readable_errors(task, source):
        splits = [str(one) for one in get_dataset_split_names(str(folder), config)]
    name = splits[0] if config and len(splits) == 1 else split
    if name not in splits:
        where = f"{folder}, configuration {config}" if config else folder
        raise BadInput(f"{task.name}: {where}: there is no split {split}, only {', '.join(splits)}")
    with readable_errors(task, source):
        rows = load_dataset(str(folder), config, split=name)
    found = Table(task, folder, config, name, rows)
    if not len(rows):
        raise found.refuse("has no rows")
    return found


def check_rows(task: Task, source: DataSource) -> list[str]:
    """Check the rows that ``task`` reads from a folder.

    Returns:
        A line for each oddity that mteb can handle.

    Raises:
        BadInput: a row cannot be used; the message names file, split, row and column.
    """
    if task.type in ("Reranking", "Retrieval"):
        return [line for split in task.splits for line in _ranked(task, source, split)]
    check = {
        "Classification": _classification,
        "Clustering": _clustering,
        "PairClassification": _pairs,
        "STS": _sts,
    }[task.type]
    splits = [*(["train"] if task.type == "Classification" else []), *task.splits]
    return [line for split in splits for line in check(table(task, source, split))]


def _sts(rows: Table) -> list[str]:
    rows.texts("sentence1")
    rows.texts("sentence2")
    gold = rows.numbers("score")
    if len(set(gold)) < 2:
        raise rows.refuse(f"column score holds {gold[0]:g} in all {len(gold)} rows: no correlation can be computed")
    return []


def _classification(rows: Table) -> list[str]:
    rows.texts("text")
    labels = rows.values("label")
    for row, label in enumerate(labels):
        if not _is_label(label):
            raise rows.refuse_at(row, "label", f"holds {_short(label)}, which is not a label")
    if rows.split == "train" and len(set(labels)) < 2:
        raise rows.refuse(f"column label holds only {_short(labels[0])}: a classifier needs two labels")
    return []


def _is_label(value: object) -> bool:
    return isinstance(value, int | str) or (isinstance(value, float) and np.isfinite(value))


def _clustering(rows: Table) -> list[str]:
    single = 0
    for number, (texts, labels) in enumerate(zip(rows.values("sentences"), rows.values("labels"), strict=True)):
        for column, values in (("sentences", texts), ("labels", labels)):
            if not isinstance(values, list) or not values:
                raise rows.refuse_at(number, column, f"holds {_short(values)}, not a list of a set's {column}")
        if len(texts) != len(labels):
            raise rows.refuse_at(number, "labels", f"has {len(labels)} labels for {len(texts)} sentences")
        check_texts(rows, "sentences", ((number, text) for text in texts))
        if wrong := [label for label in labels if not _is_label(label)]:
            raise rows.refuse_at(number, "labels", f"holds {_short(wrong[0])}, which is not a label")
        single += len(set(labels)) == 1
    return [f"{single} of {len(rows.rows)} sets have only one label: mteb scores such a set 100"] if single else []


def _pairs(rows: Table) -> list[str]:
    """Check pairs: one row of lists, or one row per pair; the official data call the texts sent1 and sent2."""
    sides = ("sent1", "sent2")
    if len(rows.rows) == 1:
        found = {column: rows.values(column)[0] for column in (*sides, "labels")}
        for column, values in found.items():
            if not isinstance(values, list) or len(values) != len(found["labels"]):
                raise rows.refuse_at(0, column, "is not a list as long as the others")
        for column in sides:
            check_texts(rows, column, enumerate(found[column]))
        labels = found["labels"]
    else:
        for column in sides:
            rows.texts(column)
        labels = rows.values("labels")
    for row, label in enumerate(labels):
        if label not in (0, 1):
            raise rows.refuse_at(row, "labels", f"holds {_short(label)}; a pair's label must be 0 or 1")
    return []


def _ranked(task: Task, source: DataSource, split: str) -> list[str]:
    with readable_errors(task, source):
        configs = get_dataset_config_names(str(source.folder))
    corpus = table(task, source, split, "corpus")
    queries = table(task, source, split, "query" if "query" in configs else "queries")
    judged = table(task, source, split, "default" if "default" in configs else "qrels")
    documents, asked = (set(ids(rows, _id_column(rows))) for rows in (corpus, queries))
    for rows in (corpus, queries):
        rows.texts("text")
    if "title" in corpus.rows.column_names:
        corpus.texts("title")
    said = judgements_of(judged, "query-id", asked, "corpus-id", documents)
    if task.type == "Reranking":
        with_judgement = asked & set(ids(judged, "query-id"))
        said += _candidates(table(task, source, split, "top_ranked"), documents, with_judgement)
    return said


def judgements_of(judged: Table, query: str, asked: set[str], document: str, documents: set[str]) -> list[str]:
    """A line for judgements whose query or document is unknown.

    Args:
        query: the column of the queries' ids; ``document``: of the documents'.
    """
    for row, score in enumerate(judged.numbers("score")):
        if score != int(score):
            raise judged.refuse_at(row, "score", f"holds {score:g}; a judgement must be a whole number")
    said = []
    for column, known, what in (
        (query, asked, "queries, which are left out"),
        (document, documents, "documents, which count as not found"),
    ):
        found = ids(judged, column)
        unknown = [row for row, one in enumerate(found) if one not in known]
        if len(unknown) == len(found):
            raise judged.refuse_at(0, column, f"holds {_short(found[0])}; none of its ids are {what.split(',')[0]}")
        if unknown:
            row = unknown[0]
            said.append(f"{len(unknown)} judgements (row {row}: {_short(found[row])}) name unknown {what}")
    return said


def _candidates(ranked: Table, documents: set[str], queries: set[str]) -> list[str]:
    found: Counter[str] = Counter()
    pairs = zip(ids(ranked, "query-id"), ranked.values("corpus-ids"), strict=True)
    for row, (query, names) in enumerate(pairs):
        for name in names:
            if str(name) not in documents:
                raise ranked.refuse_at(row, "corpus-ids", f"names {_short(name)}, which is not in the corpus")
        found[query] += len(names)
    if without := [query for query in queries if not found[query]]:
        if len(without) == len(queries):
            raise ranked.refuse("no judged query has candidates")
        return [f"{len(without)} judged queries ({_short(min(without))}) have no candidates: mteb scores them 0"]
    return []


def ids(rows: Table, column: str) -> list[str]:
    """Ids as text, as mteb converts them; mixed types are refused, since mteb would convert them to other texts."""
    found = rows.values(column)
    for row, one in enumerate(found):
        if type(one) not in (str, int) or type(one) is not type(found[0]):
            raise rows.refuse_at(row, column, f"holds {_short(one)}; ids must be all text or all whole numbers")
    return list(map(str, found))


def _id_column(rows: Table) -> str:
    return "id" if "id" in rows.rows.column_names and "_id" not in rows.rows.column_names else "_id"
