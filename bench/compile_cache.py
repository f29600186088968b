"""Where compiled programs are kept between processes. Pure paths; the twins use them.

One folder for each number of threads and each processor part: what XLA and inductor
compile for a CPU depends on both, and neither asks for the threads when it looks an
old program up (jax 0.10: one compiled on a single core is handed to two).
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from bench import cores
from bench.errors import StudyError, unknown

SWITCH = "MIXER_BENCH_COMPILE_CACHE"
"""Environment variable: `on` (default) or `off`. Workers inherit it."""
_STATES = ("on", "off")


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
    part = cores.parse_cpuinfo(cores.cpuinfo()).part or "cpu"
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


def _root() -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home else Path.home() / ".cache") / "mixer-bench" / "compiled"
