"""The report's texts in each language, from ``languages/``, and its number formats. Computes nothing."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from qzhou_eval.benchmark.benchmark import Said
from qzhou_eval.report.content.elements import Cell, Text

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = ("en", "zh")
MISSING = "-"
UNSURE = "≈"


@dataclass(frozen=True)
class Words:
    """The texts of one language, by key."""

    lang: str
    texts: dict[str, str]

    def render(self, what: float | int | str | Text | tuple) -> str:
        """Render a :class:`Text`, or a tuple as a list; anything else is shown as it is."""
        if isinstance(what, Said):
            return what.in_language(self.lang)
        if isinstance(what, tuple):
            return self.texts["and"].join(map(self.render, what))
        if not isinstance(what, Text):
            return str(what)
        values = {name: self.render(v) if isinstance(v, (Text, tuple)) else v for name, v in what.values.items()}
        return self.texts[what.key].format(**values)

    def __call__(self, key: str, **values: object) -> str:
        """Shorthand for templates: render the text of a key."""
        return self.render(Text(key, values))

    def column(self, name: str | Text) -> str:
        """A column's heading; dimensions, and names without a translation, are shown as they are."""
        return self.render(name) if isinstance(name, Text) else self.texts.get(f"column.{name}", name)

    def number(self, cell: Cell) -> str:
        """A cell's value: points with two decimals, and a sign if it is a difference."""
        if cell.value is None:
            return MISSING
        if isinstance(cell.value, float):
            return f"{cell.value:+z.2f}" if cell.difference else f"{cell.value:z.2f}"
        return self.render(cell.value)

    def interval(self, cell: Cell) -> str:
        """A cell's interval, empty if it has none; ranks as whole numbers."""
        if cell.bounds is None:
            return ""
        low, high = cell.bounds
        form = "d" if isinstance(cell.value, int) else "+.2f" if cell.difference else "z.2f"  # -0.00 means below 0
        return self("interval", low=format(low, form), high=format(high, form))


def words(lang: str) -> Words:
    """Load the texts of a language of :data:`LANGUAGES`."""
    return Words(lang, yaml.safe_load((FOLDER / f"{lang}.yaml").read_text("utf-8")))
