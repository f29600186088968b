"""What a training run costs here: core-days and wall time from measured train rates.

Every figure is an extrapolation: the images of the run over the rate at which this
machine trained the same model at the same side on a resident batch, no data pipeline,
evaluation or checkpoint counted. Nothing is said of a model whose training was not
timed at the side that the run trains at.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench.analysis.join import once
from bench.analysis.key import equal, need, plain
from bench.analysis.repetitions import speed_rows
from bench.errors import StudyError, unknown
from bench.recipes import budgets, papers
from bench.units import SECONDS_PER_DAY

IMAGES = {
    "ImageNet": 1.281167e6,
    "ImageNet-21k": 14.197122e6,
    "JFT-300M": 303e6,
    "JFT-3B": 3e9,
}
"""Training images: ILSVRC2012 and ImageNet's fall 2011 release; JFT-300M as the ViT
paper counts it (section 4.1), JFT-3B as the Mixer paper rounds it."""
PRETRAIN_PX = budgets.IMAGE_SIZE
"""Every paper's run was pre-trained at this side; larger sides were fine-tuned."""

_UNITS = {"m": 60.0, "h": 3600.0, "d": SECONDS_PER_DAY, "w": 7 * SECONDS_PER_DAY}


Ends = tuple[float, float | None, float | None]
"""A value, and the ends of its interval; null with fewer than five processes."""


@dataclass(frozen=True)
class Run:
    """A training run to price."""

    model: str
    dataset: str
    images: float
    """Images shown: the set's times the epochs."""
    epochs: float | None = None
    published: float | None = None
    """Core-days on TPUv3, as published."""
    published_halfwidth: float | None = None
    extrapolated: bool = False
    """The published figure was itself extrapolated by its authors."""
    image_size: int = PRETRAIN_PX
    """Side that the run trains at, pixels."""
    note: str = ""
    """What a reader must know of its length; empty as a rule."""


@dataclass(frozen=True)
class Rate:
    """How fast one model trained, on one machine, in one framework."""

    machine: str
    framework: str
    dtype: str
    track: str
    core_kind: str
    cores: float
    model: str
    value: float
    low: float | None
    high: float | None
    n: int
    image_size: int = PRETRAIN_PX
    batch_size: float | None = None
    """Null where the repetitions differ in it."""
    machine_id: str | None = None
    variant: str | None = None
    """On the tuned track: how the step was built."""


@dataclass(frozen=True)
class Unpriced:
    """A run without a rate, and why it has none."""

    run: Run
    why: str


@dataclass(frozen=True)
class Cost:
    """A run at a rate. Ends of an interval are null with fewer than five processes."""

    run: Run
    rate: Rate
    core_days: float
    low: float | None
    high: float | None
    tpu_cores: float | None
    """TPUv3 cores that one core here stands for, by this run: an estimate."""
    tpu_low: float | None
    tpu_high: float | None

    def wall_days(self, devices: float) -> Ends:
        """Days on `devices`, if they scale without loss, and their interval."""
        return self._each(lambda days: days / (self.rate.cores * devices))

    def affordable(self, seconds: float, devices: float) -> Ends:
        """Epochs of the run's data set, or shares of an own run, that a time allows.

        The inverse of `wall_days`: its own wall time buys the run. The interval is
        that of the rate, least first.
        """
        whole = (self.run.epochs or 1.0) * seconds / SECONDS_PER_DAY
        cores = self.rate.cores * devices
        made = self._each(lambda days: whole * cores / days)
        return made[0], made[2], made[1]

    def _each(self, of: Callable[[float], float]) -> Ends:
        """A figure of the core-days and of both ends of their interval."""
        ends = [None if end is None else of(end) for end in (self.low, self.high)]
        return of(self.core_days), ends[0], ends[1]


def core_days(images: float, img_per_sec_core: float) -> float:
    """Core-days that showing `images` takes at a rate per core.

    >>> round(core_days(300 * 1.281167e6, 378), 1)  # Mixer-B/16 on ImageNet, TPUv3
    11.8
    """
    return images / img_per_sec_core / SECONDS_PER_DAY


