"""How structured each layer's units are, beside units of white noise.

Tolstikhin et al. (2021) say of figure 5 that deeper units lose structure; the paper
gives no number. Spectral entropy is one: 1 is the same energy at every frequency.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis import units
from bench.plots import style
from bench.plots.units import Layer

_PANELS = (
    ("entropy", "spectral entropy", "1: all frequencies alike"),
    ("spread", "spread of the energy", "1: spread evenly"),
    ("opposite", "cosine with the partner", "−1: exact opposites"),
)


def points(layers: Sequence[Layer]) -> pd.DataFrame:
    """A row of numbers for each layer, white noise of its shape beside them."""
    return pd.DataFrame(
        [
            {"layer": layer.name, "side": layer.maps.shape[1], **vars(found)}
            for layer in layers
            for found in [units.structure(layer.maps)]
        ]
    )


def draw(found: pd.DataFrame, demo: bool, width_in: float = style.WIDTH_IN) -> Figure:
    """A panel for each number, a place for each layer."""
    across = style.across(len(_PANELS), width_in, columns=3)
    figure, grid = style.canvas(
        len(_PANELS), width_in, columns=3, panel_height_in=2.1 + 0.3 * demo
    )
    for axes, (name, label, title) in zip(grid, _PANELS, strict=True):
        _panel(axes, found, name)
        axes.set_ylabel(label)
        style.title(axes, title, across, demo)
    figure.legend(handles=_keys(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _panel(axes: Axes, found: pd.DataFrame, name: str) -> None:
    x = np.arange(len(found))
    axes.plot(x, found[name], "o-", color="#1b2a6b", ms=3.5, lw=0.9, gid="layers")
    noise = found[f"{name}_noise"]
    axes.plot(
        x, noise, "D--", color="#777777", mfc="white", ms=3.2, lw=0.8, gid="noise"
    )
    if name == "entropy":
        apart = found["entropy_noise_std"]
        axes.fill_between(x, noise - apart, noise + apart, color="#dddddd", zorder=0)
    shown = [str(text).replace("token mixing ", "") for text in found["layer"]]
    axes.set_xticks(x, shown, rotation=0 if max(map(len, shown)) < 4 else 45)
    axes.set_xlim(-0.5, len(found) - 0.5)
    if any("token mixing" in str(text) for text in found["layer"]):
        axes.set_xlabel("token-mixing network of block")


def _keys() -> list[Line2D]:
    return [
        Line2D(
            [], [], marker="o", color="#1b2a6b", ms=3.5, lw=0.9, label="these weights"
        ),
        Line2D(
            [], [], marker="D", ls="--", color="#777777", mfc="white", ms=3.2, lw=0.8,
            label="white noise, as drawn at the start",
        ),
    ]  # fmt: skip


def caption(found: pd.DataFrame, source: str) -> str:
    """What the numbers are."""
    return (
        f"Structure of the units of {source}, layer by layer; hollow: white noise of "
        "the same shape, which is what training starts from; band: one standard "
        "deviation of one such unit. Entropy is that of a unit's energy over the "
        "frequencies, divided by its largest possible value; spread is the root mean "
        "square distance of the energy from its centre, over that of an even unit; "
        "the cosine is with the unit closest to the negative, which among many units "
        "of noise is below 0 by chance."
    )
