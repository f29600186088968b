"""The sentence below a table that says what its images per second per core mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pandas as pd

from bench.analysis.key import plain
from bench.analysis.repetitions import MIN_REPETITIONS

_BATCH = {
    "auto": "batch picked by a pilot sweep and measured afresh",
    "fixed": "batch fixed in advance",
}
_INPUT = {
    "resident": "inputs resident on the device",
    "h2d": "copy to the device included",
    "pipeline": "input pipeline included",
}
_MODE = {
    "infer": "forward passes",
    "train": "training steps (forward, backward, update)",
    "pretrain": "the paper's inference throughput",
}
_PARALLEL = {
    "intra_op": "sharing each batch",
    "replica": "each with a batch of its own",
}
_TRACK = {
    "protocol": "protocol track (each framework's default build for every family)",
    "tuned": "tuned track (of each model the fastest build tried)",
}


def citation(rows: pd.DataFrame) -> str:
    """What img/sec/core is in these model rows of one comparability key."""
    if (rows["source"] != "measured").all():
        return _elsewhere(rows)
    timed = rows[rows["img_per_sec_core"].notna()]
    if timed.empty:
        return "img/sec/core: not measured."
    parts = [
        _said(timed, "mode", _MODE),
        _said(timed, "batch_rule", _BATCH),
        _said(timed, "input", _INPUT),
        _said(timed, "track", _TRACK),
        _with(timed, "dtype", "{}") + _computed_in(timed),
        _with(timed, "layout", "layout {}"),
        _with(timed, "variant", "built as {}", " / "),  # long words: lines break there
    ]
    how = ", ".join(part for part in parts if part)
    return (
        f"img/sec/core: images per second {_divided(timed)}; {how}; "
        f"compilation and warm-up apart; {_statistics(timed)}. "
        f"{_device(timed)}. {_software(rows)}."
    )


def _elsewhere(rows: pd.DataFrame) -> str:
    """Of published and imported rows: what they say, and who says it."""
    sources = "; ".join(_values(rows["citation"]))
    done = "published" if (rows["source"] == "published").all() else "imported"
    if rows["img_per_sec_core"].isna().all() and rows["img_per_sec"].notna().any():
        what, where = _said(rows, "mode", _MODE), ", ".join(_values(rows["machine"]))
        return (
            f"img/sec: {what} as {done}, {where}, the whole machine: its cores are "
            f"not known, so there is no img/sec/core. Source: {sources}."
        )
    if rows["img_per_sec_core"].isna().all():
        return f"img/sec/core: not {done}. Source: {sources}."
    notes = [note for note in _values(rows["note"]) if note.startswith("timm")]
    how = f" ({'; '.join(notes)})" if notes else ""
    what = _said(rows, "mode", _MODE)
    device = ", ".join(_values(rows["machine"]))
    kind = ", ".join(_values(rows["core_kind"])) or "not said"
    return (
        f"img/sec/core: {what} as {done}, {device}, core = {kind}{how}. "
        f"Source: {sources}."
    )


_OF_FIVE = "93.75 %"
"""The outermost of five enclose the median with 1 - 2 / 2^5."""


def _statistics(timed: pd.DataFrame) -> str:
    """How the value and its interval were made, with n."""
    counts = sorted({int(n) for n in timed["n"]})
    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    value = f"median over n={n} fresh processes of each one's median block"
    if counts[-1] < MIN_REPETITIONS:
        return f"{value}; no interval with fewer than {MIN_REPETITIONS} processes"
    return f"{value}; {interval_words(counts)}"


def interval_words(counts: Collection[int]) -> str:
    """The level and kind of intervals over so many processes each.

    >>> interval_words([5])
    '93.75 % interval of order statistics over processes'
    """
    fives, more = MIN_REPETITIONS in counts, max(counts) > MIN_REPETITIONS
    level = "95 %" if more else _OF_FIVE
    also = f" ({_OF_FIVE} at n=5)" if fives and more else ""
    return f"{level} interval of order statistics over processes{also}"


def _divided(timed: pd.DataFrame) -> str:
    """What the device's whole rate is divided by."""
    cores = "/".join(f"{count:g}" for count in sorted(set(timed["cores"].dropna())))
    kind = ", ".join(_values(timed["core_kind"]))
    share = _said(timed, "parallelism", _PARALLEL)
    return f"over {cores} x {kind}" + (f" {share}" if share else "")


def _device(timed: pd.DataFrame) -> str:
    names = dict.fromkeys([*_values(timed["machine"]), *_values(timed["device_name"])])
    return ", ".join(names)


def _software(rows: pd.DataFrame) -> str:
    versions = _versions(rows["environment"])
    where = versions or f"environment {', '.join(_values(rows['environment_id']))}"
    commits = [sha[:12] for sha in _values(rows["git_sha"])]
    dirty = " with uncommitted changes" if rows["git_dirty"].eq(True).any() else ""
    commit = f"commit {', '.join(commits)}{dirty}" if commits else "commit not recorded"
    return f"{where}; {commit}"


def _versions(column: Iterable[Any]) -> str:
    """`jax 0.10.2, python 3.11.9`: each part of the environments, differences kept."""
    found: dict[str, dict[str, None]] = {}
    for value in column:
        pairs = value.items() if isinstance(value, Mapping) else plain(value) or ()
        for name, version in pairs:
            found.setdefault(str(name), {})[str(version)] = None
    return ", ".join(f"{name} {'/'.join(each)}" for name, each in sorted(found.items()))


def _said(rows: pd.DataFrame, column: str, words: Mapping[str, str]) -> str:
    return " or ".join(words.get(value, value) for value in _values(rows[column]))


def _with(rows: pd.DataFrame, column: str, phrase: str, between: str = "/") -> str:
    values = _values(rows[column])
    return phrase.format(between.join(values)) if values else ""


def _computed_in(rows: pd.DataFrame) -> str:
    """Said only where a compiler widened or narrowed what the dtype promises."""
    told = rows[rows["product_dtype"].notna()]
    promised = told["dtype"].replace("tf32", "float32")  # its operands are float32's
    other = told[told["product_dtype"] != promised]
    who = "/".join(_values(other["framework"]))
    names = "/".join(_values(other["product_dtype"]))
    return f" (products computed in {names} by {who})" if names else ""


def _values(column: Iterable[Any]) -> list[str]:
    """Distinct values as text, in order of appearance, nulls left out."""
    kept = [str(value) for value in column if plain(value) is not None]
    return list(dict.fromkeys(kept))
