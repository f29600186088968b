"""One window, on a clock that we move: every step, barrier and refusal is counted."""

import contextlib
import gc
import itertools
import math

import pytest
from fake_device import FakeClock, FakeEvents, FakeWorkload
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UntrustedMeasurement
from bench.timing.faults import MissingBarrier
from bench.timing.measure import (
    IDLE_READS,
    LEAST_SHARE,
    MIN_BLOCKS,
    OVERHEAD,
    block_size,
    measure,
)


def run(precision=0.02, window_s=1.0, **device):
    clock = FakeClock()
    workload = FakeWorkload(clock, **device)
    window = measure(workload, precision=precision, window_s=window_s, clock=clock)
    return window, workload, clock


def test_steps_and_barriers_are_counted_exactly():
    window, workload, _ = run()
    # 1 first step, 1 for the proof, then 2 + 4 + ... + 64 until a tenth of the window
    assert window.warmup_steps_run == 1 + 1 + 126
    assert window.steps_per_sample == 3  # at most 400 blocks in the window
    assert len(window.samples) == 34  # a tenth of a second, in blocks of 3.001 ms
    assert workload.steps == 128 + 34 * 3
    # first, proof, nine idle, six of warm-up, one before the window, one per sample
    assert workload.barriers == 1 + 1 + 9 + 6 + 1 + 34
    # cold, three idle, the proof; one after the window, for what the step computed
    assert workload.checksums == 1 + IDLE_READS + 1 + 1


def test_six_samples_are_the_fewest_with_an_interval():
    window, _, _ = run(step_ns=25_000_000)
    assert (len(window.samples), window.stop_reason) == (6, "precision")


def test_an_even_start_does_not_end_a_window():
    """Even for 50 ms, then half as fast: six even blocks are not enough."""
    window, _, _ = run(step_ns=lambda n: 1_000_000 if n < 180 else 2_000_000)
    assert sum(window.samples) * window.steps_per_sample >= LEAST_SHARE * 1.0
    assert window.step_s == pytest.approx(0.002, rel=OVERHEAD)


def dealt_out(n):
    """A quota of 30 % with a period of 0.1 s: 30 steps of 1 ms, then 70 ms asleep."""
    return 71_000_000 if n % 30 == 29 else 1_000_000


@pytest.mark.parametrize(("least_block_s", "step_s"), [(0.0, 0.001), (1.0, 0.1 / 30)])
def test_blocks_longer_than_a_quotas_period_see_what_it_holds_back(
    least_block_s, step_s
):
    clock = FakeClock()
    workload = FakeWorkload(clock, step_ns=dealt_out)
    goal = {"precision": 0.02, "window_s": 10.0, "clock": clock}
    window = measure(workload, **goal, least_block_s=least_block_s)
    assert window.step_s == pytest.approx(step_s, rel=0.03)
    assert len(window.samples) >= 6


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_computes_no_numbers_is_refused(value):
    clock = FakeClock()
    workload = FakeWorkload(clock, value=value)
    with pytest.raises(UntrustedMeasurement, match="outputs are not finite"):
        measure(workload, precision=0.02, window_s=1.0, clock=clock)


def test_a_sample_is_a_step_plus_at_most_one_percent():
    window, _, _ = run()
    assert window.stop_reason == "precision"
    assert 0.001 <= window.step_s <= 0.001 * (1 + OVERHEAD)
    assert window.within_run_halfwidth == 0
    assert window.barrier_s == pytest.approx(1e-6)
    assert window.first_step_s == pytest.approx(0.001001)


@pytest.mark.parametrize("factor", [2, 5, 50])
def test_time_scales_with_work(factor):
    window, _, _ = run(step_ns=factor * 1_000_000)
    assert window.step_s == pytest.approx(factor * 0.001, rel=OVERHEAD)


def test_noise_runs_until_the_time_cap():
    window, _, _ = run(step_ns=lambda n: 1_000_000 * (1 + (n * 7919) % 5), window_s=0.2)
    assert window.stop_reason == "time"
    assert window.within_run_halfwidth > 0.02
    total = sum(window.samples) * window.steps_per_sample
    assert 0.2 <= total <= 0.2 + max(window.samples) * window.steps_per_sample


