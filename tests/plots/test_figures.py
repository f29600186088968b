"""What is drawn is what the points frame says, and nothing else."""

from __future__ import annotations

import importlib

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text  # noqa: TID253
from measured_rows import timed

from bench.analysis import demo
from bench.plots import data_scale, gallery, pareto, relative, resolution, style
from bench.plots import roofline as roofline_plot
from bench.plots import throughput as throughput_plot
from bench.plots.rectangles import Box
from bench.record import NESTED, table
from bench.results import to_frame

BY_KEY = [
    importlib.import_module(f"bench.plots.{name}")
    for name in ("pareto", "throughput", "data_scale", "resolution", "roofline")
]
MODULES = [importlib.import_module(f"bench.plots.{name}") for name in gallery.FIGURES]
LEARNED = [pareto, throughput_plot, data_scale]
COLUMN_IN = 3.25


_FIGURES: dict = {}


def _drawn(module, rows, width=style.WIDTH_IN):
    """The figure of these session-wide rows, drawn once."""
    key = (module.__name__, id(rows), width)
    if key not in _FIGURES:
        with style.style():
            figure = module.draw(rows, width)
        assert not isinstance(figure, str), figure
        _FIGURES[key] = figure
    return _FIGURES[key]


def _offsets(axes) -> set[tuple[float, float]]:
    points = [c for c in axes.collections if (c.get_gid() or "").startswith("points")]
    return {tuple(xy) for c in points for xy in np.asarray(c.get_offsets()).round(9)}


def _line(axes, model: str) -> float:
    """The height at which the row of panels has this model's name."""
    figure = axes.get_figure()
    row = axes.get_subplotspec().rowspan
    (first, *_) = [one for one in figure.axes if one.get_subplotspec().rowspan == row]
    names = [text.get_text() for text in first.get_yticklabels()]
    return float(first.get_yticks()[names.index(model)])


def _texts(axes, gid: str) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_gid() == gid]


def _panels(figure, points: pd.DataFrame):
    names = points["panel"].unique()
    assert len(figure.axes) == len(names)
    for axes, name in zip(figure.axes, names, strict=True):
        yield axes, points[points["panel"] == name]


@pytest.mark.parametrize("module", MODULES, ids=gallery.FIGURES)
def test_the_artists_stand_where_the_points_frame_says(module, both):
    points = module.points(both)
    for axes, part in _panels(_drawn(module, both), points):
        if module is relative:  # a row of panels leaves out the lines that it lacks
            part = part.assign(y=[_line(axes, model) for model in part["model"]])
        wanted = part[["x", "y"]].astype(float).round(9).to_numpy()
        assert _offsets(axes) == {tuple(xy) for xy in wanted}


@pytest.mark.parametrize("module", MODULES, ids=gallery.FIGURES)
def test_a_figure_needs_no_nested_column_but_those_that_are_read(module, both):
    others = [name for name in NESTED if name not in gallery.NESTED]
    assert set(module.NEEDS) & set(NESTED) <= set(gallery.NESTED)
    few = both.drop(columns=others)
    pd.testing.assert_frame_equal(module.points(few), module.points(both))


@pytest.mark.parametrize("module", [pareto, throughput_plot], ids=lambda m: m.__name__)
def test_every_published_point_is_named(module, published):
    points = module.points(published)
    (panel,) = _panels(_drawn(module, published), points)
    assert sorted(_texts(panel[0], "label")) == sorted(panel[1]["label"])


