"""Accuracy against image size: what is joined is one network, tested alike."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from measured_rows import base, timed

from bench.plots import resolution, style
from bench.record import table
from bench.results import to_frame


def tuned(sizes: dict[int, float], **values: Any) -> Iterator[dict[str, Any]]:
    """One Mixer fine-tuned at several sizes; its token MLPs grow with the size."""
    smallest = min(sizes)
    for size, top1 in sizes.items():
        yield {
            **base("Mixer-B/16", "jax"),
            "cell_id": f"{size} {sorted(values.items())}",
            "parent_cell_id": "parent",
            "mode": "finetune",
            "image_size": size,
            "tokens_mlp_dim": 384 * (size // smallest) ** 2
            if size > smallest
            else None,
            "dataset": "imagenet",
            "pretrain_dataset": "JFT-300M",
            "eval_dataset": "imagenet",
            "eval_split": "test",
            "eval_preprocess": prepared(size),
            "learning_rate": 0.03,
            "top1": top1,
            "chance": 0.001,
            **values,
        }


def prepared(size: int) -> str:
    return f"shorter side {round(size * 8 / 7)} by area, central crop {size}"


def frame(*parts: Any) -> pd.DataFrame:
    return to_frame(table(row for part in parts for row in part), samples=True)


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    points = resolution.points(rows)
    return points[points["quantity"] == "top1"]


def drawn(rows: pd.DataFrame, width: float = style.WIDTH_IN) -> Any:
    with style.style():
        figure = resolution.draw(rows, width)
    assert not isinstance(figure, str), figure
    return figure


def test_the_published_accuracies_are_pairs_of_table_3(published):
    points = accuracies(published)
    pairs = {
        str(label): [(x, round(y, 2)) for x, y in line[["x", "y"]].to_numpy()]
        for label, line in points.groupby("label")
    }
    assert pairs == {
        "Mixer-L/16, JFT-300M": [(224, 84.82), (448, 86.78)],
        "Mixer-L/16, ImageNet-21k": [(224, 82.89), (448, 83.91)],
        "ViT-L/16, JFT-300M": [(224, 85.63), (512, 87.76)],
    }
    assert set(points["citation"]) == {"arXiv:2105.01601v4 Table 3"}


def test_tables_evaluated_otherwise_are_not_joined(published):
    """Table 2 has Mixer-L/16 at 84.15 where Table 3 has 83.91."""
    assert not accuracies(published)["model"].str.contains("H/14").any()
    text = resolution.caption(resolution.points(published))
    assert "its H/14 models are not joined to their 224 px" in text


def test_throughput_and_accuracy_have_panels_of_their_own(published):
    rates, scores = drawn(published).axes
    assert rates.get_ylabel() == "images / s / core (TPUv3 core)"
    assert scores.get_ylabel() == "ImageNet top-1 accuracy (%)"
    assert (rates.get_yscale(), scores.get_yscale()) == ("log", "linear")
    assert sum(line.get_gid() == "line" for line in scores.lines) == 3


def test_a_network_fine_tuned_at_three_sizes_is_one_line():
    points = accuracies(frame(tuned({224: 0.8, 448: 0.82, 672: 0.81})))
    assert points["x"].tolist() == [224, 448, 672]
    assert points["y"].tolist() == pytest.approx([80, 82, 81])
    assert set(points["label"]) == {"Mixer-B/16"} and set(points["n"]) == {1}


def test_seeds_are_one_point_at_their_median():
    seeds = [
        tuned({224: t, 448: t + 0.1}, seed=s) for s, t in enumerate((0.1, 0.5, 0.6))
    ]
    points = accuracies(frame(*seeds))
    assert points["y"].tolist() == pytest.approx([50, 60])
    assert set(points["n"]) == {3}


@pytest.mark.parametrize(
    "unlike",
    [
        {"parent_cell_id": "other"},
        {"pretrain_dataset": "ImageNet-21k"},
        {"learning_rate": 0.1},
        {"total_epochs": 3.0},
        {"batch_size": 8},
        {"mode": "pretrain"},
        {"machine_id": "m2"},
        {"environment_id": "e2"},
        {"eval_preprocess": "resize 448x448 bilinear"},
        {"eval_split": "val"},
        {"shuffle": "global"},
    ],
)
def test_other_networks_and_other_recipes_are_not_joined(unlike):
    rows = frame(tuned({224: 0.8}), tuned({448: 0.9}, **unlike))
    assert resolution.draw(rows) == resolution.NOTHING


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        ("resize {0}x{0} bilinear", True),
        ("rendered at {0} px, grey to RGB", True),
        ("32 px, resize {0}x{0} bilinear", True),
        ("{0} px scan, bilinear to {0} px", False),  # the stored images differ
    ],
)
def test_preparing_an_image_at_another_size_is_preparing_it_alike(words, joined):
    rows = frame(
        *(tuned({s: 0.5}, eval_preprocess=words.format(s)) for s in (32, 64)),
    )
    rows["tokens_mlp_dim"] = None
    assert (len(accuracies(rows)) == 2) is joined


SIZES = [128, 256, 384, 512, 640, 768]


@pytest.mark.parametrize("width", [3.25, style.WIDTH_IN])
def test_every_size_has_a_tick_and_no_two_touch(width):
    times = [
        row
        for size in SIZES
        for row in timed("ViT-B/16", 1e6 / size**2, image_size=size)
    ]
    demo = [row for size in (16, 32) for row in timed("ViT-XS/4", 9.0, image_size=size)]
    figure = drawn(frame(times, demo), width)
    figure.draw_without_rendering()
    paper, small = figure.axes
    assert paper.get_xticks().tolist() == SIZES
    assert small.get_xticks().tolist() == [16, 32]
    boxes = [one.get_window_extent() for one in paper.get_xticklabels()]
    for left, right in itertools.pairwise(boxes):
        assert left.x1 + 1 < right.x0
