"""`mixer-bench budget`: what the published runs, or yours, would cost here."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import models, results
from bench.cli import _print
from bench.errors import ResultsError, StudyError, unknown
from bench.units import duration, significant

if TYPE_CHECKING:
    from bench.analysis.budget import Cost, Run

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
    devices: Annotated[float, typer.Option(help="Devices like the measured one.")] = 1,
    budget: Annotated[
        str | None, typer.Option(help="A time, as in 3d: what can be trained in it.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, github, json or csv.")] = "table",
) -> None:
    """Core-days and wall time here of each published run, from measured train rates."""
    from bench.analysis import budget as costing

    if format not in FORMATS:
        raise StudyError(f"--format: {unknown('format', format, FORMATS)}")
    if not 0 < devices < math.inf:
        raise StudyError(f"--devices: {devices:g}: must be a finite number above 0")
    seconds = None if budget is None else costing.seconds_of(budget)
    asked = [_named(costing.asked_run(text)) for text in run or []]
    reading = results.read([*(n for n in rows if n != "published"), "published"])
    for message in reading.set_aside:
        _print.note(f"set aside: {message}")
    frame = results.to_frame(reading.table, samples=True)
    rates = costing.train_rates(frame)
    runs = asked or costing.published_runs(frame)
    found = costing.costs(runs, rates)
    missing = costing.unpriced(runs, rates)
    if not found:
        raise ResultsError(
            f"{', '.join(rows)}: no training rate at {costing.PRETRAIN_PX} px of "
            f"{', '.join(missing[:4])}; measure one: mixer-bench time {missing[0]} "
            "--mode train"
        )
    print(_shown(found, devices, seconds, format))
    if missing:
        _print.note(
            f"not timed here, so not priced: {', '.join(missing)}; "
            f"mixer-bench time {' '.join(missing)} --mode train"
        )


def _named(run: Run) -> Run:
    return dataclasses.replace(run, model=models.canonical_name(run.model))


def _shown(found: list[Cost], devices: float, seconds: float | None, fmt: str) -> str:
    facts = [_facts(one, devices, seconds) for one in found]
    if fmt == "json":
        return _print.as_json(facts)
    if fmt == "csv":
        return _print.data(facts, "csv")
    return _table(found, devices, seconds, fmt)


def _facts(one: Cost, devices: float, seconds: float | None) -> dict[str, Any]:
    from bench.analysis.budget import affordable

    run, rate = one.run, one.rate
    return {
        "machine": rate.machine,
        "framework": rate.framework,
        "dtype": rate.dtype,
        "track": rate.track,
        "core_kind": rate.core_kind,
        "model": run.model,
        "dataset": run.dataset,
        "epochs": run.epochs,
        "images": run.images,
        "train_img_per_sec_core": rate.value,
        "n": rate.n,
        "core_days_extrapolated": one.core_days,
        "core_days_low": one.low,
        "core_days_high": one.high,
        "devices": devices,
        "wall_days": one.wall_days(devices),
        "published_core_days": run.published,
        "published_is_extrapolated": run.extrapolated,
        "tpuv3_cores_estimate": one.tpu_cores,
        "tpuv3_cores_low": one.tpu_low,
        "tpuv3_cores_high": one.tpu_high,
        "affordable_epochs": seconds and affordable(one, seconds, devices),
    }


def _table(found: list[Cost], devices: float, seconds: float | None, fmt: str) -> str:
    from bench.report.markup import Column, Grid, Group, render

    columns = [Column("model", text=True), Column("trained on", text=True)]
    titles = ["epochs", "train img/s/core", "core-days here", "95 % interval"]
    titles += [f"wall time on {devices:g}", "published", "TPUv3 cores per core"]
    titles += [f"epochs in {duration(seconds)}"] if seconds else []
    columns += map(Column, titles)
    groups: dict[str, list[list[str]]] = {}
    for one in found:
        rate = one.rate
        where = f"{rate.machine}, {rate.core_kind}, {rate.framework}, {rate.dtype}"
        heading = f"{where}, {rate.track} track"
        groups.setdefault(heading, []).append(_line(one, devices, seconds))
    notes = [
        "Extrapolated from the rate of a resident batch at 224 px: no data wait, "
        "evaluation or checkpoint, and devices that scale without loss. ‡ the authors "
        "extrapolated it too.",
        "TPUv3 cores per core is an estimate: the rate here over the one behind the "
        "published core-days, whose rounding is in its interval.",
    ]
    made = [Group(heading, lines) for heading, lines in groups.items()]
    return render(Grid(columns, made, notes), fmt)


def _line(one: Cost, devices: float, seconds: float | None) -> list[str]:
    from bench.analysis.budget import affordable

    run, rate = one.run, one.rate
    mark = "‡" if run.extrapolated else ""
    return [
        run.model,
        run.dataset if run.epochs else f"{significant(run.images)} images",
        DASH if run.epochs is None else f"{run.epochs:g}",
        significant(rate.value),
        significant(one.core_days),
        _ends(one.low, one.high, rate.n),
        duration(86_400 * one.wall_days(devices)),
        DASH if run.published is None else significant(run.published) + mark,
        _estimate(one),
        *([significant(affordable(one, seconds, devices))] if seconds else []),
    ]


def _ends(low: float | None, high: float | None, n: int) -> str:
    if low is None or high is None:
        return f"n={n}, none"
    return f"{significant(low)} – {significant(high)} (n={n})"


def _estimate(one: Cost) -> str:
    if one.tpu_cores is None:
        return DASH
    text = f"~{significant(one.tpu_cores, 2)}"
    if one.tpu_low is None or one.tpu_high is None:
        return text
    return f"{text} [{significant(one.tpu_low, 2)}, {significant(one.tpu_high, 2)}]"
