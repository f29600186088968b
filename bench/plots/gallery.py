"""Owner of `plots/`: draws the figures and writes each with its points and caption.

What takes long to import is imported where it is used: `begin` comes before it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import ResultsError, UserError, unknown
from bench.plots import crew

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FIGURES = (
    "relative",
    "pareto",
    "scale",
    "throughput",
    "data_scale",
    "shuffling",
    "resolution",
    "tokens",
    "roofline",
    "batch_sweep",
)
FORMATS = ("png", "svg", "pdf")
MIN_WIDTH_IN = 3.0
"""Narrower, 6 pt labels no longer fit."""
NESTED = ("samples", "fewshot", "printed", "sweep", "curve")
"""The nested columns that some figure reads."""

TELLING = ("token_units", "positions", "stem_units")
"""Figures of a network's weights, the most telling first."""
MAX_WIDTH_IN = 40.0
"""A poster's."""

_SHARED = (
    "bench.plots.panels",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
)
"""What every process that draws imports; what one figure needs alone waits for it."""
_LAYOUT_TABLES = ("GDEF", "GPOS", "GSUB", "MATH", "kern")
_ALWAYS = ("source", "status", "role", "table", "run_id", "framework", "image_size")
_ABOUT = (
    "Rendered from rows alone; made by the commands, not edited. A point without room "
    "for its name has it in the file of points."
)
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
    width_in: float | None = None,
) -> Gallery:
    """Draw the named figures (all by default) into `out_dir`.

    The same rows give the same bytes. Beside each figure stand `<name>.csv`, exactly
    the plotted points, and `<name>.txt`, the caption.
    """
    whole = Gallery()
    for made in drawn(rows, out_dir, names, formats, width_in):
        whole.written += made.written
        whole.skipped |= made.skipped
    return whole


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """What a point may stand for: the papers' networks by our own code, and imports.

    An import is another's figure, whoever's code it timed. Tables show all.
    """
    from bench.analysis import ablations
    from bench.analysis.key import imported

    if "peer" in rows:
        rows = rows[rows["peer"].isna() | imported(rows)]
    return ablations.without(rows)


def drawn(
    rows: pd.DataFrame,
    out_dir: Path | str,
    names: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
    width_in: float | None = None,
    processes: int = 1,
) -> Iterator[Gallery]:
    """As `draw_all`, file by file, each as soon as it and those before are there.

    The files of a figure come in the order of `formats`, its points and its caption
    last. Several processes write the same bytes as one.
    """
    names = list(dict.fromkeys(names or FIGURES))
    check(names, formats, width_in)
    rows, how = shown(rows), (Path(out_dir), tuple(formats), width_in)
    if processes > 1:
        yield from crew.each(_draw_packed, names, (_packed(rows), *how), processes)
        return
    for name in names:
        yield from draw_one(name, rows, *how)


