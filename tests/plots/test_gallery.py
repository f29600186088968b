"""The gallery writes each figure, its points and its caption, the same every time."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib

import pandas as pd
import pytest
from fontTools import subset, ttLib

from bench.errors import ResultsError, UserError
from bench.plots import gallery, pareto


def test_beside_each_figure_stand_its_points_and_its_caption(published, tmp_path):
    made = gallery.draw_all(published, tmp_path, names=["pareto"], formats=["png"])
    assert [path.name for path in made.written] == [
        "pareto.png",
        "pareto.csv",
        "pareto.txt",
    ]
    points = pareto.points(published)
    again = pd.read_csv(tmp_path / "pareto.csv")
    assert again["label"].tolist() == points["label"].tolist()
    assert again["x"].tolist() == points["x"].tolist()
    assert again["y"].tolist() == pytest.approx(points["y"].astype(float).tolist())
    assert (tmp_path / "pareto.txt").read_text() == pareto.caption(points) + "\n"


def test_what_has_nothing_to_show_is_a_sentence(published, tmp_path):
    made = gallery.draw_all(published, tmp_path, formats=["png"])
    assert set(made.skipped) == {
        *("data_scale", "tokens", "roofline", "batch_sweep", "shuffling")
    }
    assert "not tabulated in the paper" in made.skipped["data_scale"]
    assert {path.stem for path in made.written} == {
        "pareto",
        "scale",
        "throughput",
        "resolution",
        "relative",
    }


def test_the_same_rows_give_the_same_bytes(published, tmp_path):
    for folder in ("one", "two"):
        gallery.draw_all(published, tmp_path / folder, names=["resolution"])
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path


def test_the_pdf_embeds_type_42_fonts(published, tmp_path):
    gallery.draw_all(published, tmp_path, names=["resolution"], formats=["pdf"])
    data = (tmp_path / "resolution.pdf").read_bytes()
    assert b"/CIDFontType2" in data
    assert b"/Type3" not in data


def test_a_font_in_a_pdf_has_its_glyphs_and_no_tables_of_layout(published, tmp_path):
    before = subset.Options
    gallery.draw_all(published, tmp_path, names=["resolution"], formats=["pdf"])
    assert subset.Options is before
    data = (tmp_path / "resolution.pdf").read_bytes()
    streams = [part.split(b"endstream")[0] for part in data.split(b"stream\n")[1:]]
    fonts = [found for found in map(_font, streams) if found is not None]
    assert fonts
    for font in fonts:
        assert len(font["glyf"].keys()) > 5
        assert not {"GSUB", "GPOS", "GDEF", "kern"} & {*font.keys()}


def _font(stream: bytes) -> ttLib.TTFont | None:
    """The TrueType font that a stream of a PDF holds."""
    try:
        plain = zlib.decompress(stream)
    except zlib.error:
        return None
    is_font = plain[:4] in (b"\0\1\0\0", b"true")
    return ttLib.TTFont(io.BytesIO(plain)) if is_font else None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"names": ["parto"]}, r"unknown figure 'parto'; known: .* mean 'pareto'\?"),
        ({"formats": ["gif"]}, r"unknown figure format 'gif'; known: png, svg, pdf"),
        (
            {"width_in": 1.0},
            r"1 in wide is too narrow for 6 pt text; use at least 3 in",
        ),
    ],
)
def test_mistakes_are_one_line(published, tmp_path, asked, message):
    with pytest.raises(UserError, match=message):
        gallery.draw_all(published, tmp_path, **asked)


def test_a_missing_column_is_named(published, tmp_path):
    with pytest.raises(ResultsError, match="figure pareto needs the columns top1"):
        gallery.draw_all(published.drop(columns="top1"), tmp_path, names=["pareto"])


def test_a_folder_that_cannot_be_written_is_named(published, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ResultsError, match=r"cannot write .*file/resolution.png: "):
        gallery.draw_all(published, blocked, names=["resolution"])


def test_drawing_leaves_no_global_state(published, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    gallery.draw_all(published, tmp_path, names=["resolution"], formats=["svg"])
    assert dict(mpl.rcParams) == before


FRAMEWORK_FREE = """
import sys
from bench.plots import gallery
from bench.report import tables
from bench.results import read_published
gallery.draw_all(read_published(), sys.argv[1], names=["resolution"], formats=["png"])
tables.comparison_table(read_published())
print(sorted({"jax", "torch", "flax"} & set(sys.modules)))
"""


def test_figures_and_tables_need_neither_framework(tmp_path):
    command = [sys.executable, "-c", FRAMEWORK_FREE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
