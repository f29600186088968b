"""`mixer-bench budget`: what the published runs, or yours, would cost here."""

from __future__ import annotations

import dataclasses
import math
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import models, results
from bench.cli import _print
from bench.errors import StudyError, UserError, unknown
from bench.units import SECONDS_PER_DAY, duration, significant, within

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.budget import Cost, Ends, Rate, Run, Unpriced

FORMATS = ("table", "github", "json", "csv")
DASH = "—"


def command(
    rows: Annotated[
        list[str], typer.Argument(help="Rows of mixer-bench time --mode train.")
    ],
    run: Annotated[
        list[str] | None,
        typer.Option(help="Price this instead: Mixer-B/16:ImageNet:300; repeatable."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Price this paper recipe for every model timed: vit-jft."),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of --run and --recipe; default 224.")
    ] = None,
    devices: Annotated[float, typer.Option(help="Devices like the measured one.")] = 1,
    budget: Annotated[
        str | None, typer.Option(help="A time, as in 3d: what can be trained in it.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, github, json or csv.")] = "table",
) -> int:
    """Core-days and wall time here of each published run; exit 1 if none is priced."""
    from bench.analysis import budget as costing

    if format not in FORMATS:
        raise StudyError(f"--format: {unknown('format', format, FORMATS)}")
    if not 0 < devices < math.inf:
        raise StudyError(f"--devices: {devices:g}: must be a finite number above 0")
    side = _side(image_size, bool(run or recipe))
    seconds = None if budget is None else costing.seconds_of(budget)
    asked = [_named(costing.asked_run(text, side)) for text in run or []]
    if recipe is not None:
        costing.recipe_run(recipe, "")  # an unknown name is refused before any reading
    frame = _read(rows)
    rates = costing.train_rates(frame)
    published = costing.published_runs(frame)
    missing: list[Unpriced] = []
    asked = [costing.with_published(run, published) for run in asked]
    if recipe is not None:
        made, missing = _of_recipe(recipe, rates, published, side)
        asked += made
    runs = asked if run or recipe else published
    found = costing.costs(runs, rates)
    missing = [*map(_known, costing.unpriced(runs, rates)), *missing]
    print(_shown(found, missing, devices, seconds, format))
    if format in ("json", "csv"):
        for line in _measure(missing):
            _print.note(f"to measure what is missing: {line}")
    return 0 if found else 1


def _side(image_size: int | None, asked: bool) -> int:
    from bench.analysis.budget import PRETRAIN_PX

    if image_size is None:
        return PRETRAIN_PX
    if not asked:
        raise StudyError(
            f"--image-size: {image_size}: is the side of --run or --recipe; the "
            f"published runs trained at {PRETRAIN_PX}"
        )
    if image_size <= 0:
        raise StudyError(f"--image-size: {image_size}: must be above 0")
    return image_size


def _read(rows: list[str]) -> pd.DataFrame:
    reading = results.read([*(n for n in rows if n != "published"), "published"])
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    if not (frame["source"] != "published").any() and set(rows) - {"published"}:
        _print.note(f"{', '.join(rows)}: no rows; the published runs stand alone")
    return frame


def _named(run: Run) -> Run:
    return dataclasses.replace(run, model=models.canonical_name(run.model))


def _of_recipe(
    recipe: str, rates: list[Rate], published: list[Run], side: int
) -> tuple[list[Run], list[Unpriced]]:
    """The recipe for each model timed, or listed in its table where none was."""
    from bench.analysis import budget as costing
    from bench.recipes import papers

    timed = list(dict.fromkeys(rate.model for rate in rates))
    made, missing = [], []
    for model in timed or _variants(papers.listed(recipe)):
        run = costing.recipe_run(recipe, model, side)
        if run is None:
            why = f"not in the table of {recipe}, whose models differ in length"
            empty = costing.Run(model, "own", math.nan, image_size=side)
            missing.append(costing.Unpriced(empty, why))
        else:
            made.append(costing.with_published(run, published))
    return made, missing


def _variants(listed: list[str]) -> list[str]:
    """`Mixer-B` of a table stands for every patch size of it."""
    return [
        name
        for name in models.variants()
        if name in listed or name.partition("/")[0] in listed
    ]


