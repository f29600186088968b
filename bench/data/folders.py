"""From the words of a study to a folder on disk, and to what that folder holds.

A relative `data_dir` is looked for beside the study file, then where the user stands.
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


def placed(cell: Cell, study: Path) -> Cell:
    """The cell with its folder found and known; a cell without one as it is.

    Raises:
        StudyError: no such folder, or it holds other data than the study says.
        DataError: the folder does not hold the data set.
    """
    if cell.data_dir is None or cell.dataset not in ON_DISK:
        return cell
    folder = found(cell.data_dir, study.parent if study.is_file() else Path())
    held = _fingerprint(cell.dataset, folder)
    if cell.data_fingerprint not in (None, held):
        raise StudyError(
            f"data_fingerprint: {cell.data_fingerprint}: {folder} holds {held}; "
            "give the folder that was meant, or remove the key"
        )
    return dataclasses.replace(cell, data_dir=str(folder), data_fingerprint=held)


@functools.cache
def _fingerprint(dataset: str, folder: Path) -> str:
    return data.fingerprint(dataset, Source(folder=folder))


def found(data_dir: str, beside: Path) -> Path:
    """The folder behind `data_dir`: below the study's folder, else below this one."""
    given = Path(data_dir).expanduser()
    tried = list(dict.fromkeys([(beside / given).absolute(), given.absolute()]))
    for folder in tried:
        if folder.is_dir():
            return folder
    places = " or ".join(map(str, tried))
    raise StudyError(f"data_dir: {data_dir}: no such folder: {places}; mend the path")


def source_of(cell: Cell) -> Source | None:
    """Where the cell's data set lies; None for one that is built in."""
    if cell.dataset in EMBEDDED:
        for key in ("data_dir", "data_fingerprint", "evaluation"):
            if getattr(cell, key) is not None:
                raise StudyError(f"{key}: {cell.dataset} is built in; remove the key")
        if cell.on_bad_image != Source.on_bad_image:
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
