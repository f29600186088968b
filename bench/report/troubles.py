"""Cautions and failures of the report page: each kind once, how often, and where."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.analysis.key import equal, plain
from bench.report.failures import not_made_good
from bench.report.parts import Html, said, shows, table

MOST_FAILURES = 200
"""More kinds of failure than this are found in the table of attempts."""
FEW = 3
"""So many places of one kind are named."""


@dataclass
class _Seen:
    """How often one kind was seen, what was said the first time, and where."""

    first: str
    times: int = 0
    where: dict[str, None] = field(default_factory=dict)

    def add(self, where: str) -> None:
        self.times += 1
        self.where[where] = None

    @property
    def places(self) -> str:
        names = list(self.where)
        more = len(names) - FEW
        return ", ".join(names[:FEW]) + (f" and {more:,} more" if more > 0 else "")


def cautions(rows: pd.DataFrame) -> str:
    """Each kind of caution once: what was seen, why, what to do, how often, where."""
    found: dict[tuple[str, str, str], _Seen] = {}
    for value, study in zip(rows["cautions"], rows["study"], strict=True):
        for one in plain(value) or ():
            same = (str(one["kind"]), str(one["cause"]), str(one["remedy"]))
            kind = found.setdefault(same, _Seen(str(one["seen"])))
            kind.add(str(plain(study) or "no study"))
    if not found:
        return said("No record carries a caution.")
    often = sorted(found.items(), key=lambda one: (-one[1].times, one[0]))
    lines = [
        (kind, shows(f"{seen.times:,}", "cautions", kind), seen.first, cause, remedy,
         seen.places)
        for (kind, cause, remedy), seen in often
    ]  # fmt: skip
    titles = ("kind", "times", "seen, the first time", "likely cause", "what to do")
    return table((*titles, "studies"), lines, (1,))


def failures(rows: pd.DataFrame) -> str:
    """Every kind of attempt that did not end `ok`: nothing is left out in silence."""
    failed = rows[~equal(rows, "status", "ok")]
    if failed.empty:
        return said("Every attempt ended ok.")
    kinds: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in failed.to_dict("records"):
        known = {str(name): plain(value) for name, value in row.items()}
        same = ("status", "error_class", "error_message")
        status, kind, message = (str(known[name] or "") for name in same)
        kinds.setdefault((status, kind, message), []).append(known)
    open_ = set(not_made_good(rows)["attempt_id"])
    often = sorted(kinds.items(), key=lambda one: -len(one[1]))
    lines = [
        (status, kind or None, _message(message, alike), shows(
            f"{len(alike):,}", "status", f"={status}"),
         sum(one["attempt_id"] in open_ for one in alike), _places(alike))
        for (status, kind, message), alike in often[:MOST_FAILURES]
    ]  # fmt: skip
    titles = ("status", "class", "message", "times", "still open", "cells")
    made = f"{len(failed):,} attempts did not end ok; {len(open_):,} of them were not made good by a later attempt of the same item."  # noqa: E501
    more = len(kinds) - MOST_FAILURES
    rest = said(f"{more:,} more kinds: filter the table by status.") if more > 0 else ""
    return said(made) + table(titles, lines, (3, 4)) + rest


def _message(message: str, alike: Iterable[dict[str, Any]]) -> Html:
    """What went wrong, and folded below it where."""
    trace = next((str(one["traceback"]) for one in alike if one["traceback"]), "")
    text = html.escape(message)
    if not trace:
        return Html(text)
    body = f"<pre><code>{html.escape(trace)}</code></pre>"
    return Html(f"{text}<details><summary>traceback</summary>{body}</details>")


def _places(alike: Iterable[dict[str, Any]]) -> str:
    seen = _Seen("")
    for one in alike:
        seen.add(_cell(one))
    return seen.places


def _cell(row: dict[str, Any]) -> str:
    """`infer Mixer-B/16 jax 224 px, batch 8`."""
    words = [str(row[n]) for n in ("mode", "model", "framework") if row[n] is not None]
    if row["image_size"] is not None:
        words.append(f"{row['image_size']:.0f} px")
    batch = row["batch_size"]
    return " ".join(words) + ("" if batch is None else f", batch {batch:.0f}")
