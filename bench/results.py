"""Owner of `results/`: the only code that reads or writes it.

An attempt is appended as `<out>/<machine>/<study>/<attempt_id>.parquet`: written
beside, synced, then linked under its name, which fails if the name exists. No locks.
`fold` gathers a study's attempts into `<study>.parquet`, reads that back, and only then
deletes what it holds. Readers open files one by one and set bad ones aside.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import conform, published, record, sifting
from bench._shipped import shipped
from bench.analysis import drift
from bench.errors import ResultsError

if TYPE_CHECKING:
    import pandas as pd

_MAGIC = b"PAR1"
Parts = list[tuple[str, pa.Table]]  # files, each with its rows


@dataclass
class Reading:
    """What was read, and one line for each file that was set aside."""

    table: pa.Table
    set_aside: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    """Where each row stands; of `read_each` alone."""


# Writing ---------------------------------------------------------------------


def append(values: Mapping[str, Any], out: Path) -> Path:
    """Write one attempt durably; returns its file. Never overwrites.

    Raises:
        ResultsError: the folder cannot be written.
    """
    folder = out / str(values["machine"]) / str(values["study"])
    path = folder / f"{values['attempt_id']}.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_new(record.table([values]), path)
    except OSError as error:
        raise ResultsError(_cannot("write", path, error)) from error
    return path


def check_writable(out: Path) -> None:
    """Refuse a results folder that cannot be written, before anything is measured."""
    if out.exists() and not out.is_dir():
        raise ResultsError(f"{out}: is a file; --out takes a folder")
    probe = out / f".write-test-{uuid.uuid4().hex}"
    linked = probe.with_suffix(".link")
    made = [folder for folder in [out, *out.parents] if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        os.link(probe, linked)  # how a row is put in place without a lock
    except OSError as error:
        raise ResultsError(_cannot("write", out, error)) from error
    finally:
        for file in (probe, linked):
            if file.exists():
                file.unlink()
        for folder in made:  # leave nothing behind: the first row makes it again
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def fold(out: Path, machine: str, study: str) -> Path | None:
    """Gather a study's attempts into one file; returns it, or None with no rows.

    Raises:
        ResultsError: the study's file cannot be read; it and the attempts are kept.
    """
    folder = out / machine / study
    target = out / machine / f"{study}.parquet"
    if not folder.is_dir():
        return target if target.exists() else None
    with _alone(out / machine):
        parts = sorted(folder.glob("*.parquet"))
        if not parts:
            return target if target.exists() else None
        held = [_read_one(target)] if target.exists() else []
        rows = pa.concat_tables([*held, read_files(parts).table])
        _replace(sifting.once(rows), target)
        kept = set(pq.read_table(target, columns=["attempt_id"])[0].to_pylist())
        for part in parts:
            if part.stem in kept:
                part.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()
    return target


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two folds of one study would each drop what the other had just gathered."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # releases the lock


def _write_new(table: pa.Table, path: Path) -> None:
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        _write_synced(table, temporary)
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _replace(table: pa.Table, path: Path) -> None:
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    try:
        _write_synced(table, temporary)
        if pq.read_metadata(temporary).num_rows != table.num_rows:
            raise ResultsError(f"{path}: the folded file lost rows; nothing replaced")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _write_synced(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Reading ---------------------------------------------------------------------


def read_results(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    samples: bool = False,
) -> pd.DataFrame:
    """Rows as a pandas frame with Arrow-backed columns.

    Args:
        paths: result files or folders; the word `published` is the papers' rows.
        samples: also the nested columns (samples, sweep, curve, fewshot, ...).

    Raises:
        ResultsError: a named file is missing, foreign or damaged.
    """
    reading = read(paths, record.NESTED if samples else ())
    for message in reading.set_aside:
        logging.getLogger(__name__).warning("set aside: %s", message)
    return to_frame(reading.table, samples=samples)


def read_published(samples: bool = True) -> pd.DataFrame:
    """The published rows, as `read_results("published", samples=True)`."""
    return read_results("published", samples=samples)


def to_frame(table: pa.Table, samples: bool = False) -> pd.DataFrame:
    """An Arrow table of records as a pandas frame, every dtype Arrow-backed.

    Adds `anchor_drift`: how the anchor's rate changed from before a row to after it.
    """
    import pandas as pd

    kept = [n for n in table.column_names if samples or n not in record.NESTED]
    drifts = drift.anchor_drifts(table)
    table = table.select(kept).append_column("anchor_drift", drifts)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def read(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    nested: Collection[str] = record.NESTED,
    sound: bool = True,
) -> Reading:
    """Every row behind `paths`, each attempt once, and what was set aside.

    Of the nested columns only those named in `nested` are read and stand in the table;
    rows whose rate is no number above 0 only where `sound` is False.
    """
    schema = conform.schema(nested)
    named = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    tables, aside = [schema.empty_table()], list[str]()
    for name in named:
        parts, unread = _named(str(name), schema)
        aside += unread
        for file, rows in parts:
            kept, wild = sifting.sound(rows, file) if sound else (rows, [])
            tables.append(kept)
            aside += wild
    files = [name for name in map(str, named) if name != "published"]
    table, differing = sifting.told_once(pa.concat_tables(tables), files)
    return Reading(table, [*aside, *differing])


def _named(name: str, schema: pa.Schema) -> tuple[Parts, list[str]]:
    """The files behind one name, and a line for each that was set aside."""
    if not name:  # an unset variable of a shell, and not this folder
        raise ResultsError("an empty name; give a file, a folder or published")
    path = Path(name)
    if name == "published" and not path.exists():
        rows = record.table(published.rows(shipped("results")))
        return [(name, rows.select(schema.names))], []
    if not path.is_dir():
        return [(name, _read_one(path, schema))], []
    files, closed = _files_below(path)
    parts, aside = _one_by_one(files, schema)
    return parts, [*closed, *aside]


def _files_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Its parquet files, and a line for each folder inside that may not be read.

    Listing alone would find a folder without read right empty, and so no rows.
    """
    closed: list[str] = []

    def tell(error: OSError) -> None:
        if isinstance(error, PermissionError):
            message = _cannot("read", Path(error.filename), error)
            if Path(error.filename) == folder:
                raise ResultsError(message) from error
            closed.append(message)

    found = [
        Path(parent) / name
        for parent, _, names in os.walk(folder, onerror=tell)
        for name in names
        if name.endswith(".parquet")
    ]
    return sorted(found), closed


