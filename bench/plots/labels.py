"""Direct labels that keep clear of each other, of the markers and of the frame.

A small deterministic placer: each label tries fixed positions around its point, near
ones first, and takes the first that is free; a label that had to move away gets a
leader line. The same points give the same picture.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
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


@dataclass(frozen=True)
class Box:
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

    def shared(self, others: Sequence[Box]) -> float:
        """Sum of the areas shared with `others`, square pixels."""
        return sum(self.overlap(other) for other in others)

    def holds(self, x: float, y: float) -> bool:
        """Whether the point lies inside."""
        return self.left <= x <= self.right and self.bottom <= y <= self.top

    def outside(self, frame: Box) -> float:
        """Area that lies outside `frame`, square pixels."""
        area = (self.right - self.left) * (self.top - self.bottom)
        return area - self.overlap(frame)


@dataclass(frozen=True)
class _Taken:
    """What a new label must keep clear of; a path may be crossed if need be."""

    markers: list[Box]
    paths: list[Box]
    labels: list[Box]


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y), in data coordinates."""

    x: float
    y: float
    text: str


def settle(figure: Figure) -> None:
    """Run the layout once and freeze it, so that pixels can be counted."""
    figure.draw_without_rendering()
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
        markers=[_marker(axes, spot, scale) for spot in spots],
        paths=[box for path in paths for box in _along(axes, path)],
        labels=[],
    )
    for label in sorted(set(labels), key=lambda item: (-item.y, item.x, item.text)):
        offset, box = _best(axes, label, taken, frame)
        taken.labels.extend([box, *_leader(axes, label, offset)])
        _write(axes, label, offset)


def at_line_ends(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels in a column right of the last point, in the order of their lines.

    Lines that end far to the left of the others have a column of their own there, if
    it crosses no line.
    """
    parts = _apart(axes, sorted(set(labels), key=_x))
    columns = [_column(axes, part) for part in parts]
    early = [box for column in columns[:-1] for _, _, box in column]
    paths = _drawn(axes) if early else []
    if any(box.shared(paths) for box in early):
        columns = [_column(axes, labels)]
    for label, offset, _ in itertools.chain.from_iterable(columns):
        _write(axes, label, offset)


def _drawn(axes: Axes) -> list[Box]:
    """The lines of the data; one across the whole panel is in no label's way."""
    lines = [one for one in axes.get_lines() if one.get_transform() is axes.transData]
    paths = (
        [(float(x), float(y)) for x, y in np.asarray(one.get_xydata())] for one in lines
    )
    return [box for path in paths for box in _along(axes, path)]


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
    from scipy.optimize import isotonic_regression  # late: 0.2 s, and few need it

    if not labels:
        return []
    scale = _pixels_per_point(axes)
    ordered = sorted(set(labels), key=lambda item: (-item.y, item.text))
    ends = [axes.transData.transform((label.x, label.y)) for label in ordered]
    gap = max(_size(axes, label.text)[1] for label in ordered)
    steps = gap * np.arange(len(ordered))
    heights = isotonic_regression([y for _, y in ends] + steps, increasing=False).x
    left = max(x for x, _ in ends) + _COLUMN_PT * scale
    made = []
    for label, (x, y), height in zip(ordered, ends, heights - steps, strict=True):
        wide = _size(axes, label.text)[0]
        box = Box(left, height - gap / 2, left + wide, height + gap / 2)
        made.append((label, ((left - x) / scale, (height - y) / scale), box))
    return made


def _best(axes: Axes, label: Label, taken: _Taken, frame: Box) -> tuple[Spot, Box]:
    """The cheapest position and its box: near the point and free of what is taken."""
    wide, high = _size(axes, label.text)
    scale = _pixels_per_point(axes)
    x, y = axes.transData.transform((label.x, label.y))
    others = [m for m in taken.markers if not m.holds(x, y)]
    best: tuple[float, Spot, Box] | None = None
    for dx, dy in _offsets():
        cost = math.hypot(dx, dy)
        if best is not None and cost >= best[0]:
            break  # offsets only grow, so nothing further can be cheaper
        left = x + dx * scale - (0 if dx > 0.5 else wide if dx < -0.5 else wide / 2)
        middle = y + dy * scale
        box = Box(left, middle - high / 2, left + wide, middle + high / 2)
        cost += 50 * box.outside(frame) + 1.2 * box.shared(taken.paths)
        cost += 5 * (box.shared(taken.labels) + box.shared(taken.markers))
        for part in _leader(axes, label, (dx, dy)):
            cost += 15 * (part.shared(taken.labels) + part.shared(others))
        if best is None or cost < best[0] - 1e-6:
            best = (cost, (dx, dy), box)
    assert best is not None  # the list of offsets is never empty
    return best[1], best[2]


def _offsets() -> Iterator[Spot]:
    """Where a label's near edge may stand, in points from its point."""
    for radius in _RADII_PT:
        for angle in _ANGLES:
            turn = math.radians(angle)
            yield round(radius * math.cos(turn), 3), round(radius * math.sin(turn), 3)


def _size(axes: Axes, text: str) -> tuple[float, float]:
    probe = axes.text(0, 0, text, fontsize=SMALL_PT)
    extent = probe.get_window_extent()
    probe.remove()
    return extent.width + 5, extent.height + 1


def _marker(axes: Axes, spot: Spot, scale: float) -> Box:
    x, y = axes.transData.transform(spot)
    half = _MARKER_PT * scale
    return Box(x - half, y - half, x + half, y + half)


def _leader(axes: Axes, label: Label, offset: Spot) -> list[Box]:
    if math.hypot(*offset) < _LEADER_PT:
        return []
    scale = _pixels_per_point(axes)
    x, y = axes.transData.transform((label.x, label.y))
    return _thin([(x, y), (x + offset[0] * scale, y + offset[1] * scale)])


def _along(axes: Axes, path: Sequence[Spot]) -> list[Box]:
    return _thin([tuple(axes.transData.transform(point)) for point in path])


def _thin(path: Sequence[Spot]) -> list[Box]:
    """A path as a row of small boxes, one every three pixels."""
    boxes = []
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        steps = max(2, int(math.hypot(x1 - x0, y1 - y0) / 3))
        for part in np.linspace(0, 1, steps):
            x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
            boxes.append(Box(x - 1, y - 1, x + 1, y + 1))
    return boxes


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