def test_the_published_frontier_is_the_papers(published):
    points = pareto.points(published)
    front = points[points["on_frontier"]].sort_values("x")
    assert front["label"].tolist() == [
        "HaloNet",
        "Mixer-L/16@448 (JFT)",
        "ViT-L/16@512 (JFT)",
        "Mixer-H/14@448",
        "NFNet-F4+",
        "MPL",
    ]
    (axes,) = _drawn(pareto, published).axes
    (line,) = [line for line in axes.lines if line.get_gid() == "frontier"]
    drawn = set(zip(*line.get_data(), strict=True))
    assert set(zip(front["x"], front["y"], strict=True)) <= drawn
    assert (
        "On the published frontier (P at least 1.00 each): HaloNet, "
        "Mixer-L/16@448 (JFT), ViT-L/16@512 (JFT), Mixer-H/14@448, NFNet-F4+, MPL. "
        "The points of the published panel differ in pre-training data (partly "
        "proprietary) and image size, as in the paper's figure 2 (I21k: ImageNet-21k, "
        "JFT: JFT-300M)."
    ) in pareto.caption(points)
    beaten = points.set_index("label").loc["ViT-H/14@518"]
    assert (beaten["p_on_frontier"], beaten["dominated_by"]) == (0.0, "NFNet-F4+")
    assert beaten["y_gap"] == pytest.approx(0.65)


@pytest.mark.parametrize("module", [pareto, throughput_plot], ids=lambda m: m.__name__)
def test_runs_of_a_model_are_told_apart_by_what_they_saw(module, measured):
    points = module.points(measured)
    mine = points[(points["model"] == "ViT-XS/4") & (points["framework"] == "jax")]
    assert set(mine["label"]) == {"ViT-XS/4, 250 images", "ViT-XS/4, 4,000 images"}
    (axes,) = _drawn(module, measured).axes
    names = _texts(axes, "label")
    assert names.count("ViT-XS/4, 4,000 images") == 2  # jax and torch
    assert names.count("250 images") == 6  # a model's colour and marker say the rest


def test_a_run_on_augmented_images_says_so_beside_their_number(measured):
    one = measured[measured["unique_images"] == 4000].assign(images_seen=9_600)
    cropped = one.assign(
        augment="inception",
        images_seen=38_400,
        cell_id=one["cell_id"] + " cropped",
    )
    points = pareto.points(pd.concat([one, cropped], ignore_index=True))
    names = {text for text in points["label"] if text.startswith("ViT-XS/4")}
    assert names == {
        "ViT-XS/4, 9,600 images seen",
        "ViT-XS/4, 38,400 images seen, augment inception",
    }


def test_runs_that_no_one_fact_tells_apart_are_named_at_the_best(measured):
    again = measured.assign(clip_norm=0.5, top1=measured["top1"] * 0.9)
    rows = pd.concat([measured, again], ignore_index=True)
    assert set(pareto.points(rows)["label"]) == set(measured["model"])
    with style.style():
        (axes,) = pareto.draw(rows).axes
    assert sorted(_texts(axes, "label")) == sorted([*set(measured["model"])] * 2)


def test_more_runs_than_can_be_named_leave_each_model_its_best(measured):
    runs = [
        measured.assign(
            data_examples=measured["data_examples"] * n,
            unique_images=measured["unique_images"] * n,
            cell_id=measured["cell_id"] + f" {n}",
        )
        for n in (1, 2, 3)
    ]
    with style.style():
        (axes,) = pareto.draw(pd.concat(runs, ignore_index=True)).axes
    names = _texts(axes, "label")
    assert len(names) == 6 and all(name.count("/4, ") for name in names)


def test_another_model_of_the_family_keeps_every_name_whole(measured):
    other = measured[measured["family"] == "vit"].assign(model="ViT-XXS/4")
    rows = pd.concat([measured, other], ignore_index=True)
    with style.style():
        (axes,) = pareto.draw(rows).axes
    names = _texts(axes, "label")
    assert names.count("ViT-XS/4, 250 images") == 2
    assert names.count("250 images") == 4


@pytest.mark.parametrize("module", [pareto, throughput_plot], ids=lambda m: m.__name__)
def test_a_run_on_shuffled_pixels_is_no_point_of_these_figures(module, measured):
    trained = measured["mode"] == "pretrain"
    kinds = measured["framework"].map({"jax": "global", "torch": "none"})
    points = module.points(measured.assign(shuffle=kinds.where(trained)))
    assert set(points["framework"]) == {"torch"}
    every = measured.assign(shuffle="global")
    assert module.draw(every) == module.NOTHING


MOST_WORDS = 110


