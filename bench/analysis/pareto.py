"""Pareto frontiers: the rows that no other row beats in both of two columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from bench.analysis.join import once
from bench.analysis.key import equal, require_one_key

Better = Literal["lower", "higher"]

FIGURE_2_EXTRA = (("BiT-R200x3", 224), ("ViT-L/16", 512), ("Mixer-L/16", 448))
"""Models of Table 3 (JFT-300M) that figure 2 shows beside those of Table 2."""


def on_frontier(
    x: Float[np.ndarray, " points"],
    y: Float[np.ndarray, " points"],
    x_better: Better = "lower",
    y_better: Better = "higher",
) -> Bool[np.ndarray, " points"]:
    """Which points are not dominated.

    A point is dominated by one that is at least as good in both and better in one.
    Equal points do not dominate each other: all or none of them are on the frontier.
    A point with a missing coordinate never is.
    """
    cost = np.asarray(x, float) * (1 if x_better == "lower" else -1)
    loss = np.asarray(y, float) * (1 if y_better == "lower" else -1)
    keep = np.zeros(len(cost), dtype=bool)
    best = np.inf
    last = (np.nan, np.nan)
    for i in np.lexsort((loss, cost)):
        if np.isnan(cost[i]) or np.isnan(loss[i]):
            continue
        point = (cost[i], loss[i])
        keep[i] = loss[i] < best or point == last
        if loss[i] < best:
            best, last = loss[i], point
    return keep


def frontier(
    rows: pd.DataFrame,
    x: str,
    y: str,
    *,
    x_better: Better = "lower",
    y_better: Better = "higher",
    across: Sequence[str] = (),
) -> pd.DataFrame:
    """The rows on the frontier, by rising x. Rows of several keys are refused.

    `across` names key columns that may differ: the paper's figure 2 puts models
    of several pre-training sets on one frontier, so it needs `pretrain_dataset`.
    """
    require_one_key(rows, x, y, across=across)
    mask = on_frontier(
        rows[x].to_numpy(float, na_value=np.nan),
        rows[y].to_numpy(float, na_value=np.nan),
        x_better,
        y_better,
    )
    return rows[mask].sort_values([x, y], kind="stable")


def figure_2(rows: pd.DataFrame) -> pd.DataFrame:
    """The models of the paper's figure 2, left: Table 2 and three rows of Table 3.

    The 512 px ViT-L/16 matters: from Table 2 alone no ViT is on the frontier.
    """
    extra = equal(rows, "table", "mixer-table3") & equal(
        rows, "pretrain_dataset", "JFT-300M"
    )
    named = pd.Series(False, index=rows.index)
    for model, size in FIGURE_2_EXTRA:
        named |= equal(rows, "model", model) & equal(rows, "image_size", size)
    return once(rows[equal(rows, "table", "mixer-table2") | (extra & named)])
