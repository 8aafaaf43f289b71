"""Reads results that plain mteb (2.x or 1.x) wrote, as :class:`~.reader.RecordedResults`. Does not import mteb.

    ROOT/results/<org__name>/<revision>/<Task>.json, model_meta.json      a cache root, an output folder of mteb 1.12+
    ROOT/results/<org__name>/<revision>/experiments/<name>/<Task>.json    the same with experiment_kwargs
    FOLDER/<Task>.json                                                    an output folder of mteb before 1.12

A folder at any of these levels can be read, or one file. Up to 1.10 a file has splits at its top level, with that
version's metric names, and no main score; it is read as mteb 2.26.24's ``TaskResult.from_disk`` converts it. mteb
records neither items nor most of what decides a score: those are None in the entry.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qzhou_eval.benchmark.benchmark import Benchmark
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.results.entries import RecordFields, VariantEntry, VariantFields
from qzhou_eval.results.reader import META, Complaints, RecordedResults, numbers

PLAIN = ("from", "plain mteb")  # in an experiment: separates these results from a run's results of the same model
CUT = "dimension"  # in an experiment: what vectors were cut to, if the full width is unknown
_UNKNOWN = (
    *("profile", "profile_digest", "fingerprint", "token_prepending", "normalize", "use_instruction", "max_length"),
    *("truncate", "dtype"),
)
_EXPERIMENTS = "experiments"
_SUBSET = "hf_subset"  # mteb's key of a row's subset
_NESTED = {"v_measures", "cos_sim", "euclidean", "manhattan", "dot", "max"}  # keys that hold metrics, not subsets
_RENAMED = {"CMedQAv1": "CMedQAv1-reranking", "CMedQAv2": "CMedQAv2-reranking"}
_PREFIX = {"cos_sim": "cosine"}  # other nested metrics (max, dot, ...) keep their own name as the prefix
_OLDER_METRICS = {"Reranking": ("map",), "PairClassification": ("cosine_accuracy", "max_ap", "cosine_ap")}


@dataclass(frozen=True)
class _Result:
    """One result file. ``scores`` are main scores by part; ``metric`` is their metric, None if unknown."""

    task: Task
    mteb: str | None
    data: str | None
    metric: str | None
    scores: dict[str, float]


def read_plain(path: Path, benchmarks: Sequence[Benchmark]) -> list[RecordedResults]:
    """Read plain mteb's results from a folder or one file: an entry for each model, revision and experiment.

    A file without a score of these benchmarks' tasks on their splits is left out, with a warning that names it.

    Raises:
        BadInput: no results found.
    """
    complaints, folders = Complaints(), {}
    known = {task.name: task for one in reversed(benchmarks) for task in one.tasks}
    for file in _files(path):
        try:
            result = _read(file, known)
        except ValueError as error:
            complaints.add(file, f"left out, {error}")
            continue
        if file.parent not in folders:
            entry = _entry(file.parent.absolute())
            folders[file.parent] = RecordedResults(file.parent, entry, {}, tuple(benchmarks), plain=True)
        _add(folders[file.parent], file, result, complaints)
    found = [recorded for recorded in folders.values() if recorded.tasks]
    if not found:
        nothing = f"{path}: no results there (no manifest.json, and no results of plain mteb)"
        raise BadInput("; ".join([nothing, *complaints.lines()]))
    complaints.say()
    return found


def is_plain(path: Path) -> bool:
    """Whether a file is a result file of mteb."""
    try:
        _splits(_content(path), path.stem)
    except ValueError:
        return False
    return True


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    root = path / "results" if (path / "results").is_dir() else path
    return sorted(file for file in root.rglob("*.json") if file.name != META and file.is_file())


def _add(recorded: RecordedResults, file: Path, result: _Result, complaints: Complaints) -> None:
    task = result.task
    if task.name in recorded.tasks:
        complaints.add(file, f"left out, another file in its folder has {task.name}")
        return
    scores = numbers(result.scores, file, complaints)
    if not scores:
        return
    if result.metric not in (None, task.metric):
        complaints.add(file, f"its main score is {result.metric}, the task's is {task.metric}")
    record: RecordFields = {
        "type": task.type,
        "metric": result.metric,
        "splits": [],
        "data": result.data,
        "mteb": result.mteb,
        "scikit_learn": None,
    }
    recorded.tasks[task.name] = {"record": record}
    recorded.scores[task.name] = scores


def _entry(folder: Path) -> VariantEntry:
    """What is known of a folder's results: model, revision, experiment; the rest is None, an unknown dimension 0."""
    meta = _meta(folder)
    apart = folder.name if folder.parent.name == _EXPERIMENTS else None
    base = folder.parents[1] if apart else folder
    named = "__" in base.parent.name
    model = (base.parent if named else base).name
    model = model.replace("__", "/", 1) if "__" in model else f"local/{model}"
    given = meta.get("experiment_kwargs")
    given = given if isinstance(given, dict) else {"experiment": apart} if apart else {}
    width = _whole((_meta(base) if apart else meta).get("embed_dim"))  # an experiment's own embed_dim is cut
    dim = (_whole(given.get("dim")) or width) if width else 0
    experiment: dict[str, str | int] = {
        _printable(key): _printable(value) for key, value in given.items() if key != "dim"
    }
    if dim != width:
        experiment["dim"] = dim
    elif "dim" in given and not dim:
        experiment[CUT] = _printable(given["dim"])  # the width is unknown, so it counts as a setting of its own
    variant: VariantFields = {
        "model": _printable(meta.get("name") or model),
        "revision": _printable(meta.get("revision") or (base.name if named else "")) or None,
        "dim": dim,
        "width": width,
        "experiment": sorted([*experiment.items(), PLAIN]),
    }
    return {"variant": variant | dict.fromkeys(_UNKNOWN), "provenance": {}, "tasks": {}}


