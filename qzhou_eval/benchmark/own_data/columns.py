"""Reads a table's columns as texts, labels, numbers and ids, and refuses other values by file and line."""

import math
from collections.abc import Iterable, Mapping, Sequence

from qzhou_eval.benchmark.own_data.files import Table
from qzhou_eval.errors import BadInput
from qzhou_eval.protocol.texts import check_text

Label = str | int
_MARKS = {"\t": "separated by tabs: call it .tsv", ";": "separated by semicolons: save it with commas"}
_MISSING = object()


class Columns:
    """A table whose columns may have other names in the file."""

    def __init__(self, table: Table, names: Mapping[str, str]) -> None:
        self.table = table
        self._names = names

    def __len__(self) -> int:
        return len(self.table)

    def has(self, column: str) -> bool:
        """Whether some row has the column."""
        return any(self._name(column) in row for row in self.table.rows)

    def texts(self, column: str, *, optional: bool = False) -> list[str]:
        """A column of texts; ``optional``: missing and null ones are empty."""
        values = self._values(column, "" if optional else _MISSING)
        return [self.text(row, value, column) for row, value in enumerate(values)]

    def text(self, row: int, value: object, column: str) -> str:
        """One value of a column, as text."""
        try:
            check_text(value, self._name(column))
        except BadInput as error:
            raise self.table.refuse_at(row, str(error)) from None
        return str(value)

    def labels(self, column: str) -> list[Label]:
        """A column of labels: all texts or, if each one is a whole number, numbers."""
        found = self._values(column)
        for row, value in enumerate(found):
            if isinstance(value, float) and value.is_integer():
                found[row] = int(value)  # a spreadsheet has no whole numbers
            elif isinstance(value, bool):
                found[row] = int(value)
            elif not isinstance(value, str | int) or value == "":
                raise self.table.refuse_at(row, f"{self._name(column)}: {value!r:.40} is not a label")
        if all(isinstance(value, int) or _is_whole(value) for value in found):
            return [int(value) for value in found]  # type: ignore[call-overload]
        return [str(value) for value in found]

    def numbers(self, column: str) -> list[float]:
        """A column of finite numbers."""
        return [self._number(row, value, column) for row, value in enumerate(self._values(column))]

    def whole_numbers(self, column: str, otherwise: int) -> list[int]:
        """A column of whole numbers; ``otherwise`` where the table has no such column."""
        if not self.has(column):
            return [otherwise] * len(self)
        found = self.numbers(column)
        for row, value in enumerate(found):
            if value != int(value):
                raise self.table.refuse_at(row, f"{self._name(column)}: {value:g} is not a whole number")
        return [int(value) for value in found]

    def ids(self, column: str) -> list[str]:
        """A column of ids, texts or whole numbers, as texts."""
        return [self.id(row, value, column) for row, value in enumerate(self._values(column))]

    def ids_of(self, row: int, values: Iterable[object], column: str) -> list[str]:
        """The ids in one row's list."""
        return [self.id(row, value, column) for value in values]

    def id(self, row: int, value: object, column: str) -> str:
        """One id, as text."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self.table.refuse_at(row, f"{self._name(column)}: {value!r:.40} is not an id")
        return str(value)

    def lists(self, column: str) -> list[list[object]]:
        """A column of lists; in a CSV file, which has none, one value is a list of one."""
        found: list[list[object]] = []
        for row, value in enumerate(self._values(column, [])):
            if not isinstance(value, str | Sequence):
                raise self.table.refuse_at(row, f"{self._name(column)}: {value!r:.40} is not a list")
            found.append([value] if isinstance(value, str) else list(value))
        return found

    def require(self, *columns: str) -> None:
        """Refuse a table of which no row has a column."""
        for column in columns:
            if not self.has(column):
                raise self._missing(0, column)

    def _name(self, column: str) -> str:
        """The file's name of a column: the renamed one, unless only others of the task's files have that."""
        given = self._names.get(column, column)
        return given if any(given in row for row in self.table.rows) else column

    def _values(self, column: str, otherwise: object = _MISSING) -> list[object]:
        name = self._name(column)
        found = []
        for row, cells in enumerate(self.table.rows):
            value = cells.get(name)
            if value is None:
                if otherwise is _MISSING:
                    raise self._missing(row, column)
                value = otherwise
            found.append(value)
        return found

    def _missing(self, row: int, column: str) -> BadInput:
        name, cells = self._name(column), self.table.rows[row]
        if name in cells:
            return self.table.refuse_at(row, f"{name} is null; give a value or leave the row out")
        has = ", ".join(map(str, cells))
        if hint := next((say for mark, say in _MARKS.items() if mark in has), None):
            return self.table.refuse(f"its first line is one column, {has!r:.60}; {hint}")
        return self.table.refuse_at(row, f"there is no {name}, only {has}; columns: {{{column}: NAME}} can rename one")

    def _number(self, row: int, value: object, column: str) -> float:
        try:
            number = float(value) if isinstance(value, str | int | float) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if isinstance(value, bool) or not math.isfinite(number):
            why = "is empty" if value == "" else f"{value!r:.40} is not a number"
            raise self.table.refuse_at(row, f"{self._name(column)}: {why}")
        return number


def _is_whole(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and str(int(value)) == value