def _packed(rows: pd.DataFrame) -> bytes:
    """Rows for another process: most columns of a record hold one value or none."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(rows)
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


@functools.lru_cache(maxsize=1)  # a process draws several figures of the same rows
def _unpacked(packed: bytes) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    frame: pd.DataFrame = pa.ipc.open_stream(packed).read_pandas(
        types_mapper=pd.ArrowDtype
    )
    return frame


def _draw_packed(
    name: str,
    packed: bytes,
    folder: Path,
    formats: Sequence[str],
    width_in: float | None,
) -> Iterator[Gallery]:
    return draw_one(name, _unpacked(packed), folder, formats, width_in)


def begin(names: Sequence[str] | None = None) -> int:
    """Let other processes get ready to draw; how many `drawn` should use."""
    names = list(dict.fromkeys(names or FIGURES))
    processes = crew.size(len(names))
    if processes > 1:
        crew.call(_SHARED)
    return processes


def check(
    names: Sequence[str], formats: Sequence[str], width_in: float | None = None
) -> None:
    """Refuse an unknown figure or format, and a page too narrow for the text."""
    for name in names:
        if name not in FIGURES:
            raise UserError(unknown("figure", name, FIGURES))
    if not formats:
        raise UserError(f"--format: is empty; give one or more of {', '.join(FORMATS)}")
    for kind in formats:
        if kind not in FORMATS:
            raise UserError(unknown("figure format", kind, FORMATS))
    if width_in is not None and width_in < MIN_WIDTH_IN:
        raise UserError(
            f"a figure {width_in:g} in wide is too narrow for 6 pt text; "
            f"use at least {MIN_WIDTH_IN:g} in"
        )
    if width_in is not None and not width_in <= MAX_WIDTH_IN:  # not a number, too
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


def draw_one(
    name: str,
    rows: pd.DataFrame,
    folder: Path,
    formats: Sequence[str],
    width_in: float | None,
) -> Iterator[Gallery]:
    """One figure, file by file: what was written, or why nothing was."""
    from bench.analysis.key import need
    from bench.plots import remember, style

    module = importlib.import_module(f"bench.plots.{name}")
    need(rows, (*_ALWAYS, *module.NEEDS), f"figure {name}")
    with style.style(), remember.while_rows_stand():
        figure = module.draw(rows, width_in or style.WIDTH_IN)
        points = None if isinstance(figure, str) else module.points(rows)
    if points is None:
        yield Gallery(skipped={name: figure})
        return
    for kind in formats:
        with style.style():
            written = _write(folder / name, figure, [kind])
        yield Gallery(written)
    yield Gallery(_write_beside(folder / name, points, module.caption(points)))


def _write(stem: Path, figure: Figure, formats: Sequence[str]) -> list[Path]:
    written = []
    for kind in formats:
        path = stem.with_suffix(f".{kind}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _fonts_of_glyphs() if kind == "pdf" else nullcontext():
                figure.savefig(path, format=kind, metadata=_NO_STAMP[kind])
        except OSError as error:
            raise _cannot_write(path, error) from error
        written.append(path)
    return written


@contextmanager
def _fonts_of_glyphs() -> Iterator[None]:
    """Fonts go into a PDF without the tables by which text is laid out.

    Its text is laid out already, and reading and cutting these tables down takes
    fontTools most of its time.
    """
    from fontTools import subset

    plainly = subset.load_font

    def load_font(*given: Any, **named: Any) -> Any:
        font = plainly(*given, **named)
        for table in _LAYOUT_TABLES:
            if table in font:
                del font[table]
        return font

    subset.load_font = load_font
    try:
        yield
    finally:
        subset.load_font = plainly


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
    parts = ["# Gallery", _ABOUT]
    for name in FIGURES:
        if name in skipped or not (folder / f"{name}.png").exists():
            continue
        caption = (folder / f"{name}.txt").read_text(encoding="utf-8").strip()
        command = f"mixer-bench plot {shlex.join(rows)} --figure {name}"
        parts += [
            f"## {_title(name)}",
            f"![{name}]({name}.png)",
            caption,
            f"    {command}",
            f"[SVG]({name}.svg) · [PDF]({name}.pdf) · [points]({name}.csv)",
        ]
    return write_text(folder / "README.md", [*parts, *_networks(folder)])


def _networks(folder: Path) -> list[str]:
    """The most telling picture of each network that `mixer-bench weights` drew here."""
    parts = []
    for page in sorted(folder.glob("weights/*/README.md")):
        below = f"weights/{page.parent.name}"
        shown = [name for name in TELLING if (page.parent / f"{name}.png").exists()]
        parts += [f"## Weights of a trained network: {page.parent.name}"]
        parts += [f"![{name}]({below}/{name}.png)" for name in shown[:1]]
        parts += [f"[Every picture, captions, the command]({below}/{page.name})"]
    return parts


def write_text(path: Path, parts: Sequence[str]) -> Path:
    """A page of these paragraphs."""
    try:
        path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def _title(name: str) -> str:
    """What a figure's module says first, without running it: that takes matplotlib."""
    found = importlib.util.find_spec(f"bench.plots.{name}")
    assert found is not None and found.origin is not None
    text = ast.get_docstring(ast.parse(Path(found.origin).read_text(encoding="utf-8")))
    return (text or name).splitlines()[0].rstrip(".")


def _cannot_write(path: Path, error: OSError) -> ResultsError:
    return ResultsError(
        f"cannot write {path}: {error.strerror}; name another folder with --out"
    )