@pytest.mark.parametrize("module", [pareto, throughput_plot, roofline_plot])
def test_a_caption_does_not_grow_with_its_panels(module, measured):
    machines = [
        measured.assign(machine_id=f"m{n}", machine=f"machine {n}") for n in range(5)
    ]
    one, five = (
        module.caption(module.points(pd.concat(rows, ignore_index=True)))
        for rows in (machines[:1], machines)
    )
    assert five == one and len(one.split()) <= MOST_WORDS


def test_no_two_published_points_share_a_name(published):
    points = pareto.points(published)
    assert points["label"].is_unique
    twice = points["model"].duplicated(keep=False)
    assert points["label"].str.contains("(", regex=False).equals(twice)
    beaten = points.set_index("label")["dominated_by"]
    assert beaten["BiT-R152x4@480 (I21k)"] == "ViT-L/16@512 (JFT)"


def test_one_pretraining_set_is_not_named(measured):
    points = pareto.points(measured)
    assert not points["label"].str.contains("(", regex=False).any()
    assert "pre-training data" not in pareto.caption(points)


def test_extrapolated_core_days_carry_their_mark(published):
    points = pareto.points(published)
    marked = points[points["label"].str.endswith("‡")]
    assert marked["label"].tolist() == ["Mixer-L/16@448 (I21k)‡"]
    assert "‡: core-days extrapolated" in pareto.caption(points)


def test_the_published_throughput_panel_is_figure_3(published):
    points = throughput_plot.points(published)
    assert len(points) == 15
    assert set(points["pretrain_dataset"]) == {"JFT-300M"}
    assert set(points["image_size"]) == {224}
    assert {"Mixer-L/16 (7 ep)", "Mixer-L/16 (14 ep)"} <= set(points["label"])


def test_published_and_measured_never_share_a_panel(both):
    for module in (pareto, throughput_plot, resolution):
        for _, part in module.points(both).groupby("panel"):
            assert part["source"].nunique() == 1


def test_two_machines_never_share_a_panel(measured):
    other = measured.assign(machine_id="m2", machine="Other")
    rows = pd.concat([measured, other], ignore_index=True)
    for module in (pareto, throughput_plot, resolution, data_scale):
        assert module.points(rows)["panel"].nunique() == 2


@pytest.mark.parametrize(
    ("module", "differs", "mode"),
    [
        *((module, "machine_id", None) for module in BY_KEY),
        *((module, "eval_split", "pretrain") for module in LEARNED),
        *((module, "eval_preprocess", "pretrain") for module in LEARNED),
        (resolution, "input", "infer"),
        (resolution, "protocol", None),
    ],
)
def test_rows_that_differ_in_one_part_of_the_key_share_no_panel(
    measured, module, differs, mode
):
    changed = measured["mode"].eq(mode) if mode else pd.Series(True, measured.index)
    value = 2 if differs == "protocol" else "other"
    other = measured.copy()
    other.loc[changed, differs] = value
    points = module.points(pd.concat([measured, other], ignore_index=True))
    alone = module.points(measured)
    names = points["panel"].unique()
    assert len(names) == 2
    assert len(points) == 2 * len(alone)
    assert any(f"{differs.replace('_', ' ')} {value}" in name for name in names)
    assert set(points["panel"].value_counts()) == {len(alone)}


def _with(measured, mode, factor, **changes):
    """These rows twice: as they are, and changed, with other results."""
    other = measured[measured["mode"] == mode].assign(**changes)
    other["cell_id"] = other["cell_id"] + " other"
    for name in ("top1", "img_per_sec_core"):
        other[name] = other[name] * factor
    return pd.concat([measured, other], ignore_index=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"learning_rate": 0.01}, "learning rate 0.01"),
        ({"batch_size": 64}, "batch size 64"),
        ({"total_epochs": 2.5}, "total epochs 2.5"),
        ({"subset": "balanced"}, "subset balanced"),
        ({"loss": "sigmoid"}, "loss sigmoid"),
        ({"clip_norm": 0.5}, "clip norm 0.5"),
        ({"shuffle": "global"}, "shuffle none"),
        ({"environment_id": "e2"}, "environment id e2"),
    ],
)
def test_a_line_joins_one_setting_alone(measured, changes, words):
    points = data_scale.points(_with(measured, "pretrain", 0.9, **changes))
    lines = points.groupby(["panel", "framework", "label"])
    assert lines.ngroups == 12
    assert lines["x"].apply(list).tolist() == [[250, 4000]] * 12
    if "shuffle" in changes:
        words = ", global"
    assert points["label"].str.endswith(words).sum() == 12


