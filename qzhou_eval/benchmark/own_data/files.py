"""Reads a plain table: CSV, TSV, JSON, JSONL, parquet or Excel, with the line of each row. Knows no task."""

import csv
import io
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qzhou_eval.errors import BadInput, in_one_line

Row = dict[str, object]
KINDS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")


@dataclass(frozen=True)
class Table:
    """A file's rows, and for each the number by which the file's reader knows it.

    Attributes:
        unit: what is counted: ``line`` (from 1) or ``row`` (from 1, without a heading).
    """

    path: Path
    rows: list[Row]
    numbers: list[int]
    unit: str

    def __len__(self) -> int:
        return len(self.rows)

    def refuse(self, what: str) -> BadInput:
        return BadInput(f"{self.path}: {what}")

    def refuse_at(self, row: int, what: str) -> BadInput:
        return BadInput(f"{self.path}, {self.unit} {self.numbers[row]}: {what}")


def read_table(path: Path) -> Table:
    """Read a file by the kind that its name ends with.

    Raises:
        BadInput: no such file, an unknown kind, another encoding than UTF-8, or a row that cannot be read; names the
            line and what to do.
    """
    if not path.is_file():
        raise BadInput(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise BadInput(f"{path}: not one of the kinds that are read: {', '.join(KINDS)}")
    table = reader(path)
    if not table.rows:
        raise table.refuse("has no rows")
    return table


def _text(path: Path) -> str:
    """The file's text, without a byte-order mark."""
    content = path.read_bytes()
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{path}: is UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        try:
            content.decode("gb18030")
        except UnicodeDecodeError:
            raise BadInput(f"{path}, line {line}: is not UTF-8; save the file as UTF-8") from None
        name, new = shlex.quote(str(path)), shlex.quote(f"{path}.new")
        remedy = f"save it as UTF-8, or: iconv -f GB18030 -t UTF-8 {name} > {new} && mv {new} {name}"
        raise BadInput(f"{path}, line {line}: is not UTF-8 but may be GBK; {remedy}") from None


def _csv(path: Path) -> Table:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    # A tab-separated file has no quotes: a text that begins with one is common there.
    how: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if delimiter == "\t" else {"strict": True}
    reader = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, **how)
    heading: list[str] | None = None
    table = Table(path, [], [], "line")
    before = csv.field_size_limit(2**31 - 1)
    try:
        start = 1
        for cells in reader:
            if heading is None:
                heading = [cell.strip() for cell in cells]
                if twice := next((one for one in heading if heading.count(one) > 1), None):
                    raise table.refuse(f"its first line names the column {twice} twice")
            elif cells:
                if len(cells) != len(heading):
                    wrong = f"{len(cells)} cells, but the first line names {len(heading)} columns"
                    raise BadInput(f"{path}, line {start}: {wrong}; quote a text that holds {delimiter!r}")
                table.rows.append(dict(zip(heading, cells, strict=True)))
                table.numbers.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: {error}") from None
    finally:
        csv.field_size_limit(before)
    return table


def _jsonl(path: Path) -> Table:
    table = Table(path, [], [], "line")
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            table.rows.append(_object(line, f"{path}, line {number}"))
            table.numbers.append(number)
    return table


def _object(text: str, where: str) -> Row:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not JSON ({error})") from None
    if not isinstance(row, dict):
        raise BadInput(f"{where}: not an object with a field for each column")
    return row


def _json(path: Path) -> Table:
    try:
        rows = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: not JSON ({error}); for one object on each line, call it .jsonl") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadInput(f"{path}: not a list of objects; for one object on each line, call it .jsonl")
    return _numbered(path, rows)


def _parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _numbered(path, pq.read_table(path, partitioning=None).to_pylist())
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a parquet file that can be read ({in_one_line(error)})") from None


def _excel(path: Path) -> Table:
    import pandas as pd

    try:
        frame = pd.read_excel(path, dtype=object)
    except ImportError:
        raise BadInput(f"{path}: pandas needs openpyxl to read Excel; install it, or save the sheet as CSV") from None
    except Exception as error:  # pandas and openpyxl raise many kinds
        raise BadInput(f"{path}: pandas cannot read it ({in_one_line(error)}); save the sheet as CSV") from None
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return Table(path, [{str(k): v for k, v in row.items()} for row in rows], [*range(2, len(rows) + 2)], "row")


def _numbered(path: Path, rows: list[Row]) -> Table:
    return Table(path, rows, [*range(1, len(rows) + 1)], "row")


_READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    ".xlsx": _excel,
}


def one_of(folder: Path, name: str) -> Path | None:
    """The file ``name.*`` of a readable kind in a folder; None if there is none.

    Raises:
        BadInput: there are several.
    """
    found = sorted(_named(folder, name))
    if len(found) > 1:
        raise BadInput(f"{folder}: {' and '.join(path.name for path in found)}; keep one of them")
    return found[0] if found else None


def _named(folder: Path, name: str) -> Iterator[Path]:
    return (folder / f"{name}{kind}" for kind in KINDS if (folder / f"{name}{kind}").is_file())
