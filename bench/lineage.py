"""Parents before children: whose weights a finetune cell starts from, and whether
they lie there.

A parent, and with `keep_weights` every training cell, leaves its weights beside the
results. They stand for its row while their hash is the row's; where they are gone, the
cell is run again, and the plan says so.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bench import models, results
from bench.errors import WeightsError
from bench.history import History
from bench.models import weights
from bench.specs import TRAINING_MODES, Cell, Parent, Study, WorkItem
from bench.training import resolution


class Lineage:
    """The parents of one study on one machine."""

    def __init__(self, study: Study, out: Path, machine: str, history: History) -> None:
        self._out, self._machine, self._history = out, machine, history
        wanted = {cell.parent_cell_id for cell in study.cells}
        self._parents = {c.cell_id: c for c in study.cells if c.cell_id in wanted}
        self._all_stay = study.effort.keep_weights
        self._sha256: dict[str, str] = {}
        self._failed: dict[str, str] = {}
        self.again: list[str] = []
        """One line for each finished parent that runs again."""

    def ordered(
        self, finished: list[WorkItem], todo: list[WorkItem]
    ) -> tuple[list[WorkItem], list[WorkItem]]:
        """What stands, and what to run: parents first, also those whose weights went.

        Otherwise the order is kept.
        """
        needed = {item.cell.parent_cell_id for item in todo}
        lost = []
        for item in finished:
            if item.cell.cell_id in needed or self._stays(item.cell):
                why = self._look_up(item)
                if why is not None:
                    lost.append(item)
                    self.again.append(f"{item.cell.label} is trained again: {why}")
        run = sorted(
            [*lost, *todo], key=lambda item: item.cell.parent_cell_id is not None
        )
        return [item for item in finished if item not in lost], run

    def _stays(self, cell: Cell) -> bool:
        """Whether the study wants these weights themselves, children or not."""
        return self._all_stay and cell.mode in TRAINING_MODES

    def _look_up(self, item: WorkItem) -> str | None:
        """Note the hash of the weights that a finished parent left, or say why not."""
        path = self._path(item.cell)
        if not path.exists():
            return f"its weights are not at {path}"
        try:
            found = weights.sha256(weights.read(path))
        except WeightsError as error:
            return str(error)
        if found not in self._history.weights_left(item):
            return f"{path} holds other weights than its row tells of"
        self._sha256[item.cell.cell_id] = found
        return None

    def _path(self, cell: Cell) -> Path:
        return results.weights_path(self._out, self._machine, cell.cell_id)

    # while running --------------------------------------------------------------

    def skipped(self, item: WorkItem) -> dict[str, Any] | None:
        """The values of a cell that cannot start, because its parent did not end."""
        parent = item.cell.parent_cell_id
        if parent is None or parent in self._sha256:
            return None
        why = self._failed.get(parent, "has not run")
        label = self._parents[parent].label
        return {
            "status": "skipped",
            "error_class": "ParentFailed",
            "error_message": f"the cell it starts from, {label}, {why}",
        }

    def placed(self, item: WorkItem) -> WorkItem:
        """The item with the file that its weights go to, or come from."""
        cell = item.cell
        stays = cell.cell_id in self._parents or self._stays(cell)
        if stays and item.role == "cell":
            path = results.room_for(self._path(cell))
            item = dataclasses.replace(item, keep_weights=str(path))
        if cell.parent_cell_id is None:
            return item
        parent, sha256 = self._parents[cell.parent_cell_id], self._sha256
        start = Parent(parent, str(self._path(parent)), sha256[parent.cell_id])
        return dataclasses.replace(item, parent=start)

    def note(self, item: WorkItem, values: dict[str, Any]) -> None:
        """What became of an item: its children ask."""
        cell_id = item.cell.cell_id
        if cell_id not in self._parents:
            return
        if values["status"] == "ok":
            self._sha256[cell_id] = values["weights_sha256"]
        else:
            why = f"ended as {values['status']}: {values['error_message']}"
            self._failed[cell_id] = why


def check_files(study: Study) -> None:
    """Refuse a weights file of another model, before anything is measured.

    Raises:
        WeightsError: names the first tensor that does not fit, with both shapes.
    """
    for cell in study.cells:
        if cell.init_sha256 is not None and cell.init is not None:
            spec = models.spec_of_cell(cell, num_classes=cell.num_classes)
            resolution.load(cell.init, spec, new_head=True)
