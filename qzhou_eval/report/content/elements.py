"""The elements of a report, as values: sections, tables, rows, cells and findings. No formatting, no language."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qzhou_eval.benchmark.benchmark import Benchmark, Said

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
    """A text, by its key in ``formats/languages/*.yaml``, with the values that it is filled with.

    A value may itself be Text, what a benchmark says in each language, or a tuple, which each language lists in its
    own way.
    """

    key: str
    values: Mapping[str, object] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.key, tuple(self.values.items())))


def said(text: Said) -> Text:
    """What a benchmark says of itself, as a note."""
    return Text("text", {"text": text})


def mean_of(benchmark: Benchmark) -> Text:
    """The benchmark's mean, at the start of a sentence."""
    return Text("mean_of", {"benchmark": benchmark.title})


@dataclass(frozen=True)
class Cell:
    """One value: points (float), a count or rank (int), text, or None if there is none.

    Attributes:
        bounds: its 95 % interval; None without items.
        best: in its column's best group: the best, or not significantly below it.
        difference: shown with its sign.
        unsure: a difference that is not significant.
    """

    value: float | int | str | Text | None
    bounds: tuple[float, float] | None = None
    best: bool = False
    difference: bool = False
    unsure: bool = False

    @property
    def is_number(self) -> bool:
        """Whether it fits in a column of numbers."""
        return self.value is None or isinstance(self.value, (int, float))

    @property
    def points(self) -> float:
        """The value of a cell that holds points."""
        if not isinstance(self.value, (int, float)):
            raise TypeError(f"{self.value!r} is not a number")
        return self.value


@dataclass(frozen=True)
class TableRow:
    """One row. ``group`` is a task's type; ``ours`` marks the run's own row; ``folded`` rows are shown on demand."""

    name: str | Text
    cells: tuple[Cell, ...]
    group: str = ""
    ours: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Table:
    """One table of one benchmark.

    Attributes:
        key: its kind, one of those in :data:`SECTIONS`; it decides the title and the end of the file name.
        model: the model it belongs to, if each model has its own table.
        index: the key of the heading over the rows' names.
        columns: keys of headings, or headings to show as they are.
        over: the part of the benchmark that its title names; None for the whole benchmark.
        tasks: the tasks that its means are over, if those of another table may differ.
    """

    benchmark: Benchmark | None
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
            raise ValueError(f"{self.key} is in no section, so no page would show it")

    @property
    def title(self) -> Text:
        benchmark = self.benchmark.title if self.benchmark else ""
        return Text(f"table.{self.key}", {"benchmark": self.over or benchmark, "model": self.model})

    @property
    def has_intervals(self) -> bool:
        return any(cell.bounds is not None for row in self.rows for cell in row.cells)


@dataclass(frozen=True)
class Finding:
    """The answer to one question: a number, its interval or unit, and sentences."""

    key: str
    figure: Text | None
    under: Text | None
    text: tuple[Text, ...]
    tone: str = ""  # good, bad or open, if the answer is a verdict
