"""Curves of error from rows, their fits, where two cross, and paired differences.

A curve holds runs that differ in x and in their seeds, and in nothing else that a cell
declares. Rows of two comparability keys are never one curve.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import fits
from bench.analysis.contrast import holm
from bench.analysis.demo import is_demo
from bench.analysis.fits import Data, Fit
from bench.analysis.forms import FORMS
from bench.analysis.key import (
    ACCURACIES,
    equal,
    key_columns,
    need,
    plain,
    require_one_key,
)
from bench.analysis.repetitions import SETTINGS, newest
from bench.analysis.seeds import Paired, paired
from bench.errors import ResultsError, unknown

X_COLUMNS = (
    "unique_images",
    "images_seen",
    "param_count",
    "macs",
    "core_days_measured",
)
BEHIND = {
    "unique_images": ("data_examples", "data_fraction"),
    "images_seen": ("total_steps", "total_epochs", "warmup_steps"),
    "param_count": ("model",),
    "macs": ("model",),
    "core_days_measured": ("model", "total_steps", "total_epochs", "warmup_steps"),
}
"""Settings that move x; a curve may differ in them."""
FAMILIES = ("mixer", "vit", "resnet", "resnet_v1")
"""The order in which families are named and subtracted."""
_ALWAYS = ("model", "framework")
_OF_THE_FAMILY = (
    *("model", "family", "pool", "tokens_mlp_dim", "optimizer", "learning_rate"),
    *("schedule", "warmup_steps", "weight_decay", "clip_norm"),
)
"""Each family is trained by its own recipe; in these two rivals may differ."""


@dataclass(frozen=True)
class Line:
    """The runs of one curve, what it is, and how they are called."""

    label: str
    facts: Mapping[str, Any]
    key: tuple[Any, ...]
    """Comparability key: two curves of one key may be compared."""
    data: Data
    family: str
    runs: Mapping[tuple[float, Any, Any], float]
    """(x, subset_seed, seed) -> error."""
    demo: bool
    """Whether a model of it is of a demo size."""


def lines(
    rows: pd.DataFrame,
    x: str = "unique_images",
    y: str = "top1",
    group: Sequence[str] = (),
) -> list[Line]:
    """The curves of measured training rows.

    Args:
        rows: record rows.
        x: one of `X_COLUMNS`.
        y: an accuracy column; its error is 1 - y.
        group: columns that tell curves apart; by default all settings but x's own.

    Raises:
        ResultsError: an unknown column, or a group that holds several keys.
    """
    for name, given, allowed in (("--x", x, X_COLUMNS), ("--y", y, ACCURACIES)):
        if given not in allowed:
            raise ResultsError(f"{name}: {unknown('column', given, allowed)}")
    need(rows, (x, y, "status", "source", "mode", "role"), "a fit")
    done = trained(rows, x, y)
    columns = _group_columns(rows, x, y, group)
    if done.empty:
        return []
    varying = _varying(done, columns, x, y, group)
    named = telling(done, varying)
    return [
        _line(newest(part), x, y, varying, named)
        for _, part in done.groupby(columns, dropna=False, sort=False)
    ]


def trained(rows: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Finished, measured training rows that have both."""
    kept = equal(rows, "status", "ok") & equal(rows, "source", "measured")
    kept &= rows["mode"].isin(("pretrain", "finetune")).fillna(False).astype(bool)
    return rows[kept & rows[x].notna() & rows[y].notna()]


def _group_columns(
    rows: pd.DataFrame, x: str, y: str, group: Sequence[str]
) -> list[str]:
    settings = [n for n in SETTINGS if n not in BEHIND[x]]
    known = ["family", *settings, "environment_id", *key_columns(y)]
    for name in group:
        if name not in known:
            raise ResultsError(f"--group: {unknown('column', name, known)}")
    wanted = list(group) or known
    return list(dict.fromkeys(wanted))


def _varying(
    rows: pd.DataFrame, columns: list[str], x: str, y: str, group: Sequence[str]
) -> list[str]:
    """Columns that a label must name: those in which the curves differ."""
    if group:
        for _, part in rows.groupby(columns, dropna=False, sort=False):
            require_one_key(part, y)
        return list(group)
    differ = [name for name in columns if rows[name].nunique(dropna=False) > 1]
    always = [name for name in _ALWAYS if name not in BEHIND[x]] or ["family"]
    return [*always, *(n for n in differ if n not in (*always, "family"))]


def telling(
    rows: pd.DataFrame, varying: Sequence[str], always: Sequence[str] = _ALWAYS
) -> list[str]:
    """The first of the columns that tell all curves apart: a label with no echo.

    Those of `always` stand in every label.
    """
    kept: list[str] = []
    for name in varying:
        more = [*kept, name]
        if name in always or len(rows[more].drop_duplicates()) > len(
            rows[kept].drop_duplicates()
        ):
            kept = more
    return kept