def test_steps_longer_than_the_window_are_few_and_say_so():
    window, workload, _ = run(step_ns=3_000_000_000, window_s=1.0)
    assert len(window.samples) == 1
    assert window.within_run_halfwidth is None
    assert [one.kind for one in window.cautions] == ["too_few_samples"]
    assert workload.steps == 1 + 1 + 2 + 1


@pytest.mark.parametrize("early", [0.2, 0.5, 1.0])
def test_a_barrier_that_returns_early_is_refused(early):
    with pytest.raises(UntrustedMeasurement, match="barrier returned early"):
        run(early=early)


def test_a_barrier_that_waits_for_nothing_is_refused_with_tiny_steps_too():
    with pytest.raises(UntrustedMeasurement, match="barrier returned early"):
        run(step_ns=500, early=10**6)


@pytest.mark.parametrize("step_ns", [500, 5_000, 50_000])
def test_a_checksum_with_cold_caches_does_not_condemn_an_honest_barrier(step_ns):
    clock = FakeClock()
    workload = FakeWorkload(clock, step_ns=step_ns)
    quick = workload.checksum
    seen = []

    def cold_after_work():
        clock.now += 5_000 if workload.steps not in seen else 0
        seen.append(workload.steps)
        return quick()

    workload.checksum = cold_after_work
    window = measure(workload, precision=0.02, window_s=0.1, clock=clock)
    assert window.step_s == pytest.approx(step_ns / 1e9, rel=OVERHEAD)


def test_caches_that_stay_cold_after_a_rest_do_not_condemn_an_honest_barrier():
    """Hundreds of arrays: 0.35 ms more after a step of 9 ms, rested or not."""
    clock = FakeClock()
    workload = FakeWorkload(clock, step_ns=9_000_000)
    quick = workload.checksum
    seen = []

    def cold_after_work():
        clock.now += 350_000 if workload.steps not in seen else 0
        seen.append(workload.steps)
        return quick()

    workload.checksum = cold_after_work
    goal = {"precision": 0.02, "window_s": 0.1}
    assert measure(workload, **goal, clock=clock)
    with pytest.raises(UntrustedMeasurement, match="barrier returned early"):
        run(step_ns=9_000_000, early=350 / 9000)


def test_a_slow_copy_does_not_make_a_barrier_dishonest():
    window, _, _ = run(copy_ns=50_000_000)
    assert window.step_s == pytest.approx(0.001, rel=OVERHEAD)


def test_one_interruption_does_not_condemn_an_honest_barrier():
    clock = FakeClock()
    workload = FakeWorkload(clock)
    honest = workload.checksum

    def interrupted():
        if workload.checksums == 1 + IDLE_READS:  # the first one after a step
            clock.now += 5_000_000
        return honest()

    workload.checksum = interrupted
    measure(workload, precision=0.02, window_s=1.0, clock=clock)
    # the interrupted one, a clean one: it is proven; and the one after the window
    assert workload.checksums == 1 + IDLE_READS + 2 + 1


@pytest.mark.parametrize("first", range(10, 18))
def test_a_neighbour_does_not_hide_work_that_is_put_off(first):
    """Three results in a row take five times as long to read as without it."""
    clock = FakeClock()
    late = MissingBarrier(FakeWorkload(clock))
    honest, reads = late.checksum, itertools.count()

    def beside_a_neighbour():
        began, value = clock.now, honest()
        if first <= next(reads) < first + 3:
            clock.now += 4 * (clock.now - began)
        return value

    late.checksum = beside_a_neighbour
    with pytest.raises(UntrustedMeasurement, match="barrier returned early"):
        measure(late, precision=0.02, window_s=0.1, clock=clock)


def test_a_compilation_in_the_window_is_refused():
    with pytest.raises(UntrustedMeasurement, match=r"1 compilation\(s\) inside"):
        run(compiles_at=[130])


def test_a_compilation_before_the_window_is_fine():
    _, workload, _ = run(compiles_at=[1, 2, 100])
    assert workload.compiled == 3


