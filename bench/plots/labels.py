"""Direct labels that keep clear of each other, of the markers and of the frame.

A small deterministic placer: each label tries fixed positions around its point and
takes the nearest that is free; a label that had to move away gets a leader line. No
text and no leader crosses another label. The same points give the same picture.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench.plots import leaders
from bench.plots.rectangles import (
    Box,
    Boxes,
    Lines,
    Spot,
    areas,
    crossings,
    cuts,
    gaps,
    shared,
    thin,
    together,
)
from bench.plots.style import SMALL_PT

_RADII_PT = (5, 8, 12, 17, 23, 30, 38, 47, 57, 70, 85)
_ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 67, 113, 247, 293)
_LEADER_PT = 9.0
_COLUMN_PT = 12.0
"""From the last point to the column of labels."""
_ABOVE_PT = 4.0
"""So far above its panel a label at the end of a line may reach: a title is there."""
_MARKER_PT = 3.9
"""Half a marker with its edge; a diamond's half diagonal is the largest."""
_AS_SAVED = 1.08
"""Text is so much wider at most in the resolution and formats that are saved."""
_NEAR_PT = 45.0
"""As near as this, the label of another run of a model names its point, too."""
_CLEAR = 45.0
"""What a label may cost that is read at once: its distance in points, and more."""
_HIDES = 200.0
"""From here a label hides a marker: left out, if its model is named anywhere."""
_LEFT_OUT = 60.0
"""A label that is left out: a little more than any that is read at once."""
_AWAY = 1e4
"""More than any position can cost that breaks no rule."""


@dataclass(frozen=True)
class _Taken:
    """What a new label must keep clear of; a path may be crossed if need be."""

    markers: Boxes
    paths: Boxes
    labels: Boxes
    leaders: Lines


@dataclass(frozen=True)
class _Tries:
    """Every position of one label: its text, its leader, and whether it has one."""

    offsets: Float[np.ndarray, "tries 2"]
    boxes: Boxes
    leaders: Lines
    far: Bool[np.ndarray, " tries"]

    @property
    def spot(self) -> Float[np.ndarray, " 2"]:
        """The point, which every leader starts from."""
        return self.leaders[0, :2]


@dataclass(frozen=True)
class Label:
    """A text for the point (x, y), in data coordinates."""

    x: float
    y: float
    text: str
    model: str = ""
    """Whose point it is: another label of the same model may stand for this one."""


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
    """Annotate a settled figure, keeping clear of markers at `spots` and of `paths`.

    A label that finds no clear place is left out if its model is named near by, one
    that would hide a marker if its model is named anywhere.
    """
    scale = _pixels_per_point(axes)
    corners = axes.get_window_extent()
    near, beyond = 3 * scale, 4 * scale  # of the left spine, which no text may touch
    frame = Box(corners.x0 + near, corners.y0, corners.x1 + beyond, corners.y1 + near)
    taken = _Taken(
        markers=together([_marker(axes, spot, scale) for spot in spots]),
        paths=together(_along(axes, path) for path in paths),
        labels=together([_written(axes)]),
        leaders=together([]),
    )
    known = sorted(set(labels), key=lambda one: (-one.y, one.x, one.text, one.model))
    tries = [_tries(axes, label) for label in known]
    orders = [range(len(known)), range(len(known))[::-1], _longest_first(known)]
    plans = [_planned(known, tries, order, taken, frame, scale) for order in orders]
    _, best = min(plans, key=lambda plan: plan[0])
    for i, at in sorted(best.items()):
        _write(axes, known[i], tries[i].offsets[at])


def _longest_first(labels: Sequence[Label]) -> list[int]:
    """A long text has the fewest places."""
    return sorted(range(len(labels)), key=lambda i: -len(labels[i].text))