def implied_rate(run: Run) -> tuple[float, float, float] | None:
    """TPUv3 training images/s/core behind a published cost, and its rounding interval.

    None where none was published; rows that the authors extrapolated count as they do.
    """
    if run.published is None:
        return None
    half = run.published_halfwidth or 0.0
    if half >= run.published:
        return None
    ends = (run.published, run.published + half, run.published - half)
    value, low, high = (run.images / days / SECONDS_PER_DAY for days in ends)
    return value, low, high


def published_runs(rows: pd.DataFrame) -> list[Run]:
    """Each published pre-training run once: its model, data set, epochs and cost.

    A run quoted in two tables keeps the first; rows at a larger side repeat the run
    that they were fine-tuned from.
    """
    need(rows, ("run_id", "pretrain_epochs", "pretrain_dataset"), "a budget")
    known = once(rows[equal(rows, "source", "published")])
    known = known[known["pretrain_dataset"].isin(list(IMAGES)).astype(bool)]
    known = known[known["pretrain_epochs"].notna()]
    found: dict[tuple[str, str, float], Run] = {}
    for row in known.to_dict("records"):
        made = _published({str(k): plain(v) for k, v in row.items()})
        key = (made.model, made.dataset, made.epochs or 0.0)
        if key not in found or found[key].published is None:
            found[key] = made
    return list(found.values())


def _published(row: Mapping[str, Any]) -> Run:
    measured, guessed = row["core_days_measured"], row["core_days_extrapolated"]
    dataset, epochs = str(row["pretrain_dataset"]), float(row["pretrain_epochs"])
    return Run(
        model=str(row["model"]),
        dataset=dataset,
        images=IMAGES[dataset] * epochs,
        epochs=epochs,
        published=guessed if measured is None else measured,
        published_halfwidth=row["core_days_halfwidth"],
        extrapolated=measured is None and guessed is not None,
        image_size=int(row.get("pretrain_image_size") or PRETRAIN_PX),
    )


def recipe_run(recipe: str, model: str, image_size: int = PRETRAIN_PX) -> Run | None:
    """The model trained as long as a paper's recipe; None where that has no length.

    A model that the recipe's table does not list takes its length where all listed
    models share one. Of two lengths it is that of a row's extrapolated core-days.

    Raises:
        StudyError: no paper's recipe has this name.
    """
    known = [name for name in papers.RECIPES if name != "demo"]
    if recipe not in known:
        raise StudyError(f"--recipe: {unknown('paper recipe', recipe, known)}")
    data, epochs, listed = papers.length(recipe, model)
    images = budgets.images_of(recipe, model)
    if images is not None:
        epochs = images / papers.IMAGES[data]
    if epochs is None:
        return None
    dataset = {name.lower(): name for name in IMAGES}[data]
    note = "" if listed else f"not in the table of {recipe}; its length"
    return Run(
        model,
        dataset,
        IMAGES[dataset] * epochs,
        epochs,
        image_size=image_size,
        note=note,
    )


def with_published(run: Run, published: Sequence[Run]) -> Run:
    """The run with the cost that was published of as many images at this side."""
    for one in published:
        if (one.model, one.images, one.image_size) == (
            run.model,
            run.images,
            run.image_size,
        ):
            return replace(one, note=run.note)
    return run


