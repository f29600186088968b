"""Lines from a label to its point.

An arrow of matplotlib's `annotate` finds out where its text ends each time that it is
drawn, and takes as long as ten texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Affine2D, ScaledTranslation

from bench.plots.rectangles import Spot

_GAP_PT = 2.0
"""From a line to its text and to its point."""


def draw(
    axes: Axes, point: Spot, offset: Spot, size: Sequence[float], edge: float
) -> None:
    """Draw the line to `point`, clear of it and of the text.

    Args:
        axes: whose layout is settled.
        point: in data coordinates.
        offset: of the text from the point, in points; its middle in height.
        size: width and height of the text, in points.
        edge: where along its width `offset` is: 0 left, 0.5 middle, 1 right.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    ends = _ends(offset, size, edge)
    if ends is None:
        return
    # It takes a point through any transform, whatever its annotation says.
    from_point = ScaledTranslation(*point, axes.transData)  # type: ignore[arg-type]
    points = Affine2D().scale(1 / 72) + figure.dpi_scale_trans + from_point
    line = Line2D(
        *zip(*ends, strict=True),
        transform=points,
        color="#777777",
        linewidth=0.4,
        clip_on=False,
        gid="leader",
        zorder=3.9,
    )
    axes.add_artist(line)


def _ends(offset: Spot, size: Sequence[float], edge: float) -> tuple[Spot, Spot] | None:
    """Where the line leaves its text and where it stops, in points from its point.

    None where nothing is left between the two.

    >>> _ends((20.0, 0.0), (30.0, 6.0), 0.0)
    ((18.0, 0.0), (2.0, 0.0))
    >>> _ends((0.0, -20.0), (30.0, 6.0), 0.5)
    ((0.0, -15.0), (0.0, -2.0))
    >>> _ends((3.0, 3.0), (30.0, 6.0), 0.0) is None
    True
    """
    (dx, dy), (wide, high) = offset, size
    beside = (edge if dx > 0 else 1 - edge) * wide + _GAP_PT
    out = min(
        beside / abs(dx) if dx else math.inf,
        (high / 2 + _GAP_PT) / abs(dy) if dy else math.inf,
    )
    last = _GAP_PT / math.hypot(dx, dy)
    if out + last >= 1:
        return None
    return ((1 - out) * dx, (1 - out) * dy), (last * dx, last * dy)