def _planned(
    labels: Sequence[Label],
    tries: Sequence[_Tries],
    order: Sequence[int],
    taken: _Taken,
    frame: Box,
    scale: float,
) -> tuple[float, dict[int, int]]:
    """The cost of labels placed in this order, and the position of each placed one.

    A label that finds no clear place waits for the others.
    """
    total, made, crowded, reach = 0.0, dict[int, int](), [], _NEAR_PT * scale
    for i in order:
        cost = _costs(tries[i], taken, frame, scale)
        if cost.min() > _CLEAR:
            crowded.append(i)
            continue
        made[i] = int(cost.argmin())
        total, taken = total + cost[made[i]], _with(taken, tries[i], made[i])
    for i in crowded:
        named = [tries[j].boxes[at] for j, at in made.items() if _same(labels, i, j)]
        cost = _costs(tries[i], taken, frame, scale)
        far = named and gaps(np.array(named), tries[i].spot[None]).min() >= reach
        if named and (not far or cost.min() > _HIDES):
            total += _LEFT_OUT
            continue
        made[i] = int(cost.argmin())
        total, taken = total + cost[made[i]], _with(taken, tries[i], made[i])
    return float(total), made


def _same(labels: Sequence[Label], i: int, j: int) -> bool:
    """Whether the j-th label names the model of the i-th."""
    model = labels[i].model
    return model != "" and model == labels[j].model and model in labels[j].text


def _with(taken: _Taken, tries: _Tries, at: int) -> _Taken:
    """What is no longer free once a label stands at one of its positions."""
    one = slice(at, at + 1)
    return replace(
        taken,
        labels=together([taken.labels, tries.boxes[one]]),
        leaders=together([taken.leaders, tries.leaders[one][tries.far[one]]]),
    )


def _written(axes: Axes) -> Boxes:
    """The texts that stand inside the panel already."""
    boxes = [Text.get_window_extent(text).extents for text in axes.texts]
    return np.array(boxes, float).reshape(-1, 4)


