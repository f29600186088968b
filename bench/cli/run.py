"""`mixer-bench run`: measure what a study asks for, then draw and tabulate it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import compile_cache, executors, studies
from bench.cli import _dry_run, _session
from bench.errors import ResultsError, StudyError


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
        bool, typer.Option(help="Print the cells and what they will take; run none.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe", help="With --dry-run: a few real steps of each.")
    ] = False,
) -> int:
    """Run a study: time and train its cells, record every attempt, draw the figures."""
    made = studies.load(study)
    if probe and not dry_run:
        raise StudyError("--probe: serves the forecast of a dry run; add --dry-run")
    if dry_run:
        _dry_run.show(made, out, reuse=reuse, probe=probe)
        return 0
    if no_compile_cache:
        compile_cache.switch_off()
    if plots.exists() and not plots.is_dir():
        raise ResultsError(f"{plots}: is a file; --plots takes a folder")
    summary = _session.measure(
        made, out=out, executor=executor, retry_failed=retry_failed, reuse=reuse
    )
    return _session.finish(summary, plots / made.name)
