"""What a whole cell must satisfy, checked before anything runs: pure, no framework.

Each field of a study is checked where it is read; here stands what only the
combination can tell. Every refusal is one line.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from bench import data, models, probe
from bench.analysis.ablations import PAPERS
from bench.data import (
    Dataset,
    Picks,
    augment,
    folders,
    shots,
    shuffle,
    stream,
    subset,
    view,
)
from bench.errors import StudyError
from bench.models.spec import PatchSpec
from bench.recipes import recipe, schedule
from bench.recipes.finetuning import rates_of
from bench.recipes.recipe import of_cell
from bench.specs import TRAINING_MODES, Cell, Effort

_ONE_OF = (("total_steps", "total_epochs"), ("data_examples", "data_fraction"))


def check(cell: Cell) -> None:
    """Refuse a cell that cannot run.

    Raises:
        StudyError: the model, the sweep, the data or the budget does not fit.
    """
    spec = models.spec_of_cell(cell, num_classes=cell.num_classes)
    for key, value in PAPERS.items():
        if cell.peer is not None and getattr(cell, key) != value:
            raise StudyError(
                f"{key}: {str(getattr(cell, key)).lower()}: peer {cell.peer} has no "
                "such network; leave one of them out"
            )
    if cell.batch_size == "auto" and cell.sweep_min > cell.sweep_max:
        raise StudyError(f"sweep_min: {cell.sweep_min}: is larger than sweep_max")
    if cell.mode != "infer":
        probe.check_trainable(cell.dtype)
    if cell.mode in TRAINING_MODES:
        _check_keys(cell)
        _check_budget(cell)
        _check_probes(cell)
        if cell.mode == "finetune":
            _check_search(cell)
        if cell.shuffle != "none":
            own = spec.patch_size if isinstance(spec, PatchSpec) else None
            shuffle.patch_for(cell.image_size, own)


def _check_keys(cell: Cell) -> None:
    if cell.dataset is None:
        raise StudyError(f"dataset: is missing; known: {', '.join(data.DATASETS)}")
    if cell.batch_size == "auto":
        raise StudyError(f"batch_size: mode {cell.mode} needs a number, not auto")
    for first, second in _ONE_OF:
        if None not in (getattr(cell, first), getattr(cell, second)):
            raise StudyError(f"{first}: and {second} are both given; keep one")
    if cell.total_steps is None and cell.total_epochs is None:
        raise StudyError("total_steps: is missing (or total_epochs)")
    if cell.data_fraction is not None and cell.data_fraction > 1:
        raise StudyError(f"data_fraction: {cell.data_fraction}: must be at most 1")


def check_effort(cells: Sequence[Cell], effort: Effort) -> None:
    """What a study's settings ask for can be done to its cells.

    Raises:
        StudyError: it cannot; the line says why.
    """
    for cell in cells:
        check_input(cell, effort.input)
    if effort.keep_weights and not any(c.mode in TRAINING_MODES for c in cells):
        raise StudyError(
            "keep_weights: true: no grid has mode pretrain or finetune, which alone "
            "change weights; remove it"
        )


def check_input(cell: Cell, how: str) -> None:
    """Images can stay on the device where nothing random is done to them.

    Raises:
        StudyError: they cannot; the line says why.
    """
    if how == "host":
        return
    if cell.mode not in TRAINING_MODES:
        raise StudyError(
            f"input: {how}: is for training; mode {cell.mode} times one resident "
            "batch anyway; remove it"
        )
    if augment.of_cell(cell) != augment.Augmentation():
        keys = "augment, randaugment_layers or mixup"
        raise StudyError(
            f"input: {how}: {cell.model} has {keys}, which the host does to each batch "
            "anew; say input: host, or leave those out"
        )
    dataset, picks = _chosen(cell)
    chosen = view.View(split=dataset.train, picks=picks, image_size=cell.image_size)
    if not chosen.fits:
        raise StudyError(
            f"input: {how}: {len(picks):,} images of {cell.image_size} px take more "
            f"than {view.RESIDENT_BYTES:,} bytes; say input: host"
        )


def _check_search(cell: Cell) -> None:
    """The learning rates that a finetune cell tries are rates, and the only ones."""
    try:
        rates = rates_of(cell)
    except ValueError:
        rates = (-1.0,)
    if not all(0 < rate < float("inf") for rate in rates):
        raise StudyError(
            f"learning_rates: {cell.learning_rates}: must be numbers above 0 joined by "
            "+, as in 0.003+0.01+0.03"
        )
    if cell.dev_fraction >= 1:
        raise StudyError(f"dev_fraction: {cell.dev_fraction}: must be below 1")


def _check_budget(cell: Cell) -> None:
    """The subset can be drawn, and the warm-up fits into the steps."""
    assert isinstance(cell.batch_size, int)
    dataset, picks = _chosen(cell)
    _check_reader(cell, dataset, picks)
    steps = cell.total_steps
    if steps is None:
        assert cell.total_epochs is not None
        steps = max(1, round(cell.total_epochs * len(picks) / cell.batch_size))
    if cell.best_of is not None and cell.best_of > steps:
        raise StudyError(
            f"best_of: {cell.best_of}: a run of {steps} steps has no more looks than "
            f"steps; give 1 to {steps}"
        )
    asked = of_cell(cell)
    recipe.check(asked, cell.batch_size)
    schedule.boundaries(asked)
    schedule.warmup_steps(asked, steps)


def _chosen(cell: Cell) -> tuple[Dataset, Picks]:
    """The cell's data set, and its training images."""
    dataset = _dataset(cell.dataset, cell.image_size, folders.source_of(cell))
    picks = subset.choose(
        dataset.train.labels,
        cell.subset,
        examples=cell.data_examples,
        fraction=cell.data_fraction,
        seed=cell.subset_seed,
    )
    return dataset, picks


def _check_reader(cell: Cell, dataset: Dataset, picks: Picks) -> None:
    """The augmentation makes sense, and what reads ahead is there if it is needed."""
    how = augment.of_cell(cell)
    chosen = view.View(split=dataset.train, picks=picks, image_size=cell.image_size)
    if cell.dataset in data.ON_DISK or how.per_image or not chosen.fits:
        stream.check_installed()


def _check_probes(cell: Cell) -> None:
    """Every few-shot target has enough images of each class."""
    for name in folders.probes_of(cell):
        source = folders.probe_source_of(cell, name)
        if source is not None:
            stream.check_installed()
        try:
            shots.check(_dataset(name, cell.image_size, source), cell.probe_examples)
        except StudyError as error:
            raise StudyError(f"probe: {name}: {error}") from error


@functools.lru_cache(maxsize=8)
def _dataset(name: str | None, image_size: int, source: data.Source | None) -> Dataset:
    return data.load(str(name), image_size, source)
