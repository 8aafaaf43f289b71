"""Reads a YAML file that a user wrote, and finds the line of a value in it."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from qzhou_eval.errors import BadInput


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a duplicate key in a mapping, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if (first := lines.setdefault(str(key.value), line)) != line:
                raise yaml.constructor.ConstructorError(problem=f"{key.value} twice, in lines {first} and {line}")
        return super().construct_mapping(node, deep)


def read_mapping(path: Path, of: str) -> dict:
    """The file's fields.

    Args:
        of: what the fields are of, for the message.

    Raises:
        BadInput: not a YAML file, or not a mapping.
    """
    try:
        fields = _EachKeyOnce(path.read_text("utf-8-sig")).get_single_data()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise BadInput(f"{path}{where}: not a YAML file ({said})") from None
    if not isinstance(fields, dict):
        raise BadInput(f"{path}: expected a mapping of {of} fields")
    return fields


def line_of(path: Path, place: Sequence[str | int]) -> str:
    """``, line N``: where the file has the value at this place; empty if it does not, as with an inherited one."""
    node = yaml.compose(path.read_text("utf-8-sig"), Loader=yaml.SafeLoader)
    line = None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            pair = (node.value[part], node.value[part])
        else:
            pair = None
        if pair is None:
            break
        line, node = pair[0].start_mark.line + 1, pair[1]
    return "" if line is None else f", line {line}"
