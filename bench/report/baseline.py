"""Rates relative to one model's, like divided by like, or a reason.

The interval is that of `analysis.against`: over fresh processes of both sides, and only
where these took turns in one sitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.against import Ratio, between
from bench.analysis.key import equal, key_columns, numbered, records
from bench.analysis.repetitions import MIN_REPETITIONS
from bench.report.markup import DASH
from bench.report.rates import WHOLE

APART = "†"
APART_NOTE = (
    f"{APART} The two sides were timed in different sittings, between which a machine "
    "drifts: no interval."
)
WITHIN_NOTE = (
    "Brackets behind a ratio: its 95 % interval, a bootstrap over the fresh processes "
    "of both sides."
)

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
    """Add `ratio`, throughput over the baseline's, or why there is none.

    The baseline is the model as its paper has it: no other pooling, no other D_S. Of
    several rows of it one with an interval stands before a luckier one.
    """
    if baseline is None:
        return models.assign(ratio=None)
    coreless = models["img_per_sec_core"].isna()
    models = models.assign(
        rate=models["img_per_sec_core"].where(~coreless, models[WHOLE])
    )
    facts = _facts(models).assign(kind_of_rate=coreless)
    own = equal(models, "model", baseline) & models["rate"].notna()
    own &= ~equal(models, "pool", "gap") & models["tokens_mlp_dim"].isna()
    number = pd.Series(numbered(facts, list(facts.columns)), models.index)
    base = _of_each(models[own], number[own])
    found: list[Ratio | None] = []
    for at, row in enumerate(records(models[_SIDE])):
        if row["rate"] is None:
            found.append(None)
        elif (divisor := base.get(int(number.iloc[at]))) is None:
            why = _nearest(facts.iloc[at], facts[own])
            found.append(Ratio(None, None, None, why, baseline))
        else:
            found.append(_divided(row, divisor, baseline))
    found_of = pd.Series(found, models.index, dtype=object)
    return models.drop(columns="rate").assign(ratio=found_of)


_SIDE = ["rate", "rates", "sittings"]


def _of_each(own: pd.DataFrame, number: pd.Series[Any]) -> dict[int, dict[str, Any]]:
    """The row of the baseline that each group is divided by."""
    enough = own["n"] >= MIN_REPETITIONS
    ranked = (
        own[_SIDE]
        .assign(number=number, enough=enough)
        .sort_values(["enough", "rate"], ascending=False, kind="stable")
    )
    firsts = records(ranked.drop_duplicates("number"))
    return {row["number"]: row for row in firsts}


def _divided(row: Mapping[str, Any], base: Mapping[str, Any], name: str) -> Ratio:
    ratio = row["rate"] / base["rate"]
    if row["sittings"] is None or row["rates"] == base["rates"]:  # printed; itself
        return Ratio(ratio, None, None, "", name)
    low, high, apart = between(row, base)
    return Ratio(ratio, low, high, "", name, apart)


def ratio_text(ratio: Ratio | None, whom: str = "") -> str:
    """A ratio, to `whom`, with its interval or the mark that says why it has none."""
    if ratio is None or ratio.value is None:
        return DASH  # a note below says why
    text = f"{ratio.value:.2f}x{APART if ratio.apart else ''}{whom}"
    if ratio.low is None or ratio.high is None:
        return text
    return f"{text} [{ratio.low:.2f} – {ratio.high:.2f}]"


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
    ratios = models["ratio"].dropna()
    reasons = [one.certificate for one in ratios if one.value is None]
    counts = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    said = "; ".join(f"{why} ({n} row{'s' * (n > 1)})" for why, n in counts.items())
    return [f"No ratio where {baseline} was {said}."] if said else []