def test_each_line_is_drawn_on_its_own(measured):
    rows = _with(measured, "pretrain", 0.9, learning_rate=0.01, subset="balanced")
    with style.style():
        figure = data_scale.draw(rows, COLUMN_IN)
    drawn = [line for axes in figure.axes for line in axes.lines]
    assert sum(line.get_gid() == "line" for line in drawn) == 12
    for axes in figure.axes:
        names = [text for text in axes.texts if text.get_gid() == "label"]
        assert any("learning rate" in text.get_text() for text in names)
        for text in names:
            assert text.get_window_extent().x1 <= figure.bbox.x1


def test_the_size_of_the_data_and_the_seed_make_no_line(measured):
    share = measured.assign(data_fraction=measured["unique_images"] / 4000, recipe="a")
    both = pd.concat([share, share.assign(seed=1, recipe="b")], ignore_index=True)
    points = data_scale.points(both)
    assert points["label"].tolist() == data_scale.points(measured)["label"].tolist()
    assert points["n_train"].eq(2).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": "gap"}, "pool gap"),
        ({"num_classes": 10}, "num classes 10"),
        ({"tokens_mlp_dim": 7}, "tokens mlp dim 7"),
        ({"environment_id": "e2"}, "environment id e2"),
    ],
)
def test_a_resolution_line_joins_one_model_alone(measured, changes, words):
    points = resolution.points(_with(measured, "infer", 0.9, **changes))
    lines = points.groupby(["panel", "framework", "label"])
    assert lines.ngroups == 12
    assert lines["x"].apply(list).tolist() == [[16, 32]] * 12
    assert points["label"].str.endswith(words).sum() == 12


def test_of_several_batch_sizes_the_best_is_drawn_and_the_caption_says_so(measured):
    points = resolution.points(_with(measured, "infer", 1.5, batch_size=64))
    assert set(points["batch_size"]) == {64}
    assert len(points) == len(resolution.points(measured))
    assert "best batch size of those timed, the paper's rule" in resolution.caption(
        points
    )


def test_published_is_hollow_and_measured_filled(both):
    left, right = _drawn(pareto, both).axes
    for axes, hollow in ((left, True), (right, False)):
        for points in axes.collections:
            face, edge = points.get_facecolor()[0], points.get_edgecolor()[0]
            assert (face.tolist() == [1, 1, 1, 1]) is hollow
            assert (face.tolist() == edge.tolist()) is not hollow


@pytest.mark.parametrize("module", [pareto, throughput_plot, resolution, data_scale])
def test_demo_sizes_say_so_inside_the_image(module, both):
    points = module.points(both)
    assert points["demo"].any()
    for axes, part in _panels(_drawn(module, both), points):
        note = " ".join(_texts(axes, "demo")).replace("\n", " ")
        assert note == (demo.NOTE if part["demo"].any() else "")
    assert demo.NOTE[1:] in module.caption(points)


def test_nothing_published_is_drawn_against_data_size(published, measured):
    assert data_scale.draw(published) == (
        "accuracy against pre-training images is not tabulated in the paper, and no "
        "model was measured at two data sizes"
    )
    points = data_scale.points(measured)
    assert points["x"].unique().tolist() == [250, 4000]
    (axes,) = _drawn(data_scale, measured).axes
    assert any(line.get_linestyle() == ":" for line in axes.lines)  # chance


def test_the_published_resolutions(published):
    points = resolution.points(published)
    points = points[points["quantity"] == "img_per_sec_core"]
    sizes = points.groupby("model")["x"].apply(lambda x: [int(size) for size in x])
    assert sizes.to_dict() == {
        "Mixer-H/14": [224, 448],
        "Mixer-L/16": [224, 448],
        "ViT-H/14": [224, 518],
        "ViT-L/16": [224, 512],
    }


