"""Published rows as records: the papers' tables and timm's own GPU figures.

The CSV keeps every number in its printed form; analysis uses the floats. Percentages
become fractions, extrapolated core-days stay in their own column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench import record
from bench.specs import PROTOCOL

_FAMILY = {"bit": "resnet"}
_PERCENT = {
    "top1": "imagenet_top1",
    "real_top1": "real_top1",
    "avg5_top1": "avg5_top1",
    "vtab19": "vtab19",
}
_PRINTED = {
    "top1": "imagenet_top1_printed",
    "real_top1": "real_top1_printed",
    "avg5_top1": "avg5_top1_printed",
    "vtab19": "vtab19_printed",
    "img_per_sec_core": "throughput_img_s_core_printed",
    "core_days": "core_days_printed",
}
_COPIED = (
    "table run_id printed_model pretrain_dataset regime accuracy_source bibkey note"
).split()

_TIMM_COLUMNS = {
    "rtx4090_infer": ("infer", "RTX 4090", "PyTorch 2.4"),
    "rtx3090_infer": ("infer", "RTX 3090", "PyTorch 1.13"),
    "rtx3090_train": ("train", "RTX 3090", "PyTorch 1.12"),
}


def rows(folder: Path) -> list[dict[str, Any]]:
    """Every published row as a full record, in the order of the files."""
    papers = _read(folder / "published.csv")
    timm = _read(folder / "timm_throughput.csv")
    return [record.row(paper_row(line)) for line in papers] + [
        record.row(made) for line in timm for made in timm_rows(line)
    ]


def paper_row(line: dict[str, str]) -> dict[str, Any]:
    """One line of `published.csv` as record values."""
    kind = line["core_days_kind"]
    core_days = "core_days_extrapolated" if kind == "extrapolated" else None
    rate = _number(line["throughput_img_s_core"])
    return {
        **_common(line["table"], line["source"]),
        **{name: line[name] or None for name in _COPIED},
        **{name: _share(line[column]) for name, column in _PERCENT.items()},
        "printed": [(k, line[c]) for k, c in _PRINTED.items() if line[c]],
        "mode": "pretrain",
        "model": line["model"],
        "family": _FAMILY.get(line["family"], line["family"]),
        "image_size": _integer(line["image_size"]),
        "pretrain_epochs": _number(line["pretrain_epochs"]),
        "eval_dataset": "ImageNet",
        "eval_split": "validation",
        "img_per_sec_core": rate,
        core_days or "core_days_measured": _number(line["core_days"]),
        "core_days_halfwidth": _number(line["core_days_halfwidth"]),
        "train_exaflops": _number(line["train_exaflops"]),
        "machine": "TPUv3",
        "device_name": "TPUv3",
        "core_kind": "tpu_core",
        "cores": 1.0,
        "attempt_id": f"published:{line['table']}:{line['run_id']}",
    }


def timm_rows(line: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One line of `timm_throughput.csv`: a row for each GPU and mode it has."""
    for column, (mode, gpu, version) in _TIMM_COLUMNS.items():
        rate = _number(line[column])
        if rate is None:
            continue
        yield {
            **_common("timm", "huggingface/pytorch-image-models results/*.csv"),
            "mode": mode,
            "model": line["model"],
            "printed_model": line["model"],
            "family": {"Mixer": "mixer", "ViT": "vit"}.get(
                line["model"].split("-")[0], "resnet"
            ),
            "framework": "torch",
            "image_size": 224,
            "dtype": "amp",
            "layout": "NCHW",
            "img_per_sec": rate,
            "img_per_sec_core": rate,
            "printed": [("img_per_sec_core", line[column])],
            "machine": gpu,
            "device_name": gpu,
            "device_kind": "cuda",
            "core_kind": "gpu",
            "cores": 1.0,
            "bibkey": "rw2019timm",
            "note": f"timm, {version}, automatic mixed precision",
            "attempt_id": f"published:timm:{column}:{line['model']}",
        }


def _common(table: str, citation: str) -> dict[str, Any]:
    return {
        "source": "published",
        "status": "ok",
        "role": "cell",
        "repetition": 0,
        "protocol": PROTOCOL,
        "table": table,
        "citation": citation,
    }


def _read(path: Path) -> Iterable[dict[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _number(text: str) -> float | None:
    return float(text) if text else None


def _integer(text: str) -> int | None:
    return int(text) if text else None


def _share(text: str) -> float | None:
    return round(float(text) / 100, 6) if text else None