@pytest.mark.parametrize("was_on", [True, False])
@pytest.mark.parametrize("fails", [False, True])
def test_the_collector_rests_in_the_window_and_is_restored(was_on, fails):
    frozen = gc.get_freeze_count()
    clock = FakeClock()
    workload = FakeWorkload(clock, compiles_at=[130] if fails else [])
    (gc.enable if was_on else gc.disable)()
    try:
        if fails:
            with pytest.raises(UntrustedMeasurement):
                measure(workload, precision=0.02, window_s=1.0, clock=clock)
        else:
            measure(workload, precision=0.02, window_s=1.0, clock=clock)
        assert gc.isenabled() == was_on
    finally:
        gc.enable()
    assert gc.get_freeze_count() == frozen
    assert workload.collector_was_on[:128] == [was_on] * 128
    assert not any(workload.collector_was_on[128:])


def test_a_barrier_that_weighs_too_much_is_a_caution():
    window, _, _ = run(step_ns=10_000, barrier_ns=5_000_000, window_s=0.1)
    assert "timer_resolution" in [one.kind for one in window.cautions]


def test_a_long_step_may_leave_one_percent_behind_and_no_more():
    with pytest.raises(UntrustedMeasurement, match="barrier returned early"):
        run(step_ns=1_000_000_000, early=0.02, window_s=5.0)
    assert run(step_ns=1_000_000_000, early=0.005, window_s=5.0)


def test_a_coarse_clock_makes_blocks_longer_or_is_said():
    def with_tick(window_s):
        clock = FakeClock()
        workload = FakeWorkload(clock)
        return measure(
            workload, precision=0.02, window_s=window_s, clock=clock, clock_tick_s=0.001
        )

    assert with_tick(window_s=10.0).steps_per_sample == 100
    assert "timer_resolution" in [one.kind for one in with_tick(0.1).cautions]


def with_events(share):
    clock = FakeClock()
    workload = FakeWorkload(clock, barrier_ns=8_000)
    workload.events = FakeEvents(workload, share)
    return measure(workload, precision=0.02, window_s=1.0, clock=clock), workload


def test_events_time_the_work_without_the_barrier():
    window, workload = with_events(1.0)
    assert window.timer == "fake events"
    assert window.step_s == pytest.approx(0.001, rel=1e-9)
    assert workload.events.blocks == len(window.samples)
    assert run()[0].timer == "host"


@pytest.mark.parametrize("share", [0.0, 0.5, 1000.0])
def test_events_that_the_host_contradicts_are_refused(share):
    with pytest.raises(UntrustedMeasurement, match="device events say"):
        with_events(share)


def test_what_is_read_around_the_window_sees_only_the_window():
    clock = FakeClock()
    workload = FakeWorkload(clock)
    seen = []

    @contextlib.contextmanager
    def around():
        seen.append(workload.steps)
        yield
        seen.append(workload.steps)

    window = measure(workload, precision=0.02, window_s=1.0, clock=clock, around=around)
    assert seen == [
        window.warmup_steps_run,
        window.warmup_steps_run + len(window.samples) * window.steps_per_sample,
    ]


seconds = st.floats(1e-6, 10.0)


def test_the_least_block_leaves_room_for_ten():
    assert block_size(0.001, 0.0, window_s=20.0, least_s=1.0) == 1000
    assert block_size(0.001, 0.0, window_s=5.0, least_s=1.0) == 500
    assert block_size(2.0, 0.0, window_s=5.0, least_s=1.0) == 1


@given(step_s=seconds, barrier_s=st.floats(1e-8, 1e-2), window_s=st.floats(0.05, 60))
def test_a_block_hides_the_barrier_or_leaves_room_for_five(step_s, barrier_s, window_s):
    size = block_size(step_s, barrier_s, window_s)
    hidden = barrier_s <= OVERHEAD * size * step_s * (1 + 1e-9)
    as_long_as_allowed = (size + 1) * step_s * MIN_BLOCKS >= window_s * (1 - 1e-9)
    assert size >= 1
    assert hidden or as_long_as_allowed
    assert size == 1 or size * step_s * MIN_BLOCKS <= window_s * (1 + 1e-9)
