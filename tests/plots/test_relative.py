"""Relative throughput: imported figures have panels, a row only the models it shows."""

from __future__ import annotations

import pandas as pd
import pytest
from measured_rows import timed

from bench.analysis.key import imported
from bench.cli import app
from bench.plots import relative, style
from bench.record import table
from bench.results import to_frame, write

LAB = {
    "status": "ok",
    "role": "cell",
    "source": "lab",
    "citation": "our log",
    "protocol": 1,
    "mode": "infer",
    "framework": "torch",
    "machine": "A100",
    "image_size": 224,
}


def lab(model: str, rate: float | None, **values) -> dict:
    family = {"M": "mixer", "V": "vit"}[model[0]]
    row = {**LAB, "model": model, "family": family, "img_per_sec": rate, **values}
    return {**row, "attempt_id": f"lab:{sorted(map(str, row.items()))}"}


def _beside(published, *rows) -> pd.DataFrame:
    return pd.concat([published, to_frame(table(rows), samples=True)])


REFERENCE = lab("Mixer-B/16", 2000.0)


@pytest.mark.parametrize(
    ("rows", "ratios", "drawn"),
    [
        ([lab("ViT-B/16", 2500.0)], {"ViT-B/16": 1.25}, 2),
        ([lab("ViT-B/16", r, repetition=n) for n, r in enumerate((1e3, 3e3, 9e3))],
         {"ViT-B/16": 1.5}, 4),
        ([lab("ViT-B/16", 2500.0, image_size=384)], {}, 1),
        ([lab("ViT-B/16", 2500.0, image_size=None)], {}, 1),
        ([lab("ViT-B/16", 2500.0, mode="pretrain")], {}, 1),
        ([lab("ViT-B/16", 2500.0, machine="T4")], {}, 1),
        ([lab("ViT-B/16", 2500.0, dtype="bfloat16")], {}, 1),
        ([lab("ViT-B/16", None)], {}, 1),
        ([lab("ViT-B/16", 2500.0, source="other")], {}, 1),
        ([lab("ViT-B/16", 2500.0, peer="timm")], {}, 1),  # other code than the first's
    ],
)  # fmt: skip
def test_imported_rates_are_divided_by_their_own_reference(
    published, rows, ratios, drawn
):
    frame = _beside(published, REFERENCE, *rows)
    points = relative.points(frame)
    theirs = points[imported(points)]
    assert set(theirs["panel"]) == {"Imported, lab, A100: inference, torch"}
    found = theirs.set_index("model")["x"].to_dict()
    assert found == {"Mixer-B/16": 1.0, **ratios}
    assert relative.imports_drawn(frame) == drawn


def test_rates_per_core_are_preferred(published):
    rows = [
        lab("Mixer-B/16", 8.0, img_per_sec_core=4.0),
        lab("ViT-B/16", 9.0, img_per_sec_core=3.0),
        lab("ViT-S/16", 9.0),  # the others' rates are of a core
    ]
    points = relative.points(_beside(published, *rows))
    theirs = points[imported(points)].set_index("model")["x"]
    assert theirs.to_dict() == {"Mixer-B/16": 1.0, "ViT-B/16": 0.75}


def test_imported_points_are_hollow_and_cited(published):
    frame = _beside(published, REFERENCE, lab("ViT-B/16", 2500.0))
    axes = relative.draw(frame).axes[-1]
    faces = [c.get_facecolor()[0].tolist() for c in axes.collections if len(
        c.get_facecolor()) and (c.get_gid() or "").startswith("points")]  # fmt: skip
    assert faces == [[1, 1, 1, 1]] * 2
    caption = relative.caption(relative.points(frame))
    assert "imported, by lab (our log)." in caption
    assert "ViT-B/16 (1.25: lab's figure, one number without interval)" in caption


@pytest.mark.parametrize(
    ("figure", "left"), [("relative", "1 imported row"), ("pareto", "3 imported rows")]
)
def test_plot_says_how_many_imported_rows_it_leaves_out(
    figure, left, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    rows = [
        *(REFERENCE, lab("ViT-B/16", 2500.0), lab("ViT-B/16", 9.0, image_size=384)),
        lab("Mixer-B/16", 9.0, token_mixing="none"),  # which no figure shows, ever
    ]
    write(table(rows), tmp_path / "lab.parquet")
    arguments = ["plot", "lab.parquet", "--figure", figure, "--format", "svg"]
    assert app._run(arguments) == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"{left} not drawn: ") and "mixer-bench table" in line


def test_across_sittings_there_is_no_interval(published):
    """A machine drifts between sittings: what was timed beside the reference counts."""
    here, then = {"sitting_id": "here"}, {"sitting_id": "then", "variant": "compile"}
    frame = _beside(
        published,
        *timed("Mixer-B/16", 10.0, **here),
        *timed("ViT-B/16", 5.0, **here),
        *timed("ViT-B/16", 7.0, **then),
        *timed("ViT-S/16", 30.0, **then),
        *timed("BiT-R50x1", 20.0, count=1, **here),
    )
    points = relative.points(frame)
    theirs = points[points["source"] != "measured"]
    assert len(theirs) and theirs["together"].isna().all()  # no sitting is known
    mine = points[points["source"] == "measured"].set_index("model")
    assert mine["x"].to_dict() == pytest.approx(
        {"Mixer-B/16": 1.0, "ViT-B/16": 0.5, "ViT-S/16": 3.0, "BiT-R50x1": 2.0}
    )
    assert mine["together"].to_dict() == {
        "Mixer-B/16": True,
        "ViT-B/16": True,
        "ViT-S/16": False,
        "BiT-R50x1": True,
    }
    assert mine["x_low"].notna().to_dict() == {
        "Mixer-B/16": False,
        "ViT-B/16": True,
        "ViT-S/16": False,
        "BiT-R50x1": False,
    }


def _names(figure) -> list[list[str]]:
    """The lines of each row of panels, from the top."""
    texts = ([t.get_text() for t in axes.get_yticklabels()] for axes in figure.axes)
    return [names for names in texts if any(names)]


def test_a_row_of_panels_lists_the_models_that_it_shows(published):
    frame = _beside(published, *timed("Mixer-B/16", 10.0), *timed("ViT-B/16", 5.0))
    points = relative.points(frame)
    with style.style():
        narrow = relative.draw(frame, 3.25)
    order = points.sort_values("y", ascending=False)["model"].drop_duplicates()
    rows = [points["panel"].unique()[i : i + 3] for i in (0, 3)]
    shown = [set(points.loc[points["panel"].isin(row), "model"]) for row in rows]
    names = _names(narrow)
    assert names == [[name for name in order if name in row] for row in shown]
    points_high = [axes.get_window_extent().height * 0.72 for axes in narrow.axes[::3]]
    each = [high / (len(n) + 0.4) for high, n in zip(points_high, names, strict=True)]
    assert max(each) / min(each) < 1.02  # lines are as far apart in every row
    assert min(each) > 7  # a text's height
