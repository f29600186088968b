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
from bench.specs import PROTOCOL, Bandwidth, Limit
from bench.timing.ceiling import LIBRARIES
from bench.units import duration, significant

PATIENCE_S = 120.0
"""One library is given up after this long."""

Found = list[dict[str, Any]]
Try = Callable[[str, str, str], Found]
Roofs = tuple[Limit | None, Bandwidth | None]
"""What no product and no copy here exceeds."""


def ceiling_of(
    host: machine.Machine,
    dtype: str,
    out: Path,
    *,
    attempt: Try | None = None,
    on_note: Callable[[str], None] = lambda message: None,
) -> Roofs:
    """The largest rates of every library here; None where none computes in `dtype`."""
    identity = _identity(host, dtype)
    kept = results.read_ceiling(out, host.name, identity)
    if kept is not None:
        return _largest(kept["found"]), _widest(kept["found"])
    began = time.perf_counter()
    tried = attempt or fresh_process
    what = (dtype, host.device_kind)
    found = [one for name in LIBRARIES for one in tried(name, *what)]
    seconds = time.perf_counter() - began
    on_note(f"{_said(dtype, found)}, measured in {duration(seconds)}")
    failures = [one["method"] for one in found if one.get("flop_per_sec") == 0]
    for reason in failures:
        on_note(f"ceiling: {reason}; measured again at the next run")
    if not failures:
        kept = {**identity, "seconds": seconds, "found": found}
        results.write_ceiling(out, host.name, kept)
    return _largest(found), _widest(found)


def fresh_process(library: str, dtype: str, device: str) -> Found:
    """What one library reaches, in a process of its own; a failure has rate zero."""
    command = [sys.executable, "-P", "-m", "bench.timing.ceiling"]
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [*command, library, dtype, device],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _failed(library, f"no rate after {PATIENCE_S:g} s")
    if done.returncode:
        return _failed(library, (done.stderr.strip().splitlines() or [""])[-1])
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def _failed(library: str, reason: str) -> Found:
    return [{"flop_per_sec": 0.0, "method": f"{library} failed: {reason}"}]


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
        "bandwidth": True,  # kept since copies are measured, too
        "versions": versions,
        "flags": machine.flags(os.environ),
    }


def _largest(found: Found) -> Limit | None:
    products = [one for one in found if one.get("flop_per_sec")]
    best = max(products, key=lambda one: one["flop_per_sec"], default=None)
    return None if best is None else Limit(best["flop_per_sec"], best["method"])


def _widest(found: Found) -> Bandwidth | None:
    copies = [one for one in found if one.get("bytes_per_sec")]
    best = max(copies, key=lambda one: one["bytes_per_sec"], default=None)
    return None if best is None else Bandwidth(**best)


def _said(dtype: str, found: Found) -> str:
    best = _largest(found)
    if best is None:
        return f"no library here multiplies in {dtype}, so there is no ceiling"
    text = f"ceiling {significant(best.flop_per_sec / 1e9)} GFLOP/s ({best.source})"
    copied = _widest(found)
    if copied is None:
        return text
    rate = significant(copied.bytes_per_sec / 1e9)
    return f"{text}; memory {rate} GB/s ({copied.source})"
