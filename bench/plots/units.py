"""Hidden units of a network as pictures: token mixing, stem, position embeddings.

Drawn from a file of weights, not from rows: figures 5 to 7 of Tolstikhin et al. (2021)
of the reader's own network. Every unit is scaled by its own largest weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis import units
from bench.analysis.units import Maps
from bench.plots import style

SHOWN_LAYERS = 3
"""The paper's figure 5 shows the first three token-mixing networks."""
_GAP, _PAIR_GAP = 1, 2
"""White cells between the two units of a pair, and between pairs."""


@dataclass(frozen=True)
class Layer:
    """The units of one layer and where they come from."""

    name: str
    maps: Maps


def points(layers: Sequence[Layer]) -> pd.DataFrame:
    """A row for each unit that is drawn, in the order of drawing."""
    parts = []
    for layer in layers:
        found = units.arranged(layer.maps)
        parts.append(
            pd.DataFrame(
                {
                    "layer": layer.name,
                    "place": np.arange(len(found.order)),
                    "unit": found.order,
                    "pair": np.arange(len(found.order)) // 2,
                    "cosine_with_partner": found.similarity,
                    "mean_frequency": units.mean_frequency(layer.maps)[found.order],
                    "spectral_entropy": units.entropy(layer.maps)[found.order],
                    "spread": units.spread(layer.maps)[found.order],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def draw(
    layers: Sequence[Layer], demo: bool, width_in: float = style.WIDTH_IN
) -> Figure:
    """A panel for each layer: its units in pairs, low frequencies first."""
    across = style.across(len(layers), width_in, columns=SHOWN_LAYERS)
    pictures = [_mosaic(layer.maps) for layer in layers]
    inches = width_in / across - 0.15
    tallest = max(len(one) / one.shape[1] for one in pictures) * inches
    heading = 0.17 if demo else 0.05  # beyond what the canvas leaves for axis labels
    figure, grid = style.canvas(
        len(layers),
        width_in,
        columns=SHOWN_LAYERS,
        panel_height_in=tallest + heading,
    )
    for axes, layer, picture in zip(grid, layers, pictures, strict=True):
        _show(axes, picture)
        style.title(axes, _title(layer), across, demo)
    return figure


def _title(layer: Layer) -> str:
    count, side = layer.maps.shape[:2]
    return f"{layer.name}: {count} units of {side}×{side}"


def _show(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, interpolation="nearest", gid="units")
    axes.set_axis_off()
    axes.set_anchor("NW")


def _mosaic(maps: Maps) -> np.ndarray:
    """One RGB picture of all units, pairs side by side; 0 is mid grey."""
    order = units.arranged(maps).order
    pairs = max(1, math.ceil(math.sqrt(1.5 * len(maps)) / 2))
    rows = math.ceil(len(maps) / (2 * pairs))
    side = maps.shape[1]
    height = rows * (side + _GAP) - _GAP
    step = 2 * side + _GAP + _PAIR_GAP
    picture = np.ones((height, pairs * step - _PAIR_GAP, 3))
    for place, unit in enumerate(order):
        row, column = divmod(place, 2 * pairs)
        top = row * (side + _GAP)
        left = column // 2 * step + column % 2 * (side + _GAP)
        picture[top : top + side, left : left + side] = _shades(maps[unit])
    return picture


def _shades(unit: np.ndarray) -> np.ndarray:
    """A unit in RGB: its largest weight is white or black, zero is mid grey."""
    colours = unit if unit.ndim == 3 else unit[..., None]
    largest = np.abs(unit).max()
    scaled = 0.5 + 0.5 * colours / (largest if largest > 0 else 1.0)
    return np.broadcast_to(scaled, (*unit.shape[:2], 3))


def caption(layers: Sequence[Layer], source: str) -> str:
    """What the pictures are, and how they were put in order."""
    names = ", ".join(layer.name for layer in layers)
    return (
        f"Hidden units of {source}: {names}. Each square is one unit, its incoming "
        "weights on the grid of the input, scaled by the largest of them: grey is 0. "
        "Each unit of lowest mean frequency is followed by the unit closest to its "
        "negative; the paper does not state its own heuristic."
    )


# Position embeddings ------------------------------------------------------------


def draw_positions(
    maps: units.Grey, demo: bool, width_in: float = style.WIDTH_IN
) -> Figure:
    """Each patch's cosine with every other, at the patch's place in the image."""
    side = maps.shape[1]
    step = side + _GAP
    picture = np.full((side * step - _GAP, side * step - _GAP), np.nan)
    for place, one in enumerate(maps):
        row, column = (step * n for n in divmod(place, side))
        picture[row : row + side, column : column + side] = one
    inches = min(width_in, 4.0)
    beside = 0.75  # the bar on the right, less the title and the warning above
    figure, (axes,) = style.canvas(1, inches, panel_height_in=inches - beside)
    drawn = axes.imshow(
        picture, cmap="gray", vmin=-1, vmax=1, interpolation="nearest", gid="units"
    )
    axes.set_axis_off()
    style.title(axes, f"{len(maps)} positions, {side} × {side}", 1, demo)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("cosine similarity")
    bar.outline.set_linewidth(0.6)
    return figure


def position_points(maps: units.Grey) -> pd.DataFrame:
    """Every cosine that is drawn."""
    count = len(maps)
    first, second = np.divmod(np.arange(count * count), count)
    return pd.DataFrame({"patch": first, "with": second, "cosine": maps.reshape(-1)})


def position_caption(source: str) -> str:
    """What the picture shows."""
    return (
        f"Position embeddings of {source}: the cosine of each patch's with those of "
        "all patches, drawn where the patch lies in the image."
    )
