"""The host's own cores. Several of them share one batch."""

from __future__ import annotations

import platform

from bench import cores
from bench.devices import Device


def describe() -> Device:
    """The processor, and the cores that affinity and quota leave to this process."""
    topology = cores.parse_cpuinfo(cores.cpuinfo())
    usable = cores.usable()
    return Device(
        kind="cpu",
        name=topology.name or platform.processor() or platform.machine(),
        core_kind=usable.kind,
        cores=usable.count,
        parallelism="intra_op",
    )
