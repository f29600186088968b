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
BATCH, LOADED = 8, 256
"""Images a step; the many are for accelerators, as an idle one does not get warm."""
ACCELERATORS = tuple(kind for kind in devices.BUILT_IN if kind != "cpu")
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
        batch_size=LOADED if kind in ACCELERATORS else BATCH,
        device=timed[0].device,
    )
