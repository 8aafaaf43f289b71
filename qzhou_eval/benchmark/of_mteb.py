"""Benchmarks and tasks by their name in the installed mteb 2.x. Imports mteb, which takes seconds."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import mteb
from mteb.abstasks import AbsTask

from qzhou_eval.benchmark.benchmark import Benchmark, Said, type_by_type
from qzhou_eval.benchmark.task import TYPES, Task
from qzhou_eval.errors import BadInput, did_you_mean

_LISTED = "mteb.get_tasks() lists them"


def benchmark_of_mteb(name: str) -> Benchmark:
    """The benchmark ``name`` of mteb: its tasks with the splits and subsets that mteb counts.

    Raises:
        BadInput: mteb has none of that name.
    """
    by_name = {one.name: one for one in mteb.get_benchmarks()}
    by_name |= {alias: one for one in by_name.values() for alias in one.aliases}
    found = by_name.get(name)
    if found is None:
        hint = did_you_mean(name, by_name) or "give a name that mteb has, such as 'MTEB(eng, v2)', or a .yaml file; "
        raise BadInput(f"--benchmark {name}: not in mteb {mteb.__version__}; {hint}mteb.get_benchmarks() lists them")
    return Benchmark(found.name, Said(found.name), type_by_type(_task(one) for one in found.tasks))


def task_of_mteb(
    name: str,
    splits: Sequence[str],
    subsets: Sequence[str],
    *,
    where: str,
    otherwise: str = _LISTED,
) -> Task:
    """The task ``name`` of mteb, with all its splits and subsets or only some.

    Args:
        where: what named it, for the message; ``otherwise``: what else it may be.

    Raises:
        BadInput: mteb has no such task, split or subset, or the task cannot be run here.
    """
    known = {one.metadata.name: one for one in mteb.get_tasks()}
    if name not in known:
        raise BadInput(f"{where} {name}: no task of mteb {mteb.__version__}; {did_you_mean(name, known)}{otherwise}")
    of = known[name].metadata
    for what, given, has in (("splits", splits, of.eval_splits), ("subsets", subsets, of.hf_subsets)):
        for one in given:
            if one not in has:
                raise BadInput(f"{where} {name}: {what}: {one}: it has {', '.join(has)}")
    with warnings.catch_warnings(action="ignore"):
        found = _task(mteb.get_task(name, eval_splits=list(splits) or None, hf_subsets=list(subsets) or None))
    if found.cannot:
        raise BadInput(f"{where} {name}: cannot be run here: {found.cannot}")
    return found


def _task(of: AbsTask) -> Task:
    about = of.metadata
    texts, characters = _size(of)
    return Task(
        name=about.name,
        type=str(about.type),
        path=about.dataset["path"],
        revision=about.dataset["revision"],
        splits=tuple(of.eval_splits),
        metric=about.main_score,
        subsets=tuple(of.hf_subsets) if about.is_multilingual else (),
        texts=texts,
        characters=characters,
        cannot=_cannot(of),
    )


def _cannot(of: AbsTask) -> str:
    if of.is_aggregate:
        return "an aggregate of other tasks; run those"
    if list(of.metadata.modalities) != ["text"]:
        return f"of {' and '.join(of.metadata.modalities)}, not of texts"
    return "" if of.metadata.type in TYPES else f"of type {of.metadata.type}"


def _size(of: AbsTask) -> tuple[int, int]:
    """How many samples and characters the evaluated splits have, as far as mteb ships that; else 0."""
    shipped: Mapping[str, Any] = of.metadata.descriptive_stats or {}
    found = [shipped[split] for split in of.eval_splits if split in shipped]
    samples, characters = (
        sum(int(one.get(key) or 0) for one in found) for key in ("num_samples", "number_of_characters")
    )
    return samples, characters
