"""Static parts of the report page: overview, machines, cautions, failures, commands.

Text of results is foreign: every word of it is escaped, and shown, never run.
"""

from __future__ import annotations

import html
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from bench.analysis import demo, drift
from bench.analysis.key import equal, plain
from bench.report.markup import DASH
from bench.specs import SPEED_MODES
from bench.units import significant

MOST_FAILURES = 200
"""More failures than this are found in the table of attempts."""

Line = Sequence[object]


def overview(rows: pd.DataFrame) -> str:
    """How much there is, from where and when, study by study."""
    ok = int(equal(rows, "status", "ok").sum())
    facts = [
        f"{len(rows):,} records: {ok:,} ok, {len(rows) - ok:,} not",
        f"models: {_count(rows, 'model')}; frameworks: {_count(rows, 'framework')}; "
        f"machines measured on: {_count(rows, 'machine_id')}",
    ]
    when = rows["finished_at"].dropna()
    if len(when):
        facts.append(f"measured from {_day(when.min())} to {_day(when.max())}")
    if any(demo.is_demo(str(name)) for name in rows["model"].dropna().unique()):
        facts.append(f"{demo.NOTE} (models of demo sizes)")
    titles = (
        "study or table",
        "machine",
        "mode",
        "cells",
        "records",
        "not ok",
        "drift",
    )
    return _list(facts) + _table(titles, _studies(rows), numbers=(3, 4, 5))


def _studies(rows: pd.DataFrame) -> list[Line]:
    named = rows.assign(what=rows["study"].where(rows["study"].notna(), rows["table"]))
    lines: list[Line] = []
    groups = named.groupby(["what", "machine", "mode"], dropna=False, sort=True)
    for (what, machine, mode), part in groups:
        failed = int((~equal(part, "status", "ok")).sum())
        cells = part["cell_id"].nunique() or len(part)
        lines.append((what, machine, mode, cells, len(part), failed, _drift(part)))
    return lines


def _drift(part: pd.DataFrame) -> str:
    """The verdict on a measured study of speed; nothing else drifts."""
    timed = part["mode"].isin(SPEED_MODES) & part["source"].eq("measured")
    if not timed.fillna(False).all():
        return DASH
    records = part[list(drift.NEEDS)].astype(object)
    found = records.where(records.notna(), None).to_dict("records")
    return drift.verdict([{str(k): v for k, v in row.items()} for row in found]).kind


def machines(rows: pd.DataFrame) -> str:
    """The hardware, the software and the commit behind the measured rows."""
    measured = rows[equal(rows, "source", "measured")]
    if measured.empty:
        return _said("No measured row: nothing was run here.")
    parts = [
        _facts("Machine", measured, "machine_id", "machine", "hardware"),
        _facts("Environment", measured, "environment_id", "framework", "environment"),
        _heading("Code"),
        _table(("commit", "changed", "executor", "records"), _commits(measured), (3,)),
        _ceilings(measured),
    ]
    return "".join(parts)


def _facts(title: str, rows: pd.DataFrame, by: str, name: str, column: str) -> str:
    lines: list[Line] = []
    for identity, part in rows.groupby(by, dropna=False, sort=False):
        names = ", ".join(dict.fromkeys(map(_word, part[name])))
        first = plain(part[column].iloc[0])
        pairs = ", ".join(f"{key} {value}" for key, value in first or ())
        lines.append((names, identity, pairs or None, len(part)))
    return _heading(title) + _table((name, "id", column, "records"), lines, (3,))


def _commits(rows: pd.DataFrame) -> list[Line]:
    groups = rows.groupby(
        ["git_sha", "git_dirty", "executor"], dropna=False, sort=False
    )
    return [
        (sha, "yes" if plain(dirty) else "no", executor, len(part))
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
    return _heading("Largest matrix product") + _table(titles, lines, (3,))


def cautions(rows: pd.DataFrame) -> str:
    """Each kind of caution once: what was seen, why, what to do, and how often."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for value in rows["cautions"]:
        for one in plain(value) or ():
            same = (str(one["kind"]), str(one["cause"]), str(one["remedy"]))
            found.setdefault(same, []).append(str(one["seen"]))
    if not found:
        return _said("No record carries a caution.")
    often = sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    lines = [
        (kind, len(seen), seen[0], cause, remedy)
        for (kind, cause, remedy), seen in often
    ]
    titles = ("kind", "times", "seen, the first time", "likely cause", "what to do")
    return _table(titles, lines, (1,))


def failures(rows: pd.DataFrame) -> str:
    """Every attempt that did not end `ok`: nothing is left out in silence."""
    failed = rows[~equal(rows, "status", "ok")]
    if failed.empty:
        return _said("Every attempt ended ok.")
    columns = ("status", "mode", "model", "framework", "image_size", "batch_size")
    shown = failed.iloc[:MOST_FAILURES]
    lines = [
        (*(row[name] for name in columns), row["error_class"], row["error_message"])
        for row in shown.to_dict("records")
    ]
    titles = (*columns, "class", "message")
    more = len(failed) - len(shown)
    rest = _said(f"{more:,} more: filter the table by status.") if more else ""
    return _table(titles, lines, (4, 5)) + rest


def commands(rows: pd.DataFrame, named: Sequence[str], own: str) -> str:
    """What measured these rows, and what redraws this page, its tables, figures."""
    groups = rows.groupby(["command", "git_sha"], dropna=True, sort=False)
    lines = [(f"{run}   # {len(part):,} records, commit {str(sha)[:12]}")
             for (run, sha), part in groups]  # fmt: skip
    results = shlex.join(named)
    again = [own, f"mixer-bench table {results}", f"mixer-bench plot {results}"]
    measured = _heading("Measured by") + _code(lines) if lines else ""
    return measured + _heading("This page, its tables and its figures") + _code(again)


def _table(titles: Iterable[str], lines: Iterable[Line], numbers: Iterable[int]) -> str:
    right = set(numbers)
    head = "".join(f'<th scope="col">{_escaped(title)}</th>' for title in titles)
    body = []
    for line in lines:
        cells = (
            f'<td class="{"number" if place in right else "text"}">{_shown(value)}</td>'
            for place, value in enumerate(line)
        )
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>\n"
    )


def _shown(value: Any) -> str:
    value = plain(value)
    return DASH if value is None else _escaped(_word(value))


def _word(value: Any) -> str:
    value = plain(value)
    if isinstance(value, int):
        return f"{value:,}"
    return DASH if value is None else str(value)


def _heading(text: str) -> str:
    return f"<h3>{_escaped(text)}</h3>\n"


def _said(text: str) -> str:
    return f"<p>{_escaped(text)}</p>\n"


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_escaped(line)}</li>' for line in lines)}</ul>\n"


def _code(lines: Iterable[str]) -> str:
    return f"<pre><code>{_escaped(chr(10).join(lines))}</code></pre>\n"


def _count(rows: pd.DataFrame, column: str) -> int:
    return int(rows[column].nunique())


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


def _escaped(text: str) -> str:
    return html.escape(text)
