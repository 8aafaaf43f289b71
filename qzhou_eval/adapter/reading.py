"""Around mteb and datasets: an Arrow cache for each data content, readable errors, and quiet."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
from datasets.exceptions import DatasetGenerationError
from huggingface_hub import DatasetCard

from qzhou_eval.digests import cache_home
from qzhou_eval.errors import BadInput
from qzhou_eval.paths import stays_inside
from qzhou_eval.tasks import DataSource, Task, how_to_fetch


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


def point_at(mteb_task, source: DataSource) -> None:
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


def check_header(source: DataSource) -> None:
    """Refuse a local data set whose header names files elsewhere: they would be read, and are not in its digest.

    Raises:
        BadInput: a file of ``configs`` is outside of the folder, hidden, or an address.
    """
    if source.folder is None:
        return
    if (hidden := source.folder / ".huggingface.yaml").exists():
        raise BadInput(f"{hidden}: a hidden header has no part in the data's digest; put it into README.md")
    readme = source.folder / "README.md"
    if not readme.is_file():
        return
    card = DatasetCard(readme.read_text("utf-8"), ignore_metadata_errors=True)
    for config in card.data.to_dict().get("configs") or []:
        for name in _file_names([config.get("data_files"), config.get("data_dir")]):
            if not stays_inside(name) or ":" in name or any(part.startswith(".") for part in name.split("/")):
                raise BadInput(f"{readme}: configs names {name}; only files in the same folder are read")


def _file_names(value: object) -> Iterator[str]:
    """Every file or pattern in a header's ``data_files``: a name, a list, or entries of split and path."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _file_names(one)
    elif isinstance(value, dict):
        yield from _file_names([one for key, one in value.items() if key != "split"])


@contextmanager
def readable_errors(task: Task, source: DataSource):
    """Turn whatever mteb and datasets raise over broken data into one line that names the task."""
    try:
        yield
    except (BadInput, KeyboardInterrupt):
        raise
    except Exception as error:
        if source.folder is None and isinstance(error, OSError):
            raise BadInput(f"{task.name}: the hub cannot be reached; {how_to_fetch(task)}") from error
        where = source.folder or f"the hub's {task.path} at {source.revision}"
        if isinstance(error, DatasetGenerationError) and error.__cause__:
            error = error.__cause__  # it says no more than that there was an error
        reason = next(iter(str(error).splitlines()), "")
        raise BadInput(f"{task.name}: mteb cannot use the data in {where}: {type(error).__name__}: {reason}") from error


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
