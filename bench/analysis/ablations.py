"""Ablations: networks that differ from their paper's on purpose.

Tables show them with a column for what differs. A point in a figure, or evidence for a
claim, is the paper's own network.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

PAPERS: dict[str, str | bool] = {
    "token_mixing": "mlp",
    "tied_token_mixing": True,
    "position_embedding": "learned",
}
"""Columns of a row, and the value that they have in the papers; null is that value."""


def without(rows: pd.DataFrame, but: Sequence[str] = ()) -> pd.DataFrame:
    """The rows whose network is its paper's, or differs in `but` alone."""
    kept = pd.Series(True, rows.index)
    for name, value in PAPERS.items():
        if name in rows and name not in but:
            kept &= (rows[name].isna() | rows[name].eq(value)).fillna(True).astype(bool)
    return rows[kept]
