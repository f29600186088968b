"""The GPU of an Apple chip, through Metal: torch times it, jax has no device for it.

Not tried on such a machine: tested against what `sysctl` answers there.
"""

from __future__ import annotations

import platform
import subprocess

from bench.devices import Device


def describe() -> Device | None:
    """The GPU of this Mac; None elsewhere, and on Macs with an Intel processor."""
    if (platform.system(), platform.machine()) != ("Darwin", "arm64"):
        return None
    return device_of(_chip(), platform.mac_ver()[0])


def _chip() -> str:
    command = ["sysctl", "-n", "machdep.cpu.brand_string"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def device_of(chip: str, macos: str) -> Device:
    """The chip names its GPU; Metal's version comes with the system's."""
    return Device(
        kind="mps",
        name=f"{chip} GPU",
        core_kind="gpu",
        cores=1.0,
        parallelism="replica",
        parts={"gpu": chip},
        driver={"macos": macos},
    )
