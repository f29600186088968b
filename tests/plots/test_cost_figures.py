"""Tokens, share of the ceiling and batch sweeps: what is drawn is what was measured."""

import pandas as pd
import pytest

from bench.errors import ResultsError
from bench.plots import batch_sweep, panels, roofline, style, tokens


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


def test_runs_under_other_ceilings_share_a_panel_each_by_its_own(measured):
    """As one did on another day: its roof is its own, in both directions."""
    before = roofline.points(measured).set_index(["label", "framework"])
    torch = measured["framework"] == "torch"
    faster = {
        "ceiling_flop_per_sec": measured["ceiling_flop_per_sec"].where(~torch, 4e11),
        "ceiling_share": measured["ceiling_share"].where(
            ~torch, measured["ceiling_share"] / 2
        ),
        "bandwidth_bytes_per_sec": 1e10,
    }
    found = roofline.points(measured.assign(**faster))
    assert found["panel"].unique().tolist() == before["panel"].unique().tolist()
    after = found.set_index(["label", "framework"])
    for name, row in after.iterrows():
        half = 0.5 if name[1] == "torch" else 1.0
        assert row["y"] == pytest.approx(half * before["y"][name])
        assert row["x"] == pytest.approx(half * before["x"][name])
        assert row["y"] == pytest.approx(
            100 * row["gflop_per_sec"] / row["ceiling_gflop_per_sec"]
        )
    _, figure = _roofs(measured.assign(**faster))
    (axes,) = figure.axes
    assert "matmul 200–400 GFLOP/s" in {text.get_text() for text in axes.texts}


def test_demo_sizes_have_a_panel_of_their_own(measured):
    paper = measured.assign(model="Mixer-B/16", family="mixer", cell_id="b16")
    points = roofline.points(pd.concat([measured, paper], ignore_index=True))
    demos = points.groupby("panel")["demo"].unique().map(list)
    assert sorted(demos.items()) == [
        ("Measured: Xeon, 2 vcpu, float32, inference", [False]),
        ("Measured: Xeon, 2 vcpu, float32, inference, demo sizes", [True]),
    ]


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


def test_rates_are_medians_over_repetitions(measured):
    again = [
        measured.assign(flop_per_sec=measured["flop_per_sec"] * f) for f in (1, 3, 2)
    ]
    points = roofline.points(pd.concat(again, ignore_index=True))
    rate = points.set_index(["label", "framework"])["gflop_per_sec"]
    assert rate["Mixer-XS/4@16", "jax"] == pytest.approx(2 * 90)
    assert set(points["repetitions"]) == {3}


def test_the_bytes_are_the_least_that_a_step_can_move(measured):
    points = roofline.points(measured)
    at_16 = points[points["image_size"] == 16]
    # a million float32 weights; 32 images of 3 x 16 x 16 values, 1,000 logits each
    assert set(at_16["bytes_per_step"]) == {4e6 + 4 * 32 * (768 + 1000)}
    assert set(at_16["flop_per_step"]) == {2 * 5e7 * 32}
    assert set(at_16["intensity"]) == {3.2e9 / (4e6 + 226_304)}
    row = {"dtype": "float16", "param_count": 10, "batch_size": 2, "image_size": 4,
           "num_classes": 5, "macs": 7}  # fmt: skip
    found = [
        roofline.bytes_per_step({**row, "mode": mode}) for mode in ("infer", "train")
    ]
    assert found == [40 + 212, 80 + 212]
    work = [
        roofline.flop_per_step({**row, "mode": mode}) for mode in ("infer", "train")
    ]
    assert work == [28, 84]


def _roofs(rows):
    with style.style():
        figure = roofline.draw(rows)
    return [
        [line.get_xydata() for line in axes.lines if line.get_gid() == "roof"]
        for axes in figure.axes
    ], figure


def test_the_roof_breaks_at_the_ridge_and_holds_every_point(measured):
    roofs, figure = _roofs(measured)
    points = roofline.points(measured)
    for (roof,), axes in zip(roofs, figure.axes, strict=True):
        *slope, ridge, edge = roof
        assert ridge.tolist() == [1.0, 100.0]
        assert edge.tolist() == [axes.get_xlim()[1], 100.0]
        assert slope[0][0] == axes.get_xlim()[0] < 0.5
        assert [y / x for x, y in slope] == pytest.approx([100.0] * len(slope))
        names = {text.get_text() for text in axes.texts}
        assert {"matmul 200 GFLOP/s", "copy 10.0 GB/s"} <= names
    assert (points["y"] <= 100 * points["x"].clip(upper=1)).all()
    # 200 GFLOP/s over 10 GB/s: the ridge is at 20 FLOP/byte
    assert points["x"].tolist() == pytest.approx((points["intensity"] / 20).tolist())
    assert points["y"].tolist() == pytest.approx((points["gflop_per_sec"] / 2).tolist())


@pytest.mark.parametrize("lacks", ["bandwidth_bytes_per_sec", "ceiling_share"])
def test_a_row_without_both_ceilings_has_no_place(measured, lacks):
    known = len(roofline.points(measured))
    torch = measured["framework"] == "torch"
    rows = measured.assign(**{lacks: measured[lacks].mask(torch)})
    assert len(roofline.points(rows)) == known / 2
    assert roofline.draw(measured.assign(**{lacks: None})) == roofline.NOTHING


def test_a_row_without_its_closed_form_has_no_intensity(measured):
    assert roofline.draw(measured.assign(param_count=None)) == roofline.NOTHING


def test_preparations_are_told_apart_by_the_steps_that_differ():
    steps = [f"8 px scan, bilinear to {side} px, grey to RGB" for side in (16, 32)]
    facts = [{"eval_preprocess": each} for each in steps]
    names = ["A, bilinear to 16 px", "A, bilinear to 32 px"]
    assert panels.told_apart(["A", "A"], facts) == names


def test_a_bare_size_stands_only_where_one_model_has_such_sizes():
    sizes = (128, 256, 384, 512)
    one = [(f"A@{size}", "A", size) for size in sizes]
    two = [*one, *((f"B@{size}", "B", size) for size in sizes)]
    for rows, wanted in (
        (one, ["A@128", "@256", "@384", "A@512"]),
        (two, [label for label, _, _ in two]),
        ([*one, ("B@128", "B", 128)], ["A@128", "@256", "@384", "A@512", "B@128"]),
    ):
        frame = pd.DataFrame(rows, columns=["label", "model", "image_size"])
        assert roofline._shortened(frame)["label"].tolist() == wanted


def test_panels_of_the_roofline_share_their_axes(measured):
    other = measured.assign(
        machine_id="m2", machine="Other", ceiling_share=measured["ceiling_share"] / 4
    )
    rows = pd.concat([measured, other], ignore_index=True)
    with style.style():
        wide, narrow = (roofline.draw(rows, inches) for inches in (6.75, 3.25))
    for figure in (wide, narrow):
        first, second = figure.axes
        assert first.get_xlim() == second.get_xlim()
        assert first.get_ylim() == second.get_ylim()
        assert figure.get_supylabel() == "share of the ceiling (%)"
    assert [bool(axes.get_xlabel()) for axes in wide.axes] == [True, True]
    assert [bool(axes.get_xlabel()) for axes in narrow.axes] == [False, True]


@pytest.mark.parametrize(("count", "said"), [(10, False), (11, True)])
def test_the_caption_says_that_not_every_point_is_named(measured, count, said):
    found = roofline.points(measured)
    many = pd.concat([found] * 2, ignore_index=True).head(count)
    words = "Of more than 10 points in a panel not all are named."
    assert (words in roofline.caption(many)) == said
