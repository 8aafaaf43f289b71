"""The labels of settings in a report, in its language: as short as they can be and still differ.

Without a language (compare, check, CSV files), :func:`qzhou_eval.results.setting.label` names a setting.
"""

import re
from collections import Counter
from collections.abc import Iterable

from qzhou_eval.report.content.elements import Text
from qzhou_eval.results.setting import MINIATURE_PROFILE, Setting

_DIGEST = re.compile(r"-[0-9a-f]{8}$")  # at the end of a changed profile's name
_WORDS = (  # facts with a text of their own; others are shown as recorded
    *("token_prepending", "token_prepending_off", "profile", "dtype", "max_length", "truncate"),
    *("normalize_off", "instruction_off", "remote_code"),
)
_REVISION = 14  # characters of a revision, enough to distinguish two


def labels(settings: Iterable[Setting]) -> dict[Setting, str | Text]:
    """A label for each setting, as short as it can be and still differ from the others.

    It includes the precision if there are several, the digest of a changed profile if two profiles share their name,
    and the revision if two models do.
    """
    every = dict.fromkeys(settings)
    precisions = {dict(setting.experiment).get("dtype") for setting in every}
    found = {setting: _label(setting, precision=len(precisions) > 1) for setting in every}
    for more in ({"digest": True}, {"digest": True, "revision": True}):
        count = Counter(found.values())
        again = {s: _label(s, precision=len(precisions) > 1, **more) for s in every if count[found[s]] > 1}
        found |= again
    return found


def _label(setting: Setting, *, precision: bool, digest: bool = False, revision: bool = False) -> str | Text:
    facts = []
    for key, value in setting.experiment:
        if value == MINIATURE_PROFILE or (key == "dtype" and not precision):
            continue
        shown = value if digest or key != "profile" else _DIGEST.sub("", str(value))
        word = f"{key}_off" if value == "off" else key
        facts.append(Text(f"label.{word if word in _WORDS else 'other'}", {"name": key, "value": shown}))
    name = setting.short_name
    label = Text("label", {"name": name, "facts": tuple(facts)}) if facts else name
    at = setting.revision[:_REVISION] if setting.revision else Text("label.no_revision")
    return Text("label.revision", {"label": label, "revision": at}) if revision else label
