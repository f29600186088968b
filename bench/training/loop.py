"""Training of one cell: the same protocol for every family and framework.

The account opens when `pretrain` or `finetune` is called, for the cores are held from
then on. Only stepping is measured, data wait included, each span closed by a barrier.
Data made in advance, compilation, evaluation and probes are excluded.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench import cores, machine
from bench.backend import Backend, Learner
from bench.data import Classes, Pixels, to_float
from bench.errors import Diverged
from bench.models import weights
from bench.recipes import budgets
from bench.recipes.schedule import learning_rate
from bench.specs import Cell, WorkItem
from bench.timing import cautions
from bench.timing.speed import checked_machine, checked_precision
from bench.training import fewshot
from bench.training.ledger import Clock, Ledger
from bench.training.task import Task, batch_size, prepare
from bench.units import core_days_at

EVALUATIONS = 4
"""Points of the learning curve, evenly spread; the last is the end."""
LOSS_BOUND = 100.0
"""A run has diverged when its loss is this many times that of guessing."""
_EVAL_IMAGES = 512

Rows = list[dict[str, Any]]


def pretrain(
    item: WorkItem, backend: Backend, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Train the cell from its initial weights; the training columns of its row."""
    return trained(item, backend, Ledger(clock), prepare)


def trained(
    item: WorkItem,
    backend: Backend,
    ledger: Ledger,
    make: Callable[[Cell], Task],
) -> dict[str, Any]:
    """Train from the weights of the task that `make` prepares, which is not measured.

    Fine-tuning starts elsewhere and is otherwise the same.
    """
    cell = item.cell
    host = checked_machine(item, backend)
    with ledger.excluded():
        precision = checked_precision(backend, cell.dtype)
        task = make(cell)
        learner = learner_of(backend, cell, task, task.weights)
        fresh = learner
        if task.targets and task.fresh is not None:
            fresh = learner_of(backend, cell, task, task.fresh)
        baselines = _baselines(fresh, task)
    load_before, others = machine.load_average(), machine.OthersLoad()
    curve = _train(learner, task, ledger)
    busy = cautions.host_load(others.cores(), cores.usable().count)
    with ledger.excluded():
        results = _results(learner, task)
        probes = _probes(learner, task, None) + baselines
        if item.keep_weights is not None:
            weights.save_file(item.keep_weights, learner.state_dict())
    seen = task.steps * task.loader.batch_size
    account = ledger.columns(cores=host.cores, images_seen=seen)
    peak, method = backend.peak_memory()
    return {
        **_setting(cell, task),
        **results,
        **account,
        "core_days_extrapolated": _full(cell, account["train_img_per_sec_core"]),
        "curve": curve,
        "fewshot": probes or None,
        "effective_precision": precision,
        "peak_memory_bytes": peak,
        "peak_memory_method": method,
        "load_before": load_before,
        "load_after": machine.load_average(),
        "cautions": [dataclasses.asdict(busy)] if busy else [],
    }


def _full(cell: Cell, rate: float) -> float | None:
    """Core-days of the paper's whole recipe at this rate, where it is one at its size.

    Every other column is of the steps that ran.
    """
    images = budgets.images_of(cell.recipe, cell.model)
    if images is None or cell.image_size != budgets.IMAGE_SIZE:
        return None
    return core_days_at(images, rate)


def learner_of(
    backend: Backend, cell: Cell, task: Task, start: Mapping[str, np.ndarray]
) -> Learner:
    """The network of a task, about to be trained from `start`."""
    return backend.learner(
        task.spec,
        start,
        task.recipe,
        batch_size=batch_size(cell),
        dtype=cell.dtype,
    )


def _train(learner: Learner, task: Task, ledger: Ledger) -> Rows:
    """Every step of the budget; the learning curve on the validation split."""
    ends = np.linspace(0, task.steps, min(EVALUATIONS, task.steps) + 1).round()
    curve: Rows = []
    for first, last in zip(ends.astype(int), ends[1:].astype(int), strict=False):
        take_steps(learner, task, ledger, range(first, last))
        with ledger.excluded():
            losses = learner.losses()
            check_losses(losses, task)
            curve.append(
                {
                    "step": int(last),
                    "images_seen": int(last) * task.loader.batch_size,
                    "train_s": ledger.measured_s,
                    "train_loss": float(np.mean(losses[first:last])),
                    "top1": accuracy(learner, *task.val),
                }
            )
    return curve


