"""Checkpoints under `results/.work/`: the part of it that a training in progress owns.

`<out>/.work/<machine>/<cell_id>-p<protocol>/` holds two files, and a third where a
fine-tuning tries learning rates: those tried so far. The checkpoint is one
safetensors file with JSON in its header, so that one rename replaces both: whatever
moment a process is killed at, a whole checkpoint stands, the last or the one before.
The clock is a line of JSON, rewritten in place at every step: it tells the next process
how long this one held the cores, up to its last step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from bench.errors import ResultsError, UnfitCheckpoint
from bench.specs import PROTOCOL, SPEED_MODES, Cell, WorkItem, canonical

FORMAT = 1
FINISHED = ("ok", "diverged")
"""Trainings that have nothing left to do; a diverged one would diverge again."""
_FILE, _CLOCK, _ASIDE = "checkpoint.safetensors", "clock.json", "set-aside.safetensors"
_SEARCH = "search.json"
_KEY = "mixer_bench"
_CLOCK_BYTES = 512
"""Of a fixed size, so that one write replaces the whole line."""

Facts = dict[str, Any]
CLOCK = {"processes", "step", "carried_s", "allocated_s", "measured_s", "excluded_s"}
CLOCK |= {"repeated_s", "data_wait_s"}
"""What a clock's line says; anything else is no clock."""


class Busy(ResultsError):
    """Another process holds the folder."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: arrays by name, and facts that JSON can say."""

    arrays: dict[str, np.ndarray]
    facts: Facts


def folder_of(out: Path, machine: str, cell: Cell) -> Path:
    """Where the checkpoints of this training lie in the results folder `out`."""
    return out.resolve() / ".work" / machine / f"{cell.cell_id}-p{PROTOCOL}"


def step_of(folder: Path) -> int | None:
    """The step at which a training that has not ended will go on; None from 0."""
    try:
        step: int = _facts(folder / _FILE)["step"]
    except (FileNotFoundError, UnfitCheckpoint):
        return None
    return step


def arranged(
    item: WorkItem,
    out: Path,
    machine: str,
    started: datetime,
    on_note: Callable[[str], None],
) -> WorkItem:
    """The item told where to keep checkpoints; a note where one stands already."""
    if item.cell.mode in SPEED_MODES:
        return item
    folder = folder_of(out, machine, item.cell)
    try:
        step = _facts(folder / _FILE)["step"]
        on_note(f"{item.cell.label}: found a checkpoint of step {step}, going on there")
    except FileNotFoundError:
        pass  # nothing to go on from
    except UnfitCheckpoint as error:
        on_note(f"{item.cell.label}: {folder / _FILE} {error}; training starts anew")
    return dataclasses.replace(
        item, checkpoints=str(folder), asked_at=started.timestamp()
    )


def settle(item: WorkItem, row: Mapping[str, Any]) -> None:
    """The row is stored: forget a finished training, note how long a dead one held."""
    if item.checkpoints is None or not Path(item.checkpoints).is_dir():
        return
    folder = Path(item.checkpoints)
    if row["status"] not in FINISHED:
        held_s = (row["finished_at"] - row["started_at"]).total_seconds()
        with contextlib.suppress(Busy), Work(folder) as work:  # else not ours to note
            work.close_account(held_s)
        return
    _remove(folder)


def forget(items: Iterable[WorkItem], out: Path, machine: str) -> None:
    """Remove what finished trainings left, killed between their row and `settle`."""
    for item in items:
        folder = folder_of(out, machine, item.cell)
        if folder.is_dir():
            _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # others still train, or keep weights there
        folder.parent.rmdir()
        folder.parent.parent.rmdir()


