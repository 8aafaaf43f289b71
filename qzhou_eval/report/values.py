"""What the report's tables and sentences are before any writer has them. Values alone: formats nothing, speaks no
language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Said:
    """Words by their key in ``words/*.yaml``, and what stands in them; a value may be Said itself."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One figure: points (float), a count or rank (int), text, or None where there is none.

    Attributes:
        low, high: its 95 % interval; None without items.
        best: in its column's best group: the best, or not to be told from it.
        difference: shown with its sign.
        unsure: a difference that the items cannot tell from 0.
    """

    value: float | int | str | Said | None
    low: float | None = None
    high: float | None = None
    best: bool = False
    difference: bool = False
    unsure: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it stands in a column of figures."""
        return self.value is None or isinstance(self.value, (int, float))


@dataclass(frozen=True)
class Row:
    """One line. ``group`` is a task's type; ``ours`` marks the run's own among others; ``folded`` shows on demand."""

    name: str | Said
    cells: tuple[Cell, ...]
    group: str = ""
    ours: bool = False
    folded: bool = False

    @property
    def is_empty(self) -> bool:
        return all(cell.value is None for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """One table of one benchmark.

    Attributes:
        key: what it is: its title's words, and the end of its file's name.
        model: whose it is, where each model has its own.
        index: the words over the rows' names.
        columns: words' keys, or what stands there as it is.
    """

    benchmark: str
    key: str
    index: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    model: str = ""
    notes: tuple[Said, ...] = ()
    on_screen: bool = True

    @property
    def title(self) -> Said:
        benchmark = Said(f"benchmark.{self.benchmark}") if self.benchmark else ""
        return Said(f"table.{self.key}", {"benchmark": benchmark, "model": self.model})

    @property
    def shown(self) -> list[Row]:
        """The rows but for tasks without any result, where there are others: those would hide them."""
        return [row for row in self.rows if not (row.group and row.is_empty)] or list(self.rows)

    @property
    def has_intervals(self) -> bool:
        return any(cell.low is not None for row in self.rows for cell in row.cells)


@dataclass(frozen=True)
class Finding:
    """An answer to one question: a figure, its interval or what it is of, and sentences."""

    key: str
    figure: Said | None
    under: Said | None
    text: tuple[Said, ...]
    tone: str = ""  # good, bad or open, where the answer is a verdict
