"""One work item, performed here and now: the same code in every executor."""

from __future__ import annotations

import importlib
import traceback
from typing import Any

from bench import backend as backends
from bench import devices
from bench.errors import AttemptError
from bench.specs import SPEED_MODES, WorkItem


def perform(item: WorkItem) -> dict[str, Any]:
    """Record values of one attempt; a failure is a value too, never an exception."""
    backend = None
    try:
        framework = item.cell.framework
        device = devices.name_in(framework, item.cell.device)
        backend = backends.load(framework, device)
        return {"status": "ok", **_measure(item, backend)}
    except Exception as error:
        out_of_memory = isinstance(error, MemoryError) or (
            backend is not None and backend.is_out_of_memory(error)
        )
        return failure(error, "oom" if out_of_memory else None)


def failure(error: BaseException, status: str | None = None) -> dict[str, Any]:
    """The record values of a failed attempt."""
    known = error.status if isinstance(error, AttemptError) else "failed"
    return {
        "status": status or known,
        "error_class": type(error).__name__,
        "error_message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _measure(item: WorkItem, backend: backends.Backend) -> dict[str, Any]:
    values: dict[str, Any]
    if item.cell.mode in SPEED_MODES:
        values = importlib.import_module("bench.timing.speed").measure_cell(
            item, backend
        )
    elif item.cell.mode == "finetune":
        module = importlib.import_module("bench.training.finetune")
        values = module.finetune(item, backend)
    else:
        values = importlib.import_module("bench.training.loop").pretrain(item, backend)
    return values
