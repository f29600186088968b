"""Whether rows can be true: bounds, and numbers that follow from other numbers.

Every rule looks at whole columns, so that many rows cost little. Rows that failed need
not hold numbers; published and imported rows need not hold the parts of a sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float

from bench import record
from bench.specs import MODES, SPEED_MODES, TRAINING_MODES
from bench.units import SECONDS_PER_DAY

TOLERANCE = 1e-6
"""Relative: rounding of a few float64 operations, and nothing else."""

Column = Float[np.ndarray, "rows"]
Mask = Bool[np.ndarray, "rows"]
Columns = Mapping[str, Column]

SHARES = (
    *("top1", "real_top1", "avg5_top1", "vtab19", "chance", "mfu"),
    *("data_wait_fraction", "data_fraction"),
)
POSITIVE = (
    *("img_per_sec", "img_per_sec_core", "step_s", "cores", "param_count", "macs"),
    *("image_size", "batch_size", "train_img_per_sec_core", "flop_per_sec"),
    *("unique_images", "images_seen", "steps", "steps_per_sample", "n_eval"),
)
SIGNED = ("train_loss", "head_bias")
WORDS = {"status": record.STATUSES, "role": ("cell", "anchor"), "mode": MODES}
RESULT_OF = {
    **dict.fromkeys(SPEED_MODES, ("img_per_sec_core", "img_per_sec", "cores")),
    **dict.fromkeys(TRAINING_MODES, ("top1", "allocated_s", "measured_s", "cores")),
}
"""What an ok row of our own cannot lack."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with one row, or with a whole file where `row` is None."""

    row: int | None
    column: str
    said: str


@dataclass(frozen=True)
class _Rule:
    """A number that others give."""

    column: str
    of: tuple[str, ...]
    expected: Callable[[Columns], Column]
    words: str


RULES = (
    _Rule(
        "img_per_sec_core",
        ("img_per_sec", "cores"),
        lambda c: c["img_per_sec"] / c["cores"],
        "img_per_sec / cores",
    ),
    _Rule(
        "img_per_sec",
        ("batch_size", "step_s"),
        lambda c: c["batch_size"] / c["step_s"],
        "batch_size / step_s",
    ),
    _Rule(
        "mfu",
        ("flop_per_sec", "peak_flop_per_sec"),
        lambda c: c["flop_per_sec"] / c["peak_flop_per_sec"],
        "flop_per_sec / peak_flop_per_sec",
    ),
    _Rule(
        "ceiling_share",
        ("flop_per_sec", "ceiling_flop_per_sec"),
        lambda c: c["flop_per_sec"] / c["ceiling_flop_per_sec"],
        "flop_per_sec / ceiling_flop_per_sec",
    ),
    _Rule(
        "allocated_s",
        ("measured_s", "excluded_s", "repeated_s", "idle_s"),
        lambda c: c["measured_s"] + c["excluded_s"] + c["repeated_s"] + c["idle_s"],
        "measured_s + excluded_s + repeated_s + idle_s",
    ),
    _Rule(
        "core_days_measured",
        ("cores", "measured_s"),
        lambda c: c["cores"] * c["measured_s"] / SECONDS_PER_DAY,
        "cores x measured_s / 86400",
    ),
    _Rule(
        "data_wait_fraction",
        ("data_wait_s", "measured_s"),
        lambda c: c["data_wait_s"] / c["measured_s"],
        "data_wait_s / measured_s",
    ),
    _Rule(
        "epochs",
        ("images_seen", "unique_images"),
        lambda c: c["images_seen"] / c["unique_images"],
        "images_seen / unique_images",
    ),
)


def faults(table: pa.Table) -> list[Fault]:
    """Every fault of a table of records, in the order of its rows."""
    ok = _true(pc.equal(table["status"], "ok"))
    own = ok & _true(pc.equal(table["source"], "measured"))
    numbers = _numbers(table)
    found = [
        *_words(table),
        *_ids(table),
        *_not_finite(table, ok),
        *_bounds(numbers, ok),
        *_missing(table, own),
        *_sums(numbers, own),
        *_medians(table, own),
        *_times(table),
    ]
    return sorted(found, key=lambda fault: -1 if fault.row is None else fault.row)


def _true(values: Any) -> Mask:
    made: Mask = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(bool)
    return made


