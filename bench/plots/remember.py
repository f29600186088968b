"""Points computed once: a figure, its CSV and its caption show the same ones."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pandas as pd

Points = Callable[[pd.DataFrame], pd.DataFrame]

_kept: dict[tuple[Points, int], tuple[pd.DataFrame, pd.DataFrame]] | None = None
"""Points with the rows that they are of, so that no other rows take their id."""


@contextmanager
def while_rows_stand() -> Iterator[None]:
    """Inside, the rows handed to `points` are not changed: each is asked once."""
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def once(points: Points) -> Points:
    """`points`, that inside `while_rows_stand` remembers what it gave for a frame."""

    @functools.wraps(points)
    def remembered(rows: pd.DataFrame) -> pd.DataFrame:
        if _kept is None:
            return points(rows)
        key = (points, id(rows))
        if key not in _kept:
            _kept[key] = rows, points(rows)
        return _kept[key][1].copy()

    return remembered
