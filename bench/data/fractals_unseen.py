"""Fractal classes that pre-training never saw: a few-shot target."""

from __future__ import annotations

from bench.data import Dataset, fractals

FIRST_CLASS = 1_000


def build(image_size: int) -> Dataset:
    """Ten other classes, made like those of `fractals`."""
    return fractals.of_classes("fractals-unseen", image_size, first_class=FIRST_CLASS)
