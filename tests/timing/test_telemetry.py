"""What the sensors see around one window."""

import pytest

from bench.devices.sensors import Counter, Reading
from bench.timing.telemetry import Telemetry


def watched(before, after, seconds=2.0, cpu_s=3.0):
    looks, times = iter([before, after]), iter([10.0, 10.0 + seconds])
    cpu_times = iter([7.0, 7.0 + cpu_s])
    watch = Telemetry(
        "cpu",
        look=lambda kind: next(looks),
        clock=lambda: next(times),
        cpu_clock=lambda: next(cpu_times),
    )
    with watch:
        pass
    return watch.columns(images=400)


@pytest.mark.parametrize(("seconds", "used"), [(2.0, 1.5), (0.01, None)])
def test_cores_used_are_cpu_seconds_over_seconds(seconds, used):
    assert watched(Reading(), Reading(), seconds)["cpu_cores_used"] == used


def energy(joules):
    return Reading({"gpu": Counter(joules)}, "nvml_counter", clock_mhz=joules)


def test_energy_and_clocks():
    columns = watched(energy(100.0), energy(300.0))
    assert columns["energy_j"] == 200.0
    assert columns["energy_j_per_image"] == 0.5
    assert columns["energy_method"] == "nvml_counter"
    assert (columns["clock_mhz_before"], columns["clock_mhz_after"]) == (100.0, 300.0)
    assert columns["throttled_by"] == []


@pytest.mark.parametrize(
    ("before", "after", "seconds"),
    [
        (Reading(), Reading(), 2.0),
        (energy(100.0), energy(300.0), 0.5),  # the counter moves too seldom for this
        (energy(100.0), energy(100.0), 2.0),  # it did not move at all
    ],
)
def test_energy_that_was_not_counted_is_null_with_its_method(before, after, seconds):
    columns = watched(before, after, seconds)
    named = ("energy_j", "energy_j_per_image", "energy_method")
    assert [columns[name] for name in named] == [None, None, None]
