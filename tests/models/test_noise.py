"""The masks of dropout and stochastic depth: equal bits in both twins, and random."""

from __future__ import annotations

import numpy as np
import pytest
from network_cases import CASES, images_of

from bench import models
from bench.models import noise, weights

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")

from bench.models import noise_jax, noise_torch  # noqa: E402

RATES = noise.Rates(dropout=0.1, stochastic_depth=0.5, branches=5)


def reference(shape, rate, key, number, first=0):
    """Which elements are kept, written out for one element after another."""
    a, b = noise.MULTIPLIERS
    s, t, u = noise.SHIFTS

    def mix(x, one, two):
        x ^= one
        x = (x ^ x >> s) * a & 0xFFFFFFFF
        x ^= two
        x = (x ^ x >> t) * b & 0xFFFFFFFF
        return x ^ x >> u

    words = [int(k) ^ w for k, w in zip(key, noise.words(number), strict=True)]
    kept = np.empty((shape[0], int(np.prod(shape[1:]))), bool)
    for row in range(shape[0]):
        one = mix(first + row, words[0], words[1])
        two = mix(first + row, words[1], words[0])
        for index in range(kept.shape[1]):
            half = mix(index // 2, one, two) >> 16 * (index % 2) & 0xFFFF
            kept[row, index] = half >= round(rate * 65536)
    return kept.reshape(shape)


def in_jax(key, first=0, rates=RATES):
    drawn = noise_jax.Noise(rates, jax.numpy.asarray(key), first)
    return drawn, jax.numpy.asarray, np.asarray


def in_torch(key, first=0, rates=RATES):
    drawn = noise_torch.Noise(rates, key, first)
    return drawn, torch.tensor, lambda x: x.numpy()


TWINS = pytest.mark.parametrize("twin", [in_jax, in_torch])
KEY = noise.key(3, 17)


@TWINS
@pytest.mark.parametrize("shape", [(4, 3, 5), (2, 1), (3, 8), (1, 7, 3, 2)])
def test_masks_are_the_reference_bit_by_bit(twin, shape):
    drawn, give, take = twin(KEY, first=6)
    ones = np.ones(shape, np.float32)
    for number in range(3):
        found = take(drawn.dropped(give(ones)))
        kept = reference(shape, 0.1, KEY, number, first=6)
        scale = np.float32(1 / (1 - round(0.1 * 65536) / 65536))
        np.testing.assert_array_equal(found, np.where(kept, scale, 0))


@TWINS
def test_words_with_the_highest_bit_are_no_other_numbers(twin):
    for key in ([0xFFFFFFFF, 0x80000000], [0x80000001, 0xDEADBEEF]):
        key = np.array(key, np.uint32)
        drawn, give, take = twin(key, first=2**31 - 5)
        found = take(drawn.dropped(give(np.ones((4, 64), np.float32))))
        kept = reference((4, 64), 0.1, key, 0, first=2**31 - 5)
        np.testing.assert_array_equal(found != 0, kept)


@TWINS
def test_a_part_of_a_batch_drops_what_the_whole_batch_would(twin):
    x = np.random.default_rng(0).standard_normal((12, 6, 4))
    whole, give, take = twin(KEY)
    parts = [twin(KEY, first)[0] for first in (0, 4, 8)]
    for draw in ("dropped", "branched", "branched", "dropped"):
        expected = take(getattr(whole, draw)(give(x)))
        found = [
            take(getattr(part, draw)(give(x[4 * i : 4 * i + 4])))
            for i, part in enumerate(parts)
        ]
        np.testing.assert_array_equal(np.concatenate(found), expected)


@TWINS
def test_stochastic_depth_rises_linearly_drops_examples_and_does_not_rescale(twin):
    drawn, give, take = twin(KEY)
    x = np.random.default_rng(0).standard_normal((20_000, 2, 2)).astype(np.float32)
    for branch in range(5):
        found = take(drawn.branched(give(x)))
        dropped = (found == 0).all(axis=(1, 2))
        np.testing.assert_array_equal(found[~dropped], x[~dropped])
        rate = 0.5 * branch / 4
        spread = np.sqrt(rate * (1 - rate) / len(x))
        assert abs(dropped.mean() - rate) <= 4 * spread


@TWINS
def test_nothing_is_drawn_at_rate_0(twin):
    rates = noise.Rates(dropout=0.0, stochastic_depth=0.0, branches=3)
    drawn, give, _ = twin(KEY, rates=rates)
    x = give(np.ones((2, 3)))
    assert drawn.dropped(x) is x and drawn.branched(x) is x


@TWINS
@pytest.mark.parametrize("rate", [0.001, 0.3, 0.9, 0.9999999])
def test_the_mean_is_kept_exactly_in_expectation(twin, rate):
    rates = noise.Rates(dropout=rate, stochastic_depth=0.0, branches=1)
    drawn, give, take = twin(KEY, rates=rates)
    found = take(drawn.dropped(give(np.ones((64, 8192)))))
    share = (found != 0).mean()
    kept = noise.kept_share(rate)
    assert 0 < kept == pytest.approx(1 - rate, abs=2**-16)
    assert abs(share - kept) < 4 * np.sqrt(kept * (1 - kept) / found.size) + 1e-12
    assert found.max(initial=0) in (0, pytest.approx(1 / kept))


# randomness --------------------------------------------------------------------------


def draws(key, number=0, rows=64, columns=4096):
    """Draws of 16 bits, as numbers in [0, 1)."""
    words = [
        torch.tensor(noise_torch._signed(int(k) ^ w))
        for k, w in zip(key, noise.words(number), strict=True)
    ]
    place = torch.arange(rows, dtype=torch.int32)
    one, two = (noise_torch.hashed(place, *pair) for pair in (words, words[::-1]))
    index = torch.arange(columns // 2, dtype=torch.int32)
    bits = noise_torch.hashed(index[None], one[:, None], two[:, None])
    return (bits.view(torch.int16).numpy().astype(np.int64) % 65536) / 65536


def correlation(a, b):
    """In standard errors: of two series without correlation it is N(0, 1)."""
    return np.corrcoef(a.ravel(), b.ravel())[0, 1] * np.sqrt(a.size)


def test_draws_are_uniform():
    for seed in range(4):
        counts = np.histogram(draws(noise.key(seed, seed)), bins=256, range=(0, 1))[0]
        expected = counts.sum() / 256
        chi2 = ((counts - expected) ** 2 / expected).sum()
        assert abs(chi2 - 255) < 5 * np.sqrt(2 * 255)


@pytest.mark.parametrize(
    "lag", [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0), (8, 0), (0, 64), (0, 1024)]
)
def test_neighbours_in_a_mask_are_independent(lag):
    found = draws(KEY)
    rows, columns = lag
    here = found[rows:, columns:]
    there = found[: len(found) - rows, : found.shape[1] - columns]
    assert abs(correlation(here, there)) < 4


@pytest.mark.parametrize(
    "other",
    [
        (noise.key(3, 18), 0),  # the next step
        (noise.key(4, 17), 0),  # the next seed
        (noise.key(17, 3), 0),
        (KEY, 1),  # the next mask
        (KEY, 48),
        (KEY ^ np.array([1, 0], np.uint32), 0),
        (KEY ^ np.array([0, 1], np.uint32), 0),
    ],
    ids=str,
)
def test_steps_seeds_and_masks_are_independent(other):
    one, two = draws(KEY), draws(*other)
    assert abs(correlation(one, two)) < 4
    # nor is one a permutation of the other: as many are dropped only by chance
    dropped = [(found < 0.1).sum(axis=1) for found in (one, two)]
    assert (dropped[0] == dropped[1]).mean() < 0.2


def test_rows_of_one_mask_drop_as_many_as_chance_says():
    found = (draws(KEY, rows=512) < 0.1).sum(axis=1)
    spread = np.sqrt(4096 * 0.1 * 0.9)
    assert found.std() == pytest.approx(spread, rel=0.2)


def test_a_key_depends_on_the_whole_of_seed_and_step():
    pairs = [(0, 0), (0, 1), (1, 0), (2**32, 0), (0, 2**32), (2**40 + 1, 1)]
    keys = {tuple(noise.key(*pair)) for pair in pairs}
    assert len(keys) == len(pairs)
    assert noise.key(3, 17).tolist() == [290368949, 2959241136]  # for ever


def test_another_step_is_not_another_program():
    rates = noise.Rates(dropout=0.5, stochastic_depth=0.0, branches=1)
    traced = []

    @jax.jit
    def run(key, x):
        traced.append(key)
        return noise_jax.Noise(rates, key, 0).dropped(x)

    one, two = (run(noise.key(0, step), np.ones((4, 8))) for step in (0, 1))
    assert len(traced) == 1
    assert (one != two).any()


# places ------------------------------------------------------------------------------


class Counted:
    """Stands in for the noise of a forward pass; changes nothing."""

    def __init__(self) -> None:
        self.dropouts = self.branches = 0

    def dropped(self, x):
        self.dropouts += 1
        return x

    def branched(self, x):
        self.branches += 1
        return x


PLACES = {
    # both MLPs of a block, behind the activation and at the end
    "mixer": lambda spec: 4 * spec.num_blocks,
    # the positions; in each block attention's end, and the MLP as above
    "vit": lambda spec: 1 + 3 * spec.num_blocks,
    "resnet": lambda spec: 1,  # the pooled features
    "resnet_v1": lambda spec: 1,
}


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("case", ["mixer", "vit", "vit gap", "resnet", "resnet_v1"])
def test_noise_stands_where_it_says(case, framework):
    spec = CASES[case]
    network = models.twin(spec, framework).build(
        spec, weights.random(spec, 0), dtype="float32"
    )
    images = images_of(spec, 1).astype(np.float32)
    given = torch.tensor(images) if framework == "torch" else images
    counted = Counted()
    noisy, quiet = network(given, counted), network(given)
    assert counted.branches == spec.branches
    assert counted.dropouts == PLACES[spec.family](spec)
    assert (noisy == quiet).all()
