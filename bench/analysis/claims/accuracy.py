"""Claims about accuracy: per throughput, per data, under shuffling."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analysis import seeds
from bench.analysis.claims.evidence import (
    STRANGERS,
    Comparison,
    Estimate,
    combined,
    of_pairs,
)
from bench.analysis.claims.points import (
    Point,
    family,
    grouped,
    in_one_sitting,
    learned,
    of_one_size,
)
from bench.analysis.pareto import on_frontier
from bench.analysis.seeds import MIN_RUNS

COMPETITIVE = 1.0
"""A gap of up to one point at the largest pre-training set counts as competitive."""
UNCHANGED = 1.0
"""A change of accuracy of up to one point counts as none."""
CLOSE = "close to ViT"
SHRINKS = "the gap shrinks"
GAINS = "gains more over all the data"
LASTS = "gains more at the end"
UNMOVED = "unchanged by shuffled patches and pixels"
HURT_LESS = {
    "patch_pixel": "hurt less than ResNet by shuffled patches and pixels",
    "global": "hurt less than ResNet by global shuffling",
}


def _unshuffled(points: Sequence[Point]) -> list[Point]:
    return [point for point in learned(points) if point.shuffle == "none"]


# Throughput at equal accuracy ------------------------------------------------


def equal_accuracy(points: Sequence[Point]) -> Iterator[Comparison]:
    """Mixer's rate over that of ViT, and of ResNet, at Mixer's accuracy."""
    both = [p for p in _unshuffled(points) if p.rate is not None]
    for part in grouped(both, _trained_and_timed_alike).values():
        for name in ("vit", "resnet"):
            line = _front(family(part, name))
            for mixer in family(part, "mixer"):
                yield from _at_its_accuracy(mixer, line)


def _trained_and_timed_alike(point: Point) -> Hashable:
    return (point.accuracy_key, point.speed_key, *_data(point))


def _data(point: Point) -> tuple[Hashable, ...]:
    return (point.dataset, point.images, point.setting)


def _front(points: Sequence[Point]) -> list[Point]:
    """Those that no other beats in both accuracy and rate, fastest first."""
    rates = np.array([_value(point.rate) for point in points])
    scores = np.array([_value(point.accuracy) for point in points])
    kept = on_frontier(rates, scores, "higher", "higher")
    front = [point for point, keep in zip(points, kept, strict=True) if keep]
    return sorted(front, key=lambda point: _value(point.accuracy))


def _at_its_accuracy(mixer: Point, line: list[Point]) -> Iterator[Comparison]:
    """Interpolated inside the line. Below it only a faster and better rival speaks."""
    where = f"{mixer.where}, {mixer.dataset}"
    for low, high in itertools.pairwise(line):
        if _value(low.accuracy) <= _value(mixer.accuracy) < _value(high.accuracy):
            assert mixer.rate and low.rate and high.rate
            assert mixer.accuracy and low.accuracy and high.accuracy
            ratio = combined(
                _interpolated,
                *(mixer.rate, mixer.accuracy),
                *(low.rate, low.accuracy, high.rate, high.accuracy),
            )
            ratio = in_one_sitting(ratio, mixer, low, high)
            text = (
                f"{mixer.name} at its {_percent(mixer.accuracy)} %: {ratio.value:.2f}x "
                f"the rate between {low.model} and {high.model}"
            )
            about = f"rate over {_rival(low)} at equal accuracy"
            part = _faster(low)
            yield Comparison(where, text, ratio, np.log, about, mixer.name, "x", part)
    if line and _beats(line[0], mixer):
        assert mixer.rate and line[0].rate and line[0].accuracy
        ratio = combined(np.divide, mixer.rate, line[0].rate)
        ratio = in_one_sitting(ratio, mixer, line[0])
        better = _difference([line[0]], [mixer], _shared(mixer, line[0]))
        text = (
            f"{mixer.name} at its {_percent(mixer.accuracy)} %: at most "
            f"{ratio.value:.2f}x the rate, as {line[0].model} is faster and reaches "
            f"{_percent(line[0].accuracy)} %"
        )
        worse = Comparison(where, text, ratio, np.log, part=_faster(line[0]))
        yield _where_better(worse, better)


def _rival(point: Point) -> str:
    return "ViT" if point.family == "vit" else "ResNet"


def _faster(point: Point) -> str:
    """The part of the claim that a comparison with this rival is about."""
    return f"faster than {_rival(point)}"


def _where_better(one: Comparison, better: Estimate) -> Comparison:
    """Nothing is said by a draw in which the rival is not better after all."""
    if better.draws is None:
        told = {name: getattr(better, name) for name in ("draws", "n", "needs", "why")}
        return replace(one, number=replace(one.number, **told))
    sure = better.draws > 0
    return replace(one, says=lambda ratio: np.where(sure, one.says(ratio), 0.0))


def _beats(rival: Point, mixer: Point) -> bool:
    faster = _value(rival.rate) > _value(mixer.rate)
    return faster and _value(rival.accuracy) > _value(mixer.accuracy)


def _interpolated(rate: Any, at: Any, r0: Any, a0: Any, r1: Any, a1: Any) -> Any:
    share = np.clip((at - a0) / (a1 - a0), 0, 1)
    return rate / (r0 ** (1 - share) * r1**share)


# Accuracy against data -------------------------------------------------------


def gap(points: Sequence[Point]) -> Iterator[Comparison]:
    """How ViT's lead over the Mixer of its size falls with data, and its last value."""
    for part in grouped(_unshuffled(points), _tested_alike).values():
        most = max((point.images or 0 for point in part), default=0)
        pairs = [p for p in of_one_size(part, "mixer", "vit") if _trained_alike(*p)]
        for same in grouped_pairs(pairs).values():
            yield from _shrinking(same)
            yield from (_competitive(*p) for p in same if p[0].images == most)


