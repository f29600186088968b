"""What a training cell needs before its first step: data, network, weights, budget."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from bench import data, models
from bench.backend import Weights
from bench.data import Dataset, Picks, Pixels, augment, folders, shuffle, subset
from bench.data.loader import Loader, Stored
from bench.data.view import View, whole
from bench.errors import StudyError
from bench.models import ModelSpec, weights
from bench.models.spec import PatchSpec
from bench.recipes.recipe import Recipe, of_cell
from bench.specs import Cell
from bench.training import fewshot

Permutation = Int64[np.ndarray, "pixels"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A training cell, ready to run."""

    spec: ModelSpec
    weights: Weights
    recipe: Recipe
    loader: Loader
    steps: int
    val: View
    test: View
    targets: tuple[fewshot.Target, ...]
    dataset: Dataset
    eval_preprocess: str
    fresh: Weights | None = None
    """Initial weights of the network, where training starts from others."""
    batches: Callable[[int], tuple[Any, Any]] | None = None
    """Images and labels of a step, where they are on the device; else the loader's."""

    @property
    def classes(self) -> int:
        return self.dataset.classes


def prepare(cell: Cell) -> Task:
    """Draw the subset, make its images, shuffle them all alike, draw the weights."""
    dataset = data.load(_name(cell), cell.image_size, folders.source_of(cell))
    spec = models.spec_of_cell(cell, num_classes=dataset.classes)
    pixels = permutation(cell, spec)
    picks = _picks(cell, dataset)
    loader = _loader(cell, dataset, picks, pixels)
    return Task(
        spec=spec,
        weights=weights.initial(spec, cell.seed, cell.head_bias),
        recipe=of_cell(cell),
        loader=loader,
        steps=total_steps(cell, len(loader.labels)),
        val=whole(dataset.val, cell.image_size, pixels),
        test=whole(dataset.test, cell.image_size, pixels),
        targets=tuple(_target(name, cell, pixels) for name in folders.probes_of(cell)),
        dataset=dataset,
        eval_preprocess=_preprocess(dataset, cell),
    )


def dev_task(cell: Cell, task: Task) -> Task:
    """The same task with its training images split in two, to choose a setting on.

    A stratified `dev_fraction` of them becomes `val`; the rest is trained on. The
    reported test split is not in it.
    """
    picks = _picks(cell, task.dataset)
    labels = task.dataset.train.labels[picks]
    order = subset.order(labels, "stratified", cell.subset_seed)
    held = max(1, round(cell.dev_fraction * len(picks)))
    if held >= len(picks):
        raise StudyError(
            f"dev_fraction {cell.dev_fraction:g} of {len(picks)} training images "
            "leaves none to train on; lower it or give one learning_rate"
        )
    dev, rest = np.sort(picks[order[:held]]), np.sort(picks[order[held:]])
    pixels = permutation(cell, task.spec)
    val = View(
        split=task.dataset.train, picks=dev, image_size=cell.image_size, pixels=pixels
    )
    return dataclasses.replace(
        task,
        loader=_loader(cell, task.dataset, rest, pixels),
        val=val,
        test=dataclasses.replace(task.test, picks=dev[:0]),
    )


def _picks(cell: Cell, dataset: Dataset) -> data.Picks:
    """Positions of the cell's training images."""
    return subset.choose(
        dataset.train.labels,
        cell.subset,
        examples=cell.data_examples,
        fraction=cell.data_fraction,
        seed=cell.subset_seed,
    )


def total_steps(cell: Cell, unique_images: int) -> int:
    """The budget in optimiser steps; epochs become whole steps, at least one."""
    if (cell.total_steps is None) == (cell.total_epochs is None):
        raise StudyError(
            f"total_steps {cell.total_steps} and total_epochs {cell.total_epochs}; "
            "give exactly one of them"
        )
    if cell.total_epochs is not None:
        steps = round(cell.total_epochs * unique_images / batch_size(cell))
        return max(1, steps)
    assert cell.total_steps is not None
    if cell.total_steps < 1:
        raise StudyError(f"total_steps {cell.total_steps} is not possible; give 1 up")
    return cell.total_steps


def batch_size(cell: Cell) -> int:
    """Images per step. Training never sweeps: the batch is part of the recipe."""
    if cell.batch_size == "auto":
        raise StudyError(
            f"batch_size 'auto' is for speed modes; give a number for {cell.mode}"
        )
    return cell.batch_size


def permutation(cell: Cell, spec: ModelSpec) -> Permutation | None:
    """The cell's fixed pixel order, one per seed, for every image it ever sees."""
    if cell.shuffle == "none":
        return None
    own = spec.patch_size if isinstance(spec, PatchSpec) else None
    patch = shuffle.patch_for(cell.image_size, own)
    return shuffle.permutation(cell.shuffle, cell.image_size, patch, cell.seed)


def _name(cell: Cell) -> str:
    if cell.dataset is None:
        raise StudyError(f"no dataset; known: {', '.join(data.DATASETS)}")
    return cell.dataset


def _loader(
    cell: Cell, dataset: Dataset, picks: Picks, pixels: Permutation | None
) -> Loader:
    """Images that fit are made now; crops are cut from stored images in their time."""
    split, how = dataset.train, augment.of_cell(cell)
    images: Pixels | Stored = Stored(split=split, picks=picks)
    view = View(split=split, picks=picks, image_size=cell.image_size)
    if view.fits and not (how.cuts and split.fit):
        images, picks = view.everything
    return Loader(
        images=images,
        labels=split.labels[picks],
        batch_size=batch_size(cell),
        seed=cell.seed,
        classes=dataset.classes,
        image_size=cell.image_size,
        how=how,
        pixels=pixels,
    )


def _target(name: str, cell: Cell, pixels: Permutation | None) -> fewshot.Target:
    """A few-shot task, its images treated like those of pre-training."""
    source = folders.probe_source_of(cell, name)
    dataset = data.load(name, cell.image_size, source)
    return fewshot.target_of(
        dataset,
        cell.image_size,
        pixels,
        cell.probe_examples,
        _preprocess(dataset, cell),
    )


def _preprocess(dataset: Dataset, cell: Cell) -> str:
    if cell.shuffle == "none":
        return dataset.eval_preprocess
    return f"{dataset.eval_preprocess}, {cell.shuffle} shuffled"
