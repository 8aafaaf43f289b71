"""Decides whether a run is comparable with a baseline, and names each setting that differs. Looks at no score."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from qzhou_eval.checks.regression.baseline import Baseline, Result
from qzhou_eval.checks.regression.measured import MeasuredRun
from qzhou_eval.errors import BadInput
from qzhou_eval.system.formatting import first_few

_LONGEST = 160  # characters of a value in a message


@dataclass(frozen=True)
class Pair:
    """A setting of the baseline and the run's results for it."""

    base: Result
    run: MeasuredRun


def by_the_baselines_name(baseline: Baseline, runs: list[MeasuredRun]) -> list[MeasuredRun]:
    """Rename the runs' model to the baseline's, if both have only one model and either name is a local folder's.

    A folder's name says nothing about its content, so it is no reason to refuse; :func:`changed_inputs` reports it.
    With several models, it is the only thing that tells them apart.
    """
    theirs, ours = {base.model for base in baseline.results}, {run.model for run in runs}
    if len(theirs) != 1 or len(ours) != 1 or not any(name.startswith("local/") for name in theirs | ours):
        return runs
    return [replace(run, model=baseline.results[0].model) for run in runs]


def pairs(baseline: Baseline, runs: list[MeasuredRun], name: str) -> list[Pair]:
    """Pair every setting of the baseline with the run's results for it.

    A setting that the run lacks is compared with its closest other setting, so that the message names what differs.

    Args:
        name: the baseline's name, for the message.

    Raises:
        BadInput: a setting, a task or a dimension is missing, or something that decides scores differs.
    """
    theirs, ours = ({one.model for one in some} for some in (baseline.results, runs))
    if not theirs & ours:
        names = f"model is {', '.join(sorted(ours))}, the baseline has {', '.join(sorted(theirs))}"
        same = "to compare two checkpoints, give both the same --model_label, or none"
        raise BadInput(f"{runs[0].source} cannot be compared with {name}: {names}; {same}")
    of_key = {(run.model, _key(run.experiment)): run for run in runs}
    keys = [(base.model, _key(base.experiment)) for base in baseline.results]
    spare = [run for key, run in of_key.items() if key not in keys]
    lacking = [base for base, key in zip(baseline.results, keys, strict=True) if key not in of_key]
    closest = iter(_closest(lacking, spare))
    found: dict[str, list[str]] = {}
    for base, key in zip(baseline.results, keys, strict=True):
        for sentence in _unlike(base, of_key[key]) if key in of_key else next(closest):
            found.setdefault(sentence, []).append(base.label)
    if found:
        several = len(baseline.results)
        words = [text if len(whom) == several else f"{', '.join(whom)}: {text}" for text, whom in found.items()]
        raise BadInput(f"{runs[0].source} cannot be compared with {name}: {'; '.join(words)}")
    return [Pair(base, of_key[key]) for base, key in zip(baseline.results, keys, strict=True)]


def not_in_baseline(baseline: Baseline, runs: list[MeasuredRun], names: list[str]) -> list[str]:
    """What only the run has, which is not judged. ``names`` are the runs' names in the result."""
    of_key = {(base.model, _key(base.experiment)): base for base in baseline.results}
    found = []
    for run, called in zip(runs, names, strict=True):
        base = of_key.get((run.model, _key(run.experiment)))
        if base is None:
            found.append(called)
            continue
        further: dict[str, list[str]] = {}
        for task, ours in run.tasks.items():
            known = base.tasks[task].scores if task in base.tasks else {}
            if dims := ", ".join(str(dim) for dim in ours.scores if dim not in known):
                further.setdefault(dims, []).append(task)
        found += [f"{called}: {first_few(tasks)} at dim {dims}" for dims, tasks in further.items()]
    return found


def changed_inputs(pair: Pair) -> list[str]:
    """What a run was made from, if the baseline was made from something else."""
    made_from = {"model": pair.base.model} | pair.base.made_from  # older baselines lack the name
    return [
        f"{name} is {_shown(ours)}, the baseline has {_shown(theirs)}"
        for name, theirs in made_from.items()
        if name != "code" and (ours := pair.run.made_from.get(name)) != theirs  # changes with each commit
    ]


def _key(experiment: dict) -> tuple:
    return tuple(sorted((name, str(value)) for name, value in experiment.items()))


def _closest(lacking: list[Result], spare: list[MeasuredRun]) -> list[list[str]]:
    """For each missing setting, how the closest spare one of the same model differs; each spare one is used once."""
    unlike = {
        (one, other): list(_unlike(base, run)) or ["filed under another experiment"]
        for one, base in enumerate(lacking)
        for other, run in enumerate(spare)
        if run.model == base.model or len(lacking) == 1  # a single setting may be of a renamed model
    }
    found: dict[int, list[str]] = {}
    taken = set()
    for one, other in sorted(unlike, key=lambda pair: len(unlike[pair])):
        if one not in found and other not in taken:
            found[one] = unlike[one, other]
            taken.add(other)
    there = ", ".join(run.label for run in spare)
    lacks = f"missing; the run has {there}" if there else "missing"
    return [found.get(one, [lacks]) for one in range(len(lacking))]


def _unlike(base: Result, run: MeasuredRun) -> Iterator[str]:
    fields = {"model": base.model} | base.settings
    yield from _sentences(fields, {"model": run.model} | run.settings)
    grouped: dict[str, list[str]] = {}
    for task in base.tasks:
        for sentence in _of_task(task, base, run):
            grouped.setdefault(sentence, []).append(task)
    for sentence, tasks in grouped.items():
        yield sentence if len(tasks) == len(base.tasks) else f"{sentence} ({first_few(tasks)})"


def _of_task(task: str, base: Result, run: MeasuredRun) -> Iterator[str]:
    theirs, ours = base.tasks[task], run.tasks.get(task)
    if ours is None:
        yield "no results"
        return
    skipped = {"instruction"} if base.settings.get("use_instruction") != run.settings.get("use_instruction") else set()
    yield from _sentences({k: v for k, v in theirs.settings.items() if k not in skipped}, ours.settings)
    if missing := [str(dim) for dim in theirs.scores if dim not in ours.scores]:
        yield f"no results at dim {', '.join(missing)}"
    elif theirs.probe and not all(ours.items[dim] for dim in theirs.scores):
        yield "no vectors to compare with the baseline's; evaluate it again with the current mteb"


def _sentences(theirs: dict, ours: dict) -> Iterator[str]:
    for field, value in theirs.items():
        if field not in ours or ours[field] != value:
            found = _shown(ours[field]) if field in ours else "not recorded"
            yield f"{field} is {found}, the baseline has {_shown(value)}"


def _shown(value: object) -> str:
    """A setting's value: a long one shortened in the middle, line breaks visible."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "none"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = repr(text) if not text or " " in text or not text.isprintable() else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}...{text[-_LONGEST // 2 :]}"
