"""Fractals: images of iterated function systems. No download, no limit, no photographs.

A class is a system of two to four affine maps; an image is that system with its
coefficients jittered, drawn as the density of the points that all words of a fixed
length send the origin to. Every image depends only on (seed, class, instance), so
any of them can be made alone. Idea: formula-driven pre-training, Kataoka et al., 2020.
"""

from __future__ import annotations

import functools

import numpy as np
from jaxtyping import Float32, Float64, Int64

from bench.data import Classes, Dataset, Picks, Pixels, Split

SEED = 0
CLASSES = 10
TRAIN, VAL, TEST = 50_000, 500, 1_000

JITTER = 0.25
"""Each coefficient of an instance is its class's, times 1 +- up to this."""
NOISE = 0.1
"""Standard deviation of the pixel noise, as a share of full brightness."""

# Words of this length: about two thousand points for any number of maps.
_DEPTH = {2: 11, 3: 7, 4: 6}
# Instance numbers of the splits start here, so that no two splits share an image.
_FIRST_INSTANCE = {"train": 0, "val": 1_000_000, "test": 2_000_000}
# A class whose fractal covers less is a few dots, more is a blob; share of 32 x 32.
_COVER = (0.15, 0.5)
_CHUNK = 256

Maps = Float64[np.ndarray, "images maps 6"]
"""x' = a x + b y + c and y' = d x + e y + f, as (a, b, c, d, e, f)."""
Points = Float32[np.ndarray, "images points"]
Instances = Int64[np.ndarray, "images"]
Angles = Float64[np.ndarray, "maps"]


def build(image_size: int) -> Dataset:
    """Ten classes for pre-training."""
    return of_classes("fractals", image_size, first_class=0)


def of_classes(name: str, image_size: int, *, first_class: int) -> Dataset:
    """The classes from `first_class` on, labelled from 0."""

    def split(part: str, count: int) -> Split:
        labels = np.arange(count) % CLASSES

        def make(picks: Picks) -> Pixels:
            instances = _FIRST_INSTANCE[part] + picks // CLASSES
            return render(first_class + labels[picks], instances, image_size)

        return Split(labels=labels, make=make)

    return Dataset(
        name=name,
        image_size=image_size,
        classes=CLASSES,
        train=split("train", TRAIN),
        val=split("val", VAL),
        test=split("test", TEST),
        eval_preprocess=f"rendered at {image_size} px, grey to RGB",
    )


def render(
    classes: Classes,
    instances: Instances,
    image_size: int,
    *,
    seed: int = SEED,
) -> Pixels:
    """The images of these (class, instance) pairs."""
    images = np.empty((len(classes), image_size, image_size, 3), dtype=np.uint8)
    for one in np.unique(classes):
        places = np.flatnonzero(classes == one)
        for start in range(0, len(places), _CHUNK):
            part = places[start : start + _CHUNK]
            images[part] = _of_class(int(one), instances[part], image_size, seed)
    return images


def _of_class(one: int, instances: Instances, image_size: int, seed: int) -> Pixels:
    system = class_maps(one, seed)
    draws = [_draws(seed, one, int(i), len(system), image_size) for i in instances]
    jitter, noise, mirror = (np.stack(kind) for kind in zip(*draws, strict=True))
    density = _density(*_points(system * (1 + JITTER * jitter)), image_size)
    density[mirror] = density[mirror, :, ::-1]
    grey = np.clip(density + NOISE * noise, 0, 1)
    return np.repeat(np.rint(255 * grey).astype(np.uint8)[..., None], 3, axis=-1)


def _draws(
    seed: int, one: int, instance: int, maps: int, image_size: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Everything random about one image."""
    rng = np.random.default_rng([seed, one, instance])
    jitter = rng.uniform(-1, 1, (maps, 6))
    mirror = bool(rng.integers(2))
    noise = rng.standard_normal((image_size, image_size), dtype=np.float32)
    return jitter, noise, mirror


@functools.cache
def class_maps(one: int, seed: int = SEED) -> Float64[np.ndarray, "maps 6"]:
    """The maps of a class: the first draw whose fractal is neither dust nor a blob."""
    rng = np.random.default_rng([seed, one])
    while True:
        system = _drawn_maps(rng)
        covered = np.mean(_density(*_points(system[None]), 32) > 0)
        if _COVER[0] <= covered <= _COVER[1]:
            return system


def _drawn_maps(rng: np.random.Generator) -> Float64[np.ndarray, "maps 6"]:
    """Contractions: rotate, scale both axes, rotate again, shift."""
    maps = int(rng.integers(2, 5))
    turn, turn_back = rng.uniform(0, 2 * np.pi, (2, maps))
    scale = rng.uniform(0.3, 0.9, (2, maps)) * rng.choice([-1, 1], (2, maps))
    linear = np.einsum("mij,jm,mjk->mik", _rotation(turn), scale, _rotation(turn_back))
    shift = rng.uniform(-1, 1, (maps, 2, 1))
    return np.concatenate([linear, shift], axis=2).reshape(maps, 6)


def _rotation(angle: Angles) -> Float64[np.ndarray, "maps 2 2"]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos, -sin, sin, cos], axis=-1).reshape(-1, 2, 2)


def _points(systems: Maps) -> tuple[Points, Points]:
    """Where all words of the system's depth send the origin."""
    count, maps = systems.shape[:2]
    a, b, c, d, e, f = np.moveaxis(systems.astype(np.float32)[..., None], 2, 0)
    x = y = np.zeros((count, 1), dtype=np.float32)
    for _ in range(_DEPTH[maps]):
        u, v = x[:, None], y[:, None]
        x = (a * u + b * v + c).reshape(count, -1)
        y = (d * u + e * v + f).reshape(count, -1)
    return x, y


def _density(
    x: Points, y: Points, image_size: int
) -> Float32[np.ndarray, "images size size"]:
    """Log point counts on a grid over the points' own bounding box, brightest 1."""
    count = len(x)
    cell = _cells(y, image_size) * image_size + _cells(x, image_size)
    cell += np.arange(count)[:, None] * image_size**2
    counts = np.bincount(cell.reshape(-1), minlength=count * image_size**2)
    density: np.ndarray = np.log1p(
        counts.reshape(count, image_size, image_size), dtype=np.float32
    )
    density /= density.max(axis=(1, 2), keepdims=True)
    return density


def _cells(values: Points, image_size: int) -> Int64[np.ndarray, "images points"]:
    low = values.min(axis=1, keepdims=True)
    width = values.max(axis=1, keepdims=True) - low
    scaled = (values - low) * (np.float32(image_size * (1 - 1e-6)) / width)
    cells: np.ndarray = scaled.astype(np.int64)
    return cells
