"""The report's words in each language: data in ``languages/``. Numbers are written here too; computes nothing."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from qzhou_eval.report.content.elements import Cell, Text

FOLDER = Path(__file__).parent / "languages"
LANGUAGES = ("en", "zh")
MISSING = "-"
UNSURE = "≈"


@dataclass(frozen=True)
class Words:
    """The words of one language, by key."""

    lang: str
    texts: dict[str, str]

    def render(self, what: str | Text | tuple) -> str:
        """A sentence, or a list of what a tuple holds; text that is not :class:`Text` stays as it is."""
        if isinstance(what, tuple):
            return self.texts["and"].join(map(self.render, what))
        if not isinstance(what, Text):
            return str(what)
        values = {name: self.render(v) if isinstance(v, (Text, tuple)) else v for name, v in what.values.items()}
        return self.texts[what.key].format(**values)

    def __call__(self, key: str, **values: object) -> str:
        """Short for templates."""
        return self.render(Text(key, values))

    def column(self, name: str | Text) -> str:
        """A column's heading; a dimension or a name that no language changes stays as it is."""
        return self.render(name) if isinstance(name, Text) else self.texts.get(f"column.{name}", name)

    def number(self, cell: Cell) -> str:
        """A cell's figure: two decimals, a sign if it is a difference."""
        if cell.value is None:
            return MISSING
        if isinstance(cell.value, float):
            return f"{cell.value:+z.2f}" if cell.difference else f"{cell.value:z.2f}"
        return self.render(cell.value)

    def interval(self, cell: Cell) -> str:
        """A cell's interval, empty if it has none; ranks in whole numbers."""
        if cell.low is None:
            return ""
        form = "d" if isinstance(cell.value, int) else "+.2f" if cell.difference else "z.2f"  # -0.00 is below 0
        return self("interval", low=format(cell.low, form), high=format(cell.high, form))


def words(lang: str) -> Words:
    """The words of a language of :data:`LANGUAGES`."""
    return Words(lang, yaml.safe_load((FOLDER / f"{lang}.yaml").read_text("utf-8")))
