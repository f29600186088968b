"""`mixer-bench fold`: attempts that lie one by one, gathered by study."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import folding
from bench.cli import _print


def command(
    results: Annotated[str, typer.Argument(help="Results folder, as given to --out.")],
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
) -> int:
    """Gather a killed run's attempts into one file for each study and machine.

    A run that ends or is interrupted does so itself. Exits with 1 where attempts had
    to be left, and says why.
    """
    _print.check_format(format)
    _print.check_names([results])
    found = folding.fold(Path(results))
    if found or format != "table":
        print(_print.data([_facts(one) for one in found], format))
    else:
        print("nothing to fold: every attempt lies in the file of its study")
    for one in found:
        for reason in one.set_aside:
            _print.note(f"left: {reason}")
    return 1 if any(one.waiting or one.set_aside for one in found) else 0


def _facts(one: folding.Folded) -> dict[str, Any]:
    facts = dataclasses.asdict(one)
    return {**facts, "file": str(one.file), "set_aside": len(one.set_aside)}
