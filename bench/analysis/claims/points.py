"""Model rows as points with estimates: the only input of the tests of the claims."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd

from bench.analysis import ablations
from bench.analysis.against import best_variants
from bench.analysis.claims.evidence import APART, Estimate, measured, published
from bench.analysis.demo import is_demo
from bench.analysis.join import TRAIN_SETTINGS, model_rows
from bench.analysis.key import imported, key_columns, records
from bench.analysis.rounding import halfwidth

_IMAGES = {"ImageNet": 1.281e6, "ImageNet-21k": 14.2e6, "JFT-300M": 303e6}
"""Sizes of the papers' pre-training sets, whose rows do not state them."""

_SIZE = re.compile(r"-([A-Za-z]+)(?:/(\d+))?$")
PAPER_SIZE = 224


@dataclass(frozen=True)
class Point:
    """A model in one setting: what it is, where it stood, what it reached."""

    model: str
    family: str
    size: str
    """`B/16` of `Mixer-B/16`; empty for a ResNet."""
    letter: str
    image_size: float | None
    params: float | None
    tokens: float | None
    where: str
    tokens_mlp_dim: float | None
    speed_key: tuple[Hashable, ...]
    batch: str
    """The batch size in words where it was fixed, so that its rate is of that one."""
    sittings: frozenset[Hashable]
    """In which the rate was timed; empty for a printed one."""
    plain: bool
    """Whether it is the paper's network: no other D_S, no other pooling."""
    accuracy_key: tuple[Hashable, ...]
    """Without the pre-training set: `dataset` says it."""
    setting: tuple[Hashable, ...]
    """What else must agree before two accuracies are compared: the recipe's length."""
    recipe: tuple[str, ...]
    """All other settings of its training but the size and order of its data."""
    dataset: str
    images: float | None
    shuffle: str
    published: bool
    demo: bool
    tied: bool
    """Whether all channels share the token MLP, as in the paper."""
    rate: Estimate | None
    accuracy: Estimate | None
    runs: Mapping[Hashable, float]
    """Measured top-1 by (subset_seed, seed): what pairs the runs of two points."""
    epochs: float | None
    """As published; null for measured rows, whose `setting` says it."""

    @property
    def name(self) -> str:
        """The model, with its image size where the paper's is not meant."""
        raised = self.image_size not in (None, PAPER_SIZE)
        return f"{self.model}@{self.image_size:.0f}" if raised else self.model


def points_of(rows: pd.DataFrame) -> list[Point]:
    """Every model row as a point; speed is inference, as in the paper."""
    known = rows[rows["source"].isin(["measured", "published"]).astype(bool)]
    kept = admitted(known)
    models = best_variants(model_rows(kept, "infer"))
    seeds = _seeds(kept)
    return [_point(row, seeds) for row in records(models)]


def admitted(rows: pd.DataFrame) -> pd.DataFrame:
    """The papers' networks by our own code; one of them with its token MLPs untied.

    Of imports, which no claim is judged by, whoever's code was timed.
    """
    ours = rows[rows["peer"].isna() | imported(rows)]
    return ablations.without(ours, but=["tied_token_mixing"])


def learned(points: Sequence[Point]) -> list[Point]:
    """Trained models, each by its best recipe: one that fails decides nothing.

    The best is that of the highest accuracy on the most images, pixels in order.
    """
    known = [point for point in points if point.accuracy is not None]
    best = {_trained_there(point): point for point in sorted(known, key=_quality)}
    return [p for p in known if p.recipe == best[_trained_there(p)].recipe]


def _trained_there(point: Point) -> Hashable:
    where = (point.accuracy_key, point.where, point.setting, point.dataset)
    return (*where, point.model, point.epochs)


def _quality(point: Point) -> tuple[bool, bool, float, float]:
    """Sorts a model's recipes, the best last; the paper's own network counts."""
    score = point.accuracy.value if point.accuracy else 0.0
    return (point.tied, point.shuffle == "none", point.images or 0, score)


def _seeds(rows: pd.DataFrame) -> dict[str, Hashable]:
    """Attempt -> (subset_seed, seed) of every run that learned."""
    learned = rows.loc[rows["top1"].notna(), ["attempt_id", "subset_seed", "seed"]]
    return {
        row["attempt_id"]: (row["subset_seed"], row["seed"]) for row in records(learned)
    }


def _point(row: dict[str, Any], seeds: Mapping[str, Hashable]) -> Point:
    found = _SIZE.search(str(row["model"]))
    printed = row["source"] == "published"
    dataset = row["pretrain_dataset"] or ""
    return Point(
        model=str(row["model"]),
        family=str(row["family"]),
        size=found.group(0)[1:] if found else "",
        letter=found.group(1) if found else "",
        image_size=row["image_size"],
        params=row["param_count"],
        tokens=row["tokens"],
        tokens_mlp_dim=row["tokens_mlp_dim"],
        where=_where(row),
        speed_key=(*_key(row, "img_per_sec_core"), *_timed_as(row)),
        batch=_batch(row),
        sittings=frozenset(row["sittings"] or ()),
        plain=row["pool"] != "gap" and row["tokens_mlp_dim"] is None,
        accuracy_key=(*_key(_as_if_in_order(row), "top1"), row["table"]),
        setting=_setting(row),
        recipe=_recipe(row),
        dataset=dataset,
        images=row["unique_images"] or (_IMAGES.get(dataset) if printed else None),
        shuffle=row["shuffle"] or "none",
        published=printed,
        demo=not printed and is_demo(str(row["model"])),
        tied=row["tied_token_mixing"] is not False,
        rate=_rate(row),
        accuracy=_accuracy(row),
        runs=_runs(row, seeds),
        epochs=row["pretrain_epochs"],
    )


