"""Frontiers: cases by hand, properties, and the paper's own figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis import pareto
from bench.analysis.join import model_rows
from bench.analysis.pareto import (
    figure_2,
    frontier,
    on_frontier,
    standing,
    told_by_set,
)
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


@given(st.lists(clouds, min_size=1, max_size=4))
def test_the_frontiers_of_many_draws_are_those_of_each(draws):
    fewest = min(map(len, draws))
    kept = [one[:fewest] for one in draws]
    x, y = np.array(kept, float).reshape(len(draws), fewest, 2).T
    found = pareto._undominated(x, -y)
    assert found.T.tolist() == [
        on_frontier(a, b).tolist() for a, b in zip(x.T, y.T, strict=True)
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 8, 300])
def test_medians_of_draws_are_numpys(count):
    rng = np.random.default_rng(count)
    runs = rng.normal(size=count).round(1)  # with ties
    picks = rng.integers(0, count, (50, count), np.min_scalar_type(count))
    found = pareto._medians(runs, picks)
    assert found.tolist() == np.median(runs[picks], axis=1).tolist()


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


# Standing --------------------------------------------------------------------


def _measured(points, runs=(0.0,) * 5):
    """Model rows of one panel; `runs` are nudges of both coordinates."""
    return pd.DataFrame(
        [
            {
                "model": f"M{i}",
                "source": "measured",
                "core_days": cost,
                "top1": score,
                "core_days_runs": [cost * (1 + nudge) for nudge in runs],
                "top1_runs": [score * (1 + nudge) for nudge in runs],
            }
            for i, (cost, score) in enumerate(points)
        ]
    )


def _stood(rows):
    return standing(rows, "core_days", "top1")


costs = st.integers(1, 9).map(float)
panels = st.lists(st.tuples(costs, costs), min_size=1, max_size=8)


@given(panels)
@settings(max_examples=25, deadline=None)
def test_without_noise_the_probability_is_the_frontier_itself(points):
    rows = _stood(_measured(points))
    x, y = np.array(points).T
    assert rows["p_on_frontier"].tolist() == on_frontier(x, y).astype(float).tolist()
    assert rows["dominated_by"].isna().tolist() == on_frontier(x, y).tolist()


@given(panels, st.lists(st.floats(-0.4, 0.4), min_size=5, max_size=7))
@settings(max_examples=25, deadline=None)
def test_probabilities_are_shares_and_someone_is_always_on_it(points, runs):
    chance = _stood(_measured(points, runs))["p_on_frontier"]
    assert chance.between(0, 1).all()
    assert chance.sum() >= 1 - 1e-9  # in every draw at least one point


@given(panels)
@settings(max_examples=25, deadline=None)
def test_who_dominates_is_no_worse_and_by_the_margins_that_stand_there(points):
    rows = _stood(_measured(points)).set_index("model")
    for name, row in rows[rows["dominated_by"].notna()].iterrows():
        rival = rows.loc[row["dominated_by"]]
        assert row["x_ratio"] == rival["core_days"] / row["core_days"] <= 1
        assert row["y_gap"] == rival["top1"] - row["top1"] >= 0
        assert row["x_ratio"] < 1 or row["y_gap"] > 0
        assert name != row["dominated_by"]


def test_two_points_that_the_noise_cannot_tell_apart_share_the_frontier():
    rows = _measured(
        [(1.0, 0.50), (1.0, 0.49), (5.0, 0.1)], (-0.1, -0.05, 0, 0.05, 0.1)
    )
    rows["core_days_runs"] = [[cost] * 5 for cost in rows["core_days"]]
    first, second, third = _stood(rows)["p_on_frontier"]
    assert 0.5 < first < 0.8 and 0.2 < second < 0.6 and third == 0


def test_one_run_says_nothing_about_itself_and_still_stands_in_the_way():
    rows = pd.concat(
        [_measured([(1.0, 0.9)], (0.0,)), _measured([(2.0, 0.5)])], ignore_index=True
    )
    alone, beaten = _stood(rows)["p_on_frontier"]
    assert np.isnan(alone) and beaten == 0


def test_published_points_are_as_sure_as_their_rounding():
    models = model_rows(figure_2(read_published()))
    rows = standing(models, "core_days", "top1").set_index("printed_model")
    assert rows.loc["HaloNet", "p_on_frontier"] == 1
    beaten = rows.loc["ViT-H/14"]
    assert beaten["p_on_frontier"] == 0 and beaten["dominated_by"] == "NFNet-F4+"
    assert beaten["x_ratio"] == pytest.approx(1860 / 2300)
    assert beaten["y_gap"] == pytest.approx(0.892 - 0.8855)


def test_a_rounding_that_hides_the_order_is_seen():
    paper = {"source": "published", "core_days_halfwidth": 5.0, "core_days": 10.0}
    printed = [("top1", "80.0")]
    rows = pd.DataFrame(
        [
            {**paper, "model": name, "top1": 0.8, "printed": printed}
            for name in ("one", "other")
        ]
    )
    chance = _stood(rows)["p_on_frontier"]
    assert chance.between(0.6, 0.9).all()  # three in four: neither beats both ways


def test_rows_that_share_a_rate_share_its_draws():
    """One network with two accuracies: the lower one is never on the frontier."""
    rows = _measured([(1.0, 0.9), (1.0, 0.8)], [0.0] * 5)
    rates = [9.0, 9.5, 10.0, 10.5, 11.0]
    rows = rows.assign(
        model="Mixer-XS/4",
        img_per_sec_core=10.0,
        rates=[rates] * 2,
        top1_runs=[[0.9] * 5, [0.8] * 5],
    )
    found = standing(rows, "img_per_sec_core", "top1", x_better="higher")
    assert found["p_on_frontier"].tolist() == [1.0, 0.0]


def test_a_printed_cost_of_two_rows_is_one_figure():
    """Table 3's Mixer-L/16 after 14 and 7 epochs: one network, one printed rate."""
    rows = model_rows(read_published().query("table == 'mixer-table3'"))
    mixers = rows[rows["model"].eq("Mixer-L/16") & rows["img_per_sec_core"].eq(419)]
    jft = mixers[mixers["pretrain_dataset"].eq("JFT-300M")]
    found = standing(jft, "img_per_sec_core", "top1", x_better="higher")
    assert dict(zip(found["top1"], found["p_on_frontier"], strict=True)) == {
        0.8482: 1.0,
        0.8405: 0.0,
    }


def test_no_rows_have_no_standing():
    assert _stood(_measured([]).reindex(columns=_measured([(1, 1)]).columns)).empty


def test_speed_and_accuracy_are_drawn_apart():
    rows = _measured([(1.0, 0.5), (2.0, 0.6)]).assign(
        img_per_sec_core=[10.0, 5.0], rates=[[10.0] * 5, [5.0] * 5]
    )
    found = standing(rows, "img_per_sec_core", "top1", x_better="higher")
    assert found["p_on_frontier"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("sets", "names"),
    [
        (["ImageNet", "JFT-300M"], ["A (I1k)", "A (JFT)"]),
        (["ImageNet-21k", "pairs"], ["A (I21k)", "A (pairs)"]),
        (["JFT-300M", "JFT-300M"], ["A", "A"]),
        ([None, "JFT-300M"], ["A", "A (JFT)"]),
    ],
)
def test_a_name_of_several_sets_says_which(sets, names):
    assert told_by_set(["A", "B", "A"], [sets[0], "JFT-300M", sets[1]]) == [
        names[0],
        "B",
        names[1],
    ]
