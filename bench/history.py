"""What a results folder says about work items: finished, failed, batch picked.

It asks `bench.results` for the rows and reads no file itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from bench import record
from bench.errors import ResultsError, unknown
from bench.results import Reading, read
from bench.specs import SPEED_MODES, WorkItem

REUSE = ("strict", "machine", "any")


class History:
    """What a results folder says about work items: finished, failed, batch picked.

    A row counts when its protocol is the same and, by `reuse`, when it came from this
    hardware and environment (`strict`), from this hardware (`machine`), or from
    anywhere (`any`). Training rows too: they carry core-days and training rates.
    """

    def __init__(
        self,
        out: Path,
        *,
        protocol: int,
        machine_id: str,
        environment_id: Mapping[str, str],
        reuse: str = "strict",
    ) -> None:
        """Read `out` once; `environment_id` is by framework."""
        if reuse not in REUSE:
            raise ResultsError(f"--reuse: {unknown('word', reuse, REUSE)}")
        reading = read(out) if out.is_dir() else Reading(record.table([]))
        self.set_aside, self.table = reading.set_aside, reading.table
        columns = (
            "attempt_id cell_id repetition role status mode framework machine_id "
            "environment_id batch_rule batch_size executor stop_reason "
            "precision_goal window_goal_s weights_sha256"
        ).split()
        table = reading.table
        table = table.filter(pc.equal(table["protocol"], protocol)).select(columns)
        self._rows = [
            row
            for row in table.to_pylist()
            if reuse == "any"
            or (
                row["machine_id"] == machine_id
                and (
                    reuse == "machine"
                    or row["environment_id"] == environment_id.get(row["framework"])
                )
            )
        ]
        self._ok: dict[tuple[str, int, str], list[dict[str, Any]]] = {}
        for row in self._rows:
            if row["status"] == "ok":
                self._ok.setdefault(_key(row), []).append(row)
        self._all = {_key(row) for row in self._rows}

    def is_finished(self, item: WorkItem) -> bool:
        """An ok row stands for this item, measured with at least its effort."""
        return any(_suffices(row, item) for row in self._ok.get(item.key, []))

    def has_failed(self, item: WorkItem) -> bool:
        """It was tried, and never with success."""
        return item.key in self._all - self._ok.keys()

    def weights_left(self, item: WorkItem) -> set[str]:
        """Hashes of the weights that this item's finished attempts ended with."""
        return {row["weights_sha256"] for row in self._ok.get(item.key, [])}

    def attempts(self, cell_ids: set[str]) -> set[str]:
        """Every attempt that counts for these cells, whichever study asked for it."""
        return {row["attempt_id"] for row in self._rows if row["cell_id"] in cell_ids}

    def picked_batch(self, item: WorkItem) -> int | None:
        """The batch that an earlier repetition of this cell picked by its pilot."""
        for row in self._rows:
            if row["cell_id"] == item.cell.cell_id and row["batch_rule"] == "auto":
                if row["status"] == "ok":
                    picked: int = row["batch_size"]
                    return picked
        return None

    def anchors_done(self, anchor: WorkItem) -> int:
        """How many attempts of this anchor stand: the next repetition number."""
        ids = (row["cell_id"] for row in self._rows if row["role"] == "anchor")
        return sum(cell_id == anchor.cell.cell_id for cell_id in ids)


def _suffices(row: Mapping[str, Any], item: WorkItem) -> bool:
    """A hurried demo row does not stand in for a careful one, nor a shared process."""
    if item.cell.mode not in SPEED_MODES:
        return True
    if row["executor"] == "inline":
        return False
    if row["window_goal_s"] is None:  # before schema 3 rows did not say
        return True
    precise = row["stop_reason"] == "precision" and (
        row["precision_goal"] <= item.effort.precision
    )
    return precise or bool(row["window_goal_s"] >= item.effort.window_s)


def _key(row: Mapping[str, Any]) -> tuple[str, int, str]:
    return (row["cell_id"], row["repetition"], row["role"])
