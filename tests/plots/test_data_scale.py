"""Fitted curves under the measured means: what is drawn, and what is not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from measured_rows import base

from bench.analysis import lack
from bench.analysis.seeds import student_interval
from bench.plots import data_scale, gallery, style
from bench.record import table
from bench.results import to_frame

SIZES = (100, 300, 1000, 3000)


def rows(seeds=5, subsets=1, noise=0.03, sizes=SIZES, **values):
    rng = np.random.default_rng(0)
    return [
        {
            **base("Mixer-XS/4", "torch"),
            "cell_id": f"{images} {subset} {seed} {sorted(values.items())}",
            "mode": "pretrain",
            "pretrain_dataset": "digits",
            "eval_dataset": "digits",
            "data_examples": images,
            "unique_images": images,
            "seed": seed,
            "subset_seed": subset,
            "top1": 1 - 3 * images**-0.4 * np.exp(noise * rng.normal()),
            "chance": 0.1,
            "core_days_measured": 1e-4,
            **values,
        }
        for subset in range(subsets)
        for seed in range(seeds)
        for images in sizes
    ]


def frame(*parts):
    return to_frame(table([row for part in parts for row in part]), samples=True)


def drawn(found, width=3.25):
    with style.style():
        figure = data_scale.draw(found, width)
    assert not isinstance(figure, str)
    return figure


def kinds(points):
    return points[points["kind"] == "runs"], points[points["kind"] == "fit"]


def test_a_point_is_a_mean_with_students_interval_over_its_seeds():
    found = rows(seeds=3)
    means, _ = kinds(data_scale.points(frame(found)))
    at = [100 * row["top1"] for row in found if row["unique_images"] == 300]
    point = means[means["x"] == 300].iloc[0]
    assert point["n"] == 3 and point["y"] == pytest.approx(np.mean(at))
    assert (point["y_low"], point["y_high"]) == pytest.approx(student_interval(at))


def test_seeds_of_one_subset_are_one_unit():
    found = rows(seeds=4, subsets=3)
    means, _ = kinds(data_scale.points(frame(found)))
    by_subset = [
        np.mean([row["top1"] for row in found if row["unique_images"] == 300
                 and row["subset_seed"] == subset])
        for subset in range(3)
    ]  # fmt: skip
    point = means[means["x"] == 300].iloc[0]
    wanted = student_interval(100 * np.array(by_subset))
    assert point["n"] == 3
    assert (point["y_low"], point["y_high"]) == pytest.approx(wanted)


def test_under_three_seeds_there_are_dots_alone():
    points = data_scale.points(frame(rows(seeds=2)))
    means, _ = kinds(points)
    assert means["y_low"].isna().all() and means["n"].eq(2).all()
    assert "under 3 there is no interval" in data_scale.caption(points)
    (axes,) = drawn(frame(rows(seeds=2))).axes
    bars = [c for c in axes.collections if not (c.get_gid() or "").startswith("points")]
    assert sum(len(one.get_paths()) for one in bars) == 0
    assert axes.get_xlabel().endswith("(n=2 each)")


def test_the_band_is_drawn_as_the_points_file_says():
    found = frame(rows(seeds=5, sizes=SIZES[:3]))
    means, curve = kinds(data_scale.points(found))
    assert curve["x"].iloc[[0, -1]].tolist() == pytest.approx([100, 1000])
    truth = 100 * (1 - 3 * curve["x"].to_numpy(float) ** -0.4)
    low, high = (curve[name].to_numpy(float) for name in ("y_low", "y_high"))
    assert (low <= truth).all() and (truth <= high).all()
    assert means["form"].eq("power").all()
    (axes,) = drawn(found).axes
    (band,) = [c for c in axes.collections if c.get_gid() == "band"]
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(low.min())
    assert corners[:, 1].max() == pytest.approx(high.max())
    (line,) = [one for one in axes.lines if one.get_gid() == "line"]
    assert np.asarray(line.get_ydata(), float) == pytest.approx(curve["y"].tolist())


def test_the_caption_says_form_coverage_and_what_the_band_means():
    found = frame(rows(seeds=5, sizes=SIZES[:3]))
    text = data_scale.caption(data_scale.points(found))
    for words in (
        "power, eps(x) = beta x^c",
        "pointwise 95 % interval of the curve, not of one more run, and holds where "
        "the form is right",
        "of the forms that are identified and not rejected",
        "n=5 seeds",
        "Student's 95 % interval",
    ):
        assert words in text


def test_without_five_curves_there_is_a_fit_and_no_band_and_the_caption_says_so():
    points = data_scale.points(frame(rows(seeds=4)))
    _, curve = kinds(points)
    assert len(curve) and curve["y_low"].isna().all()
    text = data_scale.caption(points)
    assert "No band for Mixer-XS/4: fewer than 5 curves" in text
    assert "pointwise" not in text


def test_an_unidentified_line_is_joined_and_the_caption_says_why():
    found = frame(rows(sizes=SIZES[:2]))
    points = data_scale.points(found)
    assert kinds(points)[1].empty
    text = data_scale.caption(points)
    assert "No curve for Mixer-XS/4 (power: 2 sizes of x, power needs 3" in text
    figure = drawn(found)
    (line,) = [one for one in figure.axes[0].lines if one.get_gid() == "line"]
    assert line.is_dashed() and len(line.get_xdata()) == 2
    (legend,) = figure.legends
    assert "no fit: joined" in [one.get_text() for one in legend.get_texts()]


def test_a_line_whose_forms_miss_its_means_is_joined_and_both_files_say_why():
    bent = rows(seeds=5)
    for row in bent:
        row["top1"] = 1 - (1 - row["top1"]) * 0.7 ** (row["unique_images"] == 1000)
    points = data_scale.points(frame(bent))
    means, curve = kinds(points)
    assert curve.empty and means["y"].notna().all()
    (why,) = set(means["why_not"])
    assert "power, offset: misses the means of the sizes: p < 0.0001" in why
    text = data_scale.caption(points)
    assert f"No curve for Mixer-XS/4 ({why})." in text and "Curves:" not in text
    (line,) = [o for o in drawn(frame(bent)).axes[0].lines if o.get_gid() == "line"]
    assert line.is_dashed() and len(line.get_xdata()) == len(SIZES)


def test_a_curve_of_two_seeds_is_drawn_and_said_to_be_untested():
    points = data_scale.points(frame(rows(seeds=2)))
    _, curve = kinds(points)
    assert set(curve["why_not"]) == {lack.UNTESTED}
    assert "Mixer-XS/4: fit not tested: under 3 curves" in data_scale.caption(points)


def test_lines_of_other_seed_counts_name_theirs():
    found = frame(rows(seeds=2), rows(seeds=3, learning_rate=0.1))
    labels = {t.get_text().replace("\n", " ") for t in drawn(found).axes[0].texts}
    assert any(one.endswith("n=2") for one in labels)
    assert any(one.endswith("n=3") for one in labels)


def test_no_accuracy_leaves_0_to_100():
    high = rows(seeds=3, noise=1.5)
    for row in high:
        row["top1"] = 1 - (1 - row["top1"]) / 30
    points = data_scale.points(frame(high))
    values = pd.concat([points[name].dropna() for name in ("y", "y_low", "y_high")])
    assert values.astype(float).between(0, 100).all() and values.eq(100).any()


def test_the_same_rows_give_the_same_bytes(tmp_path):
    found = frame(rows(seeds=5, sizes=SIZES[:3]))
    for name in ("a", "b"):
        gallery.draw_all(found, tmp_path / name, ["data_scale"], ["png", "svg"])
    for kind in ("png", "svg", "csv", "txt"):
        one, two = (tmp_path / name / f"data_scale.{kind}" for name in ("a", "b"))
        assert one.read_bytes() == two.read_bytes()
