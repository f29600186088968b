"""`mixer-bench merge`: result files of several machines in one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import merging
from bench.cli import _print


def command(
    rows: Annotated[list[str], typer.Argument(help="Parquet files or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New parquet file.")],
) -> None:
    """Write every attempt once; refuse two that share an id and differ."""
    _print.check_names(rows)
    merged = merging.merge(rows, out)
    for message in merged.set_aside:
        _print.note(f"set aside: {message}")
    print(f"{out} ({merged.rows} rows; {merged.twice} stood twice)")
