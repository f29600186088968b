"""One file per device kind: is it here, what is it called, what is a core of it.

Another package adds a kind through the entry point group `mixer_bench.devices`: a
module with `describe() -> Device | None`, and `reading() -> sensors.Reading` if the
device has sensors. The kind is the entry point's name. It needs
no code for timing: both frameworks have a barrier that holds for any device (and the
window proves it first), and the device says what a framework calls it, if not its kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any

from bench.devices.sensors import Reading
from bench.errors import StudyError, unknown

BUILT_IN = ("cuda", "rocm", "xpu", "tpu", "mps", "cpu")
"""In the order in which `auto` looks for them."""
GROUP = "mixer_bench.devices"


@dataclass(frozen=True)
class Device:
    """What one process times, and what its rate is divided by."""

    kind: str
    name: str
    core_kind: str
    cores: float
    parallelism: str
    """`intra_op`: the cores share one batch. `replica`: each has its own."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Hardware beyond the host's, part by part. No serial numbers."""
    driver: Mapping[str, str] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)
    """Framework -> its word for this device, where that is not `kind`."""

    def name_in(self, framework: str) -> str:
        """What `framework` calls this device."""
        return self.called.get(framework, self.kind)


def kinds() -> tuple[str, ...]:
    """Built-in kinds, then those of other packages."""
    return BUILT_IN + tuple(entry_points(group=GROUP).names - set(BUILT_IN))


def describe(kind: str = "auto") -> Device:
    """The device of one kind on this machine; `auto` is the first one that is here."""
    if kind == "auto":
        found = (_ask(name) for name in BUILT_IN)
        return next(device for device in found if device is not None)
    if kind not in kinds():
        raise StudyError(
            f"{unknown('device', kind, ('auto', *kinds()))}; "
            f"a package adds one through the entry point group {GROUP!r}"
        )
    device = _ask(kind)
    if device is None:
        raise StudyError(f"no {kind} device on this machine; say device: cpu")
    return device


def reading(kind: str) -> Reading:
    """One look at the sensors of a device kind; empty where it has none."""
    look: Callable[[], Reading] = getattr(_module(kind), "reading", Reading)
    return look()


def name_in(framework: str, kind: str) -> str:
    """What to ask a framework for; `auto` stays, the framework then finds its own."""
    return kind if kind == "auto" else describe(kind).name_in(framework)


def _ask(kind: str) -> Device | None:
    device: Device | None = _module(kind).describe()
    return device


def _module(kind: str) -> Any:
    if kind in BUILT_IN:
        return importlib.import_module(f"bench.devices.{kind}")
    (found,) = entry_points(group=GROUP, name=kind)
    return found.load()