def asked_run(text: str, image_size: int = PRETRAIN_PX) -> Run:
    """A run as a person types it: `MODEL:DATASET:EPOCHS`, or `MODEL:IMAGES` in all.

    Raises:
        StudyError: it is neither.
    """
    model, _, rest = text.partition(":")
    dataset, _, epochs = rest.rpartition(":")
    sizes = {name.lower(): name for name in IMAGES}
    if dataset:
        name = sizes.get(dataset.lower())
        passes = _positive(epochs)
        if name is None or passes is None:
            raise StudyError(
                f"--run: {text!r}: give MODEL:DATASET:EPOCHS with one of "
                f"{', '.join(IMAGES)}, as in Mixer-B/16:ImageNet:300"
            )
        total = IMAGES[name] * passes
        return Run(model, name, total, passes, image_size=image_size)
    images = _positive(rest)
    if images is None:
        raise StudyError(
            f"--run: {text!r}: give MODEL:DATASET:EPOCHS, or MODEL:IMAGES as in "
            "Mixer-B/16:5e7"
        )
    return Run(model, "own", images, image_size=image_size)


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def train_rates(rows: pd.DataFrame) -> list[Rate]:
    """The fastest training rate of each model and side, by machine, framework, ...

    A tuned rate is of the best of its variants, which it names.
    """
    kept = (
        equal(rows, "status", "ok")
        & equal(rows, "source", "measured")
        & equal(rows, "mode", "train")
        & ~equal(rows, "role", "anchor")
        & rows["peer"].isna()
    )
    best: dict[tuple[Any, ...], Rate] = {}
    for row in speed_rows(rows[kept]).to_dict("records"):
        made = _rate({str(k): plain(v) for k, v in row.items()})
        whose = made.machine, made.machine_id
        where = (*whose, made.framework, made.dtype, made.track)
        key = (*where, made.model, made.image_size)
        if key not in best or made.value > best[key].value:
            best[key] = made
    return list(best.values())


def _rate(row: Mapping[str, Any]) -> Rate:
    words = ("machine", "framework", "dtype", "track", "core_kind", "model")
    return Rate(
        **{name: str(row[name]) for name in words},
        cores=float(row["cores"]),
        value=float(row["img_per_sec_core"]),
        low=row["low"],
        high=row["high"],
        n=int(row["n"]),
        image_size=int(row["image_size"]),
        batch_size=row["batch_size"],
        machine_id=row["machine_id"],
        variant=row["variant"] if row["track"] == "tuned" else None,
    )


def costs(runs: Sequence[Run], rates: Sequence[Rate]) -> list[Cost]:
    """Every run at every rate of its model at its side."""
    pairs = ((run, rate) for rate in rates for run in runs)
    return [cost(run, rate) for run, rate in pairs if _fits(run, rate)]


def _fits(run: Run, rate: Rate) -> bool:
    return run.model == rate.model and run.image_size == rate.image_size


def cost(run: Run, rate: Rate) -> Cost:
    """One run at one rate, with the interval of the rate."""
    low = None if rate.high is None else core_days(run.images, rate.high)
    high = None if rate.low is None else core_days(run.images, rate.low)
    implied = implied_rate(run)
    ratio = None if implied is None else rate.value / implied[0]
    ends: tuple[float | None, float | None] = (None, None)
    if implied is not None and rate.low is not None and rate.high is not None:
        ends = (rate.low / implied[2], rate.high / implied[1])
    days = core_days(run.images, rate.value)
    return Cost(run, rate, days, low, high, ratio, *ends)


def unpriced(runs: Sequence[Run], rates: Sequence[Rate]) -> list[Unpriced]:
    """The runs that no rate fits, each with the reason."""
    return [
        Unpriced(run, _why(run, rates))
        for run in runs
        if not any(_fits(run, rate) for rate in rates)
    ]


def _why(run: Run, rates: Sequence[Rate]) -> str:
    sides = sorted({rate.image_size for rate in rates if rate.model == run.model})
    if not sides:
        return "training not timed here"
    timed = ", ".join(map(str, sides))
    return f"timed at {timed} px; the run trains at {run.image_size}"


def seconds_of(text: str) -> float:
    """A duration as a person types it, in seconds.

    >>> seconds_of("3d"), seconds_of("90m")
    (259200.0, 5400.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([mhdw])", text.strip().lower())
    if found is None or float(found[1]) == 0:
        raise StudyError(f"--budget: {text!r}: give a duration, as in 90m, 12h or 3d")
    return float(found[1]) * _UNITS[found[2]]
