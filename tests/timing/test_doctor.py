"""Each check of the doctor passes on an honest device and fails on one that is not."""

import contextlib
import dataclasses
import gc
import json
import math
import time

import pytest
from fake_device import FakeClock, FakeWorkload

from bench import backend as backends
from bench.cli import app
from bench.timing import doctor, faults
from bench.timing.doctor import Finding, Rig, Size


class Load:
    """Other processes, which use what they are told to."""

    busy = 0.0

    def cores(self):
        return Load.busy


@contextlib.contextmanager
def hog(count):
    Load.busy = 0.9 * count
    yield
    Load.busy = 0.0


def rig(build=None, **change):
    """A false machine of two cores; steps take 10 us an image and block."""
    clock = FakeClock()

    def usual(size):
        made = FakeWorkload(clock, step_ns=10_000 * size.batch * size.depth)
        counter["compiled"] += 1
        made.compilations = lambda: counter["compiled"]
        return made

    counter = {"compiled": 0}
    fields = {
        "build": usual if build is None else lambda size: build(clock, size),
        "usable": 2.0,
        "clock": clock,
        "sleep": lambda seconds: setattr(clock, "now", clock.now + int(1e9 * seconds)),
        "others": Load,
        "hog": hog,
    }
    return Rig(**(fields | change))


def test_an_honest_machine_passes_every_check():
    found = doctor.examine(rig())
    assert [one.check for one in found] == [
        "honest_step",
        "missing_barrier",
        "compile_in_window",
        "gc_pause",
        "sleeping_step",
        "cpu_hog",
        "grows_with_batch",
        "grows_with_depth",
        "zeros_against_random",
    ]
    assert [one.passed for one in found] == [True] * 8 + [None], found
    assert doctor.trusted(found)
    assert doctor.verdict(found).endswith("can be trusted here: 8 of 8 checks passed")


def early(clock, size):
    return FakeWorkload(clock, early=0.5)


class SlowToRead(FakeWorkload):
    """Steps of no length, results slow to read: work put off hides in the reading."""

    def enqueue(self):
        pass

    def barrier(self):
        pass

    def checksum(self):
        time.sleep(0.001)
        return 1.0


def blind_counter(clock, size):
    """Compiles, and does not count it."""
    return FakeWorkload(clock)


def keen_collector(clock, size):
    """A step that switches the collector on again."""
    made = FakeWorkload(clock)
    real = made.enqueue

    def enqueue():
        real()
        gc.enable()

    made.enqueue = enqueue
    return made


def constant(clock, size):
    return FakeWorkload(clock)


def shallow(clock, size):
    """Time follows the batch, and not the depth."""
    return FakeWorkload(clock, step_ns=10_000 * size.batch)


FAULTY = {
    "honest_step": {"build": early},
    "missing_barrier": {
        "build": lambda clock, size: SlowToRead(clock),
        "clock": time.perf_counter_ns,
    },
    "compile_in_window": {"build": blind_counter},
    "gc_pause": {"build": keen_collector},
    "sleeping_step": {"sleep": lambda seconds: None},  # a clock that sleeps as well
    "cpu_hog": {"hog": lambda count: contextlib.nullcontext()},
    "grows_with_batch": {"build": constant},
    "grows_with_depth": {"build": shallow},
}


@pytest.mark.parametrize("check", FAULTY)
def test_each_check_fails_on_a_device_with_that_fault(check):
    found = doctor._tried(getattr(doctor, check), rig(**FAULTY[check]))
    assert (found.check, found.passed) == (check, False)
    assert not doctor.trusted([found])
    assert doctor.verdict([found]).endswith(f"cannot be trusted here: {check}")


def test_after_a_dishonest_barrier_nothing_else_is_claimed():
    found = doctor.examine(rig(build=early))
    assert [one.check for one in found] == ["honest_step"]
    assert found[0].seen.startswith("refused: the barrier returned early")


def test_a_window_too_short_for_the_naps_is_no_proof():
    slow = rig(build=lambda clock, size: FakeWorkload(clock, step_ns=200_000_000))
    found = doctor.sleeping_step(slow)
    assert found.passed is False and "samples only" in found.seen


def test_where_nothing_compiles_the_check_does_not_apply():
    def eager(clock, size):
        made = FakeWorkload(clock)
        made.compile_s, made.variant = None, "eager"
        return made

    found = doctor.compile_in_window(rig(build=eager))
    assert found.passed is None
    assert found.seen == "does not apply: eager steps compile nothing"


