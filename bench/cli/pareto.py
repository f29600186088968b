"""`mixer-bench pareto`: the frontier in two columns, inside one comparability key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import results
from bench.cli import _print
from bench.errors import ResultsError, StudyError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.pareto import Better

FORMATS = ("table", "github", "latex", "html", "csv", "json")
_ENDS = ("lower", "higher")
_UNSAID = ("machine_id", "protocol")
"""Columns of a key that its heading leaves out, unless they alone tell two apart."""


def command(
    rows: Annotated[
        list[str], typer.Argument(help="Parquet files or folders, or: published")
    ],
    x: Annotated[str, typer.Option("--x", help="As in core_days.")] = "core_days",
    y: Annotated[str, typer.Option("--y", help="As in top1.")] = "top1",
    x_better: Annotated[
        str | None, typer.Option(help="lower or higher; default: as x is meant.")
    ] = None,
    y_better: Annotated[
        str | None, typer.Option(help="lower or higher; default: as y is meant.")
    ] = None,
    across: Annotated[
        list[str] | None,
        typer.Option(help="Key column that may differ (pretrain_dataset); repeatable."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(help="Only rows with this column=value; repeatable."),
    ] = None,
    format: Annotated[
        str, typer.Option(help="table, github, latex, html, csv or json.")
    ] = "table",
) -> None:
    """Say who is on the frontier of two columns, how surely, and who beats the rest.

    Rows that cannot be compared stand in groups of their own; --across puts together
    what differs in the columns named, and the note below says so. Rates are of
    inference; others' code and ablations are left out, as in the figures.
    """
    from bench.analysis.demo import NOTE, is_demo
    from bench.report.frontier import BETTER, frontier_grid

    if format not in FORMATS:
        raise StudyError(f"--format: {unknown('format', format, FORMATS)}")
    for option, name in (("--x", x), ("--y", y)):
        if name not in BETTER:
            raise StudyError(f"{option}: {unknown('column', name, BETTER)}")
    if x == y:
        raise StudyError(f"--y: {y}: is x too; a frontier is of two columns")
    ends = (
        _end("--x-better", x_better, BETTER[x]),
        _end("--y-better", y_better, BETTER[y]),
    )
    groups = _groups(_models(rows, where or [], x, y), x, y, ends, across or [])
    grid = frontier_grid(groups, x, y)
    if any(is_demo(row["model"]) for found in groups.values() for row in found):
        grid.notes.append(f"{NOTE.capitalize()}.")
    if across:
        grid.notes.append(f"Points of a group may differ in {', '.join(across)}.")
    print(_print.table(grid, format))


def _end(option: str, given: str | None, meant: Better) -> Better:
    if given is None:
        return meant
    if given not in _ENDS:
        raise StudyError(f"{option}: {unknown('end', given, _ENDS)}")
    return "lower" if given == "lower" else "higher"


def _models(names: list[str], where: list[str], x: str, y: str) -> pd.DataFrame:
    """Our model rows that have both, of the tuned track the best variant."""
    from bench.analysis import ablations, join, select
    from bench.analysis.against import ours
    from bench.cli.claims import with_sizes

    wanted = select.conditions(where, "--where")
    reading = results.read(names, join.NESTED)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = with_sizes(results.to_frame(reading.table, samples=True))
    kept = ablations.without(select.where(frame, wanted, "--where"))
    models = ours(join.model_rows(kept))
    known = models[models[x].notna() & models[y].notna()]
    if known.empty:
        raise ResultsError(f"{', '.join(names)}: no model has both {x} and {y}")
    return known


def _groups(
    models: pd.DataFrame,
    x: str,
    y: str,
    ends: tuple[Better, Better],
    across: list[str],
) -> dict[str, list[dict[str, Any]]]:
    """The points of each key by rising x, under what they share."""
    from bench.analysis.claims.frontier import named
    from bench.analysis.key import by_key, key_columns, records
    from bench.analysis.pareto import standing
    from bench.report.frontier import told_apart

    metrics = [name for name in (x, y) if name != "param_count"]  # of no key: exact
    for name in across:
        if name not in key_columns(*metrics):
            known = key_columns(*metrics)
            raise StudyError(f"--across: {unknown('key column', name, known)}")
    found: dict[str, list[dict[str, Any]]] = {}
    for key, part in by_key(models, *metrics, across=across):
        points = named(part)
        points = points.assign(label=told_apart(records(points)))
        stood = standing(
            points, x, y, x_better=ends[0], y_better=ends[1], names="label"
        )
        said = [v for name, v in key.items() if v is not None and name not in _UNSAID]
        ranked = records(stood.sort_values([x, y], kind="stable"))
        heading = ", ".join(map(str, said))
        if heading in found:  # of another machine or protocol: never one group
            ids = (f"{name} {key[name]}" for name in _UNSAID if name in key)
            heading = ", ".join([heading, *ids])
        found[heading] = ranked
    return found
