"""The machine's ceiling in a dtype: measured once in fresh processes, then kept.

It is kept with the results, by machine, device, dtype and the versions of every library
tried, and measured again when one of these changes. It costs a few seconds a library.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import backend as backends
from bench import machine, results
from bench.specs import PROTOCOL, Limit
from bench.timing.ceiling import LIBRARIES
from bench.units import duration, significant

PATIENCE_S = 120.0
"""One library is given up after this long."""

Found = list[dict[str, Any]]
Try = Callable[[str, str, str], Found]


def ceiling_of(
    host: machine.Machine,
    dtype: str,
    out: Path,
    *,
    attempt: Try | None = None,
    on_note: Callable[[str], None] = lambda message: None,
) -> Limit | None:
    """The largest rate of every library here; None where none computes in `dtype`."""
    identity = _identity(host, dtype)
    kept = results.read_ceiling(out, host.name, identity)
    if kept is None:
        began = time.perf_counter()
        tried = attempt or fresh_process
        found = [one for name in LIBRARIES for one in tried(name, *_what(host, dtype))]
        seconds = time.perf_counter() - began
        kept = {**identity, "seconds": seconds, "found": found}
        path = results.write_ceiling(out, host.name, kept)
        on_note(
            f"{_said(dtype, found)}, measured in {duration(seconds)}; kept in {path}"
        )
    return _largest(kept["found"])


def fresh_process(library: str, dtype: str, device: str) -> Found:
    """What one library reaches, in a process of its own; nothing when it fails."""
    command = [sys.executable, "-P", "-m", "bench.timing.ceiling"]
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*command, library, dtype, device],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return [{"flop_per_sec": 0.0, "method": f"{library} failed: {reason}"}]
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def _what(host: machine.Machine, dtype: str) -> tuple[str, str]:
    return dtype, host.device_kind


def _identity(host: machine.Machine, dtype: str) -> dict[str, Any]:
    """What must be equal for a kept ceiling to hold."""
    versions = {
        name: version
        for framework in backends.FRAMEWORKS
        for name, version in machine.versions(framework).items()
    }
    return {
        "machine_id": host.machine_id,
        "dtype": dtype,
        "protocol": PROTOCOL,
        "versions": versions,
        "flags": machine.flags(os.environ),
    }


def _largest(found: Found) -> Limit | None:
    best = max(found, key=lambda one: one["flop_per_sec"], default=None)
    if best is None or best["flop_per_sec"] == 0:
        return None
    return Limit(best["flop_per_sec"], best["method"])


def _said(dtype: str, found: Found) -> str:
    best = _largest(found)
    if best is None:
        return f"no library here multiplies in {dtype}, so there is no ceiling"
    return f"ceiling {significant(best.flop_per_sec / 1e9)} GFLOP/s ({best.source})"
