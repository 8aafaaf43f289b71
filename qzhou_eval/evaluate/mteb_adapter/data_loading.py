"""Prepares mteb and datasets for loading: an Arrow cache per data content, checks of the data, and silence."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.task import RANKED, Task
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter.data_files import check_files
from qzhou_eval.evaluate.mteb_adapter.data_rows import check_rows
from qzhou_eval.evaluate.mteb_adapter.older_layout import check_older
from qzhou_eval.protocol.texts import AnyText, joined
from qzhou_eval.system.digests import cache_home

log = logging.getLogger(__name__)


@contextmanager
def own_arrow_cache(source: DataSource) -> Iterator[None]:
    """Give local data its own Arrow cache, keyed by content.

    ``datasets`` keys its cache by a folder's last name and README header: two data roots with the
    same layout would share one cache, and edits to files would go unnoticed.
    """
    if source.folder is None:
        yield
        return
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = cache_home() / "datasets" / datasets.__version__ / source.content
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before


def use_source(mteb_task, source: DataSource) -> None:
    """Make a task object read a local folder; with data from the hub it is left unchanged.

    Raises:
        BadInput: the data come from the hub, but a local folder has the data set's name.
    """
    if source.folder is not None:
        where = {"path": str(source.folder), "revision": source.revision}
        mteb_task.metadata = mteb_task.metadata.model_copy(update={"dataset": where})
        return
    path = mteb_task.metadata.dataset["path"]
    for shadow in (Path(path), Path(f"{path}-qrels")):
        if shadow.exists():  # datasets would read it, but the result would claim the hub's revision
            raise BadInput(
                f"{shadow.resolve()}: is read instead of the hub's data set; run elsewhere, or use it with --data_dir ."
            )


def check_data(task: Task, source: DataSource, *, say: bool) -> None:
    """Check a local folder before mteb reads it; data from the hub are not checked.

    Args:
        task: the task that reads the data.
        source: where they are.
        say: whether to log oddities that mteb can handle; the rows of tasks whose columns are not known are not read.

    Raises:
        BadInput: a file or a row cannot be used.
    """
    if source.folder is None:
        return
    for folder in source.folders:
        check_files(task, folder, configured=task.type in RANKED and not source.older)
    check = check_older if source.older else check_rows
    for oddity in check(task, source) if task.checked else ():
        if say:
            log.warning("%s: %s: %s", task.name, source.folder, oddity)


def text_list(texts: Iterable, where: str) -> list[AnyText]:
    """``texts`` unchanged, after a check that all are strings.

    Raises:
        BadInput: one of them is not a string.
    """
    found = list(texts)
    for row, text in enumerate(found):
        if not isinstance(joined(text), str):
            raise BadInput(f"{where}: the text column holds a value that is not text, in row {row}")
    return found


def quiet() -> None:
    """Silence the progress bars of mteb and datasets and their notes on superseded tasks (the benchmark uses those)."""
    datasets.disable_progress_bars()
    for name in ("mteb", "datasets", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors that they log are also raised
    for module in ("mteb", "sklearn"):
        warnings.filterwarnings("ignore", module=module)