def _numbers(table: pa.Table) -> dict[str, Column]:
    """Number columns as floats, NaN for null."""
    return {
        item.name: table[item.name].cast(pa.float64()).to_numpy(zero_copy_only=False)
        for item in table.schema
        if pa.types.is_integer(item.type) or pa.types.is_floating(item.type)
    }


def _words(table: pa.Table) -> Iterator[Fault]:
    for name, allowed in WORDS.items():
        column, words = table[name], ", ".join(allowed)
        for row in np.flatnonzero(~_true(pc.is_in(column, pa.array(allowed)))):
            said = f"{column[int(row)].as_py()!r}: must be one of {words}"
            yield Fault(int(row), name, said)


def _ids(table: pa.Table) -> Iterator[Fault]:
    """Every attempt has an id, and no two have the same."""
    seen: dict[str, int] = {}
    for row, name in enumerate(table["attempt_id"].to_pylist()):
        if name is None:
            yield Fault(row, "attempt_id", "is missing")
        elif name in seen:
            yield Fault(row, "attempt_id", f"stands in row {seen[name]} too")
        else:
            seen[name] = row


def _not_finite(table: pa.Table, ok: Mask) -> Iterator[Fault]:
    for item in table.schema:
        if not pa.types.is_floating(item.type):
            continue
        wild = ok & ~_true(pc.fill_null(pc.is_finite(table[item.name]), True))
        for row in np.flatnonzero(wild):
            yield Fault(int(row), item.name, "is not a finite number")


def _bounds(numbers: Columns, ok: Mask) -> Iterator[Fault]:
    for name, values in numbers.items():
        finite = ok & np.isfinite(values)
        low = finite & (values < 0) & (name not in SIGNED)
        low |= finite & (values == 0) & (name in POSITIVE)
        kind = "above 0" if name in POSITIVE else "0 or more"
        for row in np.flatnonzero(low):
            yield Fault(int(row), name, f"{values[row]:g}: must be {kind}")
        for row in np.flatnonzero(finite & (values > 1) & (name in SHARES)):
            yield Fault(int(row), name, f"{values[row]:g}: a share is at most 1")


def _missing(table: pa.Table, own: Mask) -> Iterator[Fault]:
    for mode, names in RESULT_OF.items():
        done = own & _true(pc.equal(table["mode"], mode))
        for name in names:
            for row in np.flatnonzero(done & _true(pc.is_null(table[name]))):
                yield Fault(int(row), name, f"is missing in an ok row of {mode}")


def _sums(numbers: Columns, own: Mask) -> Iterator[Fault]:
    for rule in RULES:
        with np.errstate(divide="ignore", invalid="ignore"):
            given, should = numbers[rule.column], rule.expected(numbers)
            apart = np.abs(given - should) > TOLERANCE * np.abs(should)
        known = own & np.isfinite(given) & np.isfinite(should)
        for row in np.flatnonzero(known & apart):
            said = f"{given[row]:.6g}: is not {rule.words} = {should[row]:.6g}"
            yield Fault(int(row), rule.column, said)


def _medians(table: pa.Table, own: Mask) -> Iterator[Fault]:
    """The step time reported is the median of the samples beside it."""
    timed = own & _true(pc.is_valid(table["samples"]))
    timed &= _true(pc.is_valid(table["step_s"]))
    kept = table.filter(pa.array(timed)).select(["samples", "step_s"])
    pairs = zip(kept["samples"], kept["step_s"].to_pylist(), strict=True)
    for row, (samples, step_s) in zip(np.flatnonzero(timed), pairs, strict=True):
        values = samples.values.to_numpy(zero_copy_only=False)
        if not len(values) or not np.isfinite(values).all() or values.min() <= 0:
            yield Fault(int(row), "samples", "must be finite seconds above 0")
        elif abs(np.median(values) - step_s) > TOLERANCE * step_s:
            said = (
                f"{step_s:.6g}: is not the median of samples, {np.median(values):.6g}"
            )
            yield Fault(int(row), "step_s", said)


def _times(table: pa.Table) -> Iterator[Fault]:
    backwards = _true(pc.less(table["finished_at"], table["started_at"]))
    for row in np.flatnonzero(backwards):
        yield Fault(int(row), "finished_at", "is before started_at")
