"""`mixer-bench claims`: each claim of the paper, published and measured evidence."""

from __future__ import annotations

import dataclasses
import shlex
import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import models, results
from bench.cli import _print
from bench.errors import StudyError, unknown

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.claims import Answer, Evidence
    from bench.analysis.claims.evidence import Place

FORMATS = ("table", "json", "csv", "github")
JUDGED = ("measured", "published")
"""Sources whose rows are evidence; any other is an import."""
TALLY = ("for", "against", "open")


def command(
    rows: Annotated[
        list[str] | None, typer.Argument(help="Your parquet files or folders.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, json, csv or github.")] = "table",
) -> None:
    """Judge each claim of the paper by the published rows, and by yours if given."""
    from bench.analysis import join
    from bench.analysis.claims import answer

    if format not in FORMATS:
        raise StudyError(f"--format: {unknown('format', format, FORMATS)}")
    named = [name for name in rows or [] if name != "published"]
    reading = results.read([*named, "published"], join.NESTED)
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = with_sizes(results.to_frame(reading.table, samples=True))
    found = answer(frame)
    if named and not (frame["source"] != "published").any():
        _print.note(f"{', '.join(named)}: no rows; the published ones answer alone")
    imported = _imported(frame)
    if imported:
        _print.note(_not_judged(imported))
    print(_shown(found, _frontier(found), imported, format, named))


def with_sizes(frame: pd.DataFrame) -> pd.DataFrame:
    """Parameters and tokens of published rows, by closed form, at the paper's size.

    Only at 224 px: above it the papers widen Mixer's token MLP.
    """
    known = set(models.variants())
    named = frame["model"].map(lambda name: name in known).astype(bool)
    named &= (frame["image_size"] == 224).fillna(False).astype(bool)
    named &= (frame["source"] == "published").astype(bool)
    specs = [models.spec_for(name) for name in frame.loc[named, "model"]]
    frame.loc[named, "param_count"] = [spec.param_count for spec in specs]
    frame.loc[named, "tokens"] = [spec.tokens for spec in specs]
    return frame


def _imported(frame: pd.DataFrame) -> dict[str, int]:
    """Source -> its rows, neither measured nor published, that would else be judged."""
    from bench.analysis.claims.points import admitted

    others = admitted(frame)["source"].dropna()
    others = others[~others.isin(JUDGED)]
    return {str(name): int(n) for name, n in others.value_counts().items()}


def _not_judged(imported: dict[str, int]) -> str:
    rows = _print.counted(sum(imported.values()), "imported row")
    return (
        f"{rows} ({', '.join(imported)}) not judged: only measured and published rows "
        "have the intervals that a verdict needs; mixer-bench table shows imported ones"
    )


def _frontier(found: list[Answer]) -> list[dict[str, Any]]:
    """Who is on each frontier, how surely, and who beats the others by how much."""
    from bench.analysis.key import records

    columns = ["label", "pretrain_dataset", "core_days", "top1", "p_on_frontier"]
    columns += ["dominated_by", "x_ratio", "y_gap"]
    return [
        {"where": where, **row}
        for side in ("published", "measured")
        for one in found
        for where, panel in getattr(one, side).panels
        for row in records(panel.sort_values("core_days")[columns])
    ]


def _shown(
    found: list[Answer],
    frontier: list[dict[str, Any]],
    imported: dict[str, int],
    fmt: str,
    rows: list[str],
) -> str:
    facts = [_facts(one, rows) for one in found]
    if fmt == "json":
        return _print.as_json(
            {"claims": facts, "pareto": frontier, "not_judged": imported}
        )
    if fmt == "csv":
        return _print.data([_flat(one) for one in facts], "csv")
    return _tables(found, frontier, fmt, rows)


def figure_of(one: Answer, rows: list[str]) -> str:
    """The command that shows what a verdict rests on, or would, and what it needs."""
    paper = one.claim.paper_figure
    if paper is not None and not one.measured.findings:
        return f"mixer-bench plot published --figure {paper}"
    if one.shown is None:
        return one.claim.shown[0].asking
    return one.shown.of(shlex.join(rows))


def _facts(one: Answer, rows: list[str]) -> dict[str, Any]:
    claim = one.claim
    return {
        "claim": claim.name,
        "statement": claim.statement,
        "published": _side(one.published),
        "measured": _side(one.measured),
        "figure": figure_of(one, rows),
        "to_test": claim.to_test,
    }


def _side(side: Evidence) -> dict[str, Any]:
    return {
        "verdict": side.verdict,
        **side.tally,
        "summary": side.summary,
        "open_parts": side.open_parts,
        "places": [_place(place) for place in side.places],
        "findings": [dataclasses.asdict(finding) for finding in side.findings],
        "note": side.note,
    }


def _place(place: Place) -> dict[str, Any]:
    from bench.analysis.claims.evidence import tally

    return {
        "where": place.where,
        "verdict": place.verdict,
        **tally(place.findings),
        "open_parts": place.open_parts,
    }


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """One line of text cells: the verdicts, and the findings as sentences."""
    sides = {}
    for side in ("published", "measured"):
        sides[side] = facts[side]["verdict"]
        sides |= {f"{side}_{word}": facts[side][word] for word in TALLY}
        sides[f"{side}_summary"] = facts[side]["summary"]
        sides[f"{side}_evidence"] = _sentences(facts[side])
    names = ("claim", "statement")
    rest = ("figure", "to_test")
    return {
        **{name: facts[name] for name in names},
        **sides,
        **{name: facts[name] for name in rest},
    }


def _sentences(side: dict[str, Any]) -> str:
    """Findings of each place with their intervals and n, then the note."""
    places: dict[str, list[str]] = {}
    for found in side["findings"]:
        said = f"{found['text']}{_interval(found)}"
        places.setdefault(found["where"], []).append(said)
    parts = [f"({where}) {', '.join(said)}" for where, said in places.items()]
    return "; ".join([*parts, *([side["note"]] if side["note"] else [])])


def _interval(finding: dict[str, Any]) -> str:
    if finding["low"] is None:
        return ""
    n = f", n={finding['n']}" if finding["n"] != 1 else ", rounding"
    return f" [{finding['low']:.4g} – {finding['high']:.4g}{n}]"


def _tables(
    found: list[Answer], frontier: list[dict[str, Any]], fmt: str, rows: list[str]
) -> str:
    """One line for each claim, then what each verdict rests on, then the frontier."""
    from bench.report import answers
    from bench.report.frontier import frontier_grid
    from bench.report.markup import Column, Grid, Group

    columns = [Column(title, text=True) for title in ("claim", "published", "yours")]
    lines = [
        [
            one.claim.name,
            *(answers.verdict(side) for side in (one.published, one.measured)),
        ]
        for one in found
    ]
    head = _print.table(Grid(columns, [Group("", lines)]), fmt)
    blocks = [answers.block(one, figure_of(one, rows)) for one in found]
    written = answers.github if fmt == "github" else answers.plain
    width = _print.width(answers.WIDTH)
    body = written(blocks, width)
    title = "Pareto: accuracy against pre-training core-days."
    panels: dict[str, list[dict[str, Any]]] = {}
    for row in frontier:
        panels.setdefault(row["where"], []).append(row)
    table = _print.table(frontier_grid(panels), fmt)
    notes = "\n".join(textwrap.wrap(answers.NOTE, width))
    return "\n\n".join([head, body, notes, title, table])
