"""Where a training's images wait: on the host, or as bytes on the device.

The device holds the same bytes in the same order and takes out the same batches, so
that a run has the same losses either way, bit for bit. Only images that nothing random
is done to can stay there; `feasible` refuses others when the study is read.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from bench.backend import Backend
from bench.data import shuffle, to_float
from bench.feasible import check_input
from bench.specs import Cell
from bench.training.task import Task, batch_size


def fed(task: Task, backend: Backend, cell: Cell, how: str) -> Task:
    """The task, its training images put where the study wants them."""
    if how == "host":
        return task
    check_input(cell, how)
    loader = task.loader
    images = loader.images
    assert isinstance(images, np.ndarray), "what fits is held, as was checked"
    if loader.pixels is not None:
        images = shuffle.apply(images, loader.pixels)
    every = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1).repeat(3, axis=3)
    floats = to_float(every)[:, 0, 0, 0]
    if cell.dtype == "float64":
        floats = floats.astype(np.float64)
    held = backend.hold(images, loader.labels, floats, batch_size(cell))
    return dataclasses.replace(
        task, batches=lambda step: held.batch(loader.picks(step))
    )
