"""Attempts that still lie one by one, gathered into the file of their study.

A run folds its own at the end, also after an interrupt. What remains is of a run that
was killed, or of executors elsewhere. `bench.results` does the work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bench import results
from bench.errors import ResultsError

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Folded:
    """What became of the attempts of one study on one machine."""

    machine: str
    study: str
    file: Path
    gathered: int
    """Attempts that lie in `file` now and no longer on their own."""
    waiting: int
    """Those left where they are."""
    set_aside: list[str]
    """Why, one line each."""


def attempt_folders(root: Path) -> dict[Path, list[Path]]:
    """Every folder at or under `root` that holds attempts, with their files."""
    found: dict[Path, list[Path]] = {}
    for file in sorted(root.rglob("*.parquet")):
        if _UUID.fullmatch(file.stem):
            found.setdefault(file.parent, []).append(file)
    return found


def fold(root: Path) -> list[Folded]:
    """Fold every study at or under `root`; one that cannot be folded stops no other.

    Raises:
        ResultsError: `root` is no folder.
    """
    if not root.is_dir():
        raise ResultsError(
            f"{root}: no such folder; give the results folder of a run, as in results"
        )
    folders = attempt_folders(root.resolve())
    return [_folded(folder, files) for folder, files in folders.items()]


def _folded(folder: Path, files: list[Path]) -> Folded:
    machine, study = folder.parent, folder.name
    reasons = results.read_files(files).set_aside
    try:
        results.fold(machine.parent, machine.name, study)
    except (ResultsError, OSError) as error:
        reasons = [*reasons, str(error)]
    left = sum(file.exists() for file in files)
    file = machine / f"{study}.parquet"
    return Folded(machine.name, study, file, len(files) - left, left, reasons)