def _line(
    part: pd.DataFrame, x: str, y: str, varying: list[str], named: list[str]
) -> Line:
    first = part.iloc[0]
    facts = {name: plain(first[name]) for name in varying}
    data = data_of(part, x, y)
    return Line(
        label=", ".join(
            _word(name, facts[name])
            for name in named
            if facts[name] is not None or name in _ALWAYS
        ),
        facts=facts,
        key=tuple(plain(first[name]) for name in key_columns(y)),
        data=data,
        family=str(first["family"]),
        runs=_by_run(data),
        demo=any(map(is_demo, part["model"].unique())),
    )


def data_of(runs: pd.DataFrame, x: str, y: str) -> Data:
    """The runs of one curve as a fit takes them; each row counts."""
    chance = runs["chance"].dropna().astype(float)
    seeds = [
        runs[name].fillna(0).to_numpy(np.int64) for name in ("subset_seed", "seed")
    ]
    return Data(
        runs[x].to_numpy(float),
        1 - runs[y].to_numpy(float),
        seeds[0],
        seeds[1],
        error_0=1 - float(chance.max()) if len(chance) else 1.0,
    )


def _by_run(data: Data) -> dict[tuple[float, Any, Any], float]:
    """(x, subset_seed, seed) -> mean error of the runs that share them."""
    found: dict[tuple[float, Any, Any], list[float]] = {}
    columns = (data.x, data.subset_seed, data.seed, data.error)
    for *key, error in zip(*(column.tolist() for column in columns), strict=True):
        found.setdefault((key[0], key[1], key[2]), []).append(error)
    return {key: sum(errors) / len(errors) for key, errors in found.items()}


def _word(name: str, value: Any) -> str:
    return str(value) if name in (*_ALWAYS, "family") else f"{name}={value}"


# Fits ------------------------------------------------------------------------


def fit_line(
    line: Line, forms: Sequence[str] = FORMS, draws: int = fits.DRAWS
) -> list[Fit]:
    """Every form fitted to one curve, in the order given."""
    for form in forms:
        if form not in FORMS:
            raise ResultsError(f"--form: {unknown('form', form, FORMS)}")
    return [fits.fit(line.data, form, draws) for form in forms]


def chosen(found: Sequence[Fit]) -> Fit | None:
    """The identified form that predicted the held-out size best; None if none is.

    A form that was too large to be tried on the held-out task stands behind the others.
    """
    identified = [one for one in found if one.curve is not None]
    return min(identified, key=_held_out_error, default=None)


def _held_out_error(one: Fit) -> float:
    if one.held_out is None or one.held_out.form is None:
        return math.inf
    return one.held_out.form


def seed_means(data: Data, x: float) -> fits.Runs:
    """Mean error at one x of each independent unit: what an interval counts.

    Runs of one subset share their images, so a subset counts once where there are
    several; with one subset a seed counts once.
    """
    at = data.where(data.x == x)
    several = len(set(data.subset_seed.tolist())) > 1
    unit = at.subset_seed if several else at.seed
    units, of = np.unique(unit, return_inverse=True)
    return np.bincount(of, at.error, len(units)) / np.bincount(of, minlength=len(units))


# Paired differences ----------------------------------------------------------


def alike(one: Line, other: Line) -> bool:
    """Two curves of one key that differ in the model and its recipe alone."""
    rest = [
        {k: v for k, v in line.facts.items() if k not in _OF_THE_FAMILY}
        for line in (one, other)
    ]
    return one.key == other.key and rest[0] == rest[1]


@dataclass(frozen=True)
class Difference:
    """Accuracy of `second` less that of `first` at one x, over shared runs."""

    first: str
    second: str
    x: float
    paired: Paired
    p_holm: float | None


def differences(found: Sequence[Line]) -> list[Difference]:
    """Families against each other at every x that both have, seeds paired.

    The first is of the family that stands first in `FAMILIES`, so that two pairs of
    families have one sign. Holm's adjustment is over all of them.
    """
    drafts: list[tuple[str, str, float, Paired]] = []
    for one, two in itertools.combinations(sorted(found, key=_rank), 2):
        if one.family == two.family or not alike(one, two):
            continue
        for x in sorted(set(one.data.x.tolist()) & set(two.data.x.tolist())):
            pair = paired(_at(one, x), _at(two, x))
            if pair is not None:
                drafts.append((one.label, two.label, x, pair))
    tested = [pair.p for *_, pair in drafts if pair.p is not None]
    adjusted = iter(holm(tested))
    return [
        Difference(a, b, x, pair, None if pair.p is None else next(adjusted))
        for a, b, x, pair in drafts
    ]


def _rank(line: Line) -> int:
    known = line.family in FAMILIES
    return FAMILIES.index(line.family) if known else len(FAMILIES)


def _at(line: Line, x: float) -> dict[Hashable, float]:
    """Accuracy at one x by subset and seed."""
    return {key[1:]: 1 - error for key, error in line.runs.items() if key[0] == x}
