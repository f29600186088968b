"""Samples with a known flaw, and what is said about them."""

import numpy as np
import pytest

from bench.timing import cautions


def quiet(n=60, seed=0):
    return np.random.default_rng(seed).normal(0.010, 0.0001, n)


def with_spikes(count, size):
    samples = quiet()
    samples[10 : 10 + count] += size
    return samples


FLAWS = {
    "none": (quiet(), []),
    "few": (quiet(3), ["too_few_samples"]),
    "slow start": (np.r_[0.020, quiet()], ["slow_start", "outliers"]),
    "slower": (quiet() * np.linspace(1, 1.2, 60), ["drift"]),
    "faster": (quiet() * np.linspace(1.2, 1, 60), ["drift"]),
    "two states": (np.tile([0.010, 0.012], 30) + quiet() - 0.010, ["bimodal"]),
    "spikes": (with_spikes(3, 0.005), ["outliers"]),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_is_named(flaw):
    samples, kinds = FLAWS[flaw]
    assert [one.kind for one in cautions.of_samples(samples)] == kinds


def test_a_caution_says_what_was_seen_the_cause_and_the_remedy():
    (one,) = cautions.of_samples(with_spikes(3, 0.005))
    assert one.seen == "0 mild and 3 severe of 60 samples; all are kept"
    assert one.cause and one.remedy


@pytest.mark.parametrize(
    ("samples", "counts"),
    [
        ([1, 2, 3, 4, 5], (0, 0)),
        ([1, 2, 3, 4, 8], (1, 0)),  # quartiles 2 and 4: mild beyond 7, severe beyond 10
        ([1, 2, 3, 4, 11], (0, 1)),
        ([-5, 2, 3, 4, 5], (0, 1)),
    ],
)
def test_tukey_fences(samples, counts):
    assert cautions.tukey(np.array(samples, dtype=float)) == counts


@pytest.mark.parametrize("shape", ["normal", "uniform", "exponential", "lognormal"])
def test_one_hump_is_rarely_called_two(shape):
    rng = np.random.default_rng(0)
    draws = {
        "normal": lambda: rng.normal(0, 1, 30),
        "uniform": lambda: rng.uniform(-1, 1, 30),
        "exponential": lambda: rng.exponential(1, 30),
        "lognormal": lambda: rng.lognormal(0, 0.5, 30),
    }[shape]
    kinds = [
        [one.kind for one in cautions.of_samples(10 + draws())] for _ in range(200)
    ]
    assert sum("bimodal" in found for found in kinds) <= 6


@pytest.mark.parametrize(
    ("caution", "kind"),
    [
        (cautions.timer(0.01, 0.00005, 0.01), None),
        (cautions.timer(0.01, 0.0005, 0.01), "timer_resolution"),
        (cautions.host_load(0.1, 2), None),
        (cautions.host_load(0.5, 2), "host_load"),
        (cautions.host_load(30.0, 2, spare=30.0), None),
        (cautions.host_load(30.3, 2, spare=30.0), "host_load"),
        (cautions.idle_cores(1.6, 2), None),
        (cautions.idle_cores(1.0, 2), "idle_cores"),
        (cautions.idle_cores(None, 2), None),
        (cautions.shared_device(None), None),
        (cautions.shared_device(0), None),
        (cautions.shared_device(1), "shared_device"),
        (cautions.over_ceiling(0.99), None),
        (cautions.over_ceiling(1.2), "over_ceiling"),
    ],
)
def test_thresholds(caution, kind):
    assert (caution.kind if caution else None) == kind
