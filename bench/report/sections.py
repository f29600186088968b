"""Static parts of the report page: overview, machines, forecasts, commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench import forecast
from bench.analysis import demo, drift
from bench.analysis.key import equal, plain
from bench.report.grid import DASH
from bench.report.parts import Line, code, heading, listed, said, table, word
from bench.report.verdicts import Judged, summary
from bench.specs import SPEED_MODES
from bench.units import duration, percent, significant


def overview(
    rows: pd.DataFrame, judged: Sequence[Judged], set_aside: Sequence[str]
) -> str:
    """What was measured, where and when; the answers; then study by study."""
    titles = ("study or table", "machine", "modes", "cells", "records", "not ok")
    answer = heading("Answers") + summary(judged) if judged else ""
    return (
        listed(_lead(rows, set_aside))
        + answer
        + heading("Studies and tables")
        + table((*titles, "drift"), _studies(rows), numbers=(3, 4, 5))
    )


def _lead(rows: pd.DataFrame, set_aside: Sequence[str]) -> list[str]:
    ok = int(equal(rows, "status", "ok").sum())
    cautioned = sum(bool(plain(value)) for value in rows["cautions"])
    measured = equal(rows, "source", "measured")
    facts = [
        *_measured(rows[measured]),
        *_elsewhere(rows[~measured]),
        f"{len(rows):,} records: {ok:,} ok, {len(rows) - ok:,} not; "
        f"{cautioned:,} with a caution",
        *(f"set aside, not on this page: {message}" for message in set_aside),
    ]
    if any(demo.is_demo(str(name)) for name in rows["model"].dropna().unique()):
        facts.append(f"models of demo sizes are among them; {demo.NOTE}")
    return facts


def _measured(rows: pd.DataFrame) -> list[str]:
    """Each machine in words: what it is, what ran on it, when."""
    lines = []
    for (name, _), part in rows.groupby(
        ["machine", "machine_id"], dropna=False, sort=False
    ):
        hardware = dict(plain(part["hardware"].iloc[0]) or ())
        parts = (hardware.get(key) for key in ("cpu", "device_name", "memory"))
        cores = plain(part["cores"].iloc[0])
        known = [*(one for one in parts if one)]
        known += (
            [] if cores is None else [f"{cores:g} {word(part['core_kind'].iloc[0])}"]
        )
        what = f" ({', '.join(known)})" if known else ""
        lines.append(
            f"measured on {word(name)}{what}: {len(part):,} records of "
            f"{_names(part, 'model')}, {_names(part, 'framework')}{_when(part)}"
        )
    return lines


def _names(rows: pd.DataFrame, column: str) -> str:
    """The values of a column, or how many there are where they are many."""
    names = [str(name) for name in rows[column].dropna().unique()]
    if not names:
        return f"no {column}"
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} {column}s"


def _when(rows: pd.DataFrame) -> str:
    when = rows["finished_at"].dropna()
    return f", {_day(when.min())} to {_day(when.max())}" if len(when) else ""


def _elsewhere(rows: pd.DataFrame) -> list[str]:
    """Published and imported records, by where they were measured."""
    lines = []
    for source, part in rows.groupby("source", dropna=False, sort=False):
        found = part["machine"].astype(object).fillna("no machine").value_counts()
        where = ", ".join(f"{name} {count:,}" for name, count in found.items())
        lines.append(f"{word(source)}: {len(part):,} records ({where})")
    return lines


def _studies(rows: pd.DataFrame) -> list[Line]:
    named = rows.assign(what=rows["study"].where(rows["study"].notna(), rows["table"]))
    lines: list[Line] = []
    groups = named.groupby(["what", "machine"], dropna=False, sort=True)
    ranked = sorted(
        groups, key=lambda one: not equal(one[1], "source", "measured").any()
    )
    for (what, machine), part in ranked:
        failed = int((~equal(part, "status", "ok")).sum())
        cells = part["cell_id"].nunique() or len(part)
        modes = ", ".join(sorted(part["mode"].dropna().unique()))
        lines.append((what, machine, modes, cells, len(part), failed, _drift(part)))
    return lines


def _drift(part: pd.DataFrame) -> str:
    """How far the anchors of a measured study moved; training does not drift."""
    timed = part["mode"].isin(SPEED_MODES) & part["source"].eq("measured")
    if not timed.fillna(False).any():
        return DASH
    records = part[list(drift.NEEDS)].astype(object)
    found = records.where(records.notna(), None).to_dict("records")
    verdict = drift.verdict([{str(k): v for k, v in row.items()} for row in found])
    by = "" if verdict.largest is None else f" {percent(verdict.largest)} %"
    return f"{verdict.kind}{by}"


def machines(rows: pd.DataFrame) -> str:
    """The hardware, the software and the commit behind the measured rows."""
    measured = rows[equal(rows, "source", "measured")]
    if measured.empty:
        return said("No measured row: nothing was run here.")
    parts = [
        _identities("Machine", measured, "machine_id", "machine", "hardware"),
        _identities(
            "Environment", measured, "environment_id", "framework", "environment"
        ),
        heading("Code"),
        table(("commit", "changed", "executor", "records"), _commits(measured), (3,)),
        _ceilings(measured),
    ]
    return "".join(parts)


def _identities(title: str, rows: pd.DataFrame, by: str, name: str, column: str) -> str:
    lines: list[Line] = []
    for identity, part in rows.groupby(by, dropna=False, sort=False):
        names = ", ".join(dict.fromkeys(map(word, part[name])))
        first = plain(part[column].iloc[0])
        pairs = ", ".join(f"{key} {value}" for key, value in first or ())
        lines.append((names, identity, pairs or None, len(part)))
    return heading(title) + table((name, "id", column, "records"), lines, (3,))


_CHANGED = {True: "yes", False: "no", None: None}


def _commits(rows: pd.DataFrame) -> list[Line]:
    groups = rows.groupby(
        ["git_sha", "git_dirty", "executor"], dropna=False, sort=False
    )
    return [
        (sha, _CHANGED[plain(dirty)], executor, len(part))
        for (sha, dirty, executor), part in groups
    ]


def _ceilings(rows: pd.DataFrame) -> str:
    """The largest matrix product of each machine and dtype, where it was measured."""
    known = rows[rows["ceiling_flop_per_sec"].notna()]
    by = ["machine", "dtype", "ceiling_method"]
    lines: list[Line] = [
        (*name, significant(float(part["ceiling_flop_per_sec"].median()) / 1e9))
        for name, part in known.groupby(by, dropna=False, sort=False)
    ]
    if not lines:
        return ""
    titles = ("machine", "dtype", "method", "GFLOP/s")
    return heading("Largest matrix product") + table(titles, lines, (3,))


def forecasts(rows: pd.DataFrame) -> str:
    """What attempts were said to take, and what they took: how wrong it was."""
    columns = ["study", "predicted_from", "status", "started_at", "finished_at"]
    columns += ["predicted_s", "predicted_core_days", "core_days_measured"]
    told = rows.loc[rows["predicted_s"].notna(), columns]
    lines: list[Line] = []
    for (study, basis), part in told.groupby(columns[:2], dropna=False, sort=True):
        told_of = [
            {str(name): plain(value) for name, value in row.items()}
            for row in part.to_dict("records")
        ]
        missed = forecast.errors(told_of)
        if missed is not None:
            lines.append((study, basis, missed.attempts, duration(missed.predicted_s),
                          duration(missed.taken_s), _off(missed.median),
                          _off(missed.core_days)))  # fmt: skip
    if not lines:
        return said(
            "No finished attempt carries a forecast: nothing like it was known."
        )
    titles = ("study", "forecast from", "attempts", "forecast", "took")
    errors = ("time off by, median", "core-days off by, median")
    return table((*titles, *errors), lines, (2, 3, 4, 5, 6))


def _off(share: float | None) -> str | None:
    return None if share is None else f"{percent(share)} %"


def commands(rows: pd.DataFrame, own: Sequence[str]) -> str:
    """What measures these rows again, and what redraws this page, tables, figures.

    Args:
        rows: record rows.
        own: the commands that make this page, its tables and its figures.
    """
    groups = rows.groupby(["command", "git_sha"], dropna=False, sort=False)
    lines = [f"{run}   # {len(part):,} records, commit {word(sha)[:12]}"
             for (run, sha), part in groups if plain(run)]  # fmt: skip
    measured = heading("To measure again") + code(lines) if lines else ""
    return measured + heading("This page, its tables and its figures") + code(own)


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"
