"""Few-shot probes of a network that is being trained, and their two baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from bench.backend import Learner
from bench.data import Pixels, shots, to_float
from bench.data.view import View
from bench.training import fewshot
from bench.training.fewshot import Features, Probed, Rows
from bench.training.task import Task

EVAL_IMAGES = 512
"""Images that are evaluated at once, at most."""


def probes(
    learner: Learner,
    task: Task,
    baseline: str | None,
    shots_tried: tuple[int, ...] = shots.SHOTS,
) -> Rows:
    """Few-shot rows of the network as it is now."""
    found: Rows = []
    for target in task.targets:
        support = _of_network(learner, target.support)
        test = _of_network(learner, target.test)
        found += fewshot.rows(target, support, test, baseline, shots_tried)
    return found


def baselines(learner: Learner, task: Task) -> Rows:
    """Probes that need no training: raw pixels, and the network as it starts."""
    pixels: Rows = []
    for target in task.targets:
        support, test = _of_pixels(target.support), _of_pixels(target.test)
        pixels += fewshot.rows(target, support, test, "raw_pixels")
    return pixels + probes(learner, task, "random_init")


def curve_point(learner: Learner, task: Task) -> Rows | None:
    """Linear 5-shot of every target for the learning curve; None without a target."""
    if not task.targets:
        return None
    return fewshot.curve_points(probes(learner, task, None, (fewshot.CURVE_SHOTS,)))


def _of_network(learner: Learner, view: View) -> Probed:
    return _features(view, lambda images: learner.features(to_float(images)))


def _of_pixels(view: View) -> Probed:
    """In their own order: a shuffle changes no least squares, but an average."""
    plain = view if view.pixels is None else dataclasses.replace(view, pixels=None)
    return _features(plain, fewshot.raw_pixels)


def _features(view: View, of: Callable[[Pixels], Features]) -> Probed:
    parts = [(of(images), places) for images, places in view.batches(EVAL_IMAGES)]
    features, places = (np.concatenate(kind) for kind in zip(*parts, strict=True))
    return features, places
