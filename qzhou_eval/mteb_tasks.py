"""mteb's own task objects, pointed at their data and loaded. The only place that constructs one."""

import logging
import warnings
from contextlib import contextmanager

import datasets
import mteb
from mteb.abstasks import AbsTask

from qzhou_eval.digests import cache_home
from qzhou_eval.errors import BadInput
from qzhou_eval.tasks import DataSource, Task, fetch_command


def load_task(task: Task, source: DataSource) -> AbsTask:
    """A fresh task object with its data loaded, so that mteb neither unloads nor reloads it.

    Raises:
        BadInput: mteb cannot read the data.
    """
    mteb_task = _new(task)
    if source.folder is not None:
        where = {"path": str(source.folder), "revision": source.revision}
        mteb_task.metadata = mteb_task.metadata.model_copy(update={"dataset": where})
    with _own_arrow_cache(source), readable_errors(task, source):
        mteb_task.load_data()
    return mteb_task


def _new(task: Task) -> AbsTask:
    if task.benchmark == "mini":
        from qzhou_eval.smoke import tasks as miniature

        return getattr(miniature, task.name)()
    return mteb.get_task(task.name, eval_splits=list(task.splits))


@contextmanager
def _own_arrow_cache(source: DataSource):
    """Give local data an Arrow cache of its own, by content.

    ``datasets`` keys its cache by a folder's last name and README header: two data roots with the
    same layout would share one cache, and edited files would not be seen.
    """
    if source.folder is None:
        yield
        return
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = cache_home() / "datasets" / source.revision
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before


@contextmanager
def readable_errors(task: Task, source: DataSource):
    """Turn whatever mteb and datasets raise over broken data into one line that names the task."""
    try:
        yield
    except (BadInput, KeyboardInterrupt):
        raise
    except Exception as error:
        if source.folder is None and isinstance(error, OSError):
            raise BadInput(
                f"{task.name}: the hub cannot be reached; where it can be, {fetch_command(task, 'ROOT')}, "
                "then give --data_dir ROOT"
            ) from error
        where = source.folder or f"the hub's {task.path} at {source.revision}"
        reason = next(iter(str(error).splitlines()), "")
        raise BadInput(f"{task.name}: mteb cannot use the data in {where}: {type(error).__name__}: {reason}") from error


def quiet() -> None:
    """Silence mteb's and datasets' progress and their notes on superseded tasks (the benchmark uses those)."""
    datasets.disable_progress_bars()
    for name in ("mteb", "datasets", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mteb")
    warnings.filterwarnings("ignore", module="sklearn")
