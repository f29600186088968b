"""Fitted curves under measured means: their rows among the points, and their look."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.analysis import fits, lack, scaling
from bench.analysis.fits import Data, Fit
from bench.analysis.forms import FORMS, SHORTFALL
from bench.analysis.seeds import student_interval
from bench.plots import panels

COLUMNS = ("kind", "n", "y_low", "y_high", "form", "why_not")
"""What stands beside a point: what it is, its seeds, its interval, its line's fit."""
_X_AND_Y = ("unique_images", "top1")
SHADE = 0.22
JOINED: dict[str, Any] = {"linewidth": 0.7, "linestyle": (0, (3, 2))}
_STEPS = 33
"""Points of a drawn curve, evenly on the log axis; exact at both ends."""


def with_fits(means: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The points of each line, accuracy in per cent, followed by its fitted curve.

    `means` has `train_attempts`: the numbers, in `runs`, of the runs behind a point.
    """
    parts: list[pd.DataFrame] = []
    runs = runs[[*_X_AND_Y, "chance", "subset_seed", "seed"]]  # of two hundred columns
    for _, part in means.groupby(panels.LINE, dropna=False, sort=False):
        parts += _line_with_fit(part, runs)
    return pd.concat(parts, ignore_index=True) if parts else means


def _line_with_fit(part: pd.DataFrame, runs: pd.DataFrame) -> Iterator[pd.DataFrame]:
    numbers = [int(one) for each in part["train_attempts"] for one in each]
    done = runs.loc[numbers].dropna(subset=list(_X_AND_Y))
    data = scaling.data_of(done, *_X_AND_Y)
    found = [fits.alone(data, form) for form in FORMS]
    best = _best(data, [one for one in found if one.curve])
    yield part.assign(
        kind="runs",
        form=best.form if best else None,
        why_not=None if best else _reasons(found),
        **_means(data, part["x"].to_numpy(float)),
    )
    if best is not None:
        shown = fits.with_draws(data, best)  # only what is shown is drawn again
        yield _curve(part.iloc[0], data, shown)


def _best(data: Data, sure: list[Fit]) -> Fit | None:
    """The identified form to draw: of several that which predicts best."""
    if len(sure) > 1:
        sure = [fits.with_held_out(data, one) for one in sure]
    return scaling.chosen(sure)


def _reasons(found: list[Fit]) -> str:
    """Why no form is fitted; forms that share a reason are named together."""
    forms: dict[str, list[str]] = {}
    for one in found:
        forms.setdefault(one.refused, []).append(one.form)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in forms.items())


def _means(data: Data, sizes: np.ndarray) -> dict[str, Any]:
    units = [scaling.seed_means(data, x) for x in sizes.tolist()]
    ends = [student_interval(one) or (None, None) for one in units]
    return {
        "y": [100 * (1 - float(one.mean())) for one in units],
        "n": [float(len(one)) for one in units],
        "y_low": [None if high is None else _per_cent(high) for _, high in ends],
        "y_high": [None if low is None else _per_cent(low) for low, _ in ends],
    }


def _per_cent(error: float) -> float:
    """Accuracy, which ends at 0 and at 100 however wide an interval is."""
    return 100 * min(max(1 - error, 0.0), 1.0)


def _curve(first: pd.Series[Any], data: Data, fit: Fit) -> pd.DataFrame:
    assert fit.curve is not None
    x = np.geomspace(data.sizes[0], data.sizes[-1], _STEPS)
    band = fit.band(x)
    low, high = (band[1], band[0]) if band else ([None] * _STEPS, [None] * _STEPS)
    shared: dict[Hashable, Any] = {
        name: value
        for name, value in first.to_dict().items()
        if name in panels.POINT_COLUMNS
    }
    return pd.DataFrame(
        {
            **{name: [value] * _STEPS for name, value in shared.items()},
            "kind": "fit",
            "form": fit.form,
            "why_not": lack.UNTESTED if fit.p_missed is None else None,
            "x": x,
            "y": [_per_cent(one) for one in fit.curve.error(x)],
            "y_low": [None if one is None else _per_cent(one) for one in low],
            "y_high": [None if one is None else _per_cent(one) for one in high],
        }
    )


def coverage_note(form: str) -> str:
    """A sentence on a form whose intervals hold the truth less often than they say."""
    return SHORTFALL.get(form, "")


def draw_line(axes: Axes, line: pd.DataFrame, colour: str) -> None:
    """The bars of the means, and the fitted curve with its band; else dots joined."""
    means, curve = (line[line["kind"] == kind] for kind in ("runs", "fit"))
    bars = means[means["y_low"].notna()]
    axes.vlines(bars["x"], bars["y_low"], bars["y_high"], color=colour, linewidth=0.9)
    if curve.empty:
        axes.plot(means["x"], means["y"], color=colour, gid="line", **JOINED)
        return
    axes.plot(curve["x"], curve["y"], color=colour, linewidth=1.1, gid="line")
    if curve["y_low"].notna().all():
        axes.fill_between(
            curve["x"].astype(float),
            curve["y_low"].astype(float),
            curve["y_high"].astype(float),
            color=colour,
            alpha=SHADE,
            linewidth=0,
            gid="band",
        )
