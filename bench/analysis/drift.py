"""Drift: how far the anchor cell moved while a study was measured.

The anchor is measured first, between and last in every sitting, so its rows suffice:
nothing is derived when a row is written, and nothing goes stale when rows are folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from bench.units import percent

STEADY = 0.05
"""A sitting whose anchors lie within this of each other is steady."""
NEEDS = ("sitting_id", "role", "status", "started_at", "cell_id", "img_per_sec")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether the machine stood still while a study was measured."""

    kind: str
    """`steady`, `drifted` or `unknown`."""
    largest: float | None
    """Fastest anchor over slowest, minus 1, in the worst sitting."""
    sentence: str


def anchor_drift(rows: Sequence[Row]) -> list[float | None]:
    """For each row, how the anchor's rate changed from before it to after it.

    Null without an anchor on both sides in the same sitting. An anchor's own drift is
    the change since the anchor before it.
    """
    sittings = _anchors(rows)
    return [_around(row, sittings.get(row["sitting_id"], [])) for row in rows]


def anchor_drifts(table: pa.Table) -> pa.Array:
    """`anchor_drift` of a table's rows; only sittings with an anchor are looked at."""
    sitting = table["sitting_id"]
    anchored = sitting.filter(pc.equal(table["role"], "anchor")).unique().drop_null()
    inside = pc.is_in(sitting, value_set=anchored)
    found = iter(anchor_drift(table.filter(inside).select(NEEDS).to_pylist()))
    values = [next(found) if one else None for one in inside.to_pylist()]
    return pa.array(values, pa.float64())


def verdict(rows: Sequence[Row]) -> Verdict:
    """One word for a study: its worst sitting counts."""
    spreads = [
        max(rates) / min(rates) - 1
        for anchors in _anchors(rows).values()
        if len(rates := [row["img_per_sec"] for row in anchors]) > 1
    ]
    if not spreads:
        return Verdict(
            "unknown",
            None,
            "drift unknown: no sitting has two anchor measurements; give the study an "
            "anchor",
        )
    largest = max(spreads)
    kind = "steady" if largest <= STEADY else "drifted"
    remedy = "" if kind == "steady" else "; repeat on a quiet, cool machine"
    sentence = (
        f"{kind}: the anchors of one sitting differ by {percent(largest)} % at most "
        f"({len(spreads)} sitting{'s' * (len(spreads) > 1)}){remedy}"
    )
    return Verdict(kind, largest, sentence)


def _anchors(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The usable anchors of each sitting, in order of time."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        usable = row["role"] == "anchor" and row["status"] == "ok"
        if usable and row["sitting_id"] is not None and row["img_per_sec"]:
            found.setdefault(row["sitting_id"], []).append(row)
    return {
        sitting: _of_one_cell(sorted(anchors, key=lambda row: row["started_at"]))
        for sitting, anchors in found.items()
    }


def _of_one_cell(anchors: list[Row]) -> list[Row]:
    """A sitting has one anchor cell; rows of several come from files merged wrongly."""
    cells = {row["cell_id"] for row in anchors}
    return anchors if len(cells) == 1 else []


def _around(row: Row, anchors: list[Row]) -> float | None:
    when = row["started_at"]
    before = [anchor for anchor in anchors if anchor["started_at"] < when]
    after = [anchor for anchor in anchors if anchor["started_at"] >= when]
    if not before or not after:
        return None
    first, second = float(before[-1]["img_per_sec"]), float(after[0]["img_per_sec"])
    return second / first - 1
