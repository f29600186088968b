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
from bench.data import Picks, Split, to_float
from bench.data.view import View
from bench.errors import Diverged
from bench.models import noise, weights
from bench.recipes import budgets
from bench.recipes.recipe import Recipe
from bench.recipes.schedule import learning_rate, warmup_steps
from bench.specs import Cell, WorkItem
from bench.timing import cautions
from bench.timing.speed import checked_machine, checked_precision
from bench.training import probing, resident
from bench.training.checkpoint import Keeper
from bench.training.ledger import Clock, Ledger
from bench.training.probing import EVAL_IMAGES
from bench.training.progress import Progress
from bench.training.task import Task, batch_size, prepare
from bench.units import core_days_at

CHECK_EVERY = 100
"""Steps between two looks at the losses: a run that diverged ends soon after."""
LOSS_BOUND = 100.0
"""A run has diverged when its loss is this many times that of guessing."""

Rows = list[dict[str, Any]]


def pretrain(
    item: WorkItem, backend: Backend, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Train the cell, from its initial weights or from where a killed process was.

    Returns:
        The training columns of its row.
    """
    with Keeper(item, backend, clock) as keeper:
        return trained(item, backend, keeper, prepare)


def trained(
    item: WorkItem,
    backend: Backend,
    keeper: Keeper,
    make: Callable[[Cell], Task],
) -> dict[str, Any]:
    """Train from the weights of the task that `make` prepares, which is not measured.

    Fine-tuning starts elsewhere and is otherwise the same.
    """
    cell, ledger = item.cell, keeper.ledger
    host = checked_machine(item, backend)
    with ledger.excluded():
        precision = checked_precision(backend, cell.dtype)
        task = resident.fed(make(cell), backend, cell, item.effort.input)
        learner = learner_of(backend, cell, task, task.weights)
        progress = keeper.restore(learner, task.spec)
        progress.selects = cell.best_of is not None
        if progress.baselines is None:
            fresh = learner
            if task.targets and task.fresh is not None:
                fresh = learner_of(backend, cell, task, task.fresh)
            progress.baselines = probing.baselines(fresh, task)
    load_before, others = machine.load_average(), machine.OthersLoad()
    _train(learner, task, keeper, progress, cell.best_of or item.effort.evaluations)
    task.loader.close()
    busy = cautions.host_load(others.cores(), cores.usable().count)
    with ledger.excluded():
        progress.put_best(learner)
        results = _results(learner, task)
        probes = probing.probes(learner, task, None) + progress.baselines
        if item.keep_weights is not None:
            weights.save_file(item.keep_weights, learner.state_dict())
    seen = task.steps * task.loader.batch_size
    account = ledger.columns(cores=host.cores, images_seen=seen)
    peak, method = backend.peak_memory()
    return {
        **_setting(cell, task),
        **results,
        **progress.columns(task),
        **account,
        **keeper.columns(),
        "core_days_extrapolated": _full(cell, account["train_img_per_sec_core"]),
        "train_input": item.effort.input,
        "curve": progress.curve,
        "fewshot": probes or None,
        "effective_precision": precision,
        "peak_memory_bytes": peak,
        "peak_memory_method": method,
        "load_before": load_before,
        "load_after": machine.load_average(),
        "cautions": keeper.cautions() + ([dataclasses.asdict(busy)] if busy else []),
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


def _train(
    learner: Learner, task: Task, keeper: Keeper, progress: Progress, evaluations: int
) -> None:
    """Every step that is left; the learning curve on the validation split."""
    ends = np.linspace(0, task.steps, min(evaluations, task.steps) + 1).round()
    for first, last in zip(ends.astype(int), ends[1:].astype(int), strict=False):
        while progress.step < last:
            progress.step = take_steps(
                learner, task, keeper, range(progress.step, last)
            )
            if progress.step == last:
                with keeper.ledger.excluded():
                    point = _point(learner, task, keeper.ledger, int(first), int(last))
                    progress.note(point, learner)
            if keeper.is_due(progress.step):
                progress.count_skips(task)
                keeper.save(learner, progress)


def _point(
    learner: Learner, task: Task, ledger: Ledger, first: int, last: int
) -> dict[str, Any]:
    """The learning curve after `last` steps."""
    losses = learner.losses()
    check_losses(losses, task)
    return {
        "step": last,
        "images_seen": last * task.loader.batch_size,
        "train_s": ledger.measured_s,
        "train_loss": float(np.mean(losses[first:last])),
        "top1": accuracy(learner, task.val),
        "fewshot": probing.curve_point(learner, task),
    }


def take_steps(learner: Learner, task: Task, keeper: Keeper, steps: range) -> int:
    """Steps until the range is done or a checkpoint is due; how many are done now."""
    with keeper.ledger.measured(learner):
        for step in steps:
            with keeper.ledger.waiting():
                images, labels = (task.batches or task.loader.batch)(step)
            rate = learning_rate(task.recipe, step, task.steps)
            key = noise.key(task.loader.seed, step) if task.recipe.noisy else None
            learner.step(images, labels, rate, key)
            keeper.stepped(learner, step + 1)
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                recent = learner.losses()[-CHECK_EVERY:]
                check_losses(recent, task, step + 1 - len(recent))
            if keeper.is_due(step + 1):
                break
        learner.barrier()
    return step + 1


def check_losses(losses: Sequence[float], task: Task, first: int = 0) -> None:
    """Refuse a run at its first loss that is not finite or beyond the bound.

    `first` is the step that the first of these losses belongs to.
    """
    guessing = guessing_loss(task.recipe, task.classes)
    for step, loss in enumerate(losses, start=first):
        if not loss <= LOSS_BOUND * guessing:  # NaN compares false, too
            raise Diverged(
                f"loss {loss:.4g} at step {step} of {task.steps}, more than "
                f"{LOSS_BOUND:.0f} times that of guessing ({guessing:.3g}); "
                f"lower learning_rate {task.recipe.learning_rate:g}"
            )


def guessing_loss(recipe: Recipe, classes: int) -> float:
    """The loss of an untrained network: its logits are all the bias of the head."""
    if recipe.loss == "softmax":
        return math.log(classes)
    return classes * math.log1p(math.exp(recipe.head_bias)) - recipe.head_bias


def accuracy(learner: Learner, view: View) -> float:
    """Share of the images whose largest logit is their label's."""
    guessed, positions = predictions(learner, view)
    return float(np.mean(guessed == view.split.labels[positions]))


def predictions(learner: Learner, view: View) -> tuple[Picks, Picks]:
    """The class of the largest logit, and the position in the split, image by image.

    Raises:
        Diverged: a logit is not a number. Every loss is taken before its update, so
            that the last one can spoil the weights without any loss telling.
    """
    parts = []
    for images, positions in view.batches(EVAL_IMAGES):
        logits = learner.logits(to_float(images))
        if not np.isfinite(logits).all():
            raise Diverged(
                f"a logit is not finite after step {len(learner.losses()) - 1}; "
                "lower learning_rate"
            )
        parts.append((logits.argmax(1), positions))
    guessed, positions = (np.concatenate(kind) for kind in zip(*parts, strict=True))
    return guessed, positions


def _results(learner: Learner, task: Task) -> dict[str, Any]:
    """What the trained network achieves on the held-out test split."""
    losses = learner.losses()
    guessed, positions = predictions(learner, task.test)
    return {
        "train_loss": float(np.mean(losses[-max(1, len(losses) // 10) :])),
        **scores(guessed, positions, task.test.split),
        "compile_s": learner.compile_s,
        "compile_cached": learner.compile_cached,
        "weights_sha256": weights.sha256(learner.state_dict()),
    }


def scores(guessed: Picks, positions: Picks, split: Split) -> dict[str, Any]:
    """Accuracy by the split's own labels and, where it has them, by ReaL's.

    An image with no right label in ReaL leaves its numerator and denominator.
    """
    labels = split.labels[positions]
    found: dict[str, Any] = {
        "top1": float(np.mean(guessed == labels)),
        "chance": float(np.bincount(labels).max() / len(labels)),
        "n_eval": len(labels),
    }
    if split.accepted is not None:
        right = [split.accepted[position] for position in positions]
        hits = [one in kept for one, kept in zip(guessed, right, strict=True) if kept]
        found["n_eval_real"] = len(hits)
        found["real_top1"] = float(np.mean(hits)) if hits else None
    return found


def _setting(cell: Cell, task: Task) -> dict[str, Any]:
    """What was trained, on what, for how long."""
    spec = task.spec
    seen = task.steps * task.loader.batch_size
    return {
        "family": spec.family,
        "param_count": spec.param_count,
        "macs": spec.macs,
        "tokens": spec.tokens,
        "images_seen": seen,
        "steps": task.steps,
        "warmup_steps_taken": warmup_steps(task.recipe, task.steps),
        "pretrain_dataset": task.dataset.name,
        "pretrain_image_size": cell.image_size,
        "eval_dataset": task.dataset.name,
        "eval_split": task.dataset.test_split,
        "eval_preprocess": task.eval_preprocess,
    }
