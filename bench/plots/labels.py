"""Direct labels that keep clear of each other, of the markers and of the frame.

A small deterministic placer: each label tries fixed positions around its point, near
ones first, and takes the first that is free; a label that had to move away gets a
leader line. The same points give the same picture.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.style import SMALL_PT

_RADII_PT = (5, 8, 12, 17, 23, 30, 38, 47, 57, 70, 85)
_ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 67, 113, 247, 293)
_LEADER_PT = 9.0
_COLUMN_PT = 12.0
"""From the last point to the column of labels."""
_MARKER_PT = 3.9
"""Half a marker with its edge; a diamond's half diagonal is the largest."""


Spot = tuple[float, float]
Boxes = Float[np.ndarray, "boxes 4"]
"""Rectangles as rows of left, bottom, right, top: counted all at once."""


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


@dataclass(frozen=True)
class _Taken:
    """What a new label must keep clear of; a path may be crossed if need be."""

    markers: Boxes
    paths: Boxes
    labels: Boxes


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y), in data coordinates."""

    x: float
    y: float
    text: str


def settle(figure: Figure) -> None:
    """Run the layout once and freeze it, so that pixels can be counted."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    # None rather than "none": with an engine, even an idle one, matplotlib draws every
    # figure once more before it writes it.
    figure.set_layout_engine(None)


def place(
    axes: Axes,
    labels: Sequence[Label],
    spots: Sequence[Spot],
    paths: Sequence[Sequence[Spot]] = (),
) -> None:
    """Annotate a settled figure, keeping clear of markers at `spots` and of `paths`."""
    scale = _pixels_per_point(axes)
    corners = axes.get_window_extent()
    frame = Box(corners.x0, corners.y0, corners.x1 + 4 * scale, corners.y1 + 2 * scale)
    taken = _Taken(
        markers=_together([_marker(axes, spot, scale) for spot in spots]),
        paths=_together(_along(axes, path) for path in paths),
        labels=_together([]),
    )
    for label in sorted(set(labels), key=lambda item: (-item.y, item.x, item.text)):
        offset, box = _best(axes, label, taken, frame)
        drawn = [taken.labels, np.array([box]), _leader(axes, label, offset)]
        taken = replace(taken, labels=_together(drawn))
        _write(axes, label, offset)


