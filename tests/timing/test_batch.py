"""The pilot sweep over simulated devices."""

import pytest

from bench.errors import OutOfMemory
from bench.timing.batch import Pilot, knee, pick, sweep

GIB = 2**30


def device(fixed_s=0.001, per_image_s=0.001, fits=10**6, image_bytes=0):
    """A step costs a fixed part and a part per image; `fits` images have room."""

    def attempt(batch):
        if batch > fits:
            return Pilot(batch, "oom")
        peak = GIB + image_bytes * batch
        return Pilot(batch, "ok", fixed_s + per_image_s * batch, peak)

    return attempt


def run(attempt, smallest=8, largest=1024, step_limit_s=1e9, memory_limit=None):
    return sweep(
        attempt,
        smallest=smallest,
        largest=largest,
        step_limit_s=step_limit_s,
        memory_limit=memory_limit,
    )


def sizes(curve):
    return [pilot.batch_size for pilot in curve]


def test_two_small_gains_end_the_sweep():
    # rates 889, 941, 970, 985 images/s: gains of 5.9, 3.0, 1.5 and 0.8 %
    curve = run(device())
    assert sizes(curve) == [1, 8, 16, 32, 64, 128]
    assert (pick(curve), knee(curve)) == (128, 64)


def test_one_small_gain_does_not():
    rates = {1: 10, 8: 100, 16: 101, 32: 150, 64: 151, 128: 152}
    curve = run(lambda b: Pilot(b, "ok", b / rates[b]))
    assert sizes(curve) == [1, 8, 16, 32, 64, 128]


def test_a_falling_rate_ends_it_and_the_best_is_picked():
    rates = {1: 10, 8: 100, 16: 120, 32: 90, 64: 60}
    curve = run(lambda b: Pilot(b, "ok", b / rates[b]))
    assert sizes(curve) == [1, 8, 16, 32, 64]
    assert (pick(curve), knee(curve)) == (16, 16)


def test_memory_that_runs_out_ends_it_and_is_kept():
    curve = run(device(fixed_s=1.0, fits=40))
    assert [(p.batch_size, p.status) for p in curve][-2:] == [(32, "ok"), (64, "oom")]
    assert pick(curve) == 32


def test_memory_that_would_run_out_is_not_tried():
    attempt = device(fixed_s=1.0, image_bytes=GIB)
    curve = run(attempt, memory_limit=40 * GIB)
    assert [(p.batch_size, p.status) for p in curve][-2:] == [
        (32, "ok"),
        (64, "memory"),
    ]


def test_a_step_that_would_take_too_long_is_not_tried():
    curve = run(device(fixed_s=0.01), step_limit_s=0.1)
    assert [(p.batch_size, p.status) for p in curve][-2:] == [(64, "ok"), (128, "time")]


@pytest.mark.parametrize(("limit", "tried"), [(0.15, [1, 8]), (0.17, [1, 8, 16, 32])])
def test_after_batch_one_alone_the_first_jump_gets_five_times_the_limit(limit, tried):
    curve = run(device(fixed_s=0.1, per_image_s=0.0), step_limit_s=limit, largest=32)
    assert sizes(curve) == tried
    assert curve[-1].status == ("time" if limit < 0.16 else "ok")


def test_batch_one_must_fit():
    with pytest.raises(OutOfMemory, match="batch 1 does not fit"):
        run(device(fits=0))


def test_only_batch_one_may_fit():
    curve = run(device(fits=4))
    assert sizes(curve) == [1, 8]
    assert (pick(curve), knee(curve)) == (1, 1)


@pytest.mark.parametrize(
    ("smallest", "largest", "tried"),
    [(1, 4, [1, 2, 4]), (2, 4, [1, 2, 4]), (8, 8, [1, 8]), (8, 20, [1, 8, 16])],
)
def test_the_grid(smallest, largest, tried):
    attempt = device(fixed_s=100.0)
    assert sizes(run(attempt, smallest=smallest, largest=largest)) == tried


def test_other_faults_are_not_memory():
    def attempt(batch):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        run(attempt)


def test_of_equal_rates_the_smaller_batch_is_picked():
    assert pick([Pilot(8, "ok", 0.8), Pilot(16, "ok", 1.6)]) == 8