def _known(one: Unpriced) -> Unpriced:
    """A model that is not built here, or not at this side, cannot be timed either."""
    why = _unbuildable(one.run)
    return one if why is None else dataclasses.replace(one, why=why)


def _unbuildable(run: Run) -> str | None:
    if run.model not in models.variants():
        return "no model of this name here"
    try:
        models.spec_for(run.model, image_size=run.image_size)
    except UserError as error:
        return str(error)
    return None


def _measure(missing: list[Unpriced]) -> list[str]:
    """The commands that would measure the rates that are missing."""
    sides: dict[int, dict[str, None]] = {}
    for one in missing:
        if _unbuildable(one.run) is None and not math.isnan(one.run.images):
            sides.setdefault(one.run.image_size, {})[one.run.model] = None
    return [
        f"mixer-bench time {shlex.join(names)} --mode train --image-size {side}"
        for side, names in sides.items()
    ]


def _shown(
    found: list[Cost],
    missing: list[Unpriced],
    devices: float,
    seconds: float | None,
    fmt: str,
) -> str:
    facts = [_facts(one, devices, seconds) for one in found]
    facts += [_facts_without(one, devices) for one in missing]
    if fmt == "json":
        return _print.as_json(facts)
    if fmt == "csv":
        return _print.data(facts, "csv")
    return _table(found, missing, devices, seconds, fmt)


def _facts(one: Cost, devices: float, seconds: float | None) -> dict[str, Any]:
    run, rate = one.run, one.rate
    wall, wall_low, wall_high = one.wall_days(devices)
    bought: Ends = (math.nan, None, None)
    if seconds is not None:
        bought = one.affordable(seconds, devices)
    return {
        "machine": rate.machine,
        "machine_id": rate.machine_id,
        "framework": rate.framework,
        "dtype": rate.dtype,
        "track": rate.track,
        "core_kind": rate.core_kind,
        **_run_facts(run),
        "train_img_per_sec_core": rate.value,
        "rate_image_size": rate.image_size,
        "rate_batch_size": rate.batch_size,
        "rate_variant": rate.variant,
        "n": rate.n,
        "core_days_extrapolated": one.core_days,
        "core_days_low": one.low,
        "core_days_high": one.high,
        "devices": devices,
        "wall_days": wall,
        "wall_days_low": wall_low,
        "wall_days_high": wall_high,
        "tpuv3_cores_estimate": one.tpu_cores,
        "tpuv3_cores_low": one.tpu_low,
        "tpuv3_cores_high": one.tpu_high,
        **_bought_facts(run, bought),
        "why_none": None,
    }


def _bought_facts(run: Run, bought: Ends) -> dict[str, Any]:
    """Of `--budget`: epochs of a data set, and shares of the run."""
    names = [f"affordable_{{}}{end}" for end in ("", "_low", "_high")]
    facts: dict[str, Any] = {}
    for name, value in zip(names, bought, strict=True):
        known = None if value is None or math.isnan(value) else value
        facts[name.format("epochs")] = known if run.epochs else None
        facts[name.format("share")] = known and known / (run.epochs or 1.0)
    return facts


def _run_facts(run: Run) -> dict[str, Any]:
    return {
        "model": run.model,
        "dataset": run.dataset,
        "epochs": run.epochs,
        "images": None if math.isnan(run.images) else run.images,
        "image_size": run.image_size,
        "note": run.note or None,
        "published_core_days": run.published,
        "published_is_extrapolated": run.extrapolated,
    }


def _facts_without(one: Unpriced, devices: float) -> dict[str, Any]:
    """The published side of a run, and why there is nothing beside it."""
    return {**_run_facts(one.run), "devices": devices, "why_none": one.why}


