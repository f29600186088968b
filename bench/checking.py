"""Whether result files can be trusted as they lie: readable, whole, and consistent.

`bench.results` opens the files, `bench.analysis.check` judges their numbers; here they
are held against cells and models, and against each other.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench import merging, models, results
from bench.analysis import check
from bench.errors import ResultsError, StudyError
from bench.folding import attempt_folders
from bench.specs import Cell

_FIELDS = tuple(item.name for item in dataclasses.fields(Cell))
_CLAIMS = ("cell_id", "batch_rule", "family", "param_count", "macs")
"""What a row says of its cell beside the cell's fields."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and where."""

    file: str
    attempt_id: str | None
    column: str
    said: str

    @property
    def line(self) -> str:
        where = self.file + ("" if self.attempt_id is None else f": {self.attempt_id}")
        return f"{where}: {self.column}: {self.said}"


@dataclass
class Report:
    """What was looked at, and what was found."""

    files: int = 0
    rows: int = 0
    faults: list[Fault] = field(default_factory=list)


def check_results(paths: Sequence[str]) -> Report:
    """Every file at or under `paths`, each by itself and then all together.

    Raises:
        ResultsError: a path is missing, or no file is there at all.
    """
    found, tables = Report(), []
    attempts = {file for name in paths for file in _attempts(Path(name))}
    for name, table in _tables(paths, found):
        tables.append((name, table))
        found.rows += table.num_rows
        said = [*check.faults(table), *_against_cells(table)]
        said += _misnamed(table, Path(name)) if Path(name) in attempts else []
        found.faults += [_placed(one, name, table) for one in said]
    if not found.files:
        raise ResultsError(
            f"{', '.join(paths)}: holds no parquet file; nothing to check"
        )
    found.faults += _between(tables)
    return found


def _attempts(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for files in attempt_folders(path).values():
            yield from files


def _tables(paths: Sequence[str], found: Report) -> Iterator[tuple[str, pa.Table]]:
    """Each file once; one that cannot be read is a fault and not the end."""
    for file in dict.fromkeys(_files(paths)):
        found.files += 1
        try:
            yield file, results.read_each([file]).table
        except ResultsError as error:
            said = str(error).removeprefix(f"{file}: ")
            found.faults.append(Fault(file, None, "file", said))


def _files(paths: Sequence[str]) -> Iterator[str]:
    for name in paths:
        path = Path(name)
        if path.is_dir():
            yield from (str(file) for file in sorted(path.rglob("*.parquet")))
        elif path.exists():
            yield name
        else:
            raise ResultsError(
                f"{name}: no such file or folder; give result files, folders of them, "
                "or a study (YAML)"
            )


def _placed(one: check.Fault, file: str, table: pa.Table) -> Fault:
    attempt = None if one.row is None else table["attempt_id"][one.row].as_py()
    return Fault(file, attempt, one.column, one.said)


def _misnamed(table: pa.Table, file: Path) -> Iterator[check.Fault]:
    """An attempt's file holds that attempt and nothing else."""
    if table["attempt_id"].to_pylist() != [file.stem]:
        yield check.Fault(None, "attempt_id", "the file is named by another attempt")


# Cells -----------------------------------------------------------------------


def _against_cells(table: pa.Table) -> Iterator[check.Fault]:
    """Each row of ours holds the fields that its cell_id was made from."""
    own = pc.fill_null(pc.equal(table["source"], "measured"), False).to_pylist()
    columns = [table[name].to_pylist() for name in (*_FIELDS, *_CLAIMS)]
    known: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
    for row, values in enumerate(zip(*columns, strict=True)):
        if not own[row]:
            continue
        if values not in known:
            named = dict(zip((*_FIELDS, *_CLAIMS), values, strict=True))
            known[values] = list(_contradictions(named))
        for column, said in known[values]:
            yield check.Fault(row, column, said)


def _contradictions(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    try:
        cell = cell_of(row)
        claimed = {"family": models.family_of(cell.model), **_sizes(cell, row)}
    except (StudyError, TypeError) as error:
        yield "model", f"{row['model']}: is no cell: {error}"
        return
    searched = row["learning_rates"] is not None  # the row holds the rate found
    if not searched and cell.cell_id != row["cell_id"]:
        yield "cell_id", f"{row['cell_id']}: the row's fields give {cell.cell_id}"
    for name, should in claimed.items():
        if row[name] is not None and row[name] != should:
            yield name, f"{row[name]}: {cell.model} has {should}"


def _sizes(cell: Cell, row: Mapping[str, Any]) -> dict[str, int]:
    """Parameters and MACs by closed form.

    A training's classes are its data set's: as many as its parameters can have.
    """
    classes = cell.num_classes
    if cell.dataset is not None and row["param_count"] is not None:
        one, two = (
            models.spec_of_cell(cell, num_classes=n).param_count for n in (1, 2)
        )
        classes = max(1, 1 + (row["param_count"] - one) // (two - one))
    spec = models.spec_of_cell(cell, num_classes=classes)
    return {"param_count": spec.param_count, "macs": spec.macs}


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a row of ours was measured for."""
    values: dict[str, Any] = {}
    for item in dataclasses.fields(Cell):
        value = row[item.name]
        if value is not None or _optional(item.name):
            values[item.name] = value
    if row["batch_rule"] == "auto":
        values["batch_size"] = "auto"
    if row["track"] == "protocol":  # the row says how it was built, the cell need not
        values["variant"] = None
    return Cell(**values)


_HINTS = typing.get_type_hints(Cell)


def _optional(name: str) -> bool:
    return type(None) in typing.get_args(_HINTS[name])


# Files against each other ------------------------------------------------------


def _between(tables: Sequence[tuple[str, pa.Table]]) -> Iterator[Fault]:
    """An attempt that stands in two files: the same row twice, or two rows."""
    homes: dict[str, tuple[str, pa.Table, int]] = {}
    for name, table in tables:
        for row, attempt in enumerate(table["attempt_id"].to_pylist()):
            home = homes.setdefault(attempt, (name, table, row))
            if attempt is None or home[0] == name:
                continue
            differ = merging.differing(_row(table, row), _row(home[1], home[2]))
            said = f"stands in {home[0]} too"
            if differ:
                said += f", and differs there in {', '.join(differ[:5])}"
            yield Fault(name, attempt, "attempt_id", said)


def _row(table: pa.Table, row: int) -> dict[str, Any]:
    found: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
    return found
