"""The outcome of a run's tasks."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from qzhou_eval.errors import EXIT_BAD_INPUT, EXIT_FAILED_TASKS, BadInput
from qzhou_eval.system.fault_log import reason

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """Counts of new (``finished``) and reused (``kept``) results, and failed tasks with one-line reasons."""

    output_dir: Path
    kept: int = 0
    finished: int = 0
    failed: dict[str, BaseException] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def fail(self, task: str, error: BaseException) -> None:
        """Log once why a task failed; a fault of this project is also recorded below the output folder."""
        if task in self.failed:
            return
        self.failed[task] = error
        self.reasons[task] = reason(error, task, self.output_dir)
        log.error("failed: %s", self.reasons[task])

    def exit_code(self, tasks: int) -> int:
        """The exit code: 0, that for bad input if all ``tasks`` failed because of it, else that for failed tasks."""
        if not self.failed:
            return 0
        bad_input = all(isinstance(error, BadInput) for error in self.failed.values())
        return EXIT_BAD_INPUT if bad_input and len(self.failed) == tasks else EXIT_FAILED_TASKS
