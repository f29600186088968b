"""Run items in this process: for debugging, and for tests of everything above it.

Speed repetitions then share one process, so their spread is too small: such rows say
`inline`, and never finish an item of the process executor. One framework a process:
a second one is refused.
"""

from __future__ import annotations

from typing import Any

from bench.errors import StudyError
from bench.executors.work import perform
from bench.specs import WorkItem


class Inline:
    """Performs each item where it is called."""

    def __init__(self) -> None:
        self._framework: str | None = None

    def run(self, item: WorkItem) -> dict[str, Any]:
        """Record values of one attempt."""
        framework = item.cell.framework
        if self._framework not in (None, framework):
            raise StudyError(
                f"--executor inline: the study uses {self._framework} and {framework}, "
                "one process uses one framework; use --executor process"
            )
        self._framework = framework
        return perform(item)
