"""Model scale: the paper's Table 3 against its core-days, and sizes trained alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from measured_rows import base

from bench.plots import scale, style, throughput
from bench.record import table
from bench.results import to_frame

JFT, I21K, IMAGENET = (
    f"Published: Tolstikhin et al. (2021), TPUv3, {name}, 224 px"
    for name in ("JFT-300M", "ImageNet-21k", "ImageNet")
)
MIXER_ON_JFT = [  # core-days and top-1 as printed in Table 3
    ("Mixer-S/32", 10, 68.70),
    ("Mixer-S/16", 30, 73.83),
    ("Mixer-B/32", 50, 75.53),
    ("Mixer-B/16", 80, 80.00),
    ("Mixer-L/32", 120, 80.67),
    ("Mixer-L/16 (7 ep)", 230, 84.05),
    ("Mixer-L/16 (14 ep)", 450, 84.82),
    ("Mixer-H/14", 1010, 86.32),
]
COST = {"Mixer-XXS/4": 5e-5, "Mixer-XS/4": 2e-4, "ViT-XXS/4": 6e-5, "ViT-XS/4": 3e-4}


def trained(models: list[str], **values: Any) -> Iterator[dict[str, Any]]:
    """Two data sizes of each model, dearer models a little better."""
    for model in models:
        for images, top1 in ((30, 0.3), (1000, 0.9)):
            yield {
                **base(model, "torch"),
                "cell_id": f"{model} {images} {sorted(values.items())}",
                "attempt_id": f"{model} {images} {sorted(values.items())}",
                "mode": "pretrain",
                "pretrain_dataset": "fractals",
                "eval_dataset": "fractals",
                "data_examples": images,
                "unique_images": images,
                "total_epochs": 10.0,
                "top1": top1 + 100 * COST[model],
                "chance": 0.1,
                "core_days_measured": COST[model] * (1 + images / 1e4),
                **values,
            }


def frame(*parts: Iterator[dict[str, Any]]) -> pd.DataFrame:
    return to_frame(table(row for part in parts for row in part), samples=True)


def named(axes: Any) -> list[str]:
    return sorted(t.get_text() for t in axes.texts if t.get_gid() == "label")


def lines(axes: Any) -> list[list[tuple[float, float]]]:
    drawn = [line for line in axes.lines if line.get_gid() == "line"]
    return [[(float(x), float(y)) for x, y in one.get_xydata()] for one in drawn]


def drawn(rows: pd.DataFrame) -> Any:
    with style.style():
        figure = scale.draw(rows)
    assert not isinstance(figure, str), figure
    return figure


def test_the_published_points_are_table_3_at_224_px(published):
    points = scale.points(published)
    assert points["panel"].value_counts(sort=False).to_dict() == {
        JFT: 15,
        I21K: 4,
        IMAGENET: 4,
    }
    jft = points[points["panel"] == JFT]
    mixers = jft[jft["family"] == "mixer"].sort_values("x")
    found = mixers[["label", "x", "y"]].to_numpy().tolist()
    assert found == [[a, b, pytest.approx(c)] for a, b, c in MIXER_ON_JFT]
    assert set(points["image_size"]) == {224}


def test_the_models_on_jft_are_those_of_the_throughput_figure(published):
    points = scale.points(published)
    jft = points[points["panel"] == JFT]
    other = throughput.points(published)
    assert jft["label"].tolist() == other["label"].tolist()
    assert jft["y"].tolist() == other["y"].tolist()
    assert other["panel"].unique().tolist() == [JFT]


def test_only_the_smaller_sets_have_extrapolated_core_days(published):
    points = scale.points(published)
    marked = points[points["label"].str.endswith("‡")]
    assert set(marked["panel"]) == {I21K, IMAGENET} and len(marked) == 8
    assert set(marked["core_days_kind"]) == {"extrapolated"}
    imagenet = marked[marked["panel"] == IMAGENET].set_index("label")
    assert imagenet["x"].to_dict() == {
        "Mixer-B/16‡": 10,
        "ViT-B/16‡": 20,
        "Mixer-L/16‡": 40,
        "ViT-L/16‡": 50,
    }
    text = scale.caption(points)
    assert "‡: core-days extrapolated, not reported for that run." in text


def test_on_the_published_frontier_no_resnet_stands(published):
    points = scale.points(published)
    said = (
        "On the published frontier of JFT-300M: Mixer-S/32, Mixer-S/16, Mixer-B/32, "
        "Mixer-B/16, Mixer-L/32, Mixer-L/16 (7 ep), Mixer-L/16 (14 ep), ViT-L/16, "
        "Mixer-H/14, ViT-H/14."
    )
    assert said in scale.caption(points)
    front = points[points["on_frontier"]].groupby("panel")["label"].apply(sorted)
    assert front[I21K] == ["Mixer-B/16‡", "ViT-B/16‡"]
    assert front[IMAGENET] == ["Mixer-B/16‡", "ViT-B/16‡"]


def test_a_line_joins_a_family_on_one_set_by_cost(published):
    figure = drawn(published)
    first, _, last = figure.axes
    assert [len(lines(axes)) for axes in figure.axes] == [3, 2, 2]
    mixer = [(x, pytest.approx(y)) for _, x, y in MIXER_ON_JFT]
    assert mixer in lines(first)
    assert [(10, pytest.approx(76.44)), (40, pytest.approx(71.76))] in lines(last)
    points = scale.points(published)
    for axes, (_, part) in zip(
        figure.axes, points.groupby("panel", sort=False), strict=True
    ):
        assert named(axes) == sorted(part["label"])


def test_one_size_of_each_family_is_drawn_by_pareto_alone(published, measured):
    assert scale.draw(measured) == scale.NOTHING
    both = pd.concat([published, measured], ignore_index=True)
    assert set(scale.points(both)["source"]) == {"published"}


def test_a_measured_line_joins_the_sizes_on_one_data_size():
    rows = frame(trained(["Mixer-XXS/4", "Mixer-XS/4", "ViT-XXS/4"]))
    points = scale.points(rows)
    assert set(points["family"]) == {"mixer"} and len(points) == 4
    (axes,) = drawn(rows).axes
    ends = [[x for x, _ in line] for line in lines(axes)]
    assert sorted(ends) == [
        [pytest.approx(5e-5 * share), pytest.approx(2e-4 * share)]
        for share in (1.003, 1.1)
    ]
    assert named(axes) == ["30 images", "Mixer-XS/4, 1,000 images", "Mixer-XXS/4"]


def test_lines_of_two_families_keep_their_names_whole():
    rows = frame(trained(list(COST)))
    assert scale.points(rows)["line"].nunique() == 4
    (axes,) = drawn(rows).axes
    assert named(axes) == [
        "Mixer-XS/4, 1,000 images",
        "Mixer-XS/4, 30 images",
        "Mixer-XXS/4",
        "ViT-XS/4, 1,000 images",
        "ViT-XS/4, 30 images",
        "ViT-XXS/4",
    ]


def test_lines_that_differ_in_a_setting_alone_say_it():
    names = ["Mixer-XXS/4", "Mixer-XS/4"]
    rows = frame(trained(names), trained(names, total_epochs=20.0, top1=0.5))
    (axes,) = drawn(rows[rows["data_examples"] == 30]).axes
    assert named(axes) == [
        "Mixer-XS/4, total epochs 20",
        "Mixer-XXS/4",
        "total epochs 10",
    ]


@pytest.mark.parametrize(
    "unlike",
    [
        {"total_epochs": 20.0},
        {"images_seen": 5},
        {"learning_rate": 0.1},
        {"batch_size": 8},
        {"image_size": 32},
        {"framework": "jax"},
        {"environment_id": "e2"},
        {"machine_id": "m2"},
        {"eval_split": "val"},
        {"shuffle": "global"},
    ],
)
def test_sizes_that_were_not_trained_alike_are_not_joined(unlike):
    rows = frame(trained(["Mixer-XXS/4"]), trained(["Mixer-XS/4"], **unlike))
    assert scale.draw(rows) == scale.NOTHING


def test_a_network_timed_in_two_ways_is_one_point():
    names = ["Mixer-XXS/4", "Mixer-XS/4"]
    times = [
        {**base(model, "torch"), "cell_id": f"{model} {batch}", "mode": "infer",
         "track": "protocol", "batch_size": batch, "img_per_sec_core": 1.0}
        for model in names
        for batch in (1, 8)
    ]  # fmt: skip
    assert len(scale.points(frame(trained(names), iter(times)))) == 4
