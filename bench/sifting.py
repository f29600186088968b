"""What of rows that were read cannot be used, and the line that says so.

Whole columns are looked at, and of repeated attempts alone more than their ids: where
none repeats, a hundred thousand rows cost milliseconds.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

RATES = ("img_per_sec_core", "img_per_sec", "train_img_per_sec_core")
Places = Int[np.ndarray, " rows"]


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _names(files: Sequence[str], number: int) -> str:
    """The remedy: what lists the faults one by one."""
    them = "it" if number == 1 else "them"
    return f"mixer-bench check {shlex.join(files)} names {them}"


# Rates ------------------------------------------------------------------------


def sound(table: pa.Table, file: str) -> tuple[pa.Table, list[str]]:
    """A file's rows but those with a rate that is none, and a line if there are such.

    A rate is a number above 0; a row that failed need not have one, nor any a rate.
    """
    done = pc.equal(table["status"], "ok")
    found = {name: pc.and_(done, _is_none(table[name])) for name in RATES}
    found = {name: wild for name, wild in found.items() if pc.any(wild).as_py()}
    if not found:
        return table, []
    wild = pc.fill_null(functools.reduce(pc.or_, found.values()), False)
    number = pc.sum(wild).as_py()
    said = (
        f"{file}: {_counted(number, 'row')} whose {' or '.join(found)} is no number "
        f"above 0; {_names([file], number)}"
    )
    return table.filter(pc.invert(wild)), [said]


def _is_none(rates: pa.ChunkedArray) -> pa.ChunkedArray:
    above = pc.and_(pc.is_finite(rates), pc.greater(rates, 0))
    return pc.fill_null(pc.invert(above), False)


# Attempts ---------------------------------------------------------------------


def once(table: pa.Table) -> pa.Table:
    """Each attempt once, the first kept; rows without an id are all kept."""
    return _without(table, _again(table)[0])


def told_once(table: pa.Table, names: Sequence[str]) -> tuple[pa.Table, list[str]]:
    """As `once`, and a line if a row that is dropped says other things than the first.

    Only the columns of `table` are compared; `names` are what was read.
    """
    again, firsts = _again(table)
    if not len(again):
        return table, []
    differ = _differing(table, again, firsts)
    columns = [name for name, unequal in differ.items() if unequal.any()]
    if not columns:
        return _without(table, again), []
    rows = again[np.logical_or.reduce(list(differ.values()))]
    number = len(table["attempt_id"].take(pa.array(rows)).unique())
    more = ", ..." if columns[_NAMED:] else ""
    said = (
        f"{_counted(number, 'attempt')} told twice with different values "
        f"({', '.join(columns[:_NAMED])}{more}): the first is used; "
        f"{_names(names, number)}"
    )
    return _without(table, again), [said]


_NAMED = 5
"""Columns named of those that differ."""


def _again(table: pa.Table) -> tuple[Places, Places]:
    """Rows whose attempt stands before them, and where it stands first."""
    encoded = table["attempt_id"].combine_chunks().dictionary_encode()
    known = np.flatnonzero(encoded.is_valid().to_numpy(zero_copy_only=False))
    if len(encoded.dictionary) == len(known):
        return known[:0], known[:0]
    codes = encoded.indices.drop_null().to_numpy()
    _, first, number = np.unique(codes, return_index=True, return_inverse=True)
    firsts = known[first[number]]
    again = firsts != known
    return known[again], firsts[again]


def _without(table: pa.Table, rows: Places) -> pa.Table:
    if not len(rows):
        return table
    kept = np.ones(table.num_rows, dtype=bool)
    kept[rows] = False
    return table.filter(pa.array(kept))


def _differing(
    table: pa.Table, rows: Places, others: Places
) -> dict[str, Bool[np.ndarray, " rows"]]:
    """Of each column where the row differs from the other.

    Nested columns are slow to compare: only where the row is not known to differ.
    """
    one, other = _picked(table, rows), _picked(table, others)
    found: dict[str, Bool[np.ndarray, " rows"]] = {}
    flat = {n: not pa.types.is_nested(one[n].type) for n in table.column_names}
    alike = np.ones(len(rows), dtype=bool)
    for name in sorted(flat, key=lambda name: not flat[name]):
        at = np.flatnonzero(alike)
        found[name] = np.zeros(len(rows), dtype=bool)
        if one[name].equals(other[name]) or not (flat[name] or len(at)):
            continue
        if flat[name]:
            found[name] = _unequal(one[name], other[name])
        else:
            found[name][at] = _unequal(one[name].take(at), other[name].take(at))
        alike &= ~found[name]
    return found


def _picked(table: pa.Table, rows: Places) -> pa.Table:
    """These rows; a run of them, as of a file read twice, is not copied."""
    if int(rows[-1] - rows[0]) + 1 == len(rows) and (np.diff(rows) == 1).all():
        return table.slice(int(rows[0]), len(rows))
    return table.take(pa.array(rows))


def _unequal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Bool[np.ndarray, " rows"]:
    """Where two columns differ; null is null and NaN is NaN."""
    if pa.types.is_nested(one.type):
        pairs = zip(one, other, strict=True)
        return np.array(
            [not (a.equals(b) or repr(a.as_py()) == repr(b.as_py())) for a, b in pairs]
        )
    same = pc.or_(
        pc.fill_null(pc.equal(one, other), False),
        pc.and_(pc.is_null(one), pc.is_null(other)),
    )
    if pa.types.is_floating(one.type):
        both = pc.and_(pc.is_nan(one), pc.is_nan(other))
        same = pc.or_(same, pc.fill_null(both, False))
    unequal: Bool[np.ndarray, " rows"] = pc.invert(same).to_numpy()
    return unequal
