"""Rectangles and straight lines on the canvas, many at once: what touches what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

Spot = tuple[float, float]
Boxes = Float[np.ndarray, "boxes 4"]
"""Rectangles as rows of left, bottom, right, top: counted all at once."""
Lines = Float[np.ndarray, "lines 4"]
"""Straight lines as rows of x and y of the start, x and y of the end."""


class Box(NamedTuple):
    """A rectangle on the canvas, in pixels."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Shared area, square pixels."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(wide, 0.0) * max(high, 0.0)

    def outside(self, frame: Box) -> float:
        """Area that lies outside `frame`, square pixels."""
        area = (self.right - self.left) * (self.top - self.bottom)
        return area - self.overlap(frame)


def shared(boxes: Boxes, others: Boxes) -> float:
    """Sum of the areas that every one of `boxes` shares with every other."""
    return float(areas(boxes, others).sum())


def areas(boxes: Boxes, others: Boxes) -> Float[np.ndarray, "boxes others"]:
    """The area that each of `boxes` shares with each other one."""
    left, bottom, right, top = (side[:, None] for side in boxes.T)
    sides = others.T
    wide = np.minimum(right, sides[2]) - np.maximum(left, sides[0])
    high = np.minimum(top, sides[3]) - np.maximum(bottom, sides[1])
    return np.asarray(np.maximum(wide, 0.0) * np.maximum(high, 0.0))


def gaps(
    boxes: Boxes, spots: Float[np.ndarray, "spots 2"]
) -> Float[np.ndarray, "boxes spots"]:
    """The distance of each box to each spot, 0 inside."""
    left, bottom, right, top = (side[:, None] for side in boxes.T)
    x, y = spots.T
    wide = np.maximum(np.maximum(left - x, x - right), 0.0)
    high = np.maximum(np.maximum(bottom - y, y - top), 0.0)
    return np.asarray(np.hypot(wide, high))


def cuts(lines: Lines, boxes: Boxes) -> Bool[np.ndarray, "lines boxes"]:
    """Which line enters which box: it is inside both of its strips at once."""
    enters, leaves = np.zeros((len(lines), 1)), np.ones((len(lines), 1))
    for axis in (0, 1):
        start = lines[:, axis, None]
        along = lines[:, axis + 2, None] - start
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)  # parallel: in it or never
        one, two = (
            (boxes[:, axis] - start) / along,
            (boxes[:, axis + 2] - start) / along,
        )
        enters = np.maximum(enters, np.minimum(one, two))
        leaves = np.minimum(leaves, np.maximum(one, two))
    return np.asarray(enters < leaves)


def crossings(lines: Lines, others: Lines) -> Float[np.ndarray, " lines"]:
    """How many of `others` each line crosses: each parts the ends of the other."""
    if not len(others):
        return np.zeros(len(lines))
    apart = _parts(lines[:, None], others[None]) & _parts(others[None], lines[:, None])
    return np.asarray(apart.sum(axis=1), dtype=float)


def _parts(line: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether the ends of `other` lie on two sides of `line`."""
    step = line[..., 2:] - line[..., :2]
    sides = [
        step[..., 0] * (other[..., at + 1] - line[..., 1])
        - step[..., 1] * (other[..., at] - line[..., 0])
        for at in (0, 2)
    ]
    return np.asarray(sides[0] * sides[1] < 0)


def together(parts: Iterable[Boxes]) -> Boxes:
    """All of them in one array, which may be empty."""
    return np.concatenate([np.empty((0, 4)), *parts])


def thin(path: Sequence[Spot]) -> Boxes:
    """A path as a row of small boxes, one every three pixels."""
    parts = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        along = np.linspace(0, 1, max(2, int(math.hypot(x1 - x0, y1 - y0) / 3)))
        x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
        parts.append(np.stack([x - 1, y - 1, x + 1, y + 1], axis=1))
    return together(parts)