def test_ratios_are_to_the_reference_of_the_same_panel(published):
    points = relative.points(published)
    assert points.loc[points["model"] == "Mixer-B/16", "x"].eq(1).all()
    ratio = points.set_index(["panel", "model"])["x"]
    assert ratio["Published, TPUv3: inference", "ViT-B/16"] == 861 / 1384
    assert ratio["timm, RTX 4090: inference", "ViT-B/16"] == 2787 / 2608
    assert ratio["timm, RTX 3090: training", "BiT-R50x1"] == 587 / 528


def test_a_model_on_the_other_side_than_in_the_paper_is_marked(published):
    points = relative.points(published)
    flipped = points.loc[points["flipped"], ["panel", "model"]].to_numpy().tolist()
    assert flipped == [["timm, RTX 4090: inference", "ViT-B/16"]]
    bold = [
        text.get_text()
        for axes in _drawn(relative, published).axes
        for text in axes.texts
        if text.get_fontweight() == "bold"
    ]
    assert bold == ["1.07"]
    caption = relative.caption(points)
    assert "RTX 4090: inference does not reproduce" in caption
    assert "ViT-B/16 (1.07: timm's figure, one number without interval)" in caption


def test_a_machine_with_the_reference_gets_a_panel(published, reference_here):
    rows = pd.concat([published, reference_here], ignore_index=True)
    points = relative.points(rows)
    here = points[points["source"] == "measured"].set_index("model")
    assert here["x"].to_dict() == {
        "Mixer-B/16": 1.0,
        "Mixer-S/16": 3.0,
        "ViT-B/16": 1.2,
    }
    assert here["flipped"].to_dict() == {
        "Mixer-B/16": False,
        "Mixer-S/16": False,
        "ViT-B/16": True,
    }
    vit = here.loc["ViT-B/16"]
    assert vit["n"] == 5
    assert 1.15 < vit["x_low"] < 1.2 < vit["x_high"] < 1.25
    assert here.loc["Mixer-B/16", "x_low"] is None
    assert vit["panel"] == "Measured, Xeon, 2 vcpu: inference, jax, float32, n=5"
    assert "ViT-B/16 (1.20, 1.1" in relative.caption(points)
    axes = relative.draw(rows).axes[-1]
    values = [text for text in axes.texts if text.get_gid() == "value"]
    column = {text.get_position()[0] for text in values}, {t.get_ha() for t in values}
    assert column == ({1}, {"right"})  # ratios in one column, right of every mark
    left = min(text.get_window_extent().x0 for text in values)
    ends = here[["x", "x_high"]].astype(float).to_numpy()
    assert axes.transData.transform((np.nanmax(ends), 0))[0] < left
    assert max(axes.get_xticks()) <= points[["x", "x_high"]].astype(float).max().max()
    bars = [c.get_segments()[0] for c in axes.collections if c.get_gid() == "bar"]
    ends = {(float(a[0]), float(b[0])) for a, b in bars}
    assert (vit["x_low"], vit["x_high"]) in ends


def _here(published, *runs) -> pd.DataFrame:
    """What is drawn of these measured runs, beside the published rows."""
    made = to_frame(table(row for run in runs for row in run), samples=True)
    points = relative.points(pd.concat([published, made], ignore_index=True))
    return points[points["source"] == "measured"]


@pytest.mark.parametrize(
    "vit",
    [
        timed("ViT-B/16", 12.0, count=4),  # too few processes
        timed("ViT-B/16", 10.05),  # the interval holds 1
        timed("ViT-B/16", 12.0, mode="train"),  # the paper's order is of inference
    ],
)
def test_without_evidence_no_model_is_marked(published, vit):
    mode = vit[0]["mode"]
    here = _here(published, timed("Mixer-B/16", 10.0, mode=mode), vit)
    assert set(here["model"]) == {"Mixer-B/16", "ViT-B/16"}
    assert not here["flipped"].any()


