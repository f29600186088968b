"""Simulated rigs through the real `measure`: do the intervals hold what they promise?

Each rig draws one speed per process and noise per step; its true median step is 1 ms.
"""

import contextlib
import functools
from unittest import mock

import numpy as np
import pytest
from fake_device import FakeClock, FakeWorkload

from bench.analysis.stats import median_interval, repetition_interval
from bench.timing.batch import Pilot, pick, sweep
from bench.timing.measure import measure

PROCESSES = 400
STEP_NOISE = 0.03


class NoisyWorkload(FakeWorkload):
    """Steps with 3 % noise, symmetric, so that a block's median is the step's."""

    def __init__(self, clock, rng, step_ns):
        self.factors = 1 + STEP_NOISE * rng.standard_normal(512)
        super().__init__(clock, step_ns=self.noisy, barrier_ns=10, copy_ns=20)
        self.centre = step_ns

    def noisy(self, number):
        return round(self.centre * self.factors[number % 512])


@pytest.fixture(autouse=True)
def no_collection():
    """A full collection in every window would take most of the time of these tests."""
    quick = contextlib.nullcontext
    with mock.patch("bench.timing.measure._quiet_gc", quick):
        yield


@functools.cache
def rig(between, seed=0):
    """Samples of many processes, each timed until its own median is known to 2 %."""
    rng = np.random.default_rng(seed)
    windows = []
    for _ in range(PROCESSES):
        clock = FakeClock()
        centre = 1e6 * np.exp(between * rng.standard_normal())
        workload = NoisyWorkload(clock, rng, centre)
        windows.append(measure(workload, precision=0.02, window_s=0.1, clock=clock))
    assert {"precision"} == {window.stop_reason for window in windows}
    return [np.array(window.samples) for window in windows]


def coverage(intervals):
    return np.mean([low <= 1e-3 <= high for low, high in intervals])


@pytest.mark.parametrize("between", [0.0, 0.02, 0.06])
@pytest.mark.parametrize("count", [5, 10])
def test_the_interval_over_processes_covers(between, count):
    samples = rig(between)
    rng = np.random.default_rng(1)
    draws = [rng.choice(PROCESSES, size=count, replace=False) for _ in range(1000)]
    groups = [[samples[i] for i in drawn] for drawn in draws]
    assert 0.90 <= coverage(map(repetition_interval, groups)) <= 0.98


@pytest.mark.parametrize(("between", "at_most"), [(0.02, 0.6), (0.06, 0.25)])
def test_the_interval_inside_one_process_does_not(between, at_most):
    assert coverage(map(median_interval, rig(between))) < at_most


def test_where_processes_do_not_differ_it_would():
    assert coverage(map(median_interval, rig(0.0))) > 0.9


# The batch sweep ------------------------------------------------------------


def swept(rng):
    """Equally fast batches: the pick's rate in the pilot, and measured afresh."""

    def attempt(size):
        clock = FakeClock()
        workload = NoisyWorkload(clock, rng, 100_000 * size)
        window = measure(workload, precision=0.05, window_s=0.02, clock=clock)
        return Pilot(size, "ok", window.step_s, None)

    curve = sweep(attempt, smallest=2, largest=64, step_limit_s=1.0)
    best = pick(curve)
    (pilot,) = (p for p in curve if p.batch_size == best)
    return pilot.rate, attempt(best).rate


def test_the_reported_rate_is_not_biased_by_picking_the_best_of_noisy_pilots():
    rng = np.random.default_rng(0)
    pilots, fresh = np.mean([swept(rng) for _ in range(150)], axis=0) / 10_000 - 1
    assert abs(fresh) < 0.005
    assert pilots > 0.01  # what the best pilot itself would have claimed
