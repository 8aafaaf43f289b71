"""A setting: one model and everything set for it except the dimension, and its language-independent name.

The report has its own names for settings: report/content/labels.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from qzhou_eval.results.plain_mteb import PLAIN
from qzhou_eval.results.reader import RecordedResults

MINIATURE_PROFILE = "qzhou-zh-mini"  # shared by every model of the miniature, so it distinguishes none
_SHORT = {"token_prepending": "TP"}

Fact = tuple[str, str | int]


@dataclass(frozen=True)
class Setting:
    """A model and what differs from its profile's own protocol, except the dimension.

    Attributes:
        given: the model's label, if one was given; it is only a name and does not identify the setting.
    """

    model: str
    revision: str | None
    experiment: tuple[Fact, ...]
    token_prepending: tuple[int, int] | None
    given: str | None = field(default=None, compare=False)

    @property
    def is_plain(self) -> bool:
        """Whether these are plain mteb's results, whose protocol is unknown."""
        return PLAIN in self.experiment

    @property
    def short_name(self) -> str:
        return short_name(self.given or self.model)

    @property
    def label(self) -> str:
        """Name and facts, in words that are the same in every language."""
        return label(self.given or self.model, self.experiment)

    def without_token_prepending(self) -> "Setting":
        """This setting without token prepending: equal for two settings that differ only in that."""
        rest = tuple((key, value) for key, value in self.experiment if key != "token_prepending")
        return replace(self, experiment=rest, token_prepending=None)


def setting_of(recorded: RecordedResults) -> Setting:
    """The setting that results of one dimension belong to."""
    variant = recorded.variant
    return Setting(
        variant.model, variant.revision, without_dimension(variant.experiment), variant.token_prepending, recorded.label
    )


def without_dimension(experiment: Iterable[Fact]) -> tuple[Fact, ...]:
    """The experiment fields that results are filed under, without the dimension."""
    return tuple((key, value) for key, value in experiment if key != "dim")


def short_name(model: str) -> str:
    """A model's name; for a local folder, the folder's name."""
    return model.removeprefix("local/")


def label(model: str, facts: Iterable[tuple[str, object]]) -> str:
    """``name (TP off, dtype bfloat16)``; the name alone if nothing differs."""
    name = short_name(model)
    shown = facts_text((key, value) for key, value in facts if value != MINIATURE_PROFILE)
    return f"{name} ({shown})" if shown else name


def facts_text(facts: Iterable[tuple[str, object]]) -> str:
    """``TP off, dtype bfloat16``."""
    return ", ".join(f"{_SHORT.get(key, key)} {value}" for key, value in facts)
