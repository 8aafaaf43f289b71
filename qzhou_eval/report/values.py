"""What the report's tables and sentences are before any writer has them. Values alone: formats nothing, speaks no
language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Said:
    """Words by their key in ``words/*.yaml``, and what stands in them: a value may be Said itself, or a tuple of what
    each language lists in its own way.
    """

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.key, tuple(self.values.items())))


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


@dataclass(frozen=True)
class Table:
    """One table of one benchmark.

    Attributes:
        key: what it is: its title's words, and the end of its file's name.
        model: whose it is, where each model has its own.
        index: the words over the rows' names.
        columns: words' keys, or what stands there as it is.
        over: what its title says that it is over, where that is not the whole benchmark.
        tasks: what its means are over, where another table may have others.
    """

    benchmark: str
    key: str
    index: str
    columns: tuple[str | Said, ...]
    rows: tuple[Row, ...]
    model: str | Said = ""
    notes: tuple[Said, ...] = ()
    on_screen: bool = True
    over: Said | None = None
    tasks: tuple[str, ...] = ()

    @property
    def title(self) -> Said:
        benchmark = Said(f"benchmark.{self.benchmark}") if self.benchmark else ""
        return Said(f"table.{self.key}", {"benchmark": self.over or benchmark, "model": self.model})

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
