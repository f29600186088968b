"""Labels keep clear of each other, and the same points give the same picture."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text  # noqa: TID253
from scipy.optimize import isotonic_regression

from bench.plots import labels, style
from bench.plots.labels import Box, Label, at_line_ends, place, settle


def _axes():
    figure, (axes,) = style.canvas(1, 3.25)
    axes.set(xlim=(0, 10), ylim=(0, 10))
    settle(figure)
    return axes


def _box(annotation) -> Box:
    """Extent of the text alone, without its leader line."""
    return Box(*Text.get_window_extent(annotation).extents)


CROWDS = {
    "one": [(5, 5)],
    "a column": [(5, 1 + i / 2) for i in range(12)],
    "nearly one spot": [(5 + i / 20, 5 - i / 20) for i in range(6)],
    "corners": [(0, 0), (10, 0), (0, 10), (10, 10)],
}


@pytest.mark.parametrize("points", CROWDS.values(), ids=CROWDS)
def test_placed_labels_do_not_overlap_and_stay_inside(points):
    axes = _axes()
    place(
        axes, [Label(x, y, f"Mixer-L/{i}") for i, (x, y) in enumerate(points)], points
    )
    axes.get_figure().draw_without_rendering()
    boxes = [_box(text) for text in axes.texts]
    assert len(boxes) == len(points)
    for one, other in itertools.combinations(boxes, 2):
        assert one.overlap(other) == 0
    frame = Box(*axes.get_figure().bbox.extents)
    for box in boxes:
        assert box.outside(frame) == 0


def test_equal_labels_are_written_once():
    axes = _axes()
    place(axes, [Label(1, 1, "a"), Label(1, 1, "a")], [(1, 1)])
    assert [text.get_text() for text in axes.texts] == ["a"]


def test_the_same_points_in_any_order_give_the_same_picture():
    points = CROWDS["nearly one spot"]
    labels = [Label(x, y, str(i)) for i, (x, y) in enumerate(points)]
    found = []
    for order in (labels, labels[::-1]):
        axes = _axes()
        place(axes, order, points)
        found.append({text.get_text(): text.xyann for text in axes.texts})
    assert found[0] == found[1]


def test_line_ends_are_a_column_in_order():
    axes = _axes()
    labels = [Label(8, 5 + i / 100, f"line {i}") for i in range(5)]
    at_line_ends(axes, labels)
    scale = axes.get_figure().dpi / 72
    spots = {
        text.get_text(): axes.transData.transform(text.xy)[1] / scale + text.xyann[1]
        for text in axes.texts
    }
    heights = [spots[f"line {i}"] for i in range(5)]
    assert heights == sorted(heights)
    gaps = [upper - lower for lower, upper in itertools.pairwise(heights)]
    assert min(gaps) >= 6  # points: a text's height
    wanted = [axes.transData.transform((8, 5 + i / 100))[1] / scale for i in range(5)]
    assert sum(heights) == pytest.approx(sum(wanted))
    at_line_ends(axes, [])
    assert len(axes.texts) == 5


def test_lines_that_end_early_have_their_column_there():
    """Else a leader crosses the whole panel to the column of the last ones."""
    axes = _axes()
    ends = [(1.0, 9.0), (1.0, 8.5), (8.0, 2.0)]
    at_line_ends(axes, [Label(x, y, f"line {x} {y}") for x, y in ends])
    far = [max(map(abs, text.xyann)) for text in axes.texts]
    assert len(far) == 3 and max(far) < 20


def test_an_early_column_on_a_line_is_given_up():
    axes = _axes()
    axes.plot([0, 10], [8.7, 8.7])
    at_line_ends(axes, [Label(1, 8.7, "early"), Label(8, 2, "late")])
    lefts = {text.get_text(): text.xyann[0] for text in axes.texts}
    assert lefts["early"] > 60 > 20 > lefts["late"]


def test_boxes():
    one, other = Box(0, 0, 2, 2), Box(1, 1, 3, 3)
    assert one.overlap(other) == 1
    both = np.array([other, other])
    assert labels.shared(np.array([one]), both) == 2
    assert labels.shared(both, both) == 16
    assert labels.shared(both, np.empty((0, 4))) == 0
    assert one.overlap(Box(5, 5, 6, 6)) == 0
    assert one.outside(Box(0, 0, 1, 2)) == 2


@given(st.lists(st.floats(-1e3, 1e3), max_size=12))
def test_falling_is_scipys_isotonic_regression(values):
    if values:
        wanted = isotonic_regression(values, increasing=False).x
        assert labels.falling(values) == pytest.approx(wanted, abs=1e-9)
    else:
        assert labels.falling(values).tolist() == []