def _table(
    found: list[Cost],
    missing: list[Unpriced],
    devices: float,
    seconds: float | None,
    fmt: str,
) -> str:
    from bench.report.markup import Column, Grid, Group

    columns = [Column("model", text=True), Column("trained on", text=True)]
    titles = ["epochs", "px", "train img/s/core", "core-days here", "interval"]
    titles += [f"wall time on {devices:g}", "published", "TPUv3 cores per core"]
    titles += [f"in {duration(seconds)}"] if seconds else []
    columns += [*map(Column, titles), Column("rate used, or why none", text=True)]
    groups: dict[str, list[list[str]]] = {}
    for one in found:
        rate = one.rate
        cores = f"{rate.cores:g} {rate.core_kind}"
        where = f"{rate.machine}, {cores}, {rate.framework}, {rate.dtype}"
        heading = f"{where}, {rate.track} track"
        groups.setdefault(heading, []).append(_line(one, devices, seconds))
    for lack in missing:
        blank = [DASH] * (5 if seconds else 4)
        blank.insert(3, _published(lack.run))
        line = [*_start(lack.run), DASH, *blank, lack.why]
        groups.setdefault("not priced: the published side alone", []).append(line)
    made = [Group(heading, lines) for heading, lines in groups.items()]
    return _print.table(Grid(columns, made, _notes(found, missing)), fmt)


def _notes(found: list[Cost], missing: list[Unpriced]) -> list[str]:
    from bench.report.citation import interval_words

    notes = [
        "Extrapolated from the rate of a resident batch at the side that the run "
        "trains at: no data wait, evaluation or checkpoint, and devices that scale "
        "without loss. Of several rates of a model the fastest. ‡ the authors "
        "extrapolated it too.",
        "TPUv3 cores per core is an estimate: the rate here over the one behind the "
        "published core-days, whose rounding is in its interval.",
    ]
    counts = {one.rate.n for one in found if one.low is not None}
    if counts:
        notes.append(f"Intervals come of the rate's: {interval_words(counts)}.")
    return notes + [f"To measure what is missing: {line}" for line in _measure(missing)]


def _start(run: Run) -> list[str]:
    """What is trained: model, images, epochs, side."""
    own = DASH if math.isnan(run.images) else f"{significant(run.images)} images"
    return [
        run.model,
        run.dataset if run.epochs else own,
        DASH if run.epochs is None else f"{run.epochs:g}",
        str(run.image_size),
    ]


def _published(run: Run) -> str:
    mark = "‡" if run.extrapolated else ""
    # As it is printed: a rounded 10 is no 10.0.
    return DASH if run.published is None else f"{run.published:,g}{mark}"


def _line(one: Cost, devices: float, seconds: float | None) -> list[str]:
    run, rate = one.run, one.rate
    return [
        *_start(run),
        significant(rate.value),
        _to(one.core_days, one.low, one.high),
        _ends(one.low, one.high, rate.n),
        duration(SECONDS_PER_DAY * one.wall_days(devices)[0]),
        _published(run),
        _estimate(one),
        *([_bought(one, seconds, devices)] if seconds else []),
        _rate_used(one),
    ]


def _bought(one: Cost, seconds: float, devices: float) -> str:
    value, low, high = one.affordable(seconds, devices)
    text = _to(value, low, high)
    if low is not None and high is not None:
        text += f" [{_to(low, low, high)}, {_to(high, low, high)}]"
    return f"{text} epochs" if one.run.epochs else f"{text} of the run"


def _rate_used(one: Cost) -> str:
    rate, note = one.rate, one.run.note
    batch = "" if rate.batch_size is None else f", batch {rate.batch_size:g}"
    variant = "" if rate.variant is None else f", {rate.variant}"
    return f"{rate.image_size} px{batch}{variant}" + (f"; {note}" if note else "")


def _ends(low: float | None, high: float | None, n: int) -> str:
    if low is None or high is None:
        return f"n={n}, none"
    return f"{_to(low, low, high)} – {_to(high, low, high)} (n={n})"


def _to(value: float, low: float | None, high: float | None) -> str:
    """With the digits that its interval leaves standing; three without one."""
    if low is None or high is None:
        return significant(value)
    return within(value, (high - low) / 2)


def _estimate(one: Cost) -> str:
    if one.tpu_cores is None:
        return DASH
    text = f"~{significant(one.tpu_cores, 2)}"
    if one.tpu_low is None or one.tpu_high is None:
        return text
    return f"{text} [{significant(one.tpu_low, 2)}, {significant(one.tpu_high, 2)}]"
