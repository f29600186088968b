"""The anchor: one cell that is timed first, between and last, to see the machine move.

A study that times anything has one, unless it says `anchor: null`. It is the same in
every study, so that sittings can be compared by it.
"""

from __future__ import annotations

from collections.abc import Iterable

from bench import devices
from bench.specs import SPEED_MODES, Cell

MODEL = "Mixer-S/32"
"""Of the paper's sizes the one with the shortest step: 3.0 GFLOP an image."""
BATCH = {"cpu": 8}
LOADED = 256
"""Images that keep an accelerator busy: an idle one does not slow down for heat."""
RUNS = 3


def usual(cells: Iterable[Cell]) -> Cell | None:
    """The anchor of a study that names none; null where nothing is timed."""
    timed = [cell for cell in cells if cell.mode in SPEED_MODES]
    if not timed:
        return None
    frameworks = {cell.framework for cell in timed}
    kind = devices.describe(timed[0].device).kind
    return Cell(
        mode="infer",
        model=MODEL,
        framework="torch" if "torch" in frameworks else min(frameworks),
        batch_size=BATCH.get(kind, LOADED),
        device=timed[0].device,
    )
