"""The figures that a file of weights gives: units, position embeddings, structure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis import units
from bench.plots import gallery, structure, style
from bench.plots import units as pictures
from bench.plots.units import Layer


@dataclass(frozen=True, kw_only=True)
class Drawable:
    """What of a network can be drawn."""

    source: str
    """What it is called in captions: the file."""
    demo: bool
    stem: Layer
    token_mixing: tuple[Layer, ...]
    positions: np.ndarray | None
    """(patches, width)"""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those whose structure is measured: token mixing, else the stem."""
        return self.token_mixing or (self.stem,)


TITLES = {
    "token_units": "Hidden units of the token-mixing networks",
    "positions": "How alike the position embeddings are",
    "stem_units": "Units of the stem",
    "structure": "How structured the units are, layer by layer",
}
"""The figures, in the order of the page."""

_Made = tuple[str, Figure, pd.DataFrame, str]


def draw_all(
    given: Drawable,
    out_dir: Path,
    formats: Sequence[str] = gallery.FORMATS,
    width_in: float = style.WIDTH_IN,
) -> list[Path]:
    """Draw every figure that these weights allow into `out_dir`; the files written."""
    gallery.check((), formats, width_in)
    with style.style():
        return [
            path
            for name, figure, found, caption in _figures(given, width_in)
            for path in gallery.save(out_dir / name, figure, found, caption, formats)
        ]


def write_page(folder: Path, file: Path) -> Path:
    """`README.md` in `folder`: its figures, their captions, the command."""
    command = shlex.join(["mixer-bench", "weights", str(file), "--out", str(folder)])
    parts = ["# Weights of a trained network", f"    {command}"]
    for name, title in TITLES.items():
        if (folder / f"{name}.png").exists():
            caption = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
            parts += [f"## {title}", f"![{name}]({name}.png)", caption]
            made = [f"{name}.{kind}" for kind in ("svg", "pdf", "csv")]
            links = [f"[{n}]({n})" for n in made if (folder / n).exists()]
            parts += [" · ".join(links)]
    return gallery.write_text(folder / "README.md", parts)


def _figures(given: Drawable, width_in: float) -> Iterator[_Made]:
    shown = {
        "token_units": given.token_mixing[: pictures.SHOWN_LAYERS],
        "stem_units": (given.stem,),
    }
    for name, layers in shown.items():
        if layers:
            figure = pictures.draw(layers, given.demo, width_in)
            caption = pictures.caption(layers, given.source)
            yield name, figure, pictures.points(layers), caption
    maps = None if given.positions is None else units.similarity_maps(given.positions)
    if maps is not None:
        figure = pictures.draw_positions(maps, given.demo, width_in)
        caption = pictures.position_caption(given.source)
        yield "positions", figure, pictures.position_points(maps), caption
    found = structure.points(given.layers)
    figure = structure.draw(found, given.demo, width_in)
    yield "structure", figure, found, structure.caption(found, given.source)
