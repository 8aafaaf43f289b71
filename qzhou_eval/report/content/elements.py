"""What a report is made of, as values: sections, tables, rows, cells and findings. Formats nothing, has no words."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# The page's sections in their order, and the tables that each shows; ``run`` has what results were made with.
SECTIONS = {
    "scores": ("leaderboard", "token_prepending"),
    "dimensions": ("mrl", "mrl_cost"),
    "tasks": ("task_cost", "tasks"),
    "token_prepending": ("token_prepending_dims", "token_prepending_tasks"),
    "placement": ("placement",),
    "published": ("published",),
    "run": ("run",),
}


@dataclass(frozen=True)
class Text:
    """Words by their key in ``formats/languages/*.yaml``, and what stands in them.

    A value may be Text itself, or a tuple of what each language lists in its own way.
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
        best: in its column's best group: the best, or not significantly below it.
        difference: shown with its sign.
        unsure: a difference that the items cannot tell from 0.
    """

    value: float | int | str | Text | None
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
class TableRow:
    """One line. ``group`` is a task's type; ``ours`` marks the run's own among others; ``folded`` shows on demand."""

    name: str | Text
    cells: tuple[Cell, ...]
    group: str = ""
    ours: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Table:
    """One table of one benchmark.

    Attributes:
        key: what it is, one of those in :data:`SECTIONS`: its title's words, and the end of its file's name.
        model: whose it is, where each model has its own.
        index: the words over the rows' names.
        columns: words' keys, or what stands there as it is.
        over: what its title says that it is over, where that is not the whole benchmark.
        tasks: what its means are over, where another table may have others.
    """

    benchmark: str
    key: str
    index: str
    columns: tuple[str | Text, ...]
    rows: tuple[TableRow, ...]
    model: str | Text = ""
    notes: tuple[Text, ...] = ()
    on_screen: bool = True
    over: Text | None = None
    tasks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(self.key in keys for keys in SECTIONS.values()):
            raise ValueError(f"{self.key} is in no section: it would be in no page")

    @property
    def title(self) -> Text:
        benchmark = Text(f"benchmark.{self.benchmark}") if self.benchmark else ""
        return Text(f"table.{self.key}", {"benchmark": self.over or benchmark, "model": self.model})

    @property
    def has_intervals(self) -> bool:
        return any(cell.low is not None for row in self.rows for cell in row.cells)


@dataclass(frozen=True)
class Finding:
    """An answer to one question: a figure, its interval or what it is of, and sentences."""

    key: str
    figure: Text | None
    under: Text | None
    text: tuple[Text, ...]
    tone: str = ""  # good, bad or open, where the answer is a verdict
