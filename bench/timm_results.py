"""timm's own result files as rows: speed by its benchmark.py, accuracy by validate.py.

Both write CSV; benchmark.py also prints JSON after a line `--result`, one object or a
list. Their columns came and went over the years and in any order, so each is looked for
by name. Multiply-accumulates are left out: a record holds those of our closed form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench import imports, models, sheets
from bench.errors import ResultsError
from bench.imports import Imported, Origin
from bench.sheets import Line
from bench.specs import SPEED_MODES

_MODEL = re.compile(
    r"(?:(mixer|vit)_(\w+?)_?(?:patch)?(\d+)|resnetv2_(\d+x\d+)_bitm?)"
    r"(?:_(\d+))?(?:\.(.*))?"
)
_SIZES = {"tiny": "Ti", "small": "S", "base": "B", "large": "L", "huge": "H"}
_RATE = "_samples_per_sec"
_FIGURES = {
    "imagenet": ("top1", "ImageNet"),
    "imagenet-real": ("real_top1", "ImageNet"),
    "imagenet-a": ("top1", "ImageNet-A"),
    "imagenet-a-clean": ("top1", "ImageNet-A-clean"),
    "imagenet-r": ("top1", "ImageNet-R"),
    "imagenet-r-clean": ("top1", "ImageNet-R-clean"),
    "imagenetv2-matched-frequency": ("top1", "ImageNetV2"),
    "inv2-matched-frequency": ("top1", "ImageNetV2"),
    "sketch": ("top1", "ImageNet-Sketch"),
}
"""`results-<word>.csv` in timm's repository: its `top1` is which accuracy, on what."""
_DIFFERENCE = "top1_diff"
"""In every such file but that of ImageNet itself: the loss against it."""


def read(path: Path, made: Origin) -> Imported:
    """timm's results (accuracy) or benchmark (speed); only models that are ours.

    Raises:
        ResultsError: the file is neither, or names no model of ours.
    """
    lines = _lines(path)
    columns = {name for line in lines for name in line.cells}
    speed = [kind for kind in SPEED_MODES if kind + _RATE in columns]
    if "model" not in columns or not (speed or columns & {"top1", "error"}):
        raise ResultsError(
            f"{path}: not a result of timm: it needs model and one of "
            "infer_samples_per_sec, train_samples_per_sec, top1; use --from csv --map"
        )
    measure = None if speed else _measure(path, columns, made)
    found, strangers, failed = [], [], []
    for line in lines:
        printed = line.cells.get("model", "")
        name = model(printed)
        if name is None:
            strangers.append(printed)
            continue
        values = list(_speeds(line, speed) if measure is None else _top1(line, measure))
        if not values:
            failed.append(printed)
        for one in values:
            _refuse_set(one, made)
            full = {"model": name, "printed_model": printed, **one}
            full |= {"framework": "torch", "peer": "timm", **made.fixed}
            found.append((line.where, imports.row(full, made, line)))
    if not found:
        raise ResultsError(
            f"{path}: none of its {len(lines)} models is one of ours and was measured"
        )
    kept = imports.gathered(found)
    return Imported(kept.rows, kept.twice, tuple(strangers), tuple(failed))


def _refuse_set(values: Mapping[str, Any], made: Origin) -> None:
    """What the file says is not to be said otherwise, but for what a name implies."""
    for name in made.fixed:
        told = values.get(name) is not None and not name.endswith("_dataset")
        if told or name == "model":
            imports.refuse_set(name)


def model(name: str) -> str | None:
    """Our name of a timm model; None for a network that is not the paper's.

    >>> model("mixer_b16_224.goog_in21k"), model("vit_base_patch32_224")
    ('Mixer-B/16', 'ViT-B/32')
    >>> model("resnetv2_50x1_bitm"), model("vit_base_patch16_clip_224")
    ('BiT-R50x1', None)
    """
    found = _MODEL.fullmatch(name)
    if found is None:
        return None
    family, size, patch, resnet, *_ = found.groups()
    if resnet:
        text = f"BiT-R{resnet}"
    elif family == "mixer":
        text = f"Mixer-{size.upper()}/{patch}"
    else:
        text = f"ViT-{_SIZES.get(size, size)}/{patch}"
    return text if text in models.variants() else None


