"""Fine-tuning of one cell: pre-trained weights, a new head, a short run at a low rate.

Where the cell lists several learning rates, each is tried on a dev split cut out of the
training images; the best one then trains on all of them (ViT paper, section 4.1). The
test split is touched once, by the network that is reported. The search and the
fine-tuning have columns of their own: neither is part of pre-training core-days.
"""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.backend import Backend
from bench.errors import Diverged, StudyError, WeightsError
from bench.models import ModelSpec, weights
from bench.recipes.finetuning import rates_of
from bench.specs import Cell, WorkItem
from bench.training import resident, resolution
from bench.training.checkpoint import Keeper
from bench.training.ledger import Clock
from bench.training.loop import accuracy, check_losses, learner_of, take_steps, trained
from bench.training.task import Task, dev_task, prepare

Trial = dict[str, Any]


def finetune(
    item: WorkItem, backend: Backend, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Train the cell from the weights of its parent or file; its row's columns."""
    with Keeper(item, backend, clock) as keeper:
        start = _Start(item, backend, clock, keeper)
        row = trained(item, backend, keeper, start.task)
    cores = row["core_days_measured"] / row["measured_s"]
    return {
        **row,
        **start.columns,
        "core_days_finetune": row["core_days_measured"],
        "core_days_search": cores * start.search_s if start.trials else None,
        "core_days_measured": None,
    }


class _Start:
    """Prepares the task of a finetune cell and remembers what that took."""

    def __init__(
        self, item: WorkItem, backend: Backend, clock: Clock, keeper: Keeper
    ) -> None:
        self.item, self.backend, self.clock = item, backend, clock
        self.keeper = keeper
        self.trials: list[Trial] = []
        self.search_s = 0.0
        self.columns: dict[str, Any] = {}

    def task(self, cell: Cell) -> Task:
        """The cell's task, from the loaded weights and at the chosen rate."""
        task = prepare(cell)
        start, self.columns = _loaded(self.item, task.spec)
        task = dataclasses.replace(task, weights=start, fresh=task.weights)
        if cell.learning_rates is None:
            return task
        self._search(task)
        rate = _best(self.trials)
        self.columns |= {
            "learning_rate": rate,
            "search": self.trials,
            "search_s": self.search_s,
        }
        return _at_rate(task, rate)

    def _search(self, task: Task) -> None:
        """Every rate of the cell, trained like the cell on all but the dev split.

        A killed search goes on with the rates that it had not tried: no trial leaves a
        checkpoint, but each its result.
        """
        cell, began = self.item.cell, self.clock()
        self.trials, before = self.keeper.tried()
        self.search_s = before
        left = rates_of(cell)[len(self.trials) :]
        if not left:
            return
        dev = dev_task(cell, task)
        dev = resident.fed(dev, self.backend, cell, self.item.effort.input)
        unkept = dataclasses.replace(self.item, checkpoints=None)
        for rate in left:
            with Keeper(unkept, self.backend, self.clock) as keeper:
                trial = _tried(cell, self.backend, _at_rate(dev, rate), keeper)
            self.trials.append(trial)
            self.search_s = before + self.clock() - began
            self.keeper.save_tried(self.trials, self.search_s)
        dev.loader.close()


def _loaded(
    item: WorkItem, spec: ModelSpec
) -> tuple[resolution.Arrays, dict[str, Any]]:
    """The weights to start from, with a new head, and where they are from."""
    parent, cell = item.parent, item.cell
    path = parent.weights if parent is not None else cell.init
    if path is None:
        raise StudyError("init: is missing; give a weights file or a pretrain cell")
    found = weights.read_file(path, spec)
    sha256 = weights.sha256(found)
    if parent is not None and sha256 != parent.sha256:
        raise WeightsError(
            f"{path}: is not what {parent.cell.label} left; run it again"
        )
    if parent is None and weights.file_sha256(path) != cell.init_sha256:
        raise WeightsError(f"{path}: has changed since the study was read")
    try:
        start, report = resolution.fit(
            found, spec, new_head=True, head_bias=cell.head_bias
        )
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    columns = {
        "init_weights_sha256": sha256,
        "init_report": str(report),
        "pretrain_image_size": report.image_size,
        "pretrain_dataset": f"file {Path(path).name} ({(cell.init_sha256 or '')[:8]})",
    }
    if parent is not None:
        columns["pretrain_dataset"] = parent.cell.dataset
        columns["pretrain_image_size"] = parent.cell.image_size
    return start, columns


# The search ------------------------------------------------------------------


def _tried(cell: Cell, backend: Backend, task: Task, keeper: Keeper) -> Trial:
    """One rate. A rate that diverges is an answer, too."""
    learner = learner_of(backend, cell, task, task.weights)
    trial: Trial = {"learning_rate": task.recipe.learning_rate}
    try:
        take_steps(learner, task, keeper, range(task.steps))
        losses = learner.losses()
        check_losses(losses, task)
        top1 = accuracy(learner, task.val)
    except Diverged:
        return {**trial, "status": "diverged", "top1": None, "train_loss": None}
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        **trial,
        "status": "ok",
        "top1": top1,
        "train_loss": float(np.mean(tail)),
    }


def _best(trials: list[Trial]) -> float:
    """The rate that is most accurate on the dev split; of equals, the lowest."""
    done = [trial for trial in trials if trial["status"] == "ok"]
    if not done:
        tried = ", ".join(f"{trial['learning_rate']:g}" for trial in trials)
        raise Diverged(f"every learning rate diverged ({tried}); list lower ones")
    best = min(done, key=lambda trial: (-trial["top1"], trial["learning_rate"]))
    return float(best["learning_rate"])


def _at_rate(task: Task, rate: float) -> Task:
    assert math.isfinite(rate)
    recipe = dataclasses.replace(task.recipe, learning_rate=rate)
    return dataclasses.replace(task, recipe=recipe)