@pytest.mark.parametrize(
    "unlike",
    [
        {"batch_size": 64},
        {"batch_rule": "auto"},
        {"num_classes": 10},
        {"environment_id": "e2"},
        {"framework": "torch"},
        {"machine_id": "m2"},
        {"input": "h2d"},
        {"pool": "gap"},
    ],
)
def test_only_like_is_divided_by_like(published, unlike):
    here = _here(
        published, timed("Mixer-B/16", 10.0), timed("ViT-B/16", 12.0, **unlike)
    )
    assert set(here["model"]) == {"Mixer-B/16"}


@pytest.mark.parametrize(
    ("differs", "word"),
    [
        ({"batch_size": 64}, "batch size 64"),
        ({"environment_id": "e2"}, "environment id e2"),
        ({"machine_id": "m2"}, "machine id m2"),
    ],
)
def test_two_references_are_two_panels(published, differs, word):
    alone = timed("Mixer-B/16", 10.0), timed("ViT-B/16", 12.0)
    other = timed("Mixer-B/16", 20.0, **differs), timed("ViT-B/16", 21.0, **differs)
    here = _here(published, *alone, *other)
    assert here["panel"].nunique() == 2
    (named,) = [name for name in here["panel"].unique() if word in name]
    ratio = here.set_index(["panel", "model"])["x"]
    assert ratio[named, "ViT-B/16"] == 21 / 20


def test_batches_picked_by_a_sweep_may_differ(published):
    auto = {"batch_rule": "auto"}
    here = _here(
        published,
        timed("Mixer-B/16", 10.0, **auto),
        timed("ViT-B/16", 12.0, batch_size=64, **auto),
    )
    assert here.set_index("model")["x"]["ViT-B/16"] == 1.2


def test_without_the_reference_nothing_is_drawn(measured):
    assert relative.draw(measured) == relative.NOTHING


@pytest.mark.parametrize("module", MODULES, ids=gallery.FIGURES)
def test_no_rows_give_a_sentence(module, published):
    assert module.draw(published.iloc[:0]) == module.NOTHING


@pytest.mark.parametrize("module", MODULES, ids=gallery.FIGURES)
@pytest.mark.parametrize("width", [COLUMN_IN, style.WIDTH_IN])
def test_text_is_readable_and_inside_the_figure(module, both, width):
    figure = _drawn(module, both, width)
    assert figure.get_size_inches()[0] == width
    frame = figure.bbox
    for axes in figure.axes:
        for text in [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]:
            if not text.get_text():
                continue
            assert text.get_fontsize() >= style.SMALL_PT
            box = text.get_window_extent()
            assert frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1, text


def _box(text) -> Box:
    """Extent of the words alone, without a leader line."""
    return Box(*Text.get_window_extent(text).extents)


def _shown(axes, which: str) -> list[Box]:
    """Extents of the tick labels inside the limits; others are not drawn."""
    low, high = sorted(getattr(axes, f"get_{which}lim")())
    ticks = getattr(axes, f"get_{which}ticks")()
    words = getattr(axes, f"get_{which}ticklabels")()
    if not words:
        return []
    found = zip(ticks, words, strict=True)
    return [_box(w) for t, w in found if low <= t <= high and w.get_text()]


@pytest.mark.parametrize("module", MODULES, ids=gallery.FIGURES)
@pytest.mark.parametrize("width", [COLUMN_IN, style.WIDTH_IN])
def test_no_tick_is_cut_off_and_no_label_covers_one(module, both, width):
    figure = _drawn(module, both, width)
    figure.set_dpi(200)  # as it is saved
    figure.draw_without_rendering()
    frame = Box(*figure.bbox.extents)
    for axes in figure.axes:
        ticks = [*_shown(axes, "x"), *_shown(axes, "y")]
        for tick in ticks:
            assert tick.outside(frame) < 1
        for text in axes.texts:
            if text.get_gid() in ("label", "value") and text.get_text():
                assert sum(map(_box(text).overlap, ticks)) < 1, text
    figure.set_dpi(100)


def test_one_line_of_a_legend_or_lines_of_equal_length(both):
    for width, most in ((COLUMN_IN, 3), (style.WIDTH_IN, 7)):
        (legend,) = _drawn(pareto, both, width).legends
        count = len(legend.get_texts())
        columns = legend._ncols
        assert columns <= most and columns * -(-count // columns) - count < columns
