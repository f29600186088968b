"""Colours, ticks and markers."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex  # noqa: TID253
from matplotlib.figure import Figure  # noqa: TID253

from bench.models import FAMILIES
from bench.plots import style


def lightness(colour: str) -> float:
    """CIE L* of an sRGB colour, 0 (black) to 100 (white)."""
    from matplotlib.colors import to_rgb

    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in to_rgb(colour)]  # fmt: skip
    y = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 116 * y ** (1 / 3) - 16 if y > 216 / 24389 else y * 24389 / 27


def test_every_family_has_a_colour_and_a_name():
    assert set(style.COLOURS) == {*FAMILIES, "other"} == set(style.NAMES)


def test_colours_are_apart_in_greyscale():
    for one, other in itertools.combinations(style.COLOURS.values(), 2):
        assert abs(lightness(one) - lightness(other)) >= 10
    assert max(map(lightness, style.COLOURS.values())) <= 80  # still seen on white


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB
BLIND = {
    "protan": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deutan": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritan": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


@pytest.mark.parametrize("matrix", BLIND.values(), ids=BLIND)
def test_colours_are_apart_for_colour_blind_readers(matrix):
    seen = [lab(np.clip(matrix @ linear(c), 0, 1)) for c in style.COLOURS.values()]
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(one - other) >= 18  # CIE76; 2.3 is just noticed


def linear(colour: str) -> np.ndarray:
    from matplotlib.colors import to_rgb

    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of a linear sRGB colour, D65."""
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722],
              [0.0193, 0.1192, 0.9505]]  # fmt: skip
    x, y, z = np.cbrt(to_xyz @ rgb / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_framework_has_a_marker_of_its_own():
    assert set(style.MARKERS) == {"jax", "torch", ""}
    assert len(set(style.MARKERS.values())) == 3


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (80, 25_000, [100, 300, 1000, 3000, 10_000]),
        (10, 500, [10, 20, 50, 100, 200, 500]),
        (3, 8, [3, 4, 5, 6, 7, 8]),
        (1e-4, 1e3, [1e-4, 0.01, 1, 100]),
        (0.9, 1.3, [0.9, 1.0, 1.1, 1.2, 1.3]),
    ],
)
def test_log_ticks_are_round_and_few(low, high, ticks):
    assert style.log_ticks(low, high) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((1e-5, "10⁻⁵"), (4e-5, "4×10⁻⁵"), (0.00015, "1.5×10⁻⁴"), (0.001, "0.001")),
        *((0.2, "0.2"), (1.0, "1"), (30, "30"), (20_000, "20,000")),
    ],
)
def test_ticks_are_plain_numbers(value, text):
    assert style.plain_number(value) == text


def test_an_unknown_published_family_is_other():
    assert style.family_of("nfnet") == "other"
    assert style.family_of("mixer") == "mixer"
    assert style.family_of(None) == "other"


@pytest.mark.parametrize(
    ("width", "panels", "across"), [(3.25, 2, 1), (6.75, 2, 2), (6.75, 1, 1)]
)
def test_panels_are_stacked_on_a_narrow_page(width, panels, across):
    assert style.across(panels, width) == across


def test_ticks_at_values_leave_out_what_would_collide():
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    style.ticks_at(axes, "x", [16, 32, 128, 256, 384, 512, 640, 768])
    assert list(axes.xaxis.get_majorticklocs()) == [16, 32, 128, 256, 384, 640]
    style.ticks_at(axes, "x", [224, 384, 448, 512])
    assert list(axes.xaxis.get_majorticklocs()) == [224, 384, 448, 512]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([("mixer", "jax", "measured")], ["Mixer", "measured, jax"]),
        ([("vit", "", "published")], ["ViT", "published"]),
        ([("vit", "torch", "published")], ["ViT", "published, torch"]),
        ([("vit", "torch", "lab A"), ("vit", "torch", "lab B")],
         ["ViT", "imported, torch"]),
        ([("mixer", "", "closed form")], ["Mixer", "closed form"]),
    ],
)  # fmt: skip
def test_a_legend_says_whose_points_they_are(points, words):
    figure = Figure()
    columns = ["family", "framework", "source"]
    style.legend(figure, pd.DataFrame(points, columns=columns))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == words


def test_a_colour_is_no_marker_in_the_legend():
    points = pd.DataFrame([{"family": "vit", "framework": "jax", "source": "measured"}])
    figure = Figure()
    style.legend(figure, points)
    colour, form = figure.legends[0].legend_handles
    assert to_hex(colour.get_facecolor()) == style.COLOURS["vit"]
    assert form.get_marker() == style.MARKERS["jax"]


@pytest.mark.parametrize(
    ("width", "text"),
    [(3.25, "ImageNet top-1\naccuracy (%)"), (6.75, "ImageNet top-1 accuracy (%)")],
)
def test_the_name_of_a_low_axis_has_short_lines(width, text):
    axes = Figure(figsize=(width, 2)).subplots()
    style.y_label(axes, "ImageNet top-1 accuracy (%)")
    assert axes.get_ylabel() == text
