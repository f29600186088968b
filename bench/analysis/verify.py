"""Finished cells measured again: agreed, differs, or not comparable here.

Speed is judged by the test of `compare`, adjusted over the sample, against the same
minimum effect; `agreed` also needs the power to have seen a change of `PLANTED`.
Accuracy is judged against the spread of seeds and the size of the test set.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from bench.analysis.compare import judge
from bench.analysis.contrast import LEVEL, Contrast, contrast, geometric_mean
from bench.analysis.key import equal, need, plain
from bench.analysis.stats import MIN_REPETITIONS
from bench.errors import ResultsError
from bench.specs import PROTOCOL, SPEED_MODES, Cell, fields_of

Verdict = Literal["agreed", "differs", "not comparable here"]

PLANTED = 0.10
"""Power is stated against a slowdown of this much."""
MIN_POWER = 0.8
MAX_CHANGE = 0.05
"""A rate within this of the recorded one is the same."""
_STRATA = ("mode", "framework", "family")
_ABSENT = ("MissingPackage", "DataError", "WeightsError", "ParentFailed")
"""Errors of an attempt that lacked what it needs here."""


@dataclass(frozen=True)
class Finished:
    """A finished cell of the file: what it is, and all its rows."""

    cell: Cell
    rows: pd.DataFrame
    seconds: float
    """What measuring it again will take, by its own record."""
    obstacle: str = ""
    """Why it cannot be measured again here; empty if it can."""
    parent: Cell | None = None
    """The pretrain cell that a finetune cell starts from; it is run again, too."""


@dataclass(frozen=True)
class Checked:
    """One cell's verdict. Values are images/s/core, geometric means so that `ratio` is
    theirs, or top-1, medians."""

    cell: str
    verdict: Verdict
    reason: str
    recorded: float | None = None
    here: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    power: float | None = None
    """Chance of finding a slowdown of 10 % in this much noise; null for accuracy."""


def finished(rows: pd.DataFrame, machine_id: str) -> list[Finished]:
    """Every measured, finished cell of a file; anchors are none."""
    need(rows, ("cell_id", "source", "status", "role", "machine_id"), "verify")
    kept = equal(rows, "source", "measured") & equal(rows, "status", "ok")
    kept &= ~equal(rows, "role", "anchor")
    known = rows[kept]
    groups = known.groupby(["cell_id", "machine_id", "environment_id"], sort=True)
    return [_finished(part, known, machine_id) for _, part in groups]


def _finished(part: pd.DataFrame, known: pd.DataFrame, machine_id: str) -> Finished:
    row = _last(part)
    cell = cell_of(row)
    repeats = MIN_REPETITIONS if cell.mode in SPEED_MODES else 1
    made = Finished(cell, part, _took(part) * repeats, _obstacle(row, cell, machine_id))
    if cell.parent_cell_id is None or made.obstacle:
        return made
    parents = known[equal(known, "cell_id", cell.parent_cell_id)]
    if parents.empty:
        lack = "the pretrain cell that it starts from is not in the file"
        return dataclasses.replace(made, obstacle=lack)
    parent, seconds = cell_of(_last(parents)), made.seconds + _took(parents)
    return dataclasses.replace(made, parent=parent, seconds=seconds)


def _last(part: pd.DataFrame) -> dict[str, Any]:
    return {str(k): plain(v) for k, v in part.iloc[-1].items()}


def _took(part: pd.DataFrame) -> float:
    """Median seconds of an attempt."""
    took = (part["finished_at"] - part["started_at"]).dropna()
    return float(took.dt.total_seconds().median()) if len(took) else 60.0


def _obstacle(row: Mapping[str, Any], cell: Cell, machine_id: str) -> str:
    if row["protocol"] != PROTOCOL:
        return f"protocol {row['protocol']}, this version measures by {PROTOCOL}"
    if cell.cell_id != row["cell_id"]:
        return "its fields do not give its cell_id: another version declared it"
    if cell.mode in SPEED_MODES and row["machine_id"] != machine_id:
        return f"its speed belongs to another machine ({row['machine']})"
    return ""


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a row declares; what an old row lacks stood at its default."""
    values: dict[str, Any] = {}
    kinds = {item.name: item for item in dataclasses.fields(Cell)}
    for name in fields_of(row["mode"]):
        value = row[name]
        if name == "variant" and row["track"] != "tuned":
            continue  # not declared there: the framework's own
        if name == "batch_size" and row["batch_rule"] == "auto":
            value = "auto"
        if value is not None:
            whole = isinstance(value, float) and "int" in str(kinds[name].type)
            values[name] = int(value) if whole else value
    return Cell(**values)