def at_line_ends(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels in a column right of the last point, in the order of their lines.

    Lines that end far to the left of the others have a column of their own there, if
    it crosses no line.
    """
    parts = _apart(axes, sorted(set(labels), key=_x))
    columns = [_column(axes, part) for part in parts]
    early = [np.array([box]) for column in columns[:-1] for _, _, box in column]
    if early and shared(together(early), _drawn(axes)):
        columns = [_column(axes, labels)]
    for label, offset, _ in itertools.chain.from_iterable(columns):
        _write(axes, label, offset)


def _drawn(axes: Axes) -> Boxes:
    """The lines of the data; one across the whole panel is in no label's way."""
    lines = [one for one in axes.get_lines() if one.get_transform() is axes.transData]
    paths = (
        [(float(x), float(y)) for x, y in np.asarray(one.get_xydata())] for one in lines
    )
    return together(_along(axes, path) for path in paths)


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

    Heights are the nearest to the lines' own that keep a text's height between them
    and stay off the title: a least-squares fit under an order constraint.
    """
    if not labels:
        return []
    scale = _pixels_per_point(axes)
    ordered = sorted(set(labels), key=lambda item: (-item.y, item.text))
    ends = [axes.transData.transform((label.x, label.y)) for label in ordered]
    gap = max(_size(axes, label.text)[1] for label in ordered)
    steps = gap * np.arange(len(ordered))
    frame = axes.get_window_extent()
    top = frame.y1 + _ABOVE_PT * scale - gap / 2
    bottom = min(frame.y0 + gap / 2 + steps[-1], top)
    heights = np.clip(falling([y for _, y in ends] + steps), bottom, top)
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


def _tries(axes: Axes, label: Label) -> _Tries:
    wide, high = _size(axes, label.text)
    scale = _pixels_per_point(axes)
    spot = axes.transData.transform((label.x, label.y))
    offsets = _offsets()
    ends = spot + offsets * scale
    right, left = offsets[:, 0] > 0.5, offsets[:, 0] < -0.5
    x = ends[:, 0] - np.where(right, 0.0, np.where(left, wide, wide / 2))
    y = ends[:, 1] - high / 2
    return _Tries(
        offsets,
        np.stack([x, y, x + wide, y + high], axis=1),
        np.concatenate([np.broadcast_to(spot, ends.shape), ends], axis=1),
        np.hypot(*offsets.T) >= _LEADER_PT,
    )


def _costs(
    tries: _Tries, taken: _Taken, frame: Box, scale: float
) -> Float[np.ndarray, " tries"]:
    """What each position costs: near its point and free of what is taken is cheap.

    Two labels in a line are an em apart, or they read as one. From `_AWAY` on a label
    leaves its panel, touches another or is crossed by a line.
    """
    boxes, em = tries.boxes, SMALL_PT * scale
    spaced, wider = (boxes + np.array([-by, 0, by, 0]) for by in (em, 1))
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    outside = area - areas(boxes, np.array([frame])).sum(axis=1)
    touched = areas(spaced, taken.labels).sum(axis=1)
    crossed = cuts(taken.leaders, wider).sum(axis=0)
    crossed = crossed + cuts(tries.leaders, taken.labels).sum(axis=1) * tries.far
    broken = (outside > 1) | (touched > 0) | (crossed > 0)
    cost = _soft_costs(tries, taken) + broken * _AWAY
    return np.asarray(cost + 50 * outside + 5 * touched + 200 * crossed)


def _soft_costs(tries: _Tries, taken: _Taken) -> Float[np.ndarray, " tries"]:
    """Of what may be done if need be: to hide a marker, to cross a path or a line."""
    own = (taken.markers[:, :2] <= tries.spot) & (tries.spot <= taken.markers[:, 2:])
    others = taken.markers[~own.all(axis=1)]
    pierced = cuts(tries.leaders, others).sum(axis=1)
    met = crossings(tries.leaders, taken.leaders)
    cost = np.hypot(*tries.offsets.T) + (60 * pierced + 40 * met) * tries.far
    away = gaps(tries.boxes, tries.spot[None])
    beside = (gaps(tries.boxes, (others[:, :2] + others[:, 2:]) / 2) < away).any(axis=1)
    cost += 12 * beside * ~tries.far  # it would be taken for the other one's label
    cost += 5 * areas(tries.boxes, taken.markers).sum(axis=1)
    return np.asarray(cost + 3 * areas(tries.boxes, taken.paths).sum(axis=1))


@functools.cache
def _offsets() -> Float[np.ndarray, "tries 2"]:
    """Where a label's near edge may stand, in points from its point."""
    turns = np.radians(_ANGLES)
    around = np.stack([np.cos(turns), np.sin(turns)], axis=1)
    radii = np.array(_RADII_PT, float)[:, None, None]
    return np.asarray((radii * around).round(3).reshape(-1, 2))


def _size(axes: Axes, text: str) -> tuple[float, float]:
    probe = axes.text(0, 0, text, fontsize=SMALL_PT)
    extent = probe.get_window_extent()
    probe.remove()
    return extent.width * _AS_SAVED, extent.height + 1


def _marker(axes: Axes, spot: Spot, scale: float) -> Boxes:
    x, y = axes.transData.transform(spot)
    half = _MARKER_PT * scale
    return np.array([(x - half, y - half, x + half, y + half)])


def _along(axes: Axes, path: Sequence[Spot]) -> Boxes:
    return thin([tuple(axes.transData.transform(point)) for point in path])


def _write(axes: Axes, label: Label, offset: Sequence[float] | np.ndarray) -> None:
    dx, dy = map(float, offset)
    edge = 0.0 if dx > 0.5 else 1.0 if dx < -0.5 else 0.5  # where its leader ends
    axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(dx, dy),
        textcoords="offset points",
        ha={0.0: "left", 1.0: "right"}.get(edge, "center"),
        va="center",
        fontsize=SMALL_PT,
        color="#222222",
        gid="label",
        zorder=4,
    )
    if math.hypot(dx, dy) >= _LEADER_PT:
        scale = _pixels_per_point(axes)
        size = [side / scale for side in _size(axes, label.text)]
        leaders.draw(axes, (label.x, label.y), (dx, dy), size, edge)


def _pixels_per_point(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi) / 72
