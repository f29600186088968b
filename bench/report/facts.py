"""A model row as numbers for programs, in the order of the table for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench.analysis.against import Ratio
from bench.report.shots import SHOTS, medians

_WHAT = (
    *("source", "machine", "core_kind", "cores", "mode", "track", "dtype", "input"),
    *("model", "printed_model", "framework", "peer", "variant", "variants_tried"),
    *("image_size", "batch_size", "batch_rule"),
)
_SPEED = {
    "img_per_sec_core": "img_per_sec_core",
    "img_per_sec_core_low": "low",
    "img_per_sec_core_high": "high",
    "n": "n",
}
_REACHED = (
    *("top1", "top1_low", "top1_high", "n_train", "chance", "real_top1", "avg5_top1"),
    *("core_days", "core_days_kind", "core_days_extrapolated"),
    *("core_days_extrapolated_low", "core_days_extrapolated_high"),
)
_ORIGIN = (
    *("pretrain_dataset", "unique_images", "eval_dataset", "eval_split"),
    *("eval_preprocess", "environment_id", "git_sha", "citation"),
)


def facts(
    row: Mapping[str, Any], varying: Iterable[str], baseline: str | None
) -> dict[str, Any]:
    """One line of a comparison table; `varying` are the settings with a column."""
    found = {name: row[name] for name in (*_WHAT, *varying, "param_count")}
    found |= speed(row) | {"img_per_sec": row["img_per_sec"]}
    if baseline is not None:
        found |= _relative(row["ratio"], baseline)
    found |= _over(row["other_side"])
    found |= {name: row[name] for name in _REACHED} | probes(row)
    return found | {name: row[name] for name in _ORIGIN} | {"attempt_ids": ids([row])}


def speed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The rate with its interval, and the number of fresh processes behind both."""
    return {name: row[source] for name, source in _SPEED.items()}


def ids(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every attempt behind a line: of its training, then of its timing."""
    lists = (row[name] for row in rows for name in ("train_attempts", "speed_attempts"))
    return list(dict.fromkeys(str(name) for found in lists for name in found or ()))


def probes(row: Mapping[str, Any]) -> dict[str, float]:
    """Few-shot accuracy on each target, and that of its two baselines."""
    return {
        "_".join(word for word in (f"fewshot{SHOTS}", dataset, baseline) if word): value
        for (dataset, baseline), value in medians(row["fewshot"]).items()
    }


def _over(ratio: Ratio | None) -> dict[str, Any]:
    if ratio is None:
        return {}
    return {
        "other_side": ratio.other,
        "over_other_side": ratio.value,
        "over_other_side_low": ratio.low,
        "over_other_side_high": ratio.high,
        "certificate": ratio.certificate,
    }


def _relative(ratio: Ratio | None, baseline: str) -> dict[str, Any]:
    ends = (ratio.value, ratio.low, ratio.high) if ratio else (None, None, None)
    names = (f"over {baseline}{end}" for end in ("", "_low", "_high"))
    return dict(zip(names, ends, strict=True))
