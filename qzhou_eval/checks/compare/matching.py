"""Decides which results are compared with each other. Computes nothing."""

from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.published import scores_of
from qzhou_eval.checks.compare.differences import common_tasks
from qzhou_eval.checks.compare.sides import Side, from_folder, from_published
from qzhou_eval.errors import BadInput
from qzhou_eval.results.plain_mteb import is_plain

Pair = tuple[Side, Side]


def pairs(
    sides: list[Side], to: str, score_profile: str, benchmark: Benchmark | None = None
) -> tuple[list[Pair], list[str]]:
    """Pair each result with its other side.

    Args:
        benchmark: the only one that is compared; None for all.

    Returns:
        Pairs of ours and theirs, and a line for each result that has no other side.

    Raises:
        BadInput: nothing to compare with.
    """
    path, others = Path(to), []
    if to.split(":", maxsplit=1)[0] == "published" or (path.is_file() and not is_plain(path)):
        found, alone = _with_published(sides, to, score_profile)
    elif to and path.exists():
        others = from_folder(path, score_profile, benchmark)
        found, alone = _with_folder(sides, others)
    else:
        raise BadInput(f"--to {to}: give published, published:MODEL, a folder of results, or a file of scores")
    found = [pair for pair in found if common_tasks(*pair)]
    if not found:
        why = "; ".join(alone[:2]) + (f"; {len(alone) - 2} more" if len(alone) > 2 else "")
        hint = _hint(sides, others)
        raise BadInput(f"nothing in {sides[0].source} can be compared with {to}: {why or 'no task in common'}{hint}")
    return found, alone


def _with_published(sides: list[Side], to: str, score_profile: str) -> tuple[list[Pair], list[str]]:
    """Pair results at full width with their model's published scores."""
    file = Path(to) if Path(to).is_file() else None
    named = to.partition(":")[2] if file is None else ""
    found, alone = [], []
    every = {one.name: one for side in sides for one in side.benchmarks}
    published = [one for one in every.values() if file or scores_of(one, some=True)]
    if not published:
        names = " and ".join(one.title.en for one in every.values())
        raise BadInput(f"--to {to}: no published scores on {names} are known here; give a folder or file of results")
    for side in sides:
        if side.dim != side.width:
            continue  # published scores are at full width; other dimensions are in the card's tables
        for benchmark in (one for one in side.benchmarks if one in published):
            try:
                found.append((side, from_published(file, named or side.name, benchmark, score_profile)))
            except BadInput as error:
                if named or file or len({one.name for one in sides}) == 1:
                    raise
                alone.append(f"{side.label}: {str(error).split(';')[0]}")
    if not found and not alone:
        raise BadInput(f"{sides[0].source}: no results at full width, the only width that published scores have")
    return found, alone


def _with_folder(sides: list[Side], others: list[Side]) -> tuple[list[Pair], list[str]]:
    """Pair results with the other folder's results of the same model, setting and dimension.

    If each folder has only one model, the names may differ; if each also has only one setting, so may the settings.
    """
    one_model = all(len({side.name for side in several}) == 1 for several in (sides, others))
    one_setting = one_model and all(len({side.setting for side in several}) == 1 for several in (sides, others))
    found, alone = [], []
    for side in sides:
        candidates = [
            other
            for other in others
            if _as_wide(side, other)
            and (one_model or other.name == side.name)
            and (one_setting or other.setting == side.setting)
        ]
        other = _closest(side, candidates)
        if other is None:
            alone.append(f"{side.label}: only in {side.source}")
        else:
            found.append((side, other))
    taken = [id(other) for _, other in found]
    alone += [f"{other.label}: only in {other.source}" for other in others if id(other) not in taken]
    return found, alone


def _hint(*folders: list[Side]) -> str:
    """What to do if a folder has several protocols, so that it is ambiguous which ones to compare."""
    several = any(len({side.setting for side in sides}) > 1 for sides in folders)
    return "; to compare two protocols, give each its own --output_dir (--store_dir shares vectors)" if several else ""


def _as_wide(one: Side, other: Side) -> bool:
    """Whether two sides have the same dimension, or both have full width and one is plain mteb's."""
    full = all(side.dim == side.width for side in (one, other))
    return one.dim == other.dim or (full and "" in (one.generation, other.generation))


def _closest(side: Side, candidates: list[Side]) -> Side | None:
    """The candidate that matches best: in revision, then in the generation of mteb.

    Raises:
        BadInput: several candidates match equally well.
    """

    def closeness(other: Side) -> tuple[bool, bool]:
        return other.revision == side.revision, other.generation == side.generation

    best = max(map(closeness, candidates), default=None)
    closest = [other for other in candidates if closeness(other) == best]
    if len(closest) > 1:
        known = ", ".join(f"{other.label} @ {other.revision}" for other in closest)
        raise BadInput(f"{closest[0].source}: several results could be compared with {side.label}: {known}")
    return closest[0] if closest else None
