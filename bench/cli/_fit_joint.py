"""What `mixer-bench fit --form joint` prints: surfaces over model and data size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.analysis import demo
from bench.cli import _print
from bench.errors import ResultsError
from bench.units import significant

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.planes import Grid
    from bench.analysis.surface import HeldOut, SurfaceFit

    Found = list[tuple[Grid, SurfaceFit]]

DASH = "—"
_EXPONENTS = ("alpha", "beta")


def fitted(
    frame: pd.DataFrame, x: str, size: str, y: str, group: Sequence[str]
) -> Found:
    """The surface of each grid of runs."""
    from bench.analysis import planes, surface

    grids = planes.grids(frame, x, size, y, group)
    if not grids:
        raise ResultsError(
            f"no finished training row has {size}, {x} and {y}; run a study with "
            "mode: pretrain over several models and data sizes first"
        )
    return [(grid, surface.fit(grid.plane)) for grid in grids]


def shown(found: Found, fmt: str, x: str, size: str) -> str:
    """The surfaces in one format."""
    facts = [_facts(grid, fit, x, size) for grid, fit in found]
    if fmt == "csv":
        return _print.data(facts, "csv")
    if fmt == "json":
        return _print.as_json({"surfaces": facts})
    return _table(found, fmt, x, size)


def _facts(grid: Grid, fit: SurfaceFit, x: str, size: str) -> dict[str, Any]:
    """One surface as a flat line."""
    from bench.analysis.surface import EQUATION, NAMES

    values = fit.surface.parameters if fit.surface else {}
    flat: dict[str, Any] = {}
    for name in NAMES:
        low, high = fit.intervals.get(name, (None, None))
        flat |= {name: values.get(name), f"{name}_low": low, f"{name}_high": high}
    for held in fit.held_out:
        start = f"held_out_{held.side}"
        flat |= {f"{start}_at": held.at, f"{start}_error": held.surface}
        flat |= {f"{start}_error_of_regression": held.regression}
    return {
        "surface": grid.label,
        "demo": grid.demo,
        "equation": EQUATION,
        "N": size,
        "D": x,
        "model_sizes": fit.sizes,
        "data_sizes": fit.datas,
        "runs": fit.runs,
        "subsets": fit.subsets,
        "seeds": fit.seeds,
        **flat,
        "spread": fit.spread,
        "refused": fit.refused or None,
    }


def _table(found: Found, fmt: str, x: str, size: str) -> str:
    from bench.analysis.surface import EQUATION, NAMES
    from bench.report.markup import Column, Grid, Group

    titles = ["sizes", "runs", *NAMES, "larger model", "more data"]
    columns = [
        Column("surface", text=True),
        *map(Column, titles),
        Column("why not", text=True),
    ]
    notes = [
        f"{EQUATION}: L the error, N {size}, D {x}; E, A and B at least 0.",
        "Intervals are 95 %, Student's on the spread of whole curves of subset_seed "
        "and seed drawn again at every size; with fewer than five there is none. They "
        "hold for the error as this form describes it; in 49 simulated sets (4 x 5 "
        "sizes, five curves, 2 % of noise) they held the truth in 92 to 98 %.",
        "Larger model, more data: the largest N, the largest D, predicted from the "
        "others, mean |log(predicted / observed)|; in brackets that of a plane through "
        "log error.",
    ]
    several = [one for one in found if min(one[1].sizes, one[1].datas) > 1]
    if several and len(several) < len(found):
        alone = _print.counted(len(found) - len(several), "more grid")
        notes.append(f"{alone} with one model size or one data size: nothing to fit.")
    if any(grid.demo for grid, _ in found):
        notes.append(f"{demo.NOTE.capitalize()}.")
    lines = [_line(grid, fit) for grid, fit in several or found]
    return _print.table(Grid(columns, [Group("", lines)], notes), fmt)


def _line(grid: Grid, fit: SurfaceFit) -> list[str]:
    from bench.analysis.surface import NAMES

    held = {one.side: one for one in fit.held_out}
    return [
        grid.label,
        f"{fit.sizes} x {fit.datas}",
        f"{fit.runs} ({fit.subsets} subset x {fit.seeds} seed)",
        *(_parameter(fit, name) for name in NAMES),
        *(_held(held.get(side)) for side in ("size", "data")),
        fit.refused,
    ]


def _parameter(fit: SurfaceFit, name: str) -> str:
    if fit.surface is None:
        return DASH
    values = [fit.surface.parameters[name], *fit.intervals.get(name, ())]
    words = [
        f"{value:.3f}" if name in _EXPONENTS else significant(value) for value in values
    ]
    return words[0] if len(words) == 1 else f"{words[0]} [{words[1]}, {words[2]}]"


def _held(held: HeldOut | None) -> str:
    if held is None:
        return DASH
    own = DASH if held.surface is None else f"{held.surface:.3f}"
    return f"{own} ({held.regression:.3f})"
