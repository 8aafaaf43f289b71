"""Around mteb and datasets: an Arrow cache for each data content, a look through it, and quiet."""

import logging
import warnings
from contextlib import contextmanager
from pathlib import Path

import datasets

from qzhou_eval.benchmark.data_sources import DataSource
from qzhou_eval.benchmark.registry import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter.data_files import check_files
from qzhou_eval.evaluate.mteb_adapter.data_rows import check_rows
from qzhou_eval.system.digests import cache_home

log = logging.getLogger(__name__)


@contextmanager
def own_arrow_cache(source: DataSource):
    """Give local data an Arrow cache of its own, by content.

    ``datasets`` keys its cache by a folder's last name and README header: two data roots with the
    same layout would share one cache, and edited files would not be seen.
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
    """Make one task object read a local folder; the hub's task stays as it is.

    Raises:
        BadInput: the hub is meant, and a folder of the data set's name is in the way.
    """
    if source.folder is not None:
        where = {"path": str(source.folder), "revision": source.revision}
        mteb_task.metadata = mteb_task.metadata.model_copy(update={"dataset": where})
        return
    path = mteb_task.metadata.dataset["path"]
    for shadow in (Path(path), Path(f"{path}-qrels")):
        if shadow.exists():  # datasets would read it, and the result would claim the hub's revision
            raise BadInput(
                f"{shadow.resolve()}: stands in for the hub's data set; start elsewhere, or read it with --data_dir ."
            )


def check_data(task: Task, source: DataSource, *, say: bool) -> None:
    """Look through a local folder before mteb reads it; the hub's own data are taken as they are.

    Args:
        task: what reads the data.
        source: where they are.
        say: whether to log what is odd about them and yet usable, since mteb has an answer to it.

    Raises:
        BadInput: a file or a row that cannot be used.
    """
    if source.folder is None:
        return
    check_files(task, source.folder)
    for oddity in check_rows(task, source):
        if say:
            log.warning("%s: %s: %s", task.name, source.folder, oddity)


def text_list(texts: list, where: str) -> list[str]:
    """``texts`` as they are.

    Raises:
        BadInput: one of them is not a string.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise BadInput(f"{where}: the text column holds something that is not text, at row {row}")
    return list(texts)


def quiet() -> None:
    """Silence mteb's and datasets' progress and their notes on superseded tasks (the benchmark uses those)."""
    datasets.disable_progress_bars()
    for name in ("mteb", "datasets", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what they log as an error they raise, too
    for module in ("mteb", "sklearn"):
        warnings.filterwarnings("ignore", module=module)