def _key(row: dict[str, Any], metric: str) -> tuple[Hashable, ...]:
    columns = key_columns(metric, across=("pretrain_dataset",))
    return (*(row.get(name) for name in columns), row["framework"])


_TIMED_AS = ("environment_id", "device", "num_classes", "batch_rule")


def _timed_as(row: dict[str, Any]) -> tuple[Hashable, ...]:
    """What else measured rates share that are divided, as in the figure relative."""
    if row["source"] == "published":
        return ()
    return (*(row[name] for name in _TIMED_AS), _batch(row))


def _batch(row: dict[str, Any]) -> str:
    if row["batch_rule"] != "fixed" or row["batch_size"] is None:
        return ""
    return f"batch {row['batch_size']:.0f}"


def _as_if_in_order(row: dict[str, Any]) -> dict[str, Any]:
    """The row without the word in its preprocessing that `shuffle` says already."""
    told, kind = row["eval_preprocess"], row["shuffle"]
    return {**row, "eval_preprocess": told and told.removesuffix(f", {kind} shuffled")}


def _setting(row: dict[str, Any]) -> tuple[Hashable, ...]:
    if row["source"] == "published":
        return (row["image_size"],)
    return (row["image_size"], row["total_steps"], row["total_epochs"], row["subset"])


_VARIED = ("data_examples", "data_fraction", "shuffle", "train_device")


def _recipe(row: dict[str, Any]) -> tuple[str, ...]:
    if row["source"] == "published" or row["top1"] is None:
        return ()
    return tuple(str(row[name]) for name in TRAIN_SETTINGS if name not in _VARIED)


def _where(row: dict[str, Any]) -> str:
    words = [str(row["machine"])]
    if row["source"] != "published":
        words += [str(row["framework"]), str(row["dtype"])]
    if row["track"] == "tuned":  # never beside the protocol's in one sentence
        words.append("tuned")
    return ", ".join(words)


def _rate(row: dict[str, Any]) -> Estimate | None:
    value, label = row["img_per_sec_core"], f"rate {_identity(row)}"
    if value is None:
        return None
    if row["source"] == "published":
        return published(value, halfwidth(row, "img_per_sec_core"), label)
    return measured(row["rates"], label, log=True)


def _accuracy(row: dict[str, Any]) -> Estimate | None:
    value, label = row["top1"], f"top1 {_identity(row)}"
    if value is None:
        return None
    if row["source"] == "published":
        return published(value, halfwidth(row, "top1"), label)
    return measured(row["top1_runs"], label, log=False)


def _runs(row: dict[str, Any], seeds: Mapping[str, Hashable]) -> dict[Hashable, float]:
    """Runs that share both seeds count as one, their mean."""
    if row["source"] == "published" or row["top1_runs"] is None:
        return {}
    found: dict[Hashable, list[float]] = {}
    for attempt, top1 in zip(row["train_attempts"], row["top1_runs"], strict=True):
        if attempt in seeds and top1 is not None:
            found.setdefault(seeds[attempt], []).append(top1)
    return {key: sum(runs) / len(runs) for key, runs in found.items()}


def _identity(row: dict[str, Any]) -> str:
    attempts = (row["speed_attempts"], row["train_attempts"])
    return f"{row['model']} {row['image_size']} {row['machine']} {attempts}"


# Choosing --------------------------------------------------------------------

Key = TypeVar("Key", bound=Hashable)


def grouped(
    points: Iterable[Point], by: Callable[[Point], Key]
) -> dict[Key, list[Point]]:
    """Points by what `by` says of them, in order of appearance."""
    groups: dict[Key, list[Point]] = {}
    for point in points:
        groups.setdefault(by(point), []).append(point)
    return groups


def timed(points: Iterable[Point]) -> list[Point]:
    """Distinct throughputs: of a network at an image size the best one.

    A rate with enough processes for an interval stands before a luckier one.
    """
    best: dict[Hashable, Point] = {}
    for point in points:
        network = (point.model, point.image_size, point.tokens_mlp_dim, point.plain)
        key = (point.speed_key, *network)
        if point.rate is None:
            continue
        if key not in best or _standing(point) > _standing(best[key]):
            best[key] = point
    return list(best.values())


def _standing(point: Point) -> tuple[bool, float]:
    enough = point.rate is not None and point.rate.draws is not None
    return enough, _value(point.rate)


def in_one_sitting(number: Estimate, *points: Point) -> Estimate:
    """A number made of these rates; without draws if no sitting holds all of them."""
    if points[0].published or frozenset.intersection(*(p.sittings for p in points)):
        return number
    return replace(number, draws=None, why=APART)


def family(points: Iterable[Point], name: str) -> list[Point]:
    """Those of one family."""
    return [point for point in points if point.family == name]


def of_one_size(
    points: Sequence[Point], first: str, second: str
) -> Iterable[tuple[Point, Point]]:
    """Pairs of two families with the same named size, `B/16` and `B/16`."""
    for one in family(points, first):
        for other in family(points, second):
            if one.size == other.size:
                yield one, other


def _value(estimate: Estimate | None) -> float:
    return float("-inf") if estimate is None else estimate.value
