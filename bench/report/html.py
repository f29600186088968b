"""One self-contained page of a set of results: `mixer-bench report`.

The page is written by hand rather than by a plotting library: it needs no package, is
a few tens of kilobytes beside its rows, draws ten thousand of them at once, and runs
under a policy that allows its own script and style alone, by their hashes. Nothing is
loaded from anywhere. Rows are data in a script element that is never executed; all
text from results goes through `html.escape` here and `textContent` there.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from bench.analysis.key import need
from bench.errors import ResultsError
from bench.report import packed, sections, troubles
from bench.report.grid import Grid, apart, for_people
from bench.report.markup import html_for_page
from bench.report.parts import heading
from bench.report.tables import by_table, comparison_grids
from bench.report.verdicts import Judged, claims

_ASSETS = Path(__file__).parent / "assets"
_FIGURE = """\
<div class="controls" id="controls"></div>
<div id="legend" role="group" aria-label="Legend: press to hide or show"></div>
<div id="figure"></div>
<p id="said" role="status" aria-live="polite"></p>
<div id="record" tabindex="-1" hidden></div>
"""
_TABLE = """\
<div class="controls" id="filters"></div>
<p id="count" role="status" aria-live="polite"></p>
<div class="scroll" id="rows" tabindex="0" aria-label="Rows"></div>
<div class="controls" id="pages"></div>
"""
_MODES = {"infer": "Inference, accuracy and cost", "train": "Training steps"}
MOST_COMPARED = 300
"""Cells; a comparison table with more lines is no overview."""


def page(
    rows: pd.DataFrame,
    named: Sequence[str],
    own: Sequence[str],
    version: str,
    *,
    judged: Sequence[Judged] = (),
    set_aside: Sequence[str] = (),
) -> str:
    """The whole page as text; the same rows give the same bytes.

    Args:
        rows: record rows, read with `samples=True`.
        named: what the command line named: files, folders or `published`.
        own: the commands that make this page, its tables and its figures.
        version: of mixer-bench.
        judged: the claims of the paper with their evidence; without, no such part.
        set_aside: what the reader left out, and why.
    """
    need(rows, ("cautions", "hardware", "environment"), "the report")
    if rows.empty:
        raise ResultsError(f"{', '.join(named)}: no rows; nothing to report")
    title = f"mixer-bench: {', '.join(named)}"
    parts = {
        "Overview": sections.overview(rows, judged, set_aside),
        "Figure": _FIGURE,
        "Table": _TABLE,
        "Comparison": _comparison(rows),
        **({"Claims": claims(judged)} if judged else {}),
        "Machine and provenance": sections.machines(rows),
        "Forecasts": sections.forecasts(rows),
        "Cautions": troubles.cautions(rows),
        "Failures": troubles.failures(rows),
        "Commands": sections.commands(rows, own),
    }
    body = "".join(_section(name, text) for name, text in parts.items())
    links = "".join(f'<a href="#{_id(n)}">{html.escape(n)}</a>' for n in parts)
    return _document(title, version, links, body, packed.views(rows))


def _document(
    title: str, version: str, links: str, body: str, views: list[dict[str, object]]
) -> str:
    style, script = (
        (_ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; "
        f"style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{html.escape(title)}</h1>
<nav aria-label="Sections">{links}</nav></header>
<main>
<noscript><p>Figure and table need JavaScript, the rest does not.</p></noscript>
{body}</main>
<footer><p>Written by mixer-bench {html.escape(version)}. The file is complete: it loads
nothing. Numbers keep {packed.DIGITS} digits; samples, sweeps and curves are in the
parquet files.</p></footer>
<script type="application/json" id="data">{packed.as_script(views)}</script>
<script>{script}</script>
</body>
</html>
"""


def _comparison(rows: pd.DataFrame) -> str:
    """The tables of `mixer-bench table`, with what each rate means."""
    cells = rows["cell_id"].nunique() + int(rows["cell_id"].isna().sum())
    if cells > MOST_COMPARED:
        return (
            f"<p>{cells:,} cells are too many for one table here; "
            "mixer-bench table prints it, and the figure shows them.</p>\n"
        )
    modes = [_MODES[mode] for mode in by_table(rows)]
    return "".join(
        heading(mode) + _by_group(grid)
        for mode, grid in zip(modes, comparison_grids(rows), strict=True)
    )


def _by_group(grid: Grid) -> str:
    """Every group with the columns that it fills, then what all the numbers are."""
    tables = [_titled(one) for one in apart(for_people(grid))]
    notes = [f'<p class="note">{html.escape(note)}</p>\n' for note in grid.notes]
    return "".join([*tables, *notes])


def _titled(grid: Grid) -> str:
    """One group, its heading above it, so that a wide table does not carry it away."""
    (group,) = grid.groups
    bare = replace(grid, groups=[replace(group, heading="")])
    title = f"<h4>{html.escape(group.heading)}</h4>\n" if group.heading else ""
    return f'{title}<div class="scroll">{html_for_page(bare)}</div>\n'


def _section(name: str, text: str) -> str:
    title = html.escape(name)
    return (
        f'<section id="{_id(name)}" aria-labelledby="{_id(name)}-title">'
        f'<h2 id="{_id(name)}-title">{title}</h2>\n{text}</section>\n'
    )


def _id(name: str) -> str:
    return "section-" + name.lower().replace(" ", "-")


def _hash(text: str) -> str:
    """The hash by which a policy allows one inline script or style."""
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()
