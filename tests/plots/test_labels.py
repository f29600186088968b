"""Labels keep clear of each other, and the same points give the same picture."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text  # noqa: TID253
from scipy.optimize import isotonic_regression

from bench.plots import labels, line_ends, rectangles, style
from bench.plots.labels import Label, place, settle
from bench.plots.rectangles import Box


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


def _leaders(axes) -> np.ndarray:
    """Every leader line as one row: where it leaves its text, where it ends."""
    lines = [line for line in axes.lines if line.get_gid() == "leader"]
    ends = [line.get_transform().transform(line.get_xydata()) for line in lines]
    return np.reshape(ends, (len(lines), 4))


SPOTS = st.lists(
    st.tuples(st.integers(1, 19), st.integers(1, 19)), max_size=9, unique=True
)


@given(SPOTS)
@settings(max_examples=25, deadline=None)
def test_no_label_runs_into_another_a_leader_or_the_left_axis(spots):
    axes = _axes()
    points = [(x / 2, y / 2) for x, y in spots]
    named = [Label(x, y, f"Mixer-{i}") for i, (x, y) in enumerate(points)]
    place(axes, named, points)
    axes.get_figure().draw_without_rendering()
    em = style.SMALL_PT * axes.get_figure().dpi / 72
    spine = axes.get_window_extent().x0
    assert len(axes.texts) == len(points)
    for text in axes.texts:
        box = _box(text)
        assert box.left > spine
        others = [_box(other) for other in axes.texts if other is not text]
        spaced = Box(box.left - 0.99 * em, box.bottom, box.right, box.top)
        assert sum(map(spaced.overlap, others)) == 0
    boxes = np.array([_box(text) for text in axes.texts]).reshape(-1, 4)
    assert not rectangles.cuts(_leaders(axes), boxes).any()


def test_no_text_stands_on_what_a_panel_says_already():
    axes = _axes()
    said = axes.text(5.3, 5, "copy 30 GB/s", va="center")
    place(axes, [Label(5, 5, "Mixer-B/16")], [(5, 5)])
    assert _box(said).overlap(_box(axes.texts[-1])) == 0


CROWD = [(5 + i / 4, 5 + j / 4) for i in range(3) for j in range(4)]


def test_a_leader_ends_just_off_its_point_and_its_text():
    axes = _axes()
    place(axes, [Label(*spot, f"Mixer-{i}") for i, spot in enumerate(CROWD)], CROWD)
    axes.get_figure().draw_without_rendering()
    found, pt = _leaders(axes), axes.get_figure().dpi / 72
    assert len(found) > 3
    points = axes.transData.transform(CROWD)
    boxes = np.array([_box(text) for text in axes.texts])
    for start, end in found.reshape(-1, 2, 2):
        to_point = np.hypot(*(points - end).T).min()
        beside = np.maximum(boxes[:, :2] - start, start - boxes[:, 2:])
        to_text = np.hypot(*np.maximum(beside, 0).T).min()
        assert to_point == pytest.approx(2 * pt)
        assert pt < to_text < 3.5 * pt


def _crowd(text: str, model: str) -> tuple[list[tuple[float, float]], list]:
    """The points that are named, and the texts, of twelve near one spot."""
    axes = _axes()
    named = [Label(*spot, text.format(i), model) for i, spot in enumerate(CROWD)]
    place(axes, named, CROWD)
    axes.get_figure().draw_without_rendering()
    return [text.xy for text in axes.texts], list(axes.texts)


@pytest.mark.parametrize(("text", "model"), [("Mixer, {}", ""), ("{} images", "Mixer")])
def test_no_crowded_label_is_left_out_unless_its_model_is_named(text, model):
    assert sorted(_crowd(text, model)[0]) == CROWD


@pytest.mark.parametrize("hidden", [True, False])
def test_fewer_labels_stand_where_more_would_hide_a_marker(hidden):
    axes = _axes()
    everywhere = [(3 + i / 4, j / 4) for i in range(29) for j in range(41)]
    named = [Label(0.5, 5, "Mixer"), Label(8, 5, "again")]
    spots = [(0.5, 5), *(everywhere if hidden else [(8, 5)])]
    place(axes, named, spots, fewer=[Label(0.5, 5, "Mixer alone")])
    shown = [text.get_text() for text in axes.texts]
    assert shown == (["Mixer alone"] if hidden else ["Mixer", "again"])


def test_a_crowded_label_is_left_out_if_its_model_is_named_near_by():
    shown, texts = _crowd("Mixer, {} images", "Mixer")
    unnamed = [spot for spot in CROWD if spot not in shown]
    assert unnamed and shown
    spots = texts[0].axes.transData.transform(unnamed)
    gaps = rectangles.gaps(np.array([_box(text) for text in texts]), spots)
    assert gaps.min(axis=0).max() < 45 * 100 / 72  # points
    for one, other in itertools.combinations(map(_box, texts), 2):
        assert one.overlap(other) == 0


def test_a_label_stands_beside_its_own_point_not_another():
    """Left of the lower point would be below the upper one."""
    axes = _axes()
    points = [(5, 5), (5.2, 5.4)]
    place(axes, [Label(5, 5, "one"), Label(5.2, 5.4, "two")], points)
    axes.get_figure().draw_without_rendering()
    for text in axes.texts:
        spots = axes.transData.transform(points)
        box = np.array([_box(text)])
        own = axes.transData.transform(text.xy)
        assert rectangles.gaps(box, own[None]) == rectangles.gaps(box, spots).min()


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
    line_ends.place(axes, labels)
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
    line_ends.place(axes, [])
    assert len(axes.texts) == 5


def test_lines_that_end_early_have_their_column_there():
    """Else a leader crosses the whole panel to the column of the last ones."""
    axes = _axes()
    ends = [(1.0, 9.0), (1.0, 8.5), (8.0, 2.0)]
    line_ends.place(axes, [Label(x, y, f"line {x} {y}") for x, y in ends])
    far = [max(map(abs, text.xyann)) for text in axes.texts]
    assert len(far) == 3 and max(far) < 20


def test_an_early_column_on_a_line_is_given_up():
    axes = _axes()
    axes.plot([0, 10], [8.7, 8.7])
    line_ends.place(axes, [Label(1, 8.7, "early"), Label(8, 2, "late")])
    lefts = {text.get_text(): text.xyann[0] for text in axes.texts}
    assert lefts["early"] > 60 > 20 > lefts["late"]


def test_boxes():
    one, other = Box(0, 0, 2, 2), Box(1, 1, 3, 3)
    assert one.overlap(other) == 1
    both = np.array([other, other])
    assert rectangles.shared(np.array([one]), both) == 2
    assert rectangles.shared(both, both) == 16
    assert rectangles.shared(both, np.empty((0, 4))) == 0
    assert one.overlap(Box(5, 5, 6, 6)) == 0
    assert one.outside(Box(0, 0, 1, 2)) == 2


SQUARE = np.array([[1.0, 1.0, 3.0, 3.0]])


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        ((0, 0, 4, 4), True),
        ((0, 2, 4, 2), True),
        ((2, 0, 2, 4), True),
        ((2, 2, 2.5, 2), True),  # inside
        ((0, 0, 0.9, 0.9), False),  # ends before it
        ((0, 4, 4, 4), False),
        ((4, 0, 4, 4), False),
        ((0, 2.5, 2.5, 5), False),  # past a corner
    ],
)
def test_a_line_cuts_a_box(line, cut):
    assert rectangles.cuts(np.array([line], float), SQUARE).tolist() == [[cut]]


def test_lines_that_cross():
    lines = np.array([[0, 0, 4, 4], [0, 4, 4, 0], [5, 0, 5, 4], [0, 0, 4, 1]], float)
    # those that begin in one point do not cross
    assert rectangles.crossings(lines, lines[:1]).tolist() == [0, 1, 0, 0]
    assert rectangles.crossings(lines, lines[1:2]).tolist() == [1, 0, 0, 1]
    assert rectangles.crossings(lines, lines[:0]).tolist() == [0, 0, 0, 0]


def test_the_distance_of_a_box():
    spots = np.array([[2, 2], [0, 2], [2, 5], [6, 7]], float)
    assert rectangles.gaps(SQUARE, spots).tolist() == [[0, 1, 2, 5]]


@given(st.lists(st.floats(-1e3, 1e3), max_size=12))
def test_falling_is_scipys_isotonic_regression(values):
    if values:
        wanted = isotonic_regression(values, increasing=False).x
        assert line_ends.falling(values) == pytest.approx(wanted, abs=1e-9)
    else:
        assert line_ends.falling(values).tolist() == []


@pytest.mark.parametrize("height", [0.0, 1.0])
def test_labels_at_line_ends_stay_beside_their_panel(height):
    with style.style():
        figure, (axes,) = style.canvas(1, 3.25, panel_height_in=1.2)
        axes.set_xlim(0, 2)
        axes.set_ylim(0, 1)
        labels.settle(figure)
        names = [labels.Label(1.0, height, f"line {n}") for n in range(4)]
        line_ends.place(axes, names)
        figure.draw_without_rendering()
    frame = axes.get_window_extent()
    scale = figure.dpi / 72
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert max(box.y1 for box in boxes) <= frame.y1 + 4 * scale
    assert min(box.y0 for box in boxes) >= frame.y0 - 1
    heights = sorted(box.y0 for box in boxes)
    apart = [b - a for a, b in itertools.pairwise(heights)]
    assert min(apart) >= boxes[0].height
