"""A setting: one model and everything but the dimension that was set for it, and its name where no language counts.

The report has words of its own for it: report/content/labels.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from qzhou_eval.results.mteb_files import PLAIN
from qzhou_eval.results.reader import RecordedResults

MINIATURE_PROFILE = "qzhou-zh-mini"  # every model of the miniature has it: it tells none apart
_SHORT = {"token_prepending": "TP"}

Fact = tuple[str, str | int]


@dataclass(frozen=True)
class Setting:
    """A model and what differs from its profile's own protocol, the dimension left out.

    Attributes:
        given: the model's label, where one was given; it names, and decides nothing.
    """

    model: str
    revision: str | None
    experiment: tuple[Fact, ...]
    token_prepending: tuple[int, int] | None
    given: str | None = field(default=None, compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether these are plain mteb's results, of which the protocol is not known."""
        return PLAIN in self.experiment

    @property
    def short_name(self) -> str:
        return short_name(self.given or self.model)

    @property
    def label(self) -> str:
        """Name and facts, in words that no language changes."""
        return label(self.given or self.model, self.experiment)

    def without_token_prepending(self) -> "Setting":
        """What two settings share that differ in token prepending alone."""
        rest = tuple((key, value) for key, value in self.experiment if key != "token_prepending")
        return replace(self, experiment=rest, token_prepending=None)


def setting_of(recorded: RecordedResults) -> Setting:
    """The setting that results of one dimension belong to."""
    variant = recorded.variant
    return Setting(
        variant.model, variant.revision, without_dimension(variant.experiment), variant.token_prepending, recorded.label
    )


def without_dimension(experiment: Iterable[Fact]) -> tuple[Fact, ...]:
    """What results are filed under, but for the dimension."""
    return tuple((key, value) for key, value in experiment if key != "dim")


def short_name(model: str) -> str:
    """A model's name; of a folder, the folder's."""
    return model.removeprefix("local/")


def label(model: str, facts: Iterable[Fact]) -> str:
    """``name (TP off, dtype bfloat16)``; the name alone where nothing differs."""
    name = short_name(model)
    shown = facts_text((key, value) for key, value in facts if value != MINIATURE_PROFILE)
    return f"{name} ({shown})" if shown else name


def facts_text(facts: Iterable[Fact]) -> str:
    """``TP off, dtype bfloat16``."""
    return ", ".join(f"{_SHORT.get(key, key)} {value}" for key, value in facts)