def _tested_alike(point: Point) -> Hashable:
    """Published pre-training sets are steps of data; one's own are never mixed."""
    dataset = "" if point.published else point.dataset
    return (point.accuracy_key, point.setting, dataset)


def _trained_alike(one: Point, other: Point) -> bool:
    known = one.images is not None and one.dataset == other.dataset
    return known and (one.images, one.epochs) == (other.images, other.epochs)


Pair = tuple[Point, Point]


def grouped_pairs(pairs: Sequence[Pair]) -> dict[Hashable, list[Pair]]:
    """Pairs of one size, each side trained by one recipe, by rising data."""
    groups: dict[Hashable, list[Pair]] = {}
    for pair in sorted(pairs, key=lambda p: p[0].images or 0):
        key = (pair[0].size, pair[0].recipe, pair[1].recipe)
        groups.setdefault(key, []).append(pair)
    return groups


def _shrinking(pairs: Sequence[Pair]) -> Iterator[Comparison]:
    for before, after in itertools.pairwise(pairs):
        (mixer, vit), (later_mixer, later_vit) = before, after
        shared = _shared(*before, *after)
        old = _difference([vit], [mixer], shared)
        new = _difference([later_vit], [later_mixer], shared)
        change = _difference([vit, later_mixer], [mixer, later_vit], shared)
        text = (
            f"{mixer.size}: ViT's lead goes from {_points(old)} points "
            f"({_set(mixer)}) to {_points(new)} ({_set(later_mixer)})"
            f"{_by_seed(mixer, change)}"
        )
        where = _site(mixer, mixer.size)
        yield Comparison(where, text, change, np.positive, part=SHRINKS)


def _competitive(mixer: Point, vit: Point) -> Comparison:
    lead = _difference([vit], [mixer], _shared(mixer, vit))
    text = (
        f"{mixer.size}: {_points(lead)} points behind ViT on {_set(mixer)}"
        f"{_by_seed(mixer, lead)}"
    )
    where = _site(mixer, mixer.size)
    return Comparison(where, text, lead, lambda gap: COMPETITIVE - gap, part=CLOSE)


def hunger(points: Sequence[Point]) -> Iterator[Comparison]:
    """Mixer's gain from more data less ResNet's: over all of it, and at the end."""
    for part in grouped(_unshuffled(points), _tested_alike).values():
        mixers = _lines(family(part, "mixer"))
        resnets = _lines(family(part, "resnet"))
        for mixer, resnet in itertools.product(mixers, resnets):
            yield from _gains(mixer, resnet)


Line = dict[float, Point]


def _lines(points: Sequence[Point]) -> list[Line]:
    """Each model's points by data size, of one recipe."""
    known = [point for point in points if point.images]
    models = grouped(known, lambda p: (p.model, p.epochs, p.recipe))
    return [{p.images or 0: p for p in line} for line in models.values()]


def _gains(mixer: Line, resnet: Line) -> Iterator[Comparison]:
    sizes = sorted(set(mixer) & set(resnet))
    spans = [(sizes[0], sizes[-1], GAINS)] if len(sizes) > 1 else []
    spans += [(sizes[-2], sizes[-1], LASTS)] if len(sizes) > 2 else []
    for few, many, part in spans:
        (m0, m1), (r0, r1) = ((line[few], line[many]) for line in (mixer, resnet))
        shared = _shared(m0, m1, r0, r1)
        ours = _difference([m1], [m0], shared)
        theirs = _difference([r1], [r0], shared)
        more = _difference([m1, r0], [m0, r1], shared)
        text = (
            f"from {few:,.0f} to {many:,.0f} images {m0.model} gains {_points(ours)} "
            f"points, {r0.model} {_points(theirs)}{_by_seed(m0, more)}"
        )
        yield Comparison(_site(m0), text, more, np.positive, part=part)


# Pairs of runs ---------------------------------------------------------------


def _shared(*points: Point) -> list[Hashable]:
    """Seeds of the runs that all of these have: what they did to each cancels."""
    first, *others = points
    return [key for key in first.runs if all(key in one.runs for one in others)]


