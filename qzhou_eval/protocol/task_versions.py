"""Names of tasks that mteb has repaired: ``<name>.v2`` is a later version of ``<name>``."""

import re


def first_version(task: str) -> str:
    """The name of a task's first version."""
    return re.sub(r"\.v\d+$", "", task)
