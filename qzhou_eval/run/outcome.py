"""What became of a run's tasks."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from qzhou_eval.errors import EXIT_BAD_INPUT, EXIT_FAILED_TASKS, BadInput
from qzhou_eval.system.fault_log import reason

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """Finished results, results kept from before, and failed tasks with their reason, a line each."""

    output_dir: Path
    kept: int = 0
    finished: int = 0
    failed: dict[str, BaseException] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def fail(self, task: str, error: BaseException) -> None:
        """Say why a task failed, once; a fault of ours is recorded below the output folder."""
        if task in self.failed:
            return
        self.failed[task] = error
        self.reasons[task] = reason(error, task, self.output_dir)
        log.error("failed: %s", self.reasons[task])

    def exit_code(self, tasks: int) -> int:
        """Bad input if all ``tasks`` failed by it, failed tasks if only some did."""
        if not self.failed:
            return 0
        bad_input = all(isinstance(error, BadInput) for error in self.failed.values())
        return EXIT_BAD_INPUT if bad_input and len(self.failed) == tasks else EXIT_FAILED_TASKS
