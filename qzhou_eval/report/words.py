"""The report's words in each language: data in ``words/``. Numbers are written here too; computes nothing."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from qzhou_eval.report.values import Cell, Said

FOLDER = Path(__file__).parent / "words"
LANGUAGES = ("en", "zh")
MISSING = "-"
UNSURE = "≈"


@dataclass(frozen=True)
class Words:
    """The words of one language, by key."""

    lang: str
    texts: dict[str, str]

    def say(self, what: str | Said | tuple) -> str:
        """A sentence, or a list of what a tuple holds; text that is not :class:`Said` stays as it is."""
        if isinstance(what, tuple):
            return self.texts["and"].join(map(self.say, what))
        if not isinstance(what, Said):
            return str(what)
        values = {name: self.say(v) if isinstance(v, (Said, tuple)) else v for name, v in what.values.items()}
        return self.texts[what.key].format(**values)

    def __call__(self, key: str, **values: object) -> str:
        """Short for templates."""
        return self.say(Said(key, values))

    def column(self, name: str | Said) -> str:
        """A column's heading; a dimension or a name that no language changes stays as it is."""
        return self.say(name) if isinstance(name, Said) else self.texts.get(f"column.{name}", name)

    def number(self, cell: Cell) -> str:
        """A cell's figure: two decimals, a sign if it is a difference."""
        if cell.value is None:
            return MISSING
        if isinstance(cell.value, float):
            return f"{cell.value:+z.2f}" if cell.difference else f"{cell.value:z.2f}"
        return self.say(cell.value)

    def interval(self, cell: Cell) -> str:
        """A cell's interval, empty if it has none; ranks in whole numbers."""
        if cell.low is None:
            return ""
        form = "d" if isinstance(cell.value, int) else "+.2f" if cell.difference else "z.2f"  # -0.00 is below 0
        return self("interval", low=format(cell.low, form), high=format(cell.high, form))


def words(lang: str) -> Words:
    """The words of a language of :data:`LANGUAGES`."""
    return Words(lang, yaml.safe_load((FOLDER / f"{lang}.yaml").read_text("utf-8")))
