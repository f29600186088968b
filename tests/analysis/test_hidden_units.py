"""Planted units are found again: their order, their partners, their entropy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import units

SIDE = 14


def wave(rows: int, columns: int, phase: float, side: int = SIDE) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    return np.cos(2 * np.pi * (rows * y + columns * x) + phase)


def gabor(rows: int, columns: int, phase: float, width: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    return np.exp(-(x**2 + y**2) / (2 * width**2)) * wave(rows, columns, phase)


@given(
    rows=st.integers(0, 6),
    columns=st.integers(0, 6),
    phase=st.floats(0, 6.28),
    scale=st.floats(1e-3, 1e3),
)
def test_a_pure_frequency_has_no_entropy_and_its_own_frequency(
    rows, columns, phase, scale
):
    one = (
        scale
        * (
            2 + wave(rows, columns, phase)
            if rows == columns == 0
            else wave(rows, columns, phase)
        )[None]
    )
    assert units.entropy(one)[0] == pytest.approx(0, abs=1e-6)
    assert units.mean_frequency(one)[0] == pytest.approx(
        np.hypot(rows, columns), abs=1e-6
    )


def test_white_noise_has_nearly_all_the_entropy_that_there_is():
    noise = np.random.default_rng(0).standard_normal((400, SIDE, SIDE))
    # Energies of one bin are exponential: the mean of -p log p falls short of log n by
    # 1 - Euler's constant (bins that are their own mirror apart, here 4 of 100).
    bins = (SIDE**2 + 4) // 2
    wanted = 1 - (1 - 0.5772) / np.log(bins)
    assert units.entropy(noise).mean() == pytest.approx(wanted, abs=0.01)
    assert units.spread(noise).mean() == pytest.approx(1, abs=0.02)


def test_one_lit_cell_is_spread_over_all_frequencies_and_lies_in_one_place():
    dot = np.zeros((1, SIDE, SIDE))
    dot[0, 3, 9] = 1
    bins = (SIDE**2 + 4) // 2
    share = np.full(bins, 2 / SIDE**2)
    share[:4] /= 2
    wanted = -(share * np.log(share)).sum() / np.log(bins)
    assert units.entropy(dot)[0] == pytest.approx(wanted)
    assert units.spread(dot)[0] == pytest.approx(0, abs=1e-12)
    assert units.spread(np.ones((1, SIDE, SIDE)))[0] == pytest.approx(1)


@given(seed=st.integers(0, 50))
def test_planted_pairs_are_recovered_in_order_of_frequency(seed):
    rng = np.random.default_rng(seed)
    waves = [(0, 1), (1, 1), (2, 1), (0, 4), (3, 4), (6, 0)]
    planted = [
        sign * wave(r, c, 0.3) * (0.5 + rng.random())
        for r, c in waves
        for sign in (1, -1)
    ]
    noisy = np.array(planted) + 0.05 * rng.standard_normal((12, SIDE, SIDE))
    shuffle = rng.permutation(12)
    found = units.arranged(noisy[shuffle])
    pairs = [set(shuffle[found.order[i : i + 2]]) for i in range(0, 12, 2)]
    assert pairs == [{2 * n, 2 * n + 1} for n in range(6)]
    assert (found.similarity < -0.9).all()


def test_gabors_are_paired_with_their_opposite_phase():
    kinds = [(1, 2, 3.0), (2, 0, 2.0), (0, 3, 2.5)]
    planted = [
        gabor(r, c, phase, w) for r, c, w in kinds for phase in (0.4, 0.4 + np.pi)
    ]
    found = units.arranged(np.array(planted))
    pairs = {frozenset(found.order[i : i + 2].tolist()) for i in (0, 2, 4)}
    assert pairs == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})}
    np.testing.assert_allclose(found.similarity, -1)


@given(count=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_unit_is_drawn_once(count, seed):
    maps = np.random.default_rng(seed).standard_normal((count, 4, 4))
    found = units.arranged(maps)
    assert sorted(found.order) == list(range(count))
    assert len(found.similarity) == count
    if count % 2:
        assert found.similarity[-1] == pytest.approx(1)  # alone: its own partner


def test_units_of_zeros_are_no_fault():
    maps = np.zeros((3, 4, 4))
    assert units.entropy(maps).tolist() == [0, 0, 0]
    assert units.spread(maps).tolist() == [0, 0, 0]
    assert len(units.arranged(maps).order) == 3


def test_structured_layers_lie_below_noise_and_noise_lies_on_it():
    rng = np.random.default_rng(1)
    noise = units.structure(rng.standard_normal((64, SIDE, SIDE)))
    assert noise.entropy == pytest.approx(noise.entropy_noise, abs=0.01)
    assert noise.spread == pytest.approx(noise.spread_noise, abs=0.03)
    assert noise.opposite == pytest.approx(noise.opposite_noise, abs=0.03)
    planted = [gabor(1, k % 4, np.pi * (k // 4 % 2), 2.0) for k in range(64)]
    seen = units.structure(np.array(planted))
    assert seen.entropy < noise.entropy_noise - 5 * noise.entropy_noise_std
    assert seen.spread < 0.6 * seen.spread_noise and seen.opposite < -0.9


def test_kernels_become_maps():
    kernel = np.arange(36.0).reshape(9, 4)
    maps = units.maps_of(kernel)
    assert maps.shape == (4, 3, 3)
    assert maps[1].tolist() == [[1, 5, 9], [13, 17, 21], [25, 29, 33]]
    assert units.maps_of(np.zeros((8, 4))) is None
    stem = np.arange(2 * 2 * 3 * 5.0).reshape(2, 2, 3, 5)
    assert units.stem_maps(stem).shape == (5, 2, 2, 3)
    assert units.stem_maps(stem)[4, 1, 0, 2] == stem[1, 0, 2, 4]


def test_positions_are_most_like_themselves():
    table = np.random.default_rng(0).standard_normal((16, 8))
    maps = units.similarity_maps(table)
    assert maps.shape == (16, 4, 4)
    assert np.argmax(maps.reshape(16, 16), axis=1).tolist() == list(range(16))
    assert maps[5, 1, 1] == pytest.approx(1)
    assert units.similarity_maps(table[:15]) is None