def sample(found: Sequence[Finished], size: int, hours: float, seed: int) -> Sample:
    """At most `size` cells that fit into `hours`, spread over mode, framework, family.

    Strata take turns in random order, and so do the cells inside each. Cells that
    cannot be measured here come last: they fill what the others leave.
    """
    rng = random.Random(seed)
    picked: list[Finished] = []
    left, too_long = hours * 3600, 0
    for one in _drawn(found, rng):
        if len(picked) == size:
            break
        cost = 0.0 if one.obstacle else one.seconds
        if cost > left:
            too_long += 1
            continue
        left -= cost
        picked.append(one)
    return Sample(picked, len(found), too_long)


def _drawn(found: Sequence[Finished], rng: random.Random) -> Iterator[Finished]:
    for able in (True, False):
        strata: dict[tuple[Any, ...], list[Finished]] = {}
        for one in found:
            if able is not bool(one.obstacle):
                facts = tuple(plain(one.rows.iloc[0][name]) for name in _STRATA)
                strata.setdefault(facts, []).append(one)
        queues = list(strata.values())
        rng.shuffle(queues)
        for queue in queues:
            rng.shuffle(queue)
        yield from _in_turn(queues)


@dataclass(frozen=True)
class Sample:
    """The cells drawn, of how many, and how many were passed over for time."""

    cells: list[Finished]
    of: int
    too_long: int


def _in_turn(queues: list[list[Finished]]) -> Iterator[Finished]:
    waiting = [list(queue) for queue in queues]
    while any(waiting):
        for queue in waiting:
            if queue:
                yield queue.pop(0)


def again(one: Finished) -> Cell:
    """The cell to measure: the batch that was recorded in place of a new sweep."""
    if one.cell.batch_size != "auto":
        return one.cell
    batch = int(one.rows["batch_size"].median())
    return dataclasses.replace(one.cell, batch_size=batch)


# Judging ---------------------------------------------------------------------


def check(
    cells: Sequence[Finished],
    measured: pd.DataFrame,
    siblings: pd.DataFrame,
    max_change: float = MAX_CHANGE,
) -> list[Checked]:
    """Judge every sampled cell.

    Args:
        cells: what was sampled.
        measured: rows of the new measurements, by the `cell_id` of `again`.
        siblings: all rows of the file, for the spread over seeds.
        max_change: relative change of a rate that counts.
    """
    drafts = [_draft(one, measured, siblings, max_change) for one in cells]
    contrasts = [found for _, found in drafts if found is not None]
    judged = iter(judge(contrasts, max_change))
    return [
        made if found is None else _spoken(made, found, *next(judged)[:2])
        for made, found in drafts
    ]


Draft = tuple[Checked, Contrast | None]


def _draft(
    one: Finished, measured: pd.DataFrame, siblings: pd.DataFrame, effect: float
) -> Draft:
    label = one.cell.label
    if one.obstacle:
        return Checked(label, "not comparable here", one.obstacle), None
    rows = measured[equal(measured, "cell_id", again(one).cell_id)]
    done = rows[equal(rows, "status", "ok")]
    if done.empty:
        return _failed(label, rows), None
    if one.cell.mode in SPEED_MODES:
        return _speed(label, one.rows, done, effect)
    return _accuracy(one, done, siblings), None


def _failed(label: str, rows: pd.DataFrame) -> Checked:
    """No new value: what is missing here says nothing about the record."""
    said = [str(v) for v in rows["error_message"].dropna().unique()]
    reason = f"it fails here: {'; '.join(said) or 'it was not measured'}"
    absent = rows["error_class"].isin(_ABSENT).fillna(False).all()
    word: Verdict = "not comparable here" if absent else "differs"
    return Checked(label, word, reason)


def _speed(
    label: str, recorded: pd.DataFrame, here: pd.DataFrame, effect: float
) -> Draft:
    old, new = (part["img_per_sec_core"].to_numpy(float) for part in (recorded, here))
    found = _contrast(old, new)
    means = geometric_mean(old), geometric_mean(new)
    if found is None:
        reason = f"n={len(new)} here: an interval needs {MIN_REPETITIONS} repetitions"
        return Checked(label, "not comparable here", reason, *means), None
    low, high = found.interval()
    strength = power(found, effect)
    made = Checked(label, "agreed", "", *means, found.ratio, low, high, strength)
    return made, found


