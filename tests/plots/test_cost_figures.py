"""Tokens, share of the ceiling and batch sweeps: what is drawn is what was measured."""

import pandas as pd
import pytest

from bench.errors import ResultsError
from bench.plots import batch_sweep, roofline, style, tokens


def of(points, label, closed=False):
    """One line of the tokens figure."""
    chosen = points["panel"].eq(tokens.CLOSED_FORM) == closed
    return points[chosen & points["label"].eq(label)]


def test_each_line_has_its_own_fit(tokens_rows):
    points = tokens.points(tokens_rows)
    vit = of(points, "ViT-Ti/16")
    assert len(vit) == 10 and vit["fit_c"].nunique() == 1
    assert vit["fit_c_low"].iloc[0] < 6e-5 < vit["fit_c_high"].iloc[0]
    assert vit["s_star_low"].iloc[0] < 1000 < vit["s_star_high"].iloc[0]
    fixed = of(points, "Mixer-Ti/16, D_S fixed")
    assert fixed["fit_c_low"].iloc[0] < 0 < fixed["fit_c_high"].iloc[0]
    assert fixed["s_star"].iloc[0] is None


def test_the_closed_form_stands_once_and_is_exact(tokens_rows):
    points = tokens.points(tokens_rows)
    assert of(points, "Mixer-Ti/16, D_S fixed", closed=True)["fit_c"].eq(0).all()
    vit = of(points, "ViT-Ti/16", closed=True)
    assert len(vit) == 5 and vit["s_star"].eq(1184).all()
    assert set(vit["source"]) == {"closed form"}


def test_rows_keep_kernel_and_memory(tokens_rows):
    vit = of(tokens.points(tokens_rows), "ViT-Ti/16")
    assert set(vit["attention_kernel"]) == {"sdpa math"}
    assert set(vit["peak_memory_bytes"]) == {10**8}


def test_the_caption_says_c_with_its_interval_and_s_star(tokens_rows):
    text = tokens.caption(tokens.points(tokens_rows))
    assert "Mixer-Ti/16, D_S fixed c = 0 MACs per token², no S*" in text
    assert "ViT-Ti/16 c = 4,608 MACs per token², S* = 1,184" in text
    assert "no S*: b or c is not certainly above zero" in text
    assert "ns per token², S* = " in text


def test_three_points_have_no_interval_and_the_caption_says_so(tokens_rows):
    three = tokens_rows[
        tokens_rows["repetition"].eq(0) & tokens_rows["tokens"].lt(1000)
    ]
    text = tokens.caption(tokens.points(three))
    assert "ns per token², through three points: no interval" in text


def test_a_d_s_written_out_but_constant_is_one_line(tokens_rows):
    fixed = tokens_rows[tokens_rows["tokens_mlp_dim"].isna()]
    fixed = fixed[fixed["family"] == "mixer"].assign(tokens_mlp_dim=96)
    labels = set(tokens.points(fixed)["label"])
    assert labels == {"Mixer-Ti/16, D_S = 96"}


def test_batches_are_not_mixed_in_one_line(tokens_rows):
    vit = tokens_rows[tokens_rows["family"] == "vit"]
    more = vit.assign(batch_size=4, step_s=vit["step_s"] * 4)
    points = tokens.points(pd.concat([vit, more], ignore_index=True))
    measured = points[points["source"] == "measured"]
    assert set(measured["label"]) == {"ViT-Ti/16, b1", "ViT-Ti/16, b4"}


def test_a_false_closed_form_is_refused(tokens_rows):
    vit = tokens_rows[tokens_rows["family"] == "vit"]
    bent = vit.assign(macs=vit["tokens"] ** 3)
    with pytest.raises(ResultsError, match="not on the quadratic"):
        tokens.points(bent)


def test_curves_reach_twice_the_last_crossover(tokens_rows):
    with style.style():
        figure = tokens.draw(tokens_rows)
    measured, closed = figure.axes
    reach = max(
        max(line.get_xdata()) for line in closed.lines if len(line.get_xdata()) > 2
    )
    assert reach == pytest.approx(2 * 1184)
    assert sum(line.get_gid() == "s_star" for line in closed.lines) == 2
    assert sum(line.get_gid() == "s_star" for line in measured.lines) == 2


def test_the_pick_and_the_knee_are_marked(measured):
    points = batch_sweep.points(measured)
    line = points[(points["label"] == "ViT-XS/4") & (points["framework"] == "jax")]
    line = line[line["image_size"] == 16]
    assert line["x"].tolist() == [1, 8, 16, 32]
    assert line["y"].tolist() == pytest.approx([150, 400, 497.5, 500])
    assert line.loc[line["picked"].astype(bool), "x"].tolist() == [32]
    assert line.loc[line["knee"].astype(bool), "x"].tolist() == [16]
    assert "a larger batch did not fit for" in batch_sweep.caption(points)


def test_the_marks_stand_on_their_points(measured):
    with style.style():
        figure = batch_sweep.draw(measured)
    assert len(figure.axes) == 4  # two frameworks, two image sizes
    for axes in figure.axes:
        marks = {c.get_gid(): c.get_offsets() for c in axes.collections}
        assert {x for x, _ in marks["picked"]} == {32}
        assert {x for x, _ in marks["knee"]} == {16}


def test_shares_are_medians_over_repetitions(measured):
    again = [
        measured.assign(ceiling_share=measured["ceiling_share"] * f) for f in (1, 3, 2)
    ]
    points = roofline.points(pd.concat(again, ignore_index=True))
    share = points.set_index(["label", "framework"])["x"]
    assert share["Mixer-XS/4, 16 px", "jax"] == pytest.approx(2 * 100 * 9e10 / 2e11)
    assert set(points["repetitions"]) == {3}
    assert "ceiling 200 GFLOP/s" in roofline.caption(points)


def test_too_many_lines_keep_the_best(measured):
    one = measured[measured["mode"] == "infer"].iloc[:1]
    many = [
        one.assign(cell_id=str(i), image_size=i, ceiling_share=i / 100)
        for i in range(1, roofline.MOST_LINES + 3)
    ]
    points = roofline.points(pd.concat(many, ignore_index=True))
    assert points["x"].min() == 3 and len(points) == roofline.MOST_LINES