def pretrained_on(name: str) -> str | None:
    """What the weights of a timm model were trained on first, by the tag in its name.

    >>> pretrained_on("vit_base_patch16_224.augreg_in21k_ft_in1k")
    'ImageNet-21k'
    >>> pretrained_on("vit_base_patch16_224.sam_in1k"), pretrained_on("mixer_b16_224")
    ('ImageNet', None)
    """
    tag = name.partition(".")[2]
    if re.search(r"in2[12]k", tag):
        return "ImageNet-21k"
    from_scratch = re.fullmatch(r"(\w+_)?in1k", tag) and "_ft_" not in tag
    return "ImageNet" if from_scratch else tag or None


# The lines --------------------------------------------------------------------


def _lines(path: Path) -> list[Line]:
    """A CSV, JSON, or what benchmark.py printed around its JSON."""
    text = sheets.text(path).strip()
    _, told, after = text.rpartition("--result\n")
    if not told and not text.startswith(("{", "[")):
        return sheets.read(path)
    try:
        values, _ = json.JSONDecoder().raw_decode(after.lstrip())
    except ValueError as error:
        raise ResultsError(f"{path}: its JSON is damaged: {error}") from error
    entries = values if isinstance(values, list) else [values]
    if not entries or not all(isinstance(one, dict) for one in entries):
        raise ResultsError(f"{path}: holds no objects; give what benchmark.py printed")
    return [
        Line(f"{path}: entry {number}", {str(k): _text(v) for k, v in one.items()})
        for number, one in enumerate(entries, start=1)
    ]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _speeds(line: Line, kinds: list[str]) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        rate = _number(line, kind + _RATE)
        if rate is None:
            continue
        step = _number(line, f"{kind}_step_time")
        yield {
            "mode": kind,
            "img_per_sec": rate,
            "batch_size": _whole(line, f"{kind}_batch_size"),
            "image_size": _whole(line, f"{kind}_img_size"),
            "step_s": None if step is None else step / 1000,  # printed in ms
            "param_count": _parameters(line),
        }


def _top1(line: Line, measure: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    accuracy = _number(line, "top1")
    if accuracy is not None:
        yield {
            "mode": "pretrain",
            measure["column"]: accuracy / 100,
            "eval_dataset": measure["dataset"],
            "image_size": _whole(line, "img_size"),
            "pretrain_dataset": pretrained_on(line.cells["model"]),
            "param_count": _parameters(line),
        }


def _measure(path: Path, columns: set[str], made: Origin) -> dict[str, str]:
    """Which accuracy `top1` is, and on what: by the file's name, or as --set says."""
    word = path.stem.removeprefix("results-")
    column, dataset = _FIGURES.get(word, ("top1", "ImageNet"))
    if word not in _FIGURES and _DIFFERENCE in columns:
        if "eval_dataset" not in made.fixed:
            raise ResultsError(
                f"{path}: its accuracies are not ImageNet's (it has {_DIFFERENCE}); "
                "keep timm's file name, as in results-imagenet-real.csv, or --set "
                "eval_dataset="
            )
    return {"column": column, "dataset": dataset}


def _parameters(line: Line) -> int | None:
    """Printed in millions with two decimals."""
    millions = _number(line, "param_count")
    return None if millions is None else round(1e6 * millions)


def _whole(line: Line, column: str) -> int | None:
    found = _number(line, column)
    return None if found is None else round(found)


def _number(line: Line, column: str) -> float | None:
    """A cell's number; None where the file lacks it."""
    cell = line.cells.get(column, "")
    if sheets.missing(cell):
        return None
    found = sheets.number(cell, line.commas_group)
    if found is None:
        raise ResultsError(
            f"{line.where}: {column}={cell!r}: is no number with a decimal point"
        )
    return found