class Work:
    """One training's folder, held by this process alone until it is closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise ResultsError(_cannot("keep checkpoints in", folder, error)) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Busy(
                f"{folder}: another process trains this cell; wait for it, or give "
                "another results folder with --out"
            ) from None
        self._clock = os.open(folder / _CLOCK, os.O_RDWR | os.O_CREAT, 0o644)

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._clock)
        os.close(self._lock)  # releases it

    # the clock ----------------------------------------------------------------

    def read_clock(self) -> Facts | None:
        """What the process before wrote last; None if there was none."""
        try:
            found = json.loads(os.pread(self._clock, _CLOCK_BYTES, 0))
        except ValueError:  # empty: this is the first process
            return None
        whole = isinstance(found, dict) and CLOCK <= found.keys()
        return found if whole else None

    def write_clock(self, values: Mapping[str, float]) -> None:
        """Replace the line. Not synced: what was written outlives a killed process."""
        line = json.dumps(dict(values)).encode()
        assert len(line) < _CLOCK_BYTES, "the clock's line has outgrown its size"
        os.pwrite(self._clock, line.ljust(_CLOCK_BYTES - 1) + b"\n", 0)

    def close_account(self, held_s: float) -> None:
        """Allocate and exclude what the dead process held beyond its last note."""
        last = self.read_clock()
        if last is None:
            return
        unseen_s = max(0.0, last["carried_s"] + held_s - last["allocated_s"])
        last["allocated_s"] += unseen_s
        last["excluded_s"] += unseen_s
        self.write_clock(last)

    # the search ---------------------------------------------------------------

    def save_search(self, facts: Facts) -> None:
        """Replace what is known of the learning rates tried so far."""
        path = self.folder / _SEARCH
        part = path.with_suffix(".tmp")
        try:
            part.write_text(json.dumps(facts))
            _sync(part)
            part.replace(path)
            _sync(self.folder)
        except OSError as error:
            raise ResultsError(_cannot("write", path, error)) from error

    def read_search(self) -> Facts | None:
        """What was saved; None if nothing was, or it cannot be read."""
        try:
            found = json.loads((self.folder / _SEARCH).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None  # a search without its notes starts again
        return found if isinstance(found, dict) else None

    # the checkpoint -----------------------------------------------------------

    def save(self, saved: Saved) -> None:
        """Replace the checkpoint, whole or not at all."""
        path = self.folder / _FILE
        part = path.with_suffix(".tmp")
        facts = {**saved.facts, "format": FORMAT}
        try:
            digest = _digest(saved.arrays, facts)
            header = {_KEY: json.dumps({**facts, "sha256": digest})}
            safetensors.numpy.save_file(saved.arrays, part, metadata=header)
            _sync(part)
            part.replace(path)
            _sync(self.folder)
        except OSError as error:
            raise ResultsError(_cannot("write", path, error)) from error

    def facts(self) -> Facts | None:
        """The checkpoint's facts, by its header alone; None where there are none."""
        try:
            return _facts(self.folder / _FILE)
        except (FileNotFoundError, UnfitCheckpoint):
            return None  # `load` says what is wrong

    def load(self) -> Saved | None:
        """The checkpoint; None if there is none yet.

        Raises:
            UnfitCheckpoint: it is damaged, or no checkpoint of this version.
        """
        path = self.folder / _FILE
        if not path.exists():
            return None
        facts = _facts(path)
        try:
            arrays = safetensors.numpy.load_file(path)
        except (OSError, ValueError, safetensors.SafetensorError) as error:
            raise UnfitCheckpoint(f"is damaged: {error}") from error
        if facts.pop("sha256", None) != _digest(arrays, facts):
            raise UnfitCheckpoint("is damaged: its checksum does not hold")
        return Saved(arrays, facts)

    def set_aside(self) -> Path:
        """Put the checkpoint out of the way; returns where it lies now."""
        return (self.folder / _FILE).replace(self.folder / _ASIDE)


def _facts(path: Path) -> Facts:
    """The JSON in a checkpoint's header."""
    if not path.exists():
        raise FileNotFoundError(path)
    try:
        with safetensors.safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
        facts = None if text is None else json.loads(text)
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise UnfitCheckpoint(f"is damaged: {error}") from error
    if not isinstance(facts, dict):
        raise UnfitCheckpoint("is no checkpoint of mixer-bench")
    if facts.get("format") != FORMAT:
        raise UnfitCheckpoint(f"has format {facts.get('format')}, not {FORMAT}")
    return facts


def _digest(arrays: Mapping[str, np.ndarray], facts: Facts) -> str:
    total = hashlib.sha256(canonical(facts).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        total.update(array.data)
    return total.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _cannot(verb: str, path: Path, error: OSError) -> str:
    return f"cannot {verb} {path}: {error.strerror}; give another folder with --out"