def read_files(files: Iterable[Path], schema: pa.Schema = record.SCHEMA) -> Reading:
    """Every attempt of these files once, whatever it says."""
    parts, aside = _one_by_one(files, schema)
    whole = pa.concat_tables([schema.empty_table(), *(rows for _, rows in parts)])
    return Reading(sifting.once(whole), aside)


def _one_by_one(files: Iterable[Path], schema: pa.Schema) -> tuple[Parts, list[str]]:
    """Files one by one: a damaged or foreign one is set aside, a vanished one skipped.

    A file can vanish between listing and reading when a fold moves its rows into the
    study's file; that file is listed too, and is read again at the end.
    """
    parts: Parts = []
    aside, vanished, files = [], False, list(files)
    for file in files:
        try:
            parts.append((str(file), _read_one(file, schema)))
        except ResultsError as error:
            if file.exists():
                aside.append(str(error))
            else:
                vanished = True
    parents = {file.parent for file in files} if vanished else set()
    folded = sorted(parent.parent / f"{parent.name}.parquet" for parent in parents)
    parts += [(str(one), _read_one(one, schema)) for one in folded if one.exists()]
    return parts, aside


def _read_one(path: Path, schema: pa.Schema = record.SCHEMA) -> pa.Table:
    if not path.exists():
        raise ResultsError(
            f"{path}: no such file or folder; give a parquet file of mixer-bench, "
            "a folder of them, or the word published"
        )
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic != _MAGIC:
            raise ResultsError(f"{path}: not a parquet file; a CSV comes in by import")
        with pq.ParquetFile(path) as source:
            held = set(source.schema_arrow.names)
            wanted = [name for name in schema.names if name in held]
            return conform.to_schema(source.read(wanted), schema, path)
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(_cannot("read", path, error)) from error


def read_each(paths: Iterable[str | os.PathLike[str]]) -> Reading:
    """Every row behind `paths` as often as it stands there: for a merge to compare."""
    tables, aside = [], []
    sources: list[str] = []
    for path in map(Path, paths):
        if path.name == "published" and not path.exists():
            raise ResultsError(
                "published: these rows ship with mixer-bench and stand beside any file "
                "that is read; leave the word out"
            )
        files, closed = _files_below(path) if path.is_dir() else ([path], [])
        aside += closed
        for file in files:
            try:
                tables.append(_read_one(file))
                sources += [str(file)] * tables[-1].num_rows
            except ResultsError as error:
                if not path.is_dir():
                    raise
                aside.append(str(error))
    return Reading(pa.concat_tables(tables or [record.table([])]), aside, sources)


def write(table: pa.Table, out: Path) -> None:
    """Rows as a new file `out`; an existing one is never overwritten."""
    if out.exists() or out.suffix != ".parquet":
        why = "exists" if out.exists() else "does not end with .parquet"
        raise ResultsError(f"{out}: {why}; give --out a new .parquet file")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write_new(table, out)
    except OSError as error:
        raise ResultsError(_cannot("write", out, error)) from error


def _cannot(verb: str, path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error).split("\n")[0]
    return f"{path}: cannot {verb}: {reason}; choose another path or mend this one"


# Weights ----------------------------------------------------------------------


def weights_path(out: Path, machine: str, cell_id: str) -> Path:
    """Where a training cell leaves its weights, if asked to; no part of a row."""
    return out / ".work" / machine / f"{cell_id}.safetensors"


def room_for(path: Path) -> Path:
    """The same path, its folder made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(_cannot("write", path, error)) from error
    return path


# Ceilings --------------------------------------------------------------------


def read_ceiling(
    out: Path, machine: str, identity: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The ceiling kept for this machine and dtype; None if anything has changed."""
    path = _ceiling_path(out, machine, str(identity["dtype"]))
    if not path.exists():
        return None
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{path}: is not JSON; delete it to measure anew") from error
    same = all(kept.get(name) == value for name, value in identity.items())
    return kept if same else None


def write_ceiling(out: Path, machine: str, values: Mapping[str, Any]) -> Path:
    """Keep a ceiling beside the machine's rows, in place of an older one."""
    path = _ceiling_path(out, machine, str(values["dtype"]))
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
    return path


def _ceiling_path(out: Path, machine: str, dtype: str) -> Path:
    return out / machine / f"ceiling-{dtype}.json"
