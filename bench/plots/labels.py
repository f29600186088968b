"""Direct labels that keep clear of each other, of the markers and of the frame.

A small deterministic placer: each label tries fixed positions around its point, near
ones first, and takes the first that is free; a label that had to move away gets a
leader line. The same points give the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.plots.style import SMALL_PT

_RADII_PT = (5, 8, 12, 17, 23, 30, 38, 47, 57, 70, 85)
_ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 67, 113, 247, 293)
_LEADER_PT = 9.0
_MARKER_PT = 3.2


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

    def outside(self, frame: Box) -> float:
        """Area that lies outside `frame`, square pixels."""
        area = (self.right - self.left) * (self.top - self.bottom)
        return area - self.overlap(frame)


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y), in data coordinates."""

    x: float
    y: float
    text: str


def settle(figure: Figure) -> None:
    """Run the layout once and freeze it, so that pixels can be counted."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def place(
    axes: Axes, labels: Sequence[Label], lines: Sequence[tuple[float, float]] = ()
) -> None:
    """Annotate the points of a settled figure; `lines` is a path to keep clear of."""
    scale = _pixels_per_point(axes)
    corners = axes.get_window_extent()
    frame = Box(corners.x0, corners.y0, corners.x1 + 4 * scale, corners.y1 + 2 * scale)
    taken = [_marker(axes, label, scale) for label in labels]
    taken += _along(axes, lines)
    for label in sorted(set(labels), key=lambda item: (-item.y, item.x, item.text)):
        offset, box = _best(axes, label, taken, frame, scale)
        taken.append(box)
        taken += _leader(axes, label, offset, scale)
        _write(axes, label, offset)


def _best(
    axes: Axes, label: Label, taken: Sequence[Box], frame: Box, scale: float
) -> tuple[tuple[float, float], Box]:
    wide, high = _size(axes, label.text)
    x, y = axes.transData.transform((label.x, label.y))
    best: tuple[float, tuple[float, float], Box] | None = None
    for dx, dy in _offsets():
        centre_x = x + dx * scale + math.copysign(wide / 2, dx) * (abs(dx) > 0.5)
        centre_y = y + dy * scale
        box = Box(
            centre_x - wide / 2, centre_y - high / 2,
            centre_x + wide / 2, centre_y + high / 2,
        )  # fmt: skip
        cost = sum(box.overlap(other) for other in taken) + 4 * box.outside(frame)
        if best is None or cost < best[0] - 1e-6:
            best = (cost, (dx, dy), box)
        if cost <= 1e-6:
            break
    assert best is not None  # the list of offsets is never empty
    return best[1], best[2]


def _offsets() -> Iterator[tuple[float, float]]:
    """Where a label's near edge may stand, in points from its point."""
    for radius in _RADII_PT:
        for angle in _ANGLES:
            turn = math.radians(angle)
            yield round(radius * math.cos(turn), 3), round(radius * math.sin(turn), 3)


def _size(axes: Axes, text: str) -> tuple[float, float]:
    probe = axes.text(0, 0, text, fontsize=SMALL_PT)
    figure = axes.get_figure(root=True)
    assert figure is not None and isinstance(figure.canvas, FigureCanvasAgg)
    extent = probe.get_window_extent(figure.canvas.get_renderer())
    probe.remove()
    return extent.width, extent.height


def _marker(axes: Axes, label: Label, scale: float) -> Box:
    x, y = axes.transData.transform((label.x, label.y))
    half = _MARKER_PT * scale
    return Box(x - half, y - half, x + half, y + half)


def _leader(
    axes: Axes, label: Label, offset: tuple[float, float], scale: float
) -> list[Box]:
    if math.hypot(*offset) < _LEADER_PT:
        return []
    x, y = axes.transData.transform((label.x, label.y))
    return _thin([(x, y), (x + offset[0] * scale, y + offset[1] * scale)])


def _along(axes: Axes, path: Sequence[tuple[float, float]]) -> list[Box]:
    return _thin([tuple(axes.transData.transform(point)) for point in path])


def _thin(path: Sequence[tuple[float, float]]) -> list[Box]:
    """A path as a row of small boxes, one every three pixels."""
    boxes = []
    for (x0, y0), (x1, y1) in zip(path, path[1:], strict=False):
        steps = max(2, int(math.hypot(x1 - x0, y1 - y0) / 3))
        for part in np.linspace(0, 1, steps):
            x, y = x0 + part * (x1 - x0), y0 + part * (y1 - y0)
            boxes.append(Box(x - 1, y - 1, x + 1, y + 1))
    return boxes


def _write(axes: Axes, label: Label, offset: tuple[float, float]) -> None:
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
