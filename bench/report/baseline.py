"""Rates relative to one model's, like divided by like, or a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.key import equal, key_columns, plain

_LIKE = (
    *key_columns("img_per_sec_core"),
    *("framework", "peer", "environment_id", "device_kind", "device_name"),
    *("batch_rule", "num_classes", "image_size"),
)
"""What both sides of a ratio share; of a fixed batch rule the batch size too."""
_WORDS = {
    "machine_id": "machine",
    "environment_id": "environment",
    "image_size": "image size",
    "fixed_batch": "fixed batch size",
}


def with_ratio(models: pd.DataFrame, baseline: str | None) -> pd.DataFrame:
    """Add `ratio`, throughput over the baseline's, and `no_ratio`, why there is none.

    The baseline is the model as its paper has it: no other pooling, no other D_S.
    """
    if baseline is None:
        return models.assign(ratio=np.nan, no_ratio=None)
    facts = _facts(models)
    rate = models["img_per_sec_core"]
    own = equal(models, "model", baseline) & rate.notna()
    own &= ~equal(models, "pool", "gap") & models["tokens_mlp_dim"].isna()
    by = [facts[name] for name in facts]
    best = rate.where(own).groupby(by, dropna=False).transform("max")
    ratio = rate / best
    reasons = [
        None if known or np.isnan(one) else _nearest(facts.iloc[at], facts[own])
        for at, (known, one) in enumerate(zip(ratio.notna(), rate, strict=True))
    ]
    return models.assign(ratio=ratio, no_ratio=pd.Series(reasons, models.index, object))


def _facts(models: pd.DataFrame) -> pd.DataFrame:
    """What must be equal, with nulls that equal each other."""
    fixed = models["batch_size"].where(equal(models, "batch_rule", "fixed"))
    found = models[list(_LIKE)].assign(fixed_batch=fixed).astype(object)
    return found.where(found.notna(), "none")


def _nearest(row: pd.Series[Any], candidates: pd.DataFrame) -> str:
    """What differs from the baseline that was timed most alike."""
    if candidates.empty:
        return "not timed"
    differ = candidates.ne(row)
    nearest = differ.iloc[int(differ.sum(axis=1).to_numpy().argmin())]
    differ_in = [str(name) for name in nearest.index[nearest]]
    names = dict.fromkeys(_WORDS.get(n, n.replace("_", " ")) for n in differ_in)
    return f"not timed with the same {', '.join(names)}"


def no_ratio_notes(models: pd.DataFrame, baseline: str | None) -> list[str]:
    """One sentence that says why some rows have no ratio."""
    if baseline is None:
        return []
    reasons = [r for r in models["no_ratio"] if plain(r) is not None]
    counts = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    said = "; ".join(f"{why} ({n} row{'s' * (n > 1)})" for why, n in counts.items())
    return [f"No ratio where {baseline} was {said}."] if said else []
