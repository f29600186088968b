"""One Intel GPU as `xpu-smi` lists it; torch times it, jax needs Intel's plug-in.

The tool comes with data centre drivers. Without it no XPU is found, so that a laptop's
own graphics do not stand in the way of its processor. Not tried on such a machine: the
parser is tested against recorded output.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from bench.devices import Device


def describe() -> Device | None:
    """The first visible GPU; None where there is no tool or no GPU."""
    if shutil.which("xpu-smi") is None:
        return None
    listing = _smi("discovery", "-j")
    first = _first(os.environ.get("ZE_AFFINITY_MASK"), len(_devices(listing)))
    if first is None:
        return None
    flat = os.environ.get("ZE_FLAT_DEVICE_HIERARCHY", "FLAT") != "COMPOSITE"
    return parse(
        _devices(listing)[first], _smi("discovery", "-d", str(first), "-j"), flat
    )


def _smi(*arguments: str) -> dict[str, Any]:
    command = ["xpu-smi", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def _devices(listing: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = listing.get("device_list", [])
    return found


def _first(mask: str | None, count: int) -> int | None:
    """Card of the first visible device: masks read `1`, `0.1` (card and tile), ..."""
    word = (mask or "0").split(",")[0].partition(".")[0].strip()
    return int(word) if word.isdigit() and int(word) < count else None


def parse(entry: Mapping[str, Any], details: Mapping[str, Any], flat: bool) -> Device:
    """Under the flat hierarchy, the driver's default, each tile is its own device."""
    name = str(entry["device_name"])
    tiles = int(details.get("number_of_tiles") or 1)
    memory, driver = (
        details.get("memory_physical_size_byte"),
        details.get("driver_version"),
    )
    return Device(
        kind="xpu",
        name=name,
        core_kind="tile" if flat and tiles > 1 else "gpu",
        cores=1.0,
        parallelism="replica",
        parts={"gpu": name, **({"gpu_memory": f"{memory} B"} if memory else {})},
        driver={"intel_gpu": str(driver)} if driver else {},
    )
