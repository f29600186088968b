"""Names at the ends of lines: a column beside the last point, in the lines' order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from bench.plots.labels import Label, along, extent, pixels_per_point, write
from bench.plots.rectangles import Box, Boxes, Spot, shared, together

_COLUMN_PT = 12.0
"""From the last point to the column of labels."""
_ABOVE_PT = 4.0
"""So far above its panel a label at the end of a line may reach: a title is there."""


def place(axes: Axes, named: Sequence[Label]) -> None:
    """Write labels in a column right of the last point, in the order of their lines.

    Lines that end far to the left of the others have a column of their own there, if
    it crosses no line.
    """
    parts = _apart(axes, sorted(set(named), key=_x))
    columns = [_column(axes, part) for part in parts]
    early = [np.array([box]) for column in columns[:-1] for _, _, box in column]
    if early and shared(together(early), _drawn(axes)):
        columns = [_column(axes, named)]
    for label, offset, _ in itertools.chain.from_iterable(columns):
        write(axes, label, offset)


def _drawn(axes: Axes) -> Boxes:
    """The lines of the data; one across the whole panel is in no label's way."""
    lines = [one for one in axes.get_lines() if one.get_transform() is axes.transData]
    paths = (
        [(float(x), float(y)) for x, y in np.asarray(one.get_xydata())] for one in lines
    )
    return together(along(axes, path) for path in paths)


def _x(label: Label) -> float:
    return label.x


def _apart(axes: Axes, named: Sequence[Label]) -> list[list[Label]]:
    """Labels, given from left to right, that have room before the next end a line."""
    parts: list[list[Label]] = []
    reach = -math.inf
    room = 2 * _COLUMN_PT * pixels_per_point(axes)
    for label in named:
        x = float(axes.transData.transform((label.x, label.y))[0])
        if x > reach:
            parts.append([])
        parts[-1].append(label)
        reach = max(reach, x + extent(axes, label.text)[0] + room)
    return parts


def _column(axes: Axes, named: Sequence[Label]) -> list[tuple[Label, Spot, Box]]:
    """Each label with its offset and its box.

    Heights are the nearest to the lines' own that keep a text's height between them
    and stay off the title: a least-squares fit under an order constraint.
    """
    if not named:
        return []
    scale = pixels_per_point(axes)
    ordered = sorted(set(named), key=lambda item: (-item.y, item.text))
    ends = [axes.transData.transform((label.x, label.y)) for label in ordered]
    gap = max(extent(axes, label.text)[1] for label in ordered)
    steps = gap * np.arange(len(ordered))
    frame = axes.get_window_extent()
    top = frame.y1 + _ABOVE_PT * scale - gap / 2
    bottom = min(frame.y0 + gap / 2 + steps[-1], top)
    heights = np.clip(falling([y for _, y in ends] + steps), bottom, top)
    left = max(x for x, _ in ends) + _COLUMN_PT * scale
    made = []
    for label, (x, y), height in zip(ordered, ends, heights - steps, strict=True):
        wide = extent(axes, label.text)[0]
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
