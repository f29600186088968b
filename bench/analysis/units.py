"""Hidden units as pictures, and a number for how structured they are.

A unit is the square map of its incoming weights: of a token-mixing network one weight
for each patch, of a stem one for each pixel. Tolstikhin et al. (2021), figures 5 to 7,
draw them in pairs of opposite phase, low frequencies first, and say that deeper layers
lose structure. The paper does not give its heuristic; the one here is written out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

Maps = Float64[np.ndarray, "units side side *channels"]
Grey = Float64[np.ndarray, "units side side"]
Power = Float64[np.ndarray, "units bins"]
PerUnit = Float64[np.ndarray, "units"]
Embeddings = Float64[np.ndarray, "tokens width"]
Order = Int64[np.ndarray, "places"]
Cells = Int64[np.ndarray, "cells"]
Cycles = Float64[np.ndarray, "bins"]

NOISE_UNITS = 256
"""So many random units stand for a layer that was never trained."""


@dataclass(frozen=True)
class Arrangement:
    """Units in the order in which they are drawn: pairs, low frequencies first."""

    order: Order
    """The unit at each place; places 2 n and 2 n + 1 are a pair."""
    similarity: PerUnit
    """Cosine of each place's unit with its partner's: -1 is the exact opposite."""


def maps_of(kernel: np.ndarray) -> Maps | None:
    """A (tokens, units) kernel as square maps; None where tokens are no square."""
    tokens, count = kernel.shape
    side = math.isqrt(tokens)
    if side * side != tokens:
        return None
    return kernel.T.reshape(count, side, side).astype(np.float64)


def stem_maps(kernel: np.ndarray) -> Maps:
    """A (side, side, channels, units) convolution as one picture for each unit."""
    return np.moveaxis(kernel, -1, 0).astype(np.float64)


def spectrum(maps: Maps) -> Power:
    """Share of each unit's energy at each frequency; a sine's two halves are one bin.

    Colours are added up. A unit of zeros has its share nowhere: all zero.
    """
    units, side = maps.shape[:2]
    power = np.abs(np.fft.fft2(maps, axes=(1, 2))) ** 2
    power = power.reshape(units, side * side, -1).sum(axis=2)
    bins, _ = _bins(side)
    folded = np.zeros((units, bins.max() + 1))
    np.add.at(folded.T, bins, power.T)
    total = folded.sum(axis=1, keepdims=True)
    share: Power = np.divide(folded, total, out=np.zeros_like(folded), where=total > 0)
    return share


def _bins(side: int) -> tuple[Cells, Cycles]:
    """Which bin each cell of the transform falls into, and the frequency of each bin.

    Frequencies f and -f of a real map carry the same energy, so they share a bin.
    """
    rows, columns = np.divmod(np.arange(side * side), side)
    mirror = (-rows % side) * side + (-columns % side)
    first = np.minimum(np.arange(side * side), mirror)
    kept, bins = np.unique(first, return_inverse=True)
    signed = np.fft.fftfreq(side, 1 / side)
    cycles = np.hypot(signed[kept // side], signed[kept % side])
    return bins, cycles


def mean_frequency(maps: Maps) -> PerUnit:
    """Mean frequency of each unit by energy, in cycles over its side."""
    _, cycles = _bins(maps.shape[1])
    mean: PerUnit = spectrum(maps) @ cycles
    return mean


def entropy(maps: Maps) -> PerUnit:
    """Spectral entropy: 0 is a single frequency, 1 is the same energy at each."""
    share = spectrum(maps)
    log = np.log(share, out=np.zeros_like(share), where=share > 0)
    found: PerUnit = -(share * log).sum(axis=1) / np.log(share.shape[1])
    return found


def spread(maps: Maps) -> PerUnit:
    """How far a unit's energy lies from its centre: 1 is as far as if it were even."""
    side = maps.shape[1]
    energy = (maps**2).reshape(len(maps), side, side, -1).sum(axis=3)
    total = energy.sum(axis=(1, 2))
    safe = np.where(total > 0, total, 1.0)
    place = np.arange(side)
    variance = np.zeros(len(maps))
    for marginal in (energy.sum(axis=2), energy.sum(axis=1)):
        centre = marginal @ place / safe
        variance += marginal @ place**2 / safe - centre**2
    even = 2 * (side**2 - 1) / 12  # variance of an even spread, both axes
    found: PerUnit = np.sqrt(np.maximum(variance, 0) / even)
    return found


def arranged(maps: Maps) -> Arrangement:
    """Pairs of opposite phase, low frequencies first.

    The unit of lowest mean frequency that is left is followed by the unit left that is
    closest to its negative, by the cosine. An odd one is last and its own partner.
    """
    flat = maps.reshape(len(maps), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = np.divide(flat, length, out=np.zeros_like(flat), where=length > 0)
    cosine = unit @ unit.T
    left = np.ones(len(maps), bool)
    order: list[int] = []
    similarity: list[float] = []
    for first in np.argsort(mean_frequency(maps), kind="stable"):
        if not left[first]:
            continue
        left[first] = False
        others = np.flatnonzero(left)
        pair = [int(first)]
        if len(others):
            pair.append(int(others[np.argmin(cosine[first, others])]))
            left[pair[1]] = False
        order += pair
        similarity += [float(cosine[pair[0], pair[-1]])] * len(pair)
    return Arrangement(np.array(order), np.array(similarity))


@dataclass(frozen=True, kw_only=True)
class Structure:
    """How structured the units of one layer are, beside units of white noise."""

    units: int
    entropy: float
    """Mean spectral entropy of the units."""
    entropy_noise: float
    entropy_noise_std: float
    """Of one unit; of the mean it is smaller."""
    spread: float
    spread_noise: float
    opposite: float
    """Mean cosine with the partner; -1 is exact opposites."""
    opposite_noise: float


def structure(maps: Maps) -> Structure:
    """Numbers of a layer, and of as many units of the initial, white, distribution."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((min(len(maps), NOISE_UNITS), *maps.shape[1:]))
    as_many = rng.standard_normal(maps.shape)  # pairing finds more among more units
    white = entropy(noise)
    return Structure(
        units=len(maps),
        entropy=float(entropy(maps).mean()),
        entropy_noise=float(white.mean()),
        entropy_noise_std=float(white.std()),
        spread=float(spread(maps).mean()),
        spread_noise=float(spread(noise).mean()),
        opposite=float(arranged(maps).similarity.mean()),
        opposite_noise=float(arranged(as_many).similarity.mean()),
    )


def similarity_maps(positions: Embeddings) -> Grey | None:
    """Cosine of each patch's position embedding with all others, as square maps."""
    side = math.isqrt(len(positions))
    if side * side != len(positions):
        return None
    length = np.linalg.norm(positions, axis=1, keepdims=True)
    unit = positions / np.where(length > 0, length, 1)
    maps: Grey = (unit @ unit.T).reshape(-1, side, side)
    return maps