def at_line_ends(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels in a column right of the last point, in the order of their lines.

    Lines that end far to the left of the others have a column of their own there, if
    it crosses no line.
    """
    parts = _apart(axes, sorted(set(labels), key=_x))
    columns = [_column(axes, part) for part in parts]
    early = [np.array([box]) for column in columns[:-1] for _, _, box in column]
    if early and shared(_together(early), _drawn(axes)):
        columns = [_column(axes, labels)]
    for label, offset, _ in itertools.chain.from_iterable(columns):
        _write(axes, label, offset)


def _drawn(axes: Axes) -> Boxes:
    """The lines of the data; one across the whole panel is in no label's way."""
    lines = [one for one in axes.get_lines() if one.get_transform() is axes.transData]
    paths = (
        [(float(x), float(y)) for x, y in np.asarray(one.get_xydata())] for one in lines
    )
    return _together(_along(axes, path) for path in paths)


def _x(label: Label) -> float:
    return label.x


def _apart(axes: Axes, labels: Sequence[Label]) -> list[list[Label]]:
    """Labels, given from left to right, that have room before the next end a line."""
    parts: list[list[Label]] = []
    reach = -math.inf
    room = 2 * _COLUMN_PT * _pixels_per_point(axes)
    for label in labels:
        x = float(axes.transData.transform((label.x, label.y))[0])
        if x > reach:
            parts.append([])
        parts[-1].append(label)
        reach = max(reach, x + _size(axes, label.text)[0] + room)
    return parts


def _column(axes: Axes, labels: Sequence[Label]) -> list[tuple[Label, Spot, Box]]:
    """Each label with its offset and its box.

    Heights are the nearest to the lines' own that keep a text's height between them:
    a least-squares fit under an order constraint.
    """
    if not labels:
        return []
    scale = _pixels_per_point(axes)
    ordered = sorted(set(labels), key=lambda item: (-item.y, item.text))
    ends = [axes.transData.transform((label.x, label.y)) for label in ordered]
    gap = max(_size(axes, label.text)[1] for label in ordered)
    steps = gap * np.arange(len(ordered))
    heights = falling([y for _, y in ends] + steps)
    left = max(x for x, _ in ends) + _COLUMN_PT * scale
    made = []
    for label, (x, y), height in zip(ordered, ends, heights - steps, strict=True):
        wide = _size(axes, label.text)[0]
        box = Box(left, height - gap / 2, left + wide, height + gap / 2)
        made.append((label, ((left - x) / scale, (height - y) / scale), box))
    return made


def falling(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The nearest values, by least squares, that never rise: those that do are pooled.

    scipy has it, at 0.2 s of import for every process that draws.

    >>> falling([3.0, 1.0, 2.0]).tolist()
    [3.0, 1.5, 1.5]
    """
    pools: list[tuple[float, int]] = []  # sum and count of equal values
    for value in values:
        total, count = float(value), 1
        while pools and total * pools[-1][1] > pools[-1][0] * count:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    means = [total / count for total, count in pools]
    return np.repeat(means, [count for _, count in pools])


def _best(axes: Axes, label: Label, taken: _Taken, frame: Box) -> tuple[Spot, Box]:
    """The cheapest position and its box: near the point and free of what is taken."""
    wide, high = _size(axes, label.text)
    scale = _pixels_per_point(axes)
    x, y = axes.transData.transform((label.x, label.y))
    others = taken.markers[~_holding(taken.markers, x, y)]
    best: tuple[float, Spot, Box] | None = None
    for dx, dy in _offsets():
        cost = math.hypot(dx, dy)
        if best is not None and cost >= best[0]:
            break  # offsets only grow, so nothing further can be cheaper
        left = x + dx * scale - (0 if dx > 0.5 else wide if dx < -0.5 else wide / 2)
        middle = y + dy * scale
        box = Box(left, middle - high / 2, left + wide, middle + high / 2)
        own, leader = np.array([box]), _leader(axes, label, (dx, dy))
        cost += 50 * box.outside(frame) + 1.2 * shared(own, taken.paths)
        cost += 5 * (shared(own, taken.labels) + shared(own, taken.markers))
        cost += 15 * (shared(leader, taken.labels) + shared(leader, others))
        if best is None or cost < best[0] - 1e-6:
            best = (cost, (dx, dy), box)
    assert best is not None  # the list of offsets is never empty
    return best[1], best[2]


def shared(boxes: Boxes, others: Boxes) -> float:
    """Sum of the areas that every one of `boxes` shares with every other."""
    one, two = boxes[:, None, :], others[None, :, :]
    sides = np.minimum(one[..., 2:], two[..., 2:])
    sides = sides - np.maximum(one[..., :2], two[..., :2])
    return float(np.maximum(sides, 0.0).prod(axis=-1).sum())


def _together(parts: Iterable[Boxes]) -> Boxes:
    return np.concatenate([np.empty((0, 4)), *parts])


def _holding(boxes: Boxes, x: float, y: float) -> Bool[np.ndarray, " boxes"]:
    left, bottom, right, top = boxes.T
    inside = (left <= x) & (x <= right) & (bottom <= y) & (y <= top)
    return np.asarray(inside)


@functools.cache
def _offsets() -> list[Spot]:
    """Where a label's near edge may stand, in points from its point."""
    return [
        (round(radius * math.cos(turn), 3), round(radius * math.sin(turn), 3))
        for radius in _RADII_PT
        for turn in map(math.radians, _ANGLES)
    ]


def _size(axes: Axes, text: str) -> tuple[float, float]:
    probe = axes.text(0, 0, text, fontsize=SMALL_PT)
    extent = probe.get_window_extent()
    probe.remove()
    return extent.width + 5, extent.height + 1


def _marker(axes: Axes, spot: Spot, scale: float) -> Boxes:
    x, y = axes.transData.transform(spot)
    half = _MARKER_PT * scale
    return np.array([(x - half, y - half, x + half, y + half)])


def _leader(axes: Axes, label: Label, offset: Spot) -> Boxes:
    if math.hypot(*offset) < _LEADER_PT:
        return _together([])
    scale = _pixels_per_point(axes)
    x, y = axes.transData.transform((label.x, label.y))
    return _thin([(x, y), (x + offset[0] * scale, y + offset[1] * scale)])


def _along(axes: Axes, path: Sequence[Spot]) -> Boxes:
    return _thin([tuple(axes.transData.transform(point)) for point in path])


def _thin(path: Sequence[Spot]) -> Boxes:
    """A path as a row of small boxes, one every three pixels."""
    parts = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        along = np.linspace(0, 1, max(2, int(math.hypot(x1 - x0, y1 - y0) / 3)))
        x, y = x0 + along * (x1 - x0), y0 + along * (y1 - y0)
        parts.append(np.stack([x - 1, y - 1, x + 1, y + 1], axis=1))
    return _together(parts)


def _write(axes: Axes, label: Label, offset: Spot) -> None:
    dx, dy = offset
    far = math.hypot(dx, dy) >= _LEADER_PT
    axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=offset,
        textcoords="offset points",
        ha="left" if dx > 0.5 else "right" if dx < -0.5 else "center",
        va="center",
        fontsize=SMALL_PT,
        color="#222222",
        arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "#777777", "shrinkA": 0,
                    "shrinkB": 2} if far else None,
        gid="label",
        zorder=4,
    )  # fmt: skip


def _pixels_per_point(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi) / 72