def _contrast(old: np.ndarray, new: np.ndarray) -> Contrast | None:
    """Welch's; with few recorded repetitions their spread is taken from those here."""
    if min(len(old), len(new)) >= MIN_REPETITIONS or len(new) < MIN_REPETITIONS:
        return contrast(old.tolist(), new.tolist())
    a, b = np.log(old), np.log(new)
    spread = float(b.var(ddof=1))
    error = math.sqrt(spread * (1 / len(a) + 1 / len(b)))
    return Contrast(float(b.mean() - a.mean()), error, len(b) - 1, 2 * spread)


def power(found: Contrast, effect: float, slowdown: float = PLANTED) -> float:
    """Chance that a true slowdown would be called beyond `effect`, in this noise."""
    if found.error == 0:
        return 1.0
    distance = (abs(math.log1p(-slowdown)) - math.log1p(effect)) / found.error
    bar = float(stdtrit(found.freedom, 0.5 + LEVEL / 2))
    return float(stdtr(found.freedom, distance - bar))


def _spoken(made: Checked, found: Contrast, verdict: str, reason: str) -> Checked:
    """The three words; without power, no difference found says nothing."""
    if verdict in ("faster", "slower"):
        return dataclasses.replace(
            made, verdict="differs", reason=f"{verdict}, {reason}"
        )
    if verdict == "same":
        return dataclasses.replace(made, verdict="agreed", reason=reason)
    strength = made.power or 0.0
    if strength >= MIN_POWER:
        return dataclasses.replace(made, verdict="agreed", reason="no difference found")
    return dataclasses.replace(
        made,
        verdict="not comparable here",
        reason=f"too noisy: a 10 % slowdown would be found {100 * strength:.0f} % of "
        "the time",
    )


def _accuracy(one: Finished, done: pd.DataFrame, siblings: pd.DataFrame) -> Checked:
    old, new = (float(part["top1"].astype(float).median()) for part in (one.rows, done))
    allowed, why = _tolerance(one, old, siblings)
    apart = abs(new - old)
    verdict: Verdict = "differs" if apart > allowed else "agreed"
    reason = f"{100 * apart:.2f} points apart, {100 * allowed:.2f} by {why}"
    return Checked(one.cell.label, verdict, reason, old, new)


def _tolerance(
    one: Finished, accuracy: float, siblings: pd.DataFrame
) -> tuple[float, str]:
    """Two runs may differ by what seeds do, and by what the test images do."""
    n_eval = plain(one.rows.iloc[0]["n_eval"])
    found = [(0.0, "identity")]
    if n_eval:
        half = 1.96 * math.sqrt(2 * accuracy * (1 - accuracy) / float(n_eval))
        found.append((half, f"{n_eval:.0f} test images"))
    names = [n for n in fields_of(one.cell.mode) if n not in ("seed", "recipe")]
    alike = equal(siblings, "status", "ok")
    for name in names:
        value = plain(one.rows.iloc[0][name])
        alike &= (
            siblings[name].isna() if value is None else equal(siblings, name, value)
        )
    seeds = siblings[alike].groupby("seed")["top1"].median().astype(float)
    if len(seeds) >= 3:
        spread = float(seeds.std(ddof=1)) * math.sqrt(2)
        half = float(stdtrit(len(seeds) - 1, 0.5 + LEVEL / 2)) * spread
        found.append((half, f"the spread of {len(seeds)} seeds"))
    return max(found)


def differing_environment(
    recorded: pd.DataFrame, here: pd.DataFrame
) -> list[tuple[str, str, str]]:
    """Versions, flags and commits that differ: name, in the file, here."""
    sides = [_parts(recorded), _parts(here)]
    return [
        (name, _listed(sides[0].get(name)), _listed(sides[1].get(name)))
        for name in sorted({*sides[0], *sides[1]})
        if sides[0].get(name, set()) != sides[1].get(name, set())
    ]


def _listed(values: set[str] | None) -> str:
    return ", ".join(sorted(values or ())) or "none"


def _parts(rows: pd.DataFrame) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for environment in rows["environment"]:
        for name, value in plain(environment) or ():
            found.setdefault(str(name), set()).add(str(value))
    for name in ("machine", "git_sha"):
        values = {str(v) for v in rows[name].dropna()}
        found |= {name: values} if values else {}
    return found


def require_some(found: Sequence[Finished], path: str) -> None:
    """Refuse a file without any finished, measured cell."""
    if not found:
        raise ResultsError(
            f"{path}: no finished measured cell; verify takes a file of mixer-bench "
            "run or time"
        )
