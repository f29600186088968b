"""A figure fits on a page: how high its rows are, what stands once above them."""

from __future__ import annotations

import importlib

import pandas as pd
import pytest
from measured_rows import timed

from bench.plots import gallery, pareto, ratio_grid, relative, roofline, style
from bench.plots.rectangles import Box
from bench.record import table
from bench.results import to_frame

COLUMN_IN = 3.25


@pytest.mark.parametrize(
    ("names", "across", "shares"),
    [
        ([0, 10, 30, 2, 5, 0], 2, [1.3, 2.2, 0.9]),
        ([6, 12], 1, [0.98, 1.46]),
        ([3, 3, 3], 2, [0.8, 0.8]),
    ],
)
def test_a_row_of_more_labels_is_higher(names, across, shares):
    assert style._by_names(names, across) == pytest.approx(shares)


@pytest.mark.parametrize("name", gallery.FIGURES)
@pytest.mark.parametrize("width", [COLUMN_IN, style.WIDTH_IN])
def test_every_figure_fits_on_a_page(name, width, both):
    module = importlib.import_module(f"bench.plots.{name}")
    with style.style():
        high = module.draw(both, width).get_size_inches()[1]
    assert high <= style.PAGE_IN


def _machines(measured: pd.DataFrame, count: int) -> pd.DataFrame:
    several = [
        measured.assign(machine_id=f"m{n}", machine=f"machine {n}")
        for n in range(count)
    ]
    return pd.concat(several, ignore_index=True)


@pytest.mark.parametrize("module", [pareto, roofline], ids=["pareto", "roofline"])
def test_stacked_panels_share_one_page_and_no_text_leaves_it(module, measured):
    with style.style():
        figure = module.draw(_machines(measured, 5), COLUMN_IN)
    assert len(figure.axes) == 5
    assert figure.get_size_inches()[1] == style.PAGE_IN
    for axes in figure.axes:
        assert axes.get_window_extent().height > 45  # half an inch at 100 per inch
        for text in [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]:
            box = text.get_window_extent()
            assert figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1
            assert figure.bbox.y0 - 1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1


@pytest.fixture(scope="module")
def many(published) -> pd.DataFrame:
    """Thirteen panels: the published and nine of one machine."""
    runs = [
        one
        for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256)
        for model, rate in (("Mixer-B/16", 10.0), ("ViT-B/16", 7.0), ("ViT-S/16", 25.0))
        for one in timed(model, rate, batch_size=batch)
    ]
    return pd.concat([published, to_frame(table(runs), samples=True)])


@pytest.mark.parametrize(("width", "across"), [(COLUMN_IN, 3), (style.WIDTH_IN, 5)])
def test_thirteen_machines_fit_on_a_page(many, width, across):
    with style.style():
        figure = relative.draw(many, width)
    assert len(figure.axes) == 13
    assert figure.get_size_inches()[1] <= style.PAGE_IN
    columns = [axes.get_subplotspec().colspan.start for axes in figure.axes]
    assert columns == [n % across for n in range(13)]
    named = [n for n, axes in enumerate(figure.axes) if axes.get_xlabel()]
    assert named == list(range(12 // across * across, 13))
    lowest = [n for n, axes in enumerate(figure.axes) if style.is_lowest(axes)]
    assert lowest == list(range(13 - across, 13))


@pytest.mark.parametrize("width", [COLUMN_IN, style.WIDTH_IN])
def test_what_neighbours_have_in_common_stands_once_above_them(many, width):
    with style.style():
        figure = relative.draw(many, width)
    figure.draw_without_rendering()
    heads = [text for text in figure.texts if text.get_gid() == "head"]
    heights = [round(text.get_position()[1], 6) for text in heads]
    assert "Measured, Xeon, 2 vcpu:" in {text.get_text() for text in heads}
    assert len(heights) == len(set(heights)) == len(figure.artists)
    for text in heads:
        box = Box(*text.get_window_extent().extents)
        assert box.outside(Box(*figure.bbox.extents)) == 0
        for axes in figure.axes:
            own = axes._left_title
            words = own.get_text()
            own.set_text(words.lstrip("\n"))  # blank lines are its room
            assert box.overlap(Box(*own.get_window_extent().extents)) == 0, words
            own.set_text(words)


def test_neighbours_of_one_head_keep_their_own_words():
    page = ratio_grid._Page(style.WIDTH_IN, 3)
    names = ["timm, A: inference", "Here, B: inference, jax", "Here, B: training, jax"]
    first, second, third = ratio_grid._titles(names, page)
    assert (first.text, first.head) == ("timm, A: inference", "")
    assert (second.text, second.head) == ("\ninference, jax", "Here, B:")
    assert (third.text, third.head) == ("training, jax", "")
