"""Figures from elsewhere as rows: any table of values, with a map of its columns.

Imported rows carry the name of their source and a citation. Their `source` is neither
`measured` nor `published`, and every comparability key holds it, so that they stand in
groups of their own.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa

from bench import models, record, sheets
from bench.errors import ResultsError, StudyError, unknown
from bench.record import COLUMNS, NESTED
from bench.specs import MODES, PROTOCOL, Cell, short_hash

TAKEN = ("measured", "published")
MAPPABLE = tuple(
    name
    for name in COLUMNS
    if name not in NESTED
    and name not in ("source", "citation", "attempt_id", "status", "role", "protocol")
)
SHARES = ("top1", "real_top1", "avg5_top1", "vtab19", "chance")
_POSITIVE = (
    *("img_per_sec", "img_per_sec_core", "train_img_per_sec_core", "step_s", "cores"),
    *("batch_size", "image_size", "param_count", "macs", "core_days_measured"),
)
_SETTINGS = frozenset(item.name for item in dataclasses.fields(Cell))
_TELLING = tuple(
    name
    for name in MAPPABLE
    if name in _SETTINGS
    or name in ("repetition", "cores")
    or pa.types.is_string(record.SCHEMA.field(name).type)
)
"""Columns that say what was measured; the others hold what came out."""
PERCENT = "%"


@dataclass(frozen=True)
class Origin:
    """Where the figures come from; it stands in every row."""

    source: str
    citation: str
    fixed: Mapping[str, Any]
    """Columns that hold for every row, such as the machine."""


@dataclass(frozen=True)
class Imported:
    """Rows, and what stands in the file beside them."""

    rows: list[dict[str, Any]]
    twice: int = 0
    """Lines that repeat another one, cell for cell."""
    strangers: tuple[str, ...] = ()
    """Models, as the file names them, that are none of ours."""
    failed: tuple[str, ...] = ()
    """Models for which the file says that nothing was measured."""


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
    pairs: dict[str, Any] = {}
    for text in fixed:
        name, value = _pair(text)
        if name in pairs:
            raise StudyError(f"--set: {text!r}: {name} is given twice")
        pairs[name] = typed(name, value)
    return Origin(source, citation.strip(), pairs)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not value or name not in MAPPABLE:
        hint = unknown("field", name, MAPPABLE) if value else "give FIELD=VALUE"
        raise StudyError(f"--set: {text!r}: {hint}")
    return name, value


def column_map(texts: Sequence[str]) -> dict[str, str]:
    """`["Model=model", "acc=top1%"]` as CSV column -> record column, % and all."""
    found: dict[str, str] = {}
    for text in texts:
        column, _, name = text.rpartition("=")
        known = MAPPABLE if not name.endswith(PERCENT) else SHARES
        if not column or name.removesuffix(PERCENT) not in known:
            hint = unknown("field", name, known) if column else "give COLUMN=FIELD"
            raise StudyError(f"--map: {text!r}: {hint}")
        if column in found or name in found.values():
            raise StudyError(f"--map: {text!r}: column or field is given twice")
        found[column] = name
    return found


def read_csv(path: Path, made: Origin, mapping: Mapping[str, str]) -> Imported:
    """Any CSV by a column map; `model` and a mode are needed, by map or fixed.

    Raises:
        ResultsError: no such file, a column that it lacks, a value that does not fit,
            two lines that differ in their values alone.
        StudyError: a field is set that a column holds.
    """
    lines = sheets.read(path)
    held = lines[0].cells
    for column in mapping:
        if column not in held:
            known = ", ".join(held)
            raise ResultsError(f"{path}: --map: no column {column!r}; it has {known}")
    found = []
    for line in lines:
        values = dict(made.fixed)
        for column, name in mapping.items():
            if not sheets.missing(line.cells[column]):
                plain = name.removesuffix(PERCENT)
                if plain in made.fixed:
                    refuse_set(plain, f"column {column!r} of ")
                values[plain] = _cell(name, line.cells[column], line)
        found.append((line.where, row(values, made, line)))
    return gathered(found)


def refuse_set(name: str, part: str = "") -> NoReturn:
    """What the file says is not to be said otherwise."""
    raise StudyError(f"--set: {name}: stands in {part}the file; leave it out")


def gathered(found: Sequence[tuple[str, dict[str, Any]]]) -> Imported:
    """Rows with the line that each came from, a repeated line once.

    Raises:
        ResultsError: two lines are of one setting and differ in their values: neither
            can be trusted more, and no average of them is what either measured.
    """
    kept: dict[tuple[Any, ...], tuple[str, dict[str, Any]]] = {}
    for where, one in found:
        setting = tuple(one[name] for name in _TELLING)
        first = kept.setdefault(setting, (where, one))
        if one["attempt_id"] != first[1]["attempt_id"]:
            raise ResultsError(
                f"{where}: the same setting as {first[0]} ({one['model']}, "
                f"{one['mode']}) with other values; map the column that tells them "
                "apart, repetition for instance, or delete one"
            )
    rows = [one for _, one in kept.values()]
    return Imported(rows, twice=len(found) - len(rows))


# One row ---------------------------------------------------------------------


def row(values: Mapping[str, Any], made: Origin, line: sheets.Line) -> dict[str, Any]:
    """A full record of what a line says, with the origin and an id of its content."""
    full = dict(values)
    for name in ("model", "mode"):
        if not full.get(name):
            raise ResultsError(
                f"{line.where}: no {name}; --map a column to it, or --set it"
            )
    if full["mode"] not in MODES:
        raise ResultsError(f"{line.where}: {unknown('mode', full['mode'], MODES)}")
    full["model"] = _known(str(full["model"]))
    family = full["model"].partition("-")[0]
    full.setdefault(
        "family", {"Mixer": "mixer", "ViT": "vit", "BiT": "resnet"}.get(family)
    )
    _complete_rates(full)
    _check(full, line.where)
    full |= {"source": made.source, "citation": made.citation, "status": "ok"}
    full |= {"role": "cell", "repetition": full.get("repetition") or 0}
    full |= {"protocol": PROTOCOL, "machine": full.get("machine") or made.source}
    content = [made.citation, full["mode"], dict(made.fixed), dict(line.cells)]
    full["attempt_id"] = f"{made.source}:{short_hash(content)}"
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


def _check(full: Mapping[str, Any], where: str) -> None:
    for name in SHARES:
        if full.get(name) is not None and not 0 <= full[name] <= 1:
            raise ResultsError(
                f"{where}: {name}={full[name]:g}: give a share between 0 and 1, or map "
                f"per cents as in --map 'COLUMN={name}%'"
            )
    for name in _POSITIVE:
        if full.get(name) is not None and not 0 < full[name] < math.inf:
            raise ResultsError(f"{where}: {name}={full[name]:g}: must be above 0")


def _cell(name: str, cell: str, line: sheets.Line) -> Any:
    """A cell as its field takes it; `name` ends with % where the cell is per cent."""
    field = name.removesuffix(PERCENT)
    if field in SHARES and (name.endswith(PERCENT) or cell.endswith(PERCENT)):
        bare = cell.removesuffix(PERCENT).strip()
        return typed(field, bare, line.where, line.commas_group) / 100
    return typed(field, cell, line.where, line.commas_group)


def typed(name: str, text: str, where: str = "--set", commas_group: bool = True) -> Any:
    """A text as the type of a record's column.

    Raises:
        ResultsError: it is none, or its comma can be read in two ways.
    """
    kind = record.SCHEMA.field(name).type
    if pa.types.is_string(kind):
        return text
    value: float | bool | None
    if pa.types.is_boolean(kind):
        value = {"true": True, "false": False}.get(text.lower())
    else:
        value = sheets.number(text, commas_group)
    if pa.types.is_integer(kind) and value is not None:
        value = int(value) if float(value).is_integer() else None
    if value is None:
        comma = "; write a decimal point, and no thousands" if "," in text else ""
        raise ResultsError(f"{where}: {name}={text!r}: does not fit {kind}{comma}")
    return value
