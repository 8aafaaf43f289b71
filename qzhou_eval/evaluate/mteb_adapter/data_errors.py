"""Turns what datasets and mteb raise while reading data into one-line errors. Does not import mteb."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from datasets.exceptions import DatasetGenerationError

from qzhou_eval.benchmark.data_sources import DataSource, how_to_fetch
from qzhou_eval.benchmark.task import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter.data_files import fault_of

_LACKS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}


@contextmanager
def readable_errors(task: Task, source: DataSource) -> Iterator[None]:
    """Turn what datasets and mteb raise while reading data into a one-line error that names the task and the place.

    Use it for reading only, since an error in scoring is not the data's fault. Neither is a machine that runs out of
    memory or disk space: that error is raised unchanged.
    """
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        causes = list(_causes(error))
        if lack := next(filter(_of_the_machine, causes), None):
            raise lack from None
        if source.folder is None and isinstance(error, OSError):
            raise BadInput(f"{task.name}: the hub cannot be reached; {how_to_fetch([task])}") from error
        if fault := next(filter(None, map(fault_of, source.folders)), None):
            raise BadInput(f"{task.name}: {fault}") from error
        where = source.folder or f"the hub's {task.path} at {source.revision}"
        cause = next(
            (one for one in causes if not isinstance(one, DatasetGenerationError)), error
        )  # which adds nothing
        reason = next(iter(str(cause).splitlines()), "")
        raise BadInput(f"{task.name}: mteb cannot use the data in {where}: {type(cause).__name__}: {reason}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_the_machine(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LACKS)
