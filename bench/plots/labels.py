"""Direct labels that keep clear of each other, of the markers and of the frame.

A small deterministic placer: each label tries fixed positions around its point and
takes the nearest that is free; a label that had to move away gets a leader line. No
text and no leader crosses another label. The same points give the same picture.
"""

from __future__ import annotations

import functools
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
    thin,
    together,
)
from bench.plots.style import SMALL_PT

_RADII_PT = (5, 8, 12, 17, 23, 30, 38, 47, 57, 70, 85)
_ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 22, 338, 158, 202, 67, 113, 247, 293)
_LEADER_PT = 9.0
_MARKER_PT = 3.9
"""Half a marker with its edge; a diamond's half diagonal is the largest."""
_AS_SAVED = 1.08
"""Text is so much wider at most in the resolution and formats that are saved."""
_NEAR_PT = 45.0
"""As near as this, the label of another run of a model names its point, too."""
_CLEAR = 45.0
"""What a label may cost that is read at once: its distance in points, and more."""
_HIDES = 200.0
"""From here a label hides a marker, or worse."""
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
    fewer: Sequence[Label] = (),
) -> None:
    """Annotate a settled figure, keeping clear of markers at `spots` and of `paths`.

    A label that finds no clear place is left out if its model is named near by. Where
    one would hide a marker, the `fewer` labels are written instead, if there are any.
    """
    scale = pixels_per_point(axes)
    corners = axes.get_window_extent()
    near, beyond = 3 * scale, 4 * scale  # of the left spine, which no text may touch
    frame = Box(corners.x0 + near, corners.y0, corners.x1 + beyond, corners.y1 + near)
    taken = _Taken(
        markers=together([_marker(axes, spot, scale) for spot in spots]),
        paths=together(along(axes, path) for path in paths),
        labels=together([_written(axes)]),
        leaders=together([]),
    )
    plan = _best(axes, labels, taken, frame, scale)
    if fewer and plan.worst > _HIDES:
        plan = _best(axes, fewer, taken, frame, scale)
    for label, offset in plan.chosen:
        write(axes, label, offset)


@dataclass(frozen=True)
class _Plan:
    """Where labels are to stand, what all of them cost and what the worst does."""

    cost: float
    worst: float
    chosen: list[tuple[Label, np.ndarray]]


def _best(
    axes: Axes, labels: Sequence[Label], taken: _Taken, frame: Box, scale: float
) -> _Plan:
    """The cheapest of plans that place the labels in several orders."""
    known = sorted(set(labels), key=lambda one: (-one.y, one.x, one.text, one.model))
    tries = [_tries(axes, label) for label in known]
    orders = [range(len(known)), range(len(known))[::-1], _longest_first(known)]
    plans = [_planned(known, tries, order, taken, frame, scale) for order in orders]
    return min(plans, key=lambda plan: plan.cost)


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
) -> _Plan:
    """Labels placed in this order; one without a clear place waits for the others."""
    total, made, crowded, reach = 0.0, dict[int, int](), [], _NEAR_PT * scale
    worst = 0.0
    for i in order:
        cost = _costs(tries[i], taken, frame, scale)
        if cost.min() > _CLEAR:
            crowded.append(i)
            continue
        made[i] = int(cost.argmin())
        total, taken = total + cost[made[i]], _with(taken, tries[i], made[i])
    for i in crowded:
        named = [tries[j].boxes[at] for j, at in made.items() if _same(labels, i, j)]
        if named and gaps(np.array(named), tries[i].spot[None]).min() < reach:
            total += _LEFT_OUT
            continue
        cost = _costs(tries[i], taken, frame, scale)
        made[i], worst = int(cost.argmin()), max(worst, float(cost.min()))
        total, taken = total + cost[made[i]], _with(taken, tries[i], made[i])
    chosen = [(labels[i], tries[i].offsets[at]) for i, at in sorted(made.items())]
    return _Plan(float(total), worst, chosen)


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


def _tries(axes: Axes, label: Label) -> _Tries:
    wide, high = extent(axes, label.text)
    scale = pixels_per_point(axes)
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


def extent(axes: Axes, text: str) -> tuple[float, float]:
    """Width and height of a text in pixels, with what saving it may add."""
    probe = axes.text(0, 0, text, fontsize=SMALL_PT)
    box = probe.get_window_extent()
    probe.remove()
    return box.width * _AS_SAVED, box.height + 1


def _marker(axes: Axes, spot: Spot, scale: float) -> Boxes:
    x, y = axes.transData.transform(spot)
    half = _MARKER_PT * scale
    return np.array([(x - half, y - half, x + half, y + half)])


def along(axes: Axes, path: Sequence[Spot]) -> Boxes:
    """Boxes along a path of data coordinates."""
    return thin([tuple(axes.transData.transform(point)) for point in path])


def write(axes: Axes, label: Label, offset: Sequence[float] | np.ndarray) -> None:
    """Annotate one point, its text `offset` points away, with a leader if it is far."""
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
        scale = pixels_per_point(axes)
        size = [side / scale for side in extent(axes, label.text)]
        leaders.draw(axes, (label.x, label.y), (dx, dy), size, edge)


def pixels_per_point(axes: Axes) -> float:
    """Of the figure as it is, not as it will be saved."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi) / 72
