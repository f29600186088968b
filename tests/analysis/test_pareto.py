"""Frontiers: cases by hand, properties, and the paper's own figure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.join import model_rows
from bench.analysis.pareto import figure_2, frontier, on_frontier
from bench.errors import ResultsError
from bench.results import read_published

NAN = float("nan")


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], []),
        ([(1, 1)], [True]),
        ([(1, 1), (2, 2)], [True, True]),
        ([(1, 2), (2, 1)], [True, False]),
        ([(1, 1), (1, 2)], [False, True]),  # same cost, more accurate
        ([(1, 2), (2, 2)], [True, False]),  # same accuracy, cheaper
        ([(1, 1), (1, 1)], [True, True]),  # equal points do not dominate each other
        ([(1, 2), (2, 1), (1, 2), (3, 2)], [True, False, True, False]),
        ([(NAN, 9), (1, 1), (0, NAN)], [False, True, False]),
        ([(NAN, NAN)], [False]),
    ],
)
def test_lower_cost_and_higher_accuracy(points, expected):
    x, y = np.array(points, float).reshape(-1, 2).T
    assert on_frontier(x, y).tolist() == expected


@pytest.mark.parametrize(
    ("x_better", "y_better", "expected"),
    [
        ("lower", "higher", [True, False, False]),
        ("higher", "higher", [True, True, False]),
        ("lower", "lower", [True, False, True]),
        ("higher", "lower", [False, True, True]),
    ],
)
def test_directions(x_better, y_better, expected):
    x, y = np.array([1.0, 3.0, 2.0]), np.array([3.0, 2.0, 1.0])
    assert on_frontier(x, y, x_better, y_better).tolist() == expected


numbers = st.integers(-4, 4).map(float) | st.just(NAN)
clouds = st.lists(st.tuples(numbers, numbers), max_size=12)
better = st.sampled_from(["lower", "higher"])


def _frontier(points, x_better, y_better):
    x, y = np.array(points, float).reshape(-1, 2).T
    mask = on_frontier(x, y, x_better, y_better)
    return {point for point, kept in zip(points, mask, strict=True) if kept}


def _dominates(one, other, x_better, y_better):
    signs = [1 if word == "higher" else -1 for word in (x_better, y_better)]
    gains = [s * (a - b) for s, a, b in zip(signs, one, other, strict=True)]
    return min(gains) >= 0 and max(gains) > 0


@given(clouds, better, better)
def test_the_frontier_is_exactly_what_nothing_dominates(points, x_better, y_better):
    kept = _frontier(points, x_better, y_better)
    finite = [point for point in points if not np.isnan(point).any()]
    assert kept == {
        point
        for point in finite
        if not any(_dominates(other, point, x_better, y_better) for other in finite)
    }


@given(clouds, better, better, st.randoms())
def test_order_and_duplicates_do_not_matter(points, x_better, y_better, random):
    again = points + points[:3]
    random.shuffle(again)
    assert _frontier(again, x_better, y_better) == _frontier(points, x_better, y_better)


def test_the_papers_figure_2():
    models = model_rows(figure_2(read_published()))
    front = frontier(models, "core_days", "top1", across=("pretrain_dataset",))
    found = front[["printed_model", "image_size", "core_days"]].to_numpy()
    assert [(name, days) for name, _, days in found] == [
        ("HaloNet", 100),
        ("Mixer-L/16", 450),
        ("ViT-L/16", 650),
        ("Mixer-H/14", 1010),
        ("NFNet-F4+", 1860),
        ("MPL", 20480),
    ]
    assert found[1][1] == 448
    assert found[2][1] == 512


def test_without_the_512_px_vit_no_vit_is_on_the_frontier():
    rows = read_published()
    models = model_rows(rows[rows["table"] == "mixer-table2"])
    front = frontier(models, "core_days", "top1", across=("pretrain_dataset",))
    assert list(front["printed_model"]) == ["HaloNet", "Mixer-H/14", "NFNet-F4+", "MPL"]


def test_a_frontier_over_two_pretraining_sets_is_refused():
    models = model_rows(figure_2(read_published()))
    with pytest.raises(
        ResultsError, match=r"differ in pretrain_dataset \(ImageNet-21k"
    ):
        frontier(models, "core_days", "top1")
