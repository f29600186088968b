"""Where a work item runs: in this process, or in a fresh one. One file per executor."""

from __future__ import annotations

from typing import Any, Protocol

from bench.errors import StudyError, unknown
from bench.specs import WorkItem

EXECUTORS = ("process", "inline")


class Executor(Protocol):
    """One method: perform an item, return its record values."""

    def run(self, item: WorkItem) -> dict[str, Any]: ...


def make(name: str) -> Executor:
    """The executor called `name`."""
    if name == "process":
        from bench.executors.process import Process

        return Process()
    if name == "inline":
        from bench.executors.inline import Inline

        return Inline()
    raise StudyError(f"--executor: {unknown('executor', name, EXECUTORS)}")
