"""Claims about throughput: at equal size, at higher resolution, against tokens."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from bench.analysis.claims.evidence import Comparison, combined
from bench.analysis.claims.points import (
    Point,
    family,
    grouped,
    in_one_sitting,
    of_one_size,
    timed,
)
from bench.units import significant

LINEAR = 1.1
"""A cost that grows as tokens to this power still counts as linear."""
PROPORTIONAL = 1.25
"""A slowdown of up to this times the factor of patches counts as proportional."""

NAMESAKE = "faster than the ViT of its name"
EQUAL_PARAMETERS = "faster than ViT at equal parameters"


def equal_size(points: Sequence[Point]) -> Iterator[Comparison]:
    """Mixer over ViT: of the same named size, and at equal parameters."""
    plain = [point for point in timed(points) if point.plain]
    sizes = grouped(plain, lambda p: (p.speed_key, p.image_size))
    for part in sizes.values():
        for mixer, vit in of_one_size(part, "mixer", "vit"):
            yield _same_name(mixer, vit)
        for mixer in family(part, "mixer"):
            yield from _same_parameters(mixer, family(part, "vit"))


def _same_name(mixer: Point, vit: Point) -> Comparison:
    assert mixer.rate is not None and vit.rate is not None
    ratio = in_one_sitting(combined(np.divide, mixer.rate, vit.rate), mixer, vit)
    ours, theirs = significant(mixer.rate.value), significant(vit.rate.value)
    text = (
        f"{mixer.name} {ours}, {vit.name} {theirs} img/s/core: {ratio.value:.2f}x"
        f"{_at(mixer)}"
    )
    return Comparison(
        mixer.where,
        text,
        ratio,
        np.log,
        "rate over the ViT of its name",
        f"{mixer.name}{_at(mixer)}",
        "x",
        NAMESAKE,
    )


def _same_parameters(mixer: Point, vits: Sequence[Point]) -> Iterator[Comparison]:
    """Against ViT's throughput interpolated at Mixer's parameters, never beyond."""
    line = sorted((v for v in vits if _on_line(mixer, v)), key=lambda v: v.params or 0)
    for small, large in itertools.pairwise(line):
        assert small.params and large.params
        if mixer.params and small.params <= mixer.params < large.params:
            assert mixer.rate and small.rate and large.rate
            share = math.log(mixer.params / small.params)
            share /= math.log(large.params / small.params)
            ratio = combined(
                lambda m, a, b, w=share: m / (a ** (1 - w) * b**w),
                *(mixer.rate, small.rate, large.rate),
            )
            ratio = in_one_sitting(ratio, mixer, small, large)
            text = (
                f"{mixer.name} at its {mixer.params / 1e6:.0f} M parameters: "
                f"{ratio.value:.2f}x ViT between {small.size} and {large.size}"
                f"{_at(mixer)}"
            )
            about = "rate over ViT at equal parameters"
            yield Comparison(
                mixer.where,
                text,
                ratio,
                np.log,
                about,
                f"{mixer.name}{_at(mixer)}",
                "x",
                EQUAL_PARAMETERS,
            )


def _at(point: Point) -> str:
    """The batch that it was timed at, where that was fixed."""
    return f", {point.batch}" if point.batch else ""


def _on_line(mixer: Point, vit: Point) -> bool:
    """The same patch: a curve over parameters alone."""
    return (
        vit.params is not None
        and vit.size.split("/")[1:] == (mixer.size.split("/")[1:])
    )


def resolution(points: Sequence[Point]) -> Iterator[Comparison]:
    """Mixer's slowdown from one image size to the next over the factor of patches."""
    mixers = family(timed(points), "mixer")
    for line in grouped(mixers, lambda p: (p.speed_key, p.model, _growth(p))).values():
        line = sorted(line, key=lambda p: p.image_size or 0)
        for small, large in itertools.pairwise(line):
            yield _slowdown(small, large)


def _growth(point: Point) -> float | None:
    """D_S for each patch where it was given: that of a network widened at each size."""
    if point.tokens_mlp_dim is None or not point.tokens:
        return None
    return point.tokens_mlp_dim / point.tokens


def _slowdown(small: Point, large: Point) -> Comparison:
    assert small.rate and large.rate and small.image_size and large.image_size
    patches = (large.image_size / small.image_size) ** 2
    slower = combined(np.divide, small.rate, large.rate)
    slower = in_one_sitting(slower, small, large)
    widths = "" if small.published else ", D_S kept" if small.plain else ", D_S widened"
    step = f"from {small.image_size:.0f} to {large.image_size:.0f} px{widths}"
    text = (
        f"{small.model} {step}: {slower.value:.2f}x slower for {patches:.3g}x the "
        f"patches{_at(small)}"
    )
    return Comparison(
        small.where,
        text,
        slower,
        lambda s: math.log(PROPORTIONAL * patches) - np.log(s),
        "slower",
        f"{small.model} {step}, {patches:.3g}x the patches{_at(small)}",
        "x",
    )


def linear_cost(points: Sequence[Point]) -> Iterator[Comparison]:
    """The power of tokens that Mixer's time grows with, at a fixed token MLP."""
    mixers = [p for p in family(timed(points), "mixer") if p.tokens]
    lines = grouped(mixers, lambda p: (p.speed_key, p.letter, p.tokens_mlp_dim))
    for line in lines.values():
        line = sorted(line, key=lambda p: p.tokens or 0)
        for few, many in itertools.pairwise(line):
            if few.tokens != many.tokens:
                yield _power(few, many)


def _power(few: Point, many: Point) -> Comparison:
    assert few.rate and many.rate and few.tokens and many.tokens
    span = math.log(many.tokens / few.tokens)
    power = combined(lambda a, b: np.log(a / b) / span, few.rate, many.rate)
    power = in_one_sitting(power, few, many)
    slower = few.rate.value / many.rate.value
    text = (
        f"{few.name} to {many.name}: {slower:.2f}x the time for "
        f"{many.tokens / few.tokens:.3g}x the tokens, power {power.value:.2f}{_at(few)}"
    )
    return Comparison(
        few.where,
        text,
        power,
        lambda p: LINEAR - p,
        "power of tokens that its time grows with",
        f"{few.name} to {many.name}{_at(few)}",
    )
