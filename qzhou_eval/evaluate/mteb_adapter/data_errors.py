"""What datasets and mteb raise while they read data, as one line. Imports no mteb."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from datasets.exceptions import DatasetGenerationError

from qzhou_eval.benchmark.data_sources import DataSource, how_to_fetch
from qzhou_eval.benchmark.registry import Task
from qzhou_eval.errors import BadInput
from qzhou_eval.evaluate.mteb_adapter.data_files import fault_of

_LACKS = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EROFS}


@contextmanager
def readable_errors(task: Task, source: DataSource) -> Iterator[None]:
    """Turn what datasets and mteb raise while they read data into one line that names the task and the place.

    For reading alone: an error of scoring is none of the data's. A machine that is out of memory or room is not,
    either, and comes out as it is.
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
        if source.folder is not None and (fault := fault_of(source.folder)):
            raise BadInput(f"{task.name}: {fault}") from error
        where = source.folder or f"the hub's {task.path} at {source.revision}"
        cause = next(
            (one for one in causes if not isinstance(one, DatasetGenerationError)), error
        )  # which says no more
        reason = next(iter(str(cause).splitlines()), "")
        raise BadInput(f"{task.name}: mteb cannot use the data in {where}: {type(cause).__name__}: {reason}") from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_the_machine(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LACKS)
