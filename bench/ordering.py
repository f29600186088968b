"""What a study measures, in which order, and about how long that takes.

Rounds of repetitions over the cells, each in random order, with the anchor around them.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from bench import anchors
from bench.history import History
from bench.specs import SPEED_MODES, Study, WorkItem

CEILING_S = 8.0
"""Three fresh processes, two seconds and an import each."""
PILOTS, BUILD, PILOT = 8, 0.25, 0.1
"""Batches that a sweep tries, and what each takes: a share of a start-up, which is
mostly compiling, and a share of a window."""


def work_items(study: Study) -> Iterator[WorkItem]:
    """Rounds of repetitions, each in its own random but reproducible order.

    Interleaving spreads a slow spell of the machine over all cells instead of one. A
    training cell runs once: there, repetitions are seeds.
    """
    for repetition in range(study.repetitions):
        cells = [c for c in study.cells if repetition == 0 or c.mode in SPEED_MODES]
        random.Random(f"{study.name}:{repetition}").shuffle(cells)
        for cell in cells:
            yield WorkItem(
                cell=cell,
                repetition=repetition,
                effort=study.effort,
                peak=study.peaks.get(cell.dtype),
                own_core=study.own_core,
            )


def with_anchors(
    study: Study, items: list[WorkItem], history: History
) -> list[WorkItem]:
    """The anchor first, between and last, whenever speed is measured at all."""
    if study.anchor is None or not any(i.cell.mode in SPEED_MODES for i in items):
        return items
    anchor = WorkItem(
        cell=study.anchor,
        role="anchor",
        effort=study.effort,
        peak=study.peaks.get(study.anchor.dtype),
        own_core=study.own_core,
    )
    start = history.anchors_done(anchor)
    half = len(items) // 2
    blocks = [items[:half], items[half:]]
    made: list[WorkItem] = []
    for number, block in enumerate(blocks):
        made += [dataclasses.replace(anchor, repetition=start + number), *block]
    return [*made, dataclasses.replace(anchor, repetition=start + len(blocks))]


def estimate_s(study: Study) -> float:
    """A first guess of the whole time, before anything has run.

    Start-up and compilation of a fresh process, plus the window or the training, the
    sweep of each automatic batch, and the machine's ceiling once for each dtype.
    """
    start_up, inductor = {"jax": 8.0, "torch": 4.0}, 20.0
    timed = [cell for cell in study.cells if cell.mode in SPEED_MODES]
    dtypes = {cell.dtype for cell in timed}
    window = dict.fromkeys(SPEED_MODES, study.effort.window_s * 1.5)
    sweeps_s = sum(
        start_up[cell.framework] * (1 + PILOTS * BUILD)
        + study.effort.window_s * PILOTS * PILOT
        for cell in timed
        if cell.batch_size == "auto"
    )
    cells = [item.cell for item in work_items(study)]
    if dtypes and study.anchor is not None:
        cells += [study.anchor] * anchors.RUNS
    return (
        sweeps_s
        + CEILING_S * len(dtypes)
        + sum(
            start_up[cell.framework]
            + window.get(cell.mode, 6.0)
            + (inductor if (cell.variant or "").startswith("compile") else 0.0)
            for cell in cells
        )
    )
