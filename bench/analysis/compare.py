"""Two sets of speed rows, cell by cell: same, faster, slower, ambiguous or invalid.

A verdict needs an interval, and an interval needs five repetitions a side. `faster` and
`slower` say that the ratio is beyond the minimum effect, by Welch's test with Holm's
adjustment over the cells: over a whole comparison at most one in twenty gives any
false alarm, if the two sides were measured alike. Drift between two sittings is not in
the repetitions: the anchors of both sides are compared too, and stand in the notes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.analysis.certificate import SAME, certify, shared_outputs
from bench.analysis.contrast import LEVEL, Contrast, contrast, geometric_mean, holm
from bench.analysis.key import equal, need, plain, require_one_key
from bench.analysis.stats import MIN_REPETITIONS
from bench.errors import ResultsError
from bench.record import NESTED
from bench.specs import SPEED_MODES, Cell, fields_of

Verdict = Literal["same", "faster", "slower", "ambiguous", "invalid"]
Judgement = tuple[Verdict, str, float]
"""Verdict, reason, p value after Holm."""

MIN_EFFECT = 0.02
"""A ratio within this of one is no change: a person would not act on it."""

_NEEDS = ("source", "status", "role", "mode", "repetition", "img_per_sec_core")
_LINKED = {"machine": ("machine", "machine_id"), "machine_id": ("machine",)}
"""Columns that say the same: naming one of them names both."""
_FACTS = (
    *("machine", "device_name", "core_kind", "cores", "parallelism", "git_sha"),
    *("git_dirty", "batch_rule", "batch_size", "variant", "layout"),
)
_MAPS = ("environment", "hardware")
_OUTPUTS = ("probe_outputs", "probe_reference")
_PROGRAMS = {"framework", "peer", "variant"}
"""Sides that differ in one of these ran two programs: only a certificate says that
both computed the same."""
_FIELDS = {item.name: item for item in dataclasses.fields(Cell)}


@dataclass(frozen=True)
class Compared:
    """One cell on both sides. Geometric means are over repetitions, images/s/core;
    ratio is that of B over that of A."""

    cell: str
    verdict: Verdict
    reason: str
    n_a: int
    n_b: int
    geomean_a: float | None = None
    geomean_b: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p_holm: float | None = None
    broken: bool = False
    """It worked in A and only failed in B."""

    def is_regression(self, max_slowdown: float) -> bool:
        """Whether time per image grew by more than `max_slowdown`, or B broke it."""
        if self.verdict != "slower":
            return self.broken
        assert self.high is not None
        return self.high < 1 / (1 + max_slowdown)


@dataclass(frozen=True)
class Difference:
    """Something about code, versions or machine that differs between the sides."""

    what: str
    a: str
    b: str


@dataclass(frozen=True)
class Comparison:
    """What differs around the measurements, the cells, and what to know."""

    differences: list[Difference]
    cells: list[Compared]
    notes: list[str]


@dataclass(frozen=True)
class _Pair:
    """The rows of one cell on both sides."""

    cell: str
    a: pd.DataFrame
    b: pd.DataFrame
    two_programs: bool


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    *,
    min_effect: float = MIN_EFFECT,
    varied: Sequence[str] = (),
) -> Comparison:
    """Compare the speed rows of two sides.

    Args:
        a: record rows of the reference side.
        b: record rows of the other side.
        min_effect: relative change that counts.
        varied: columns in which the sides differ on purpose, such as `machine`.

    Raises:
        ResultsError: no cell in common beside anchors, or rows whose keys must not be
            compared.
    """
    across = {name for word in varied for name in (word, *_LINKED.get(word, ()))}
    pairs, alone = _paired(_speed(a), _speed(b), across)
    cells = [pair for pair in pairs if not pair.cell.startswith(_ANCHOR)]
    anchors = [pair for pair in pairs if pair.cell.startswith(_ANCHOR)]
    if not cells:
        beside = " beside the anchor" if anchors else ""
        raise ResultsError(
            f"A and B have no timed cell in common{beside}: nothing to compare; "
            f"only in A: {_some(alone[0])}; only in B: {_some(alone[1])}"
        )
    for pair in pairs:
        require_one_key(
            pd.concat([pair.a, pair.b]), "img_per_sec_core", across=tuple(across)
        )
        _require_one_environment(pair)
        _require_apart(pair)
    return Comparison(
        _differences(pairs),
        _judged(cells, min_effect),
        [*_anchor_notes(anchors, min_effect), *_alone_notes(alone)],
    )


# Matching --------------------------------------------------------------------

_ANCHOR = "anchor: "


def _speed(rows: pd.DataFrame) -> pd.DataFrame:
    need(rows, _NEEDS, "a comparison")
    timed = equal(rows, "source", "measured") & rows["mode"].isin(SPEED_MODES)
    kept = rows[timed.astype(bool)]
    wide = [name for name in NESTED if name not in (*_MAPS, *_OUTPUTS)]
    return kept.drop(columns=wide, errors="ignore").astype(object)  # fast to walk


def _paired(
    a: pd.DataFrame, b: pd.DataFrame, across: set[str]
) -> tuple[list[_Pair], tuple[list[str], list[str]]]:
    """Cells of both sides, and the names of those on one side only."""
    sides = [_by_cell(rows, across) for rows in (a, b)]
    shared = [name for name in sides[0] if name in sides[1]]
    two = not _PROGRAMS.isdisjoint(across)
    pairs = [_Pair(name, sides[0][name], sides[1][name], two) for name in shared]
    only_a = [name for name in sides[0] if name not in sides[1]]
    only_b = [name for name in sides[1] if name not in sides[0]]
    return pairs, (only_a, only_b)


def _by_cell(rows: pd.DataFrame, across: set[str]) -> dict[str, pd.DataFrame]:
    names = [_cell_name(row, across) for row in rows.to_dict("records")]
    return {
        str(name): part
        for name, part in rows.groupby(pd.Series(names, rows.index), sort=False)
    }


def _cell_name(row: Mapping[Any, Any], across: set[str]) -> str:
    """What the cell declares, less what the sides differ in on purpose.

    A null means that the row is older than the field: its default stood then.
    """
    words = [_ANCHOR.strip()] if row["role"] == "anchor" else []
    for name in fields_of(row["mode"]):
        item, value = _FIELDS[name], plain(row[name])
        if name in across or not item.metadata.get("hashed", True):
            continue
        if name == "variant" and plain(row["track"]) != "tuned":
            continue  # not declared there: the framework's own
        if name == "batch_size" and row["batch_rule"] == "auto":
            value = "auto"
        if item.default is dataclasses.MISSING:
            words.append(str(value))
        elif name == "image_size":
            words.append(f"{value:.0f}px")
        elif value is not None and value != item.default:
            words.append(f"{name}={value:g}" if _number(value) else f"{name}={value}")
    return " ".join(words)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _require_one_environment(pair: _Pair) -> None:
    """Refuse a side that pools versions: its mean would be of no version at all."""
    for side, rows in zip("AB", (pair.a, pair.b), strict=True):
        found = _values(rows, "environment_id")
        if len(found) > 1:
            raise ResultsError(
                f"{side} holds {pair.cell} in {len(found)} environments "
                f"({', '.join(found)}); keep one, "
                f"as in {side}@environment_id={found[0]}"
            )


def _require_apart(pair: _Pair) -> None:
    """Refuse rows that stand on both sides: a thing is the same as itself, always."""
    both = set(pair.a["attempt_id"].dropna()) & set(pair.b["attempt_id"].dropna())
    if both:
        raise ResultsError(
            f"{pair.cell}: A and B share {len(both)} of B's {len(pair.b)} attempts; "
            "no row can speak for both sides; give two files, or choose rows of one "
            "apart, as in A@git_sha=1a2b"
        )


# Judging ---------------------------------------------------------------------


def judge(found: Sequence[Contrast], effect: float) -> list[Judgement]:
    """Verdict, reason and adjusted p value of each contrast of one comparison."""
    adjusted = holm([one.p_beyond(effect) for one in found])
    return [
        (*_verdict(one, effect, p_holm, len(found)), p_holm)
        for one, p_holm in zip(found, adjusted, strict=True)
    ]


def _judged(pairs: list[_Pair], effect: float) -> list[Compared]:
    drafts = [_measured(pair) for pair in pairs]
    made = iter(judge([found for _, found in drafts if found is not None], effect))
    return [
        cell if found is None else _with(cell, *next(made)) for cell, found in drafts
    ]


def _with(cell: Compared, verdict: Verdict, reason: str, p_holm: float) -> Compared:
    return dataclasses.replace(cell, verdict=verdict, reason=reason, p_holm=p_holm)


def _measured(pair: _Pair) -> tuple[Compared, Contrast | None]:
    """The cell with its means; a contrast if there is enough for an interval."""
    done = [part[equal(part, "status", "ok")] for part in (pair.a, pair.b)]
    rates = [part["img_per_sec_core"].to_numpy(float, na_value=np.nan) for part in done]
    n_a, n_b = map(len, rates)
    fault = _fault(pair, done, rates)
    if fault:
        broken = bool(n_a) and not n_b
        return Compared(pair.cell, "invalid", fault, n_a, n_b, broken=broken), None
    cell = Compared(
        pair.cell,
        "ambiguous",
        f"n={n_a} and n={n_b}: an interval needs {MIN_REPETITIONS} repetitions a side",
        n_a,
        n_b,
        geomean_a=geometric_mean(rates[0]),
        geomean_b=geometric_mean(rates[1]),
    )
    found = contrast(*rates)
    if found is None:
        return cell, None
    low, high = found.interval()
    return dataclasses.replace(cell, ratio=found.ratio, low=low, high=high), found


def _fault(
    pair: _Pair, done: list[pd.DataFrame], rates: list[np.ndarray[Any, Any]]
) -> str:
    """Why these numbers must not be compared; empty if they may."""
    for side, rows, part in zip("AB", (pair.a, pair.b), done, strict=True):
        if part.empty:
            statuses = ", ".join(sorted(set(rows["status"].astype(str))))
            return f"{side} has no finished repetition ({statuses})"
    for side, one in zip("AB", rates, strict=True):
        if not (np.isfinite(one) & (one > 0)).all():
            return f"{side} holds a rate that is missing or not positive"
    precision = [_values(part, "effective_precision") for part in done]
    if all(precision) and precision[0] != precision[1]:
        given = " and ".join("/".join(names) for names in precision)
        return f"computed in different precision: {given}"
    return _uncertified(*done) if pair.two_programs else ""


def _uncertified(a: pd.DataFrame, b: pd.DataFrame) -> str:
    """Why a ratio of two programs would mean nothing; empty if both did the same."""
    rows = []
    for part in (a, b):
        row = {str(name): plain(value) for name, value in part.iloc[0].items()}
        outputs = [plain(one) for one in part["probe_outputs"]]
        rows.append({**row, "probe_outputs": shared_outputs(outputs, row["dtype"])})
    verdict = certify(*rows)
    return "" if verdict == SAME else f"no certificate: {verdict}"


def _verdict(
    found: Contrast, effect: float, p_holm: float, tests: int
) -> tuple[Verdict, str]:
    low, high = found.interval()
    bar = f"{100 * effect:g} %"
    if p_holm <= 1 - LEVEL:
        return ("faster" if found.log_ratio > 0 else "slower"), f"beyond {bar}"
    if 1 / (1 + effect) <= low and high <= 1 + effect:
        return "same", f"the whole interval is within {bar}"
    if low > 1 + effect or high < 1 / (1 + effect):
        alone = f"beyond {bar} alone, not after Holm's adjustment over {tests} cells"
        return "ambiguous", alone
    beyond = abs(found.log_ratio) > math.log1p(effect)  # then Holm's bar is to pass
    level = 1 - (1 - LEVEL) / tests if beyond else LEVEL
    count = found.repetitions_for(effect, level)
    reason = f"the interval crosses {bar}; about {count} repetitions would tell"
    return "ambiguous", reason


# What differs around them ----------------------------------------------------


def _differences(pairs: list[_Pair]) -> list[Difference]:
    """Facts, versions and hardware whose values differ between the sides."""
    a = pd.concat([pair.a for pair in pairs])
    b = pd.concat([pair.b for pair in pairs])
    found = [(name, _values(a, name), _values(b, name)) for name in _FACTS]
    for column in _MAPS:
        left, right = _parts(a, column), _parts(b, column)
        for name in sorted({*left, *right}):
            found.append((name, left.get(name, []), right.get(name, [])))
    return [
        Difference(name, _listed(left), _listed(right))
        for name, left, right in found
        if left != right
    ]


def _values(rows: pd.DataFrame, column: str) -> list[str]:
    if column not in rows.columns:
        return []
    return sorted({str(v) for v in rows[column] if plain(v) is not None})


def _parts(rows: pd.DataFrame, column: str) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for value in rows[column] if column in rows.columns else ():
        for name, text in plain(value) or ():
            found.setdefault(str(name), set()).add(str(text))
    return {name: sorted(values) for name, values in found.items()}


def _listed(values: list[str]) -> str:
    return ", ".join(values) or "not recorded"


def _anchor_notes(anchors: list[_Pair], effect: float) -> Iterator[str]:
    """One line per anchor: the same work at other times says how the machine moved."""
    for pair in anchors:
        cell, _ = _measured(pair)
        if cell.geomean_a is None or cell.geomean_b is None:
            continue
        ratio = cell.geomean_b / cell.geomean_a
        moved = abs(math.log(ratio)) > math.log1p(effect)
        yield f"{pair.cell}: {ratio:.3f}x between the geometric means of A and B" + (
            "; the machine itself moved, so verdicts may be of the sitting and not of "
            "the code: measure A and B in turns"
            if moved
            else ""
        )


def _alone_notes(alone: tuple[list[str], list[str]]) -> Iterator[str]:
    for side, names in zip("AB", alone, strict=True):
        if names:
            yield f"only in {side}, not compared: {_some(names)}"


def _some(names: list[str], limit: int = 4) -> str:
    shown = ", ".join(names[:limit]) or "none"
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