def take_steps(learner: Learner, task: Task, ledger: Ledger, steps: range) -> None:
    """These steps, measured, closed by a barrier."""
    with ledger.measured(learner):
        for step in steps:
            with ledger.waiting():
                images, labels = task.loader.batch(step)
            rate = learning_rate(task.recipe, step, task.steps)
            learner.step(images, labels, rate)
        learner.barrier()


def check_losses(losses: Sequence[float], task: Task) -> None:
    """Refuse a run at its first loss that is not finite or beyond the bound."""
    guessing = {
        "softmax": math.log(task.classes),
        "sigmoid": task.classes * math.log(2),
    }[task.recipe.loss]
    for step, loss in enumerate(losses):
        if not loss <= LOSS_BOUND * guessing:  # NaN compares false, too
            raise Diverged(
                f"loss {loss:.4g} at step {step} of {task.steps}, more than "
                f"{LOSS_BOUND:.0f} times that of guessing ({guessing:.3g}); "
                f"lower learning_rate {task.recipe.learning_rate:g}"
            )


def accuracy(learner: Learner, images: Pixels, labels: Classes) -> float:
    """Share of the images whose largest logit is their label's."""
    hits = 0
    for start in range(0, len(images), _EVAL_IMAGES):
        logits = learner.logits(to_float(images[start : start + _EVAL_IMAGES]))
        hits += int(np.sum(logits.argmax(1) == labels[start : start + _EVAL_IMAGES]))
    return hits / len(images)


def _features(learner: Learner, images: Pixels) -> fewshot.Features:
    return np.concatenate(
        [
            learner.features(to_float(images[start : start + _EVAL_IMAGES]))
            for start in range(0, len(images), _EVAL_IMAGES)
        ]
    )


def _baselines(learner: Learner, task: Task) -> Rows:
    """Probes that need no training: raw pixels, and the network as it starts."""
    pixels: Rows = []
    for target in task.targets:
        support = fewshot.raw_pixels(target.support)
        test = fewshot.raw_pixels(target.test)
        pixels += fewshot.rows(target, support, test, "raw_pixels")
    return pixels + _probes(learner, task, "random_init")


def _probes(learner: Learner, task: Task, baseline: str | None) -> Rows:
    """Few-shot rows of the network as it is now."""
    found: Rows = []
    for target in task.targets:
        support = _features(learner, target.support)
        test = _features(learner, target.test)
        found += fewshot.rows(target, support, test, baseline)
    return found


def _results(learner: Learner, task: Task) -> dict[str, Any]:
    """What the trained network achieves on the held-out test split."""
    losses = learner.losses()
    labels = task.test[1]
    return {
        "train_loss": float(np.mean(losses[-max(1, len(losses) // 10) :])),
        "top1": accuracy(learner, *task.test),
        "chance": float(np.bincount(labels).max() / len(labels)),
        "n_eval": len(labels),
        "compile_s": learner.compile_s,
        "compile_cached": learner.compile_cached,
        "weights_sha256": weights.sha256(learner.state_dict()),
    }


def _setting(cell: Cell, task: Task) -> dict[str, Any]:
    """What was trained, on what, for how long."""
    spec, unique = task.spec, len(task.loader.labels)
    seen = task.steps * task.loader.batch_size
    return {
        "family": spec.family,
        "param_count": spec.param_count,
        "macs": spec.macs,
        "tokens": spec.tokens,
        "unique_images": unique,
        "images_seen": seen,
        "epochs": seen / unique,
        "steps": task.steps,
        "pretrain_dataset": cell.dataset,
        "pretrain_image_size": cell.image_size,
        "eval_dataset": cell.dataset,
        "eval_split": "test",
        "eval_preprocess": task.eval_preprocess,
    }
