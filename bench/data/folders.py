"""From the words of a study to a folder on disk, and to what that folder holds.

A relative `data_dir` (or `probe_dir`) is looked for beside the study file, then where
the user stands.
The cell that comes out names the folder in full and its fingerprint; the fingerprint
alone enters the cell's identity, so a moved folder is the same data, a changed one not.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from bench import data
from bench.data import EMBEDDED, ON_DISK, Source
from bench.errors import StudyError
from bench.specs import Cell

PROBE_EVALUATION = "resize-crop"
"""Of few-shot images, support and test: big_vision's, whatever the set's usual way."""


def placed(cell: Cell, study: Path) -> Cell:
    """The cell with its folder found and known; a cell without one as it is.

    Raises:
        StudyError: no such folder, or it holds other data than the study says.
        DataError: the folder does not hold the data set.
    """
    beside = study.parent if study.is_file() else Path()
    if cell.data_dir is not None and cell.dataset in ON_DISK:
        folder = found(cell.data_dir, beside)
        held = _held(cell.dataset, folder, "data_fingerprint", cell.data_fingerprint)
        cell = dataclasses.replace(cell, data_dir=str(folder), data_fingerprint=held)
    return _probe_placed(cell, beside)


def _probe_placed(cell: Cell, beside: Path) -> Cell:
    """The same for the probe; the cell's own data set lies where it does."""
    on_disk = [name for name in probes_of(cell) if name in ON_DISK]
    if not on_disk:
        _check_unused(cell)
        return cell
    if len(on_disk) > 1:
        raise StudyError(
            f"probe: {' and '.join(on_disk)} are both read from folders, probe_dir is "
            "one; keep one of them"
        )
    (name,) = on_disk
    given = cell.probe_dir or (cell.data_dir if name == cell.dataset else None)
    if given is None:
        raise StudyError(f"probe_dir: probe {name} needs the folder it is in")
    folder = found(given, beside, "probe_dir")
    held = _held(name, folder, "probe_fingerprint", cell.probe_fingerprint)
    return dataclasses.replace(cell, probe_dir=str(folder), probe_fingerprint=held)


def _check_unused(cell: Cell) -> None:
    """No key speaks of a probe that is not there."""
    for key in ("probe_dir", "probe_fingerprint", "probe_evaluation"):
        if getattr(cell, key) is not None:
            raise StudyError(f"{key}: no probe is read from a folder; remove the key")
    if cell.probe_examples is not None and cell.probe is None:
        raise StudyError("probe_examples: there is no probe; remove the key")


def _held(dataset: str, folder: Path, key: str, wanted: str | None) -> str:
    """The folder's fingerprint, which must be the wanted one if one is."""
    held = _fingerprint(dataset, folder)
    if wanted not in (None, held):
        raise StudyError(
            f"{key}: {wanted}: {folder} holds {held}; "
            "give the folder that was meant, or remove the key"
        )
    return held


@functools.cache
def _fingerprint(dataset: str, folder: Path) -> str:
    return data.fingerprint(dataset, Source(folder=folder))


def forget() -> None:
    """Look again: a folder may have changed since another study was read."""
    _fingerprint.cache_clear()


def found(data_dir: str, beside: Path, key: str = "data_dir") -> Path:
    """The folder behind `data_dir`: below the study's folder, else below this one."""
    given = Path(data_dir).expanduser()
    tried = list(dict.fromkeys([(beside / given).absolute(), given.absolute()]))
    for folder in tried:
        if folder.is_dir():
            return folder
    places = " or ".join(map(str, tried))
    raise StudyError(f"{key}: {data_dir}: no such folder: {places}; mend the path")


def source_of(cell: Cell) -> Source | None:
    """Where the cell's data set lies; None for one that is built in."""
    if cell.dataset in EMBEDDED:
        for key in ("data_dir", "data_fingerprint", "evaluation"):
            if getattr(cell, key) is not None:
                raise StudyError(f"{key}: {cell.dataset} is built in; remove the key")
        if cell.on_bad_image != Source.on_bad_image and cell.probe_dir is None:
            raise StudyError(f"on_bad_image: {cell.dataset} has no files; remove it")
        return None
    if cell.data_dir is None:
        raise StudyError(f"data_dir: dataset {cell.dataset} needs the folder it is in")
    return Source(
        folder=Path(cell.data_dir),
        on_bad_image=cell.on_bad_image,
        evaluation=cell.evaluation,
        fingerprint=cell.data_fingerprint,
    )


def probes_of(cell: Cell) -> list[str]:
    """The names of the cell's few-shot targets."""
    return cell.probe.split("+") if cell.probe else []


def probe_source_of(cell: Cell, name: str) -> Source | None:
    """Where the target of that name lies; None for one that is built in."""
    if name not in ON_DISK:
        return None
    if cell.probe_dir is None:
        raise StudyError(f"probe_dir: probe {name} needs the folder it is in")
    return Source(
        folder=Path(cell.probe_dir),
        on_bad_image=cell.on_bad_image,
        evaluation=cell.probe_evaluation or PROBE_EVALUATION,
        fingerprint=cell.probe_fingerprint,
    )