def _meta(folder: Path) -> dict[str, object]:
    try:
        return _content(folder / META)
    except ValueError:
        return {}


def _whole(value: object) -> int:
    """A dimension; 0 if it is unknown."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _content(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise ValueError("it is not a JSON file that can be read") from None
    if not isinstance(content, dict):
        raise ValueError("it is not a result of mteb")
    return content


def _read(file: Path, known: dict[str, Task]) -> _Result:
    """Read one result file of a known task.

    Raises:
        ValueError: not a result of mteb, not of a task of this version, or without a score on the task's splits.
    """
    content = _content(file)
    name, splits = _splits(content, file.stem)
    task = known.get(_RENAMED.get(name, name)) or _by_lower_case(name, known)
    if task is None:
        raise ValueError("not a task of the benchmarks that are read; --benchmark names another")
    scores, metrics = {}, set()
    for split in task.splits:
        for part, of_part in _by_part(task, split, splits.get(split, [])).items():
            rows = [_main(row, task) for row in of_part]
            scores[part] = sum(score for score, _ in rows) / len(rows)
            metrics |= {metric for _, metric in rows}
    if not scores:
        raise ValueError(f"no score on {' or '.join(task.parts)}")
    version, revision = (content.get(key) for key in ("mteb_version", "dataset_revision"))
    return _Result(
        task,
        version if isinstance(version, str) else None,
        revision if isinstance(revision, str) else None,
        metrics.pop() if len(metrics) == 1 else None,
        scores,
    )


def _by_part(task: Task, split: str, rows: list[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    """A split's rows by part of the task; for a data set without subsets, all of them are of the split."""
    if not task.subsets:
        return {split: rows} if rows else {}
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        if row.get(_SUBSET) in task.subsets:
            found.setdefault(task.part(split, str(row[_SUBSET])), []).append(row)
    return found


def _by_lower_case(name: str, known: dict[str, Task]) -> Task | None:
    """Find a task by name regardless of case, as mteb does, since some names were written otherwise before 1.11."""
    return next((task for one, task in known.items() if one.lower() == name.lower()), None)


def _splits(content: dict[str, object], stem: str) -> tuple[str, dict[str, list[dict[str, object]]]]:
    """The task's name, and by split its subsets' metrics, from either file format."""
    name, scores = content.get("task_name"), content.get("scores")
    if isinstance(name, str) and isinstance(scores, dict):
        found = {split: rows for split, rows in scores.items() if isinstance(rows, list)}
        return name, {split: [r for r in rows if isinstance(r, dict)] for split, rows in found.items()}
    if "mteb_version" not in content and "mteb_dataset_name" not in content:
        raise ValueError("it is not a result of mteb")
    splits = {split: metrics for split, metrics in content.items() if isinstance(metrics, dict)}
    by_subset = any(key not in _NESTED and isinstance(value, dict) for m in splits.values() for key, value in m.items())
    rows = {
        split: [one | {_SUBSET: name} for name, one in metrics.items() if isinstance(one, dict)]
        if by_subset
        else [metrics]
        for split, metrics in splits.items()
    }
    return str(content.get("mteb_dataset_name", stem)), rows


def _main(row: dict[str, object], task: Task) -> tuple[float, str | None]:
    """A subset's main score and its metric: the file's own, else the task's metric, else an older mteb's.

    Raises:
        ValueError: the subset has none of them.
    """
    flat = dict(_flat(row))
    known = [name for name in (task.metric, *_OLDER_METRICS.get(task.type, ())) if name in flat]
    if "main_score" not in flat:
        if not known:
            raise ValueError(f"neither a main score nor {task.metric}")
        return flat[known[0]], known[0]
    main = flat.pop("main_score")
    if not flat:
        return main, None
    return main, next((name for name in [*known, *flat] if flat[name] == main), "main_score")


def _flat(row: dict[str, object]) -> Iterator[tuple[str, float]]:
    """Metrics by name, nested ones as ``cosine_spearman``."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from ((f"{_PREFIX.get(name, name)}_{key}", one) for key, one in _flat(value))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield name, float(value)