def _difference(
    more: Sequence[Point], less: Sequence[Point], shared: Sequence[Hashable]
) -> Estimate:
    """Some accuracies less others, in points: run by run over `shared`, or as printed.

    Where no runs share their seeds it is that of the means, with nothing to judge by.
    """
    sides = [*more, *less]

    def in_points(*values: Any) -> Any:
        return 100 * (sum(values[: len(more)]) - sum(values[len(more) :]))

    known = [one.accuracy for one in sides if one.accuracy]
    if all(one.published for one in sides):
        return combined(in_points, *known)
    if not shared:
        means = in_points(*(one.value for one in known))
        return Estimate(means, None, 0, MIN_RUNS, STRANGERS)
    return of_pairs([in_points(*(p.runs[key] for p in sides)) for key in shared])


def _by_seed(point: Point, number: Estimate) -> str:
    """How many pairs stand behind a difference that was measured."""
    if point.published:
        return ""
    return f", {number.n} pair{'s' * (number.n > 1)} by seed" if number.n else ""


# Shuffled pixels -------------------------------------------------------------


def shuffling(points: Sequence[Point]) -> Iterator[Comparison]:
    """Mixer unchanged by patch and pixel shuffling, and hurt less by a global one."""
    alike = grouped(learned(points), lambda p: (p.accuracy_key, *_data(p)))
    for part in alike.values():
        kinds = [
            {point.shuffle: point for point in line}
            for name in ("mixer", "resnet")
            for line in grouped(family(part, name), _model_and_recipe).values()
        ]
        mixers = [kind for kind in kinds if _family(kind) == "mixer"]
        resnets = [kind for kind in kinds if _family(kind) == "resnet"]
        for mixer in mixers:
            yield from _invariance(mixer)
        for mixer, resnet in itertools.product(mixers, resnets):
            yield from _hurt_less(mixer, resnet)


def _model_and_recipe(point: Point) -> tuple[Hashable, ...]:
    return (point.model, point.recipe)


def _family(kinds: dict[str, Point]) -> str:
    return next(iter(kinds.values())).family


def _invariance(kinds: dict[str, Point]) -> Iterator[Comparison]:
    if not {"none", "patch_pixel"} <= set(kinds):
        return
    plain = kinds["none"]
    moved = seeds.differences(plain.runs, kinds["patch_pixel"].runs)
    if not moved:
        return
    points = [100 * one for one in moved.values()]
    change = of_pairs(points)
    text = (
        f"{plain.model}: median change by seed {seeds.middle(points, 'points')} from "
        f"shuffled patches and pixels; mean {_points(change)} points"
    )
    where = _site(plain)
    yield Comparison(
        where, text, change, lambda moved: UNCHANGED - np.abs(moved), part=UNMOVED
    )


# Both are told as in the caption of the shuffling figure, the median and range over
# seeds; judged is the mean, which Student's interval is of.
def _hurt_less(
    mixer: dict[str, Point], resnet: dict[str, Point]
) -> Iterator[Comparison]:
    for kind, words in (("patch_pixel", "patch and pixel"), ("global", "global")):
        if not {"none", kind} <= set(mixer) & set(resnet):
            continue
        m, r = (
            seeds.relative_drops(line["none"].runs, line[kind].runs)
            for line in (mixer, resnet)
        )
        more = [*seeds.differences(m, r).values()]
        if more:
            told = [
                f"{seeds.middle([*one.values()], '%')} for {line['none'].model}"
                for one, line in ((m, mixer), (r, resnet))
            ]
            number = of_pairs(more)
            text = (
                f"{words} shuffling: median relative drop by seed {told[0]}, {told[1]}"
                f"; mean difference {number.value:.1f} points"
            )
            where, part = _site(mixer["none"]), HURT_LESS[kind]
            yield Comparison(where, text, number, np.positive, part=part)


# Tied token mixing -----------------------------------------------------------


def tying(points: Sequence[Point]) -> Iterator[Comparison]:
    """What a token MLP for each channel gains over the shared one, in points."""
    mixers = family(_unshuffled(points), "mixer")
    alike = grouped(
        mixers, lambda p: (p.accuracy_key, *_data(p), *_model_and_recipe(p))
    )
    for part in alike.values():
        for shared, own in itertools.product(part, part):
            if shared.tied and not own.tied:
                yield _gained_untied(shared, own)


def _gained_untied(shared: Point, own: Point) -> Comparison:
    gain = _difference([own], [shared], _shared(own, shared))
    more = (own.params or 0) / (shared.params or 1)
    size = f" and has {more:.2f}x the parameters" if own.params else ""
    text = f"{own.model} untied gains {_points(gain)} points{size}{_by_seed(own, gain)}"
    return Comparison(_site(shared), text, gain, lambda gained: UNCHANGED - gained)


# Words -----------------------------------------------------------------------


def _site(point: Point, *words: str) -> str:
    """Where it was measured, on which images; published points have one place."""
    if point.published:
        return ", ".join(words)
    side = "" if point.image_size is None else f" at {point.image_size:.0f} px"
    return ", ".join([point.where, f"{point.dataset}{side}", *words])


def _set(point: Point) -> str:
    return point.dataset if point.published else f"{point.images:,.0f} images"


def _points(number: Estimate) -> str:
    return f"{number.value:.2f}"


def _percent(number: Estimate | None) -> str:
    return f"{100 * _value(number):.2f}"


def _value(number: Estimate | None) -> float:
    return float("nan") if number is None else number.value
