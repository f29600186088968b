"""Where compiled programs are kept between processes. Pure paths; the twins use them.

One folder for each number of threads and each processor part: what XLA and inductor
compile for a CPU depends on both, and neither asks for the threads when it looks an
old program up (jax 0.10: one compiled on a single core is handed to two).
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import logging
import os
import re
import uuid
from pathlib import Path
from typing import TextIO

from bench import cores
from bench.errors import StudyError, unknown

SWITCH = "MIXER_BENCH_COMPILE_CACHE"
"""Environment variable: `on` (default) or `off`. Workers inherit it."""
_STATES = ("on", "off")
_MARK = "written-by-"


def switch_off() -> None:
    """Compile everything anew, here and in every worker started from here."""
    os.environ[SWITCH] = "off"


def enabled() -> bool:
    """Whether programs may come from an earlier process."""
    state = os.environ.get(SWITCH, "on")
    if state not in _STATES:
        raise StudyError(f"{SWITCH}: {unknown('state', state, _STATES)}")
    return state == "on"


def folder(framework: str) -> Path | None:
    """This framework's folder for this processor, made now.

    None where it is switched off, or cannot be written: then everything is compiled
    anew, which takes longer and changes no result.
    """
    if not enabled():
        return None
    part = cores.topology().part or "cpu"
    host = re.sub(r"[^A-Za-z0-9]+", "-", part)
    path = _root() / framework / f"{host}-{cores.threads()}threads"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logging.getLogger(__name__).warning(
            "%s: cannot keep compiled programs: %s; set XDG_CACHE_HOME",
            path,
            error.strerror,
        )
        return None
    return path


_held: dict[Path, TextIO] = {}
"""Marks of this process, by folder. The lock on one goes when the process does."""


def hold(place: Path) -> None:
    """Say that this process writes programs to `place`; clear what killed ones left.

    Inductor has its linker write libraries in place, and loads a torn one again and
    again. So what was written since a process began that then died is compiled anew.
    """
    if place in _held:
        return
    for mark in place.glob(f"{_MARK}*"):
        _clear_after(mark, place)
    # Hosts that share a home folder share process numbers too.
    mark = place / f"{_MARK}{uuid.uuid4().hex}"
    try:
        _held[place] = _locked(mark)
    except OSError as error:
        logging.getLogger(__name__).warning(
            "%s: cannot be locked: %s; after a kill while compiling, empty it",
            place,
            error.strerror,
        )


def _locked(mark: Path) -> TextIO:
    file = mark.open("w")
    atexit.register(mark.unlink, missing_ok=True)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


def _clear_after(mark: Path, place: Path) -> None:
    with contextlib.suppress(FileNotFoundError), mark.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process lives, or nothing can be locked here
            return
        began = mark.stat().st_mtime
        for path in place.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime >= began:
                    if not path.name.startswith(_MARK):
                        path.unlink()
        mark.unlink(missing_ok=True)


def home() -> Path:
    """This program's part of the user's cache folder."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given else Path.home() / ".cache") / "mixer-bench"


def _root() -> Path:
    return home() / "compiled"