def test_a_device_that_small_batches_do_not_fill_is_given_larger_ones():
    def wide(clock, size):  # 1,000 images at once
        return FakeWorkload(clock, step_ns=1_000_000 * math.ceil(size.batch / 1000))

    found = doctor.grows_with_batch(rig(build=wide))
    assert found.passed and found.seen.startswith("batch 1024 to 4096")


def test_fast_zeros_are_reported_and_fail_nothing():
    def by_power(clock, size):
        return FakeWorkload(clock, step_ns=500_000 if size.zeros else 1_000_000)

    found = doctor.zeros_against_random(rig(build=by_power))
    assert found.passed is None and found.seen.startswith("zeros run at 2.00 x")


def test_under_a_quota_busy_loops_prove_nothing():
    found = doctor.cpu_hog(rig(spare=30.0))
    assert found.passed is None and found.seen.startswith("does not apply: busy loops")


def test_no_finding_is_no_trust():
    assert not doctor.trusted([])


def test_a_hog_is_really_busy_and_really_ends():
    me = doctor.machine.psutil.Process()
    before = set(me.children())
    with faults.hog(1):
        others = doctor.machine.OthersLoad()
        time.sleep(0.5)
        used = others.cores()
    assert used > 0.1
    assert not [p for p in set(me.children()) - before if p.is_running()]


def test_a_framework_that_runs_elsewhere_is_a_finding():
    class Elsewhere:
        name, device_kind = "torch", "npu"

    (found,) = doctor.of_backend(Elsewhere(), "cpu")
    assert (found.check, found.passed) == ("device", False)
    assert "torch runs on npu" in found.seen


def test_a_wrong_precision_is_a_finding():
    class Rounded:
        name, device_kind, device_name = "torch", "cpu", "fake"

        def effective_precision(self, dtype):
            return "bfloat16"

        def convolution_precision(self, dtype):
            return "float32"

    (found,) = doctor.of_backend(Rounded(), "cpu")
    assert found.passed is False and "come out as bfloat16" in found.seen


def test_the_real_step_is_built_at_any_size():
    pytest.importorskip("torch")
    build = doctor.builder(backends.load("torch", "cpu"))
    step = build(Size(batch=2, depth=2, zeros=True))
    step.enqueue()
    step.barrier()
    assert math.isfinite(step.checksum())


def answer_with(monkeypatch, findings):
    """The command, with the worker's findings given."""
    from bench.cli import doctor as verb

    monkeypatch.setattr(verb, "_checked", lambda framework, device: findings)
    monkeypatch.setattr(
        verb.machine, "lease", lambda kind, on_wait: contextlib.nullcontext()
    )


PASSED = Finding("honest_step", True, "1 ms a step")
FAILED = Finding("gc_pause", False, "3 in the window")


@pytest.mark.parametrize(("last", "code"), [(PASSED, 0), (FAILED, 1)])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_the_command_ends_with_the_verdict(monkeypatch, capsys, last, code, form):
    answer_with(monkeypatch, [PASSED, last])
    options = ["--framework", "torch", "--device", "cpu", "--format", form]
    assert app._run(["doctor", *options]) == code
    out = capsys.readouterr().out
    if form == "json":
        whole = json.loads(out)
        assert whole["trusted"] is (code == 0)
        assert whole["checks"]["torch"][1] == dataclasses.asdict(last)
        assert whole["machine"]["core_kind"] and whole["environment"]["torch"]
    elif form == "csv":
        assert out.splitlines()[0] == "framework,check,result,seen"
    else:
        assert ("cannot be trusted here: gc_pause" in out) is (code == 1)
        assert out.startswith("machine ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "xml"], "unknown format 'xml'"),
        (["--framework", "tf"], "unknown framework 'tf'"),
        (["--device", "abacus"], "unknown device 'abacus'"),
    ],
)
def test_bad_options_are_one_line(capsys, options, message):
    assert app._run(["doctor", *options]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_the_command_on_this_machine(framework, capsys):
    """What does not depend on a quiet machine is caught on any; the exit code fits."""
    if not backends.installed(framework):
        pytest.skip(f"{framework} is not installed")
    options = ["--framework", framework, "--device", "cpu", "--format", "json"]
    code = app._run(["doctor", *options])
    whole = json.loads(capsys.readouterr().out)
    found = {one["check"]: one["passed"] for one in whole["checks"][framework]}
    assert code == (0 if whole["trusted"] else 1)
    assert found["device"] and found["honest_step"] and found["missing_barrier"]
    assert found["gc_pause"]
    assert found["compile_in_window"] is (True if framework == "jax" else None)
