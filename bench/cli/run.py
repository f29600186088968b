"""`mixer-bench run`: measure what a study asks for, then draw and tabulate it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import compile_cache, executors, runner, studies
from bench.cli import _print, _session
from bench.errors import ResultsError
from bench.specs import Study
from bench.units import duration


def command(
    study: Annotated[str, typer.Argument(help="A YAML file, or a shipped study.")],
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    plots: Annotated[Path, typer.Option(help="Figures folder.")] = Path("plots"),
    executor: Annotated[
        str, typer.Option(help=f"{' or '.join(executors.EXECUTORS)}.")
    ] = "process",
    retry_failed: Annotated[
        bool, typer.Option(help="Run only items whose last attempt failed.")
    ] = False,
    reuse: Annotated[
        str,
        typer.Option(help="Finished rows that stand: strict, machine or any."),
    ] = "strict",
    no_compile_cache: Annotated[
        bool,
        typer.Option(
            "--no-compile-cache",
            help="Compile anew; keep and reuse no compiled program.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option(help="Print the cells and stop; measure nothing.")
    ] = False,
) -> int:
    """Run a study: time and train its cells, record every attempt, draw the figures."""
    made = studies.load(study)
    if dry_run:
        _print_cells(made)
        return 0
    if no_compile_cache:
        compile_cache.switch_off()
    if plots.exists() and not plots.is_dir():
        raise ResultsError(f"{plots}: is a file; --plots takes a folder")
    summary = _session.measure(
        made, out=out, executor=executor, retry_failed=retry_failed, reuse=reuse
    )
    return _session.finish(summary, plots / made.name)


def _print_cells(study: Study) -> None:
    rows = [{"cell_id": cell.cell_id, "cell": cell.label} for cell in study.cells]
    print(_print.data(rows, "table"))
    items = len(list(runner.work_items(study)))
    _print.note(
        f"{len(rows)} cells, {items} measurements, about "
        f"{duration(runner.estimate_s(study))}; nothing was measured"
    )
