"""Figures from elsewhere as rows: timm's CSV files, or any CSV with a column map.

Imported rows carry the name of their source and a citation. Their `source` is neither
`measured` nor `published`, and every comparability key holds it, so that they stand in
groups of their own.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from bench import models, record
from bench.errors import ResultsError, StudyError, unknown
from bench.record import COLUMNS, NESTED
from bench.specs import MODES, PROTOCOL, SPEED_MODES, short_hash

FORMATS = ("timm", "csv")
TAKEN = ("measured", "published")
MAPPABLE = tuple(
    name
    for name in COLUMNS
    if name not in NESTED
    and name not in ("source", "citation", "attempt_id", "status", "role", "protocol")
)
_SHARES = ("top1", "real_top1", "avg5_top1", "vtab19", "chance")

_TIMM_MODEL = re.compile(
    r"(?:(mixer|vit)_(\w+?)_?(?:patch)?(\d+)|resnetv2_(\d+x\d+)_bit)(?:_(\d+))?(?:\..*)?"
)
_TIMM_SIZES = {"tiny": "Ti", "small": "S", "base": "B", "large": "L", "huge": "H"}
_FAMILY = {"Mixer": "mixer", "ViT": "vit", "BiT": "resnet"}


@dataclass(frozen=True)
class Origin:
    """Where the figures come from; it stands in every row."""

    source: str
    citation: str
    fixed: Mapping[str, Any]
    """Columns that hold for every row, such as the machine."""


@dataclass(frozen=True)
class Imported:
    """Rows, and how many lines were left out because their model is none of ours."""

    rows: list[dict[str, Any]]
    left_out: int


def origin(source: str, citation: str, fixed: Sequence[str]) -> Origin:
    """Check the words of the command line.

    Raises:
        StudyError: an empty or taken source, no citation, a bad FIELD=VALUE.
    """
    if not re.fullmatch("[a-z][a-z0-9._-]*", source) or source in TAKEN:
        raise StudyError(
            f"--source: {source!r}: give one lower-case word that names the origin, "
            f"not {' or '.join(TAKEN)}; as in timm-rtx4090"
        )
    if not citation.strip():
        raise StudyError("--citation: is empty; say which paper, file or page")
    pairs = dict(_pair(text, "--set") for text in fixed)
    return Origin(source, citation.strip(), {k: _typed(k, v) for k, v in pairs.items()})


def column_map(texts: Sequence[str]) -> dict[str, str]:
    """`["Model=model"]` as CSV column -> record column."""
    found: dict[str, str] = {}
    for text in texts:
        column, _, name = text.rpartition("=")
        if not column or name not in MAPPABLE:
            hint = unknown("field", name, MAPPABLE) if column else "give COLUMN=FIELD"
            raise StudyError(f"--map: {text!r}: {hint}")
        if column in found or name in found.values():
            raise StudyError(f"--map: {text!r}: column or field is given twice")
        found[column] = name
    return found


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not value or name not in MAPPABLE:
        hint = unknown("field", name, MAPPABLE) if value else "give FIELD=VALUE"
        raise StudyError(f"{flag}: {text!r}: {hint}")
    return name, value


def read_csv(path: Path, made: Origin, mapping: Mapping[str, str]) -> Imported:
    """Any CSV by a column map; `model` and a mode are needed, by map or fixed.

    Raises:
        ResultsError: no such file, a column that it lacks, a value that does not fit.
    """
    lines = _lines(path)
    missing = [column for column in mapping if lines and column not in lines[0]]
    if missing:
        known = ", ".join(lines[0])
        raise ResultsError(f"{path}: --map: no column {missing[0]!r}; it has {known}")
    rows = []
    for number, line in enumerate(lines, start=2):
        values = dict(made.fixed)
        for column, name in mapping.items():
            if (line[column] or "").strip():
                values[name] = _typed(name, line[column].strip(), f"{path}:{number}")
        rows.append(_row(values, made, f"{path}:{number}", line))
    return Imported(rows, 0)


def read_timm(path: Path, made: Origin) -> Imported:
    """timm's results (accuracy) or benchmark (speed) CSV; only models that are ours.

    Raises:
        ResultsError: the file is neither, or names no model of ours.
    """
    lines = _lines(path)
    columns = set(lines[0]) if lines else set()
    kinds = [kind for kind in SPEED_MODES if f"{kind}_samples_per_sec" in columns]
    if "model" not in columns or not (kinds or "top1" in columns):
        raise ResultsError(
            f"{path}: not a CSV of timm: it needs model and one of "
            "infer_samples_per_sec, train_samples_per_sec, top1; use --from csv --map"
        )
    rows, left_out = [], 0
    for number, line in enumerate(lines, start=2):
        name = timm_model(line["model"])
        if name is None:
            left_out += 1
            continue
        for values in _timm_values(line, kinds):
            full = {**values, "model": name, "printed_model": line["model"]}
            full |= {"framework": "torch", "peer": "timm", **made.fixed}
            rows.append(_row(full, made, f"{path}:{number}", line))
    if not rows:
        raise ResultsError(f"{path}: none of its {len(lines)} models is one of ours")
    return Imported(rows, left_out)


def timm_model(name: str) -> str | None:
    """Our name of a timm model; None for a network that is not the paper's.

    >>> timm_model("mixer_b16_224.goog_in21k"), timm_model("vit_base_patch32_224")
    ('Mixer-B/16', 'ViT-B/32')
    >>> timm_model("resnetv2_50x1_bit.goog_in21k"), timm_model("vit_base_patch16_clip")
    ('BiT-R50x1', None)
    """
    found = _TIMM_MODEL.fullmatch(name)
    if found is None:
        return None
    family, size, patch, resnet, _ = found.groups()
    if resnet:
        text = f"BiT-R{resnet}"
    elif family == "mixer":
        text = f"Mixer-{size.upper()}/{patch}"
    else:
        text = f"ViT-{_TIMM_SIZES.get(size, size)}/{patch}"
    return text if text in models.variants() else None


def _timm_values(
    line: Mapping[str, str], kinds: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        rate = _float(line[f"{kind}_samples_per_sec"])
        if rate is None:
            continue
        batch, side = line[f"{kind}_batch_size"], line.get(f"{kind}_img_size")
        yield {
            "mode": kind,
            "img_per_sec": rate,
            "batch_size": int(float(batch)),
            "image_size": int(float(side)) if side else None,
            "step_s": _scaled(line.get(f"{kind}_step_time"), 1e-3),
            **_count(line),
        }
    if not kinds:
        yield {
            "mode": "pretrain",
            "top1": _scaled(line["top1"], 1e-2),
            "image_size": int(float(line["img_size"])),
            "eval_dataset": "ImageNet",
            **_count(line),
        }


def _count(line: Mapping[str, str]) -> dict[str, Any]:
    """Parameters, printed in millions with two decimals."""
    millions = _float((line.get("param_count") or "").replace(",", ""))
    return {} if millions is None else {"param_count": round(1e6 * millions)}


def _scaled(text: str | None, unit: float) -> float | None:
    value = _float(text or "")
    return None if value is None else value * unit


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# One row ---------------------------------------------------------------------


def _row(
    values: Mapping[str, Any], made: Origin, where: str, line: Mapping[str, str]
) -> dict[str, Any]:
    full = dict(values)
    for name in ("model", "mode"):
        if not full.get(name):
            raise ResultsError(f"{where}: no {name}; --map a column to it, or --set it")
    if full["mode"] not in MODES:
        raise ResultsError(f"{where}: {unknown('mode', full['mode'], MODES)}")
    full["model"] = _known(str(full["model"]))
    family = full["model"].partition("-")[0]
    full.setdefault(
        "family", {"Mixer": "mixer", "ViT": "vit", "BiT": "resnet"}.get(family)
    )
    _complete_rates(full)
    for name in _SHARES:
        if full.get(name) is not None and not 0 <= full[name] <= 1:
            raise ResultsError(
                f"{where}: {name}={full[name]:g}: give a share between 0 and 1"
            )
    full |= {"source": made.source, "citation": made.citation, "status": "ok"}
    full |= {"role": "cell", "repetition": full.get("repetition") or 0}
    full |= {"protocol": PROTOCOL, "machine": full.get("machine") or made.source}
    full["attempt_id"] = (
        f"{made.source}:{short_hash([made.citation, full['mode'], line])}"
    )
    return record.row(full)


def _known(name: str) -> str:
    """Our spelling of a model that is ours; the file's own of any other."""
    try:
        return models.canonical_name(name)
    except StudyError:
        return name


def _complete_rates(full: dict[str, Any]) -> None:
    """Rates of the device and of a core give each other where the cores are known."""
    cores = full.get("cores")
    whole, each = full.get("img_per_sec"), full.get("img_per_sec_core")
    if cores and whole is not None and each is None:
        full["img_per_sec_core"] = whole / cores
    if cores and each is not None and whole is None:
        full["img_per_sec"] = each * cores


def _typed(name: str, text: str, where: str = "--set") -> Any:
    kind = record.SCHEMA.field(name).type
    try:
        if pa.types.is_boolean(kind):
            return {"true": True, "false": False}[text.lower()]
        if pa.types.is_integer(kind):
            return int(text.replace(",", ""))
        if pa.types.is_floating(kind):
            return float(text.replace(",", ""))
    except (ValueError, KeyError) as error:
        raise ResultsError(f"{where}: {name}={text!r}: does not fit {kind}") from error
    return text


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ResultsError(f"{path}: no such file; give a CSV") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: cannot be read as text; give a CSV") from error
    lines = list(csv.DictReader(text.splitlines()))
    if not lines:
        raise ResultsError(f"{path}: holds no rows under a heading")
    return lines
