"""Owner of `plots/`: draws the figures and writes each with its points and caption."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis import ablations
from bench.analysis.key import need
from bench.errors import ResultsError, UserError, unknown
from bench.plots import remember, style

FIGURES = (
    "pareto",
    "throughput",
    "data_scale",
    "shuffling",
    "resolution",
    "relative",
    "tokens",
    "roofline",
    "batch_sweep",
)
FORMATS = ("png", "svg", "pdf")
MIN_WIDTH_IN = 3.0
"""Narrower, 6 pt labels no longer fit."""
MAX_WIDTH_IN = 40.0
"""A poster's."""

_ALWAYS = ("source", "status", "role", "table", "run_id", "framework", "image_size")
_NO_STAMP: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
}


@dataclass
class Gallery:
    """What was written, and one sentence for each figure that had nothing to show."""

    written: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def draw_all(
    rows: pd.DataFrame,
    out_dir: Path | str,
    names: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
    width_in: float = style.WIDTH_IN,
) -> Gallery:
    """Draw the named figures (all by default) into `out_dir`.

    The same rows give the same bytes. Beside each figure stand `<name>.csv`, exactly
    the plotted points, and `<name>.txt`, the caption.
    """
    check(names or FIGURES, formats, width_in)
    made = Gallery()
    if "peer" in rows:  # a model's point is our own code; tables show the others
        rows = rows[rows["peer"].isna()]
    rows = ablations.without(rows)
    with remember.while_rows_stand():
        for name in names or FIGURES:
            _draw_one(name, rows, Path(out_dir), formats, width_in, made)
    return made


def check(names: Sequence[str], formats: Sequence[str], width_in: float) -> None:
    """Refuse an unknown figure or format, and a page too narrow for the text."""
    for name in names:
        if name not in FIGURES:
            raise UserError(unknown("figure", name, FIGURES))
    if not formats:
        raise UserError(f"--format: is empty; give one or more of {', '.join(FORMATS)}")
    for kind in formats:
        if kind not in FORMATS:
            raise UserError(unknown("figure format", kind, FORMATS))
    if width_in < MIN_WIDTH_IN:
        raise UserError(
            f"a figure {width_in:g} in wide is too narrow for 6 pt text; "
            f"use at least {MIN_WIDTH_IN:g} in"
        )
    if not width_in <= MAX_WIDTH_IN:  # not a number, too
        raise UserError(
            f"--width: {width_in:g} in: give {MIN_WIDTH_IN:g} to {MAX_WIDTH_IN:g} in"
        )


def save(
    stem: Path,
    figure: Figure,
    points: pd.DataFrame,
    caption: str,
    formats: Sequence[str] = FORMATS,
) -> list[Path]:
    """Write one figure with its points and its caption beside it."""
    return [*_write(stem, figure, formats), *_write_beside(stem, points, caption)]


def _draw_one(
    name: str,
    rows: pd.DataFrame,
    folder: Path,
    formats: Sequence[str],
    width_in: float,
    made: Gallery,
) -> None:
    module = importlib.import_module(f"bench.plots.{name}")
    need(rows, (*_ALWAYS, *module.NEEDS), f"figure {name}")
    with style.style():
        figure = module.draw(rows, width_in)
        if isinstance(figure, str):
            made.skipped[name] = figure
            return
        points = module.points(rows)
        caption = module.caption(points)
        made.written += save(folder / name, figure, points, caption, formats)


def _write(stem: Path, figure: Figure, formats: Sequence[str]) -> list[Path]:
    written = []
    for kind in formats:
        path = stem.with_suffix(f".{kind}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(path, format=kind, metadata=_NO_STAMP[kind])
        except OSError as error:
            raise _cannot_write(path, error) from error
        written.append(path)
    return written


def _write_beside(stem: Path, points: pd.DataFrame, caption: str) -> list[Path]:
    csv, text = stem.with_suffix(".csv"), stem.with_suffix(".txt")
    try:
        points.to_csv(csv, index=False, lineterminator="\n")
        text.write_text(caption + "\n", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(stem, error) from error
    return [csv, text]


def write_page(folder: Path, rows: Sequence[str], skipped: Iterable[str] = ()) -> Path:
    """`README.md` in `folder`: every figure there, its caption, its command.

    Args:
        folder: where `draw_all` wrote.
        rows: what the command line named: files, folders, or `published`.
        skipped: figures that these rows do not allow: a file of one is of other rows.
    """
    parts = ["# Gallery", "Rendered from rows alone; made by the commands, not edited."]
    for name in FIGURES:
        if name in skipped or not (folder / f"{name}.png").exists():
            continue
        title = importlib.import_module(f"bench.plots.{name}").__doc__ or name
        caption = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
        command = f"mixer-bench plot {shlex.join(rows)} --figure {name}"
        parts += [
            f"## {title.splitlines()[0].rstrip('.')}",
            f"![{name}]({name}.png)",
            caption,
            f"    {command}",
            f"[SVG]({name}.svg) · [PDF]({name}.pdf) · [points]({name}.csv)",
        ]
    page = folder / "README.md"
    try:
        page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(page, error) from error
    return page


def _cannot_write(path: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"cannot write {path}: {error.strerror}; name another folder with --out"
    )
