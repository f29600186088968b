"""A device that runs on a clock of our own, so that every step can be counted."""

import gc


class FakeClock:
    """Nanoseconds that pass only when something is done."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += round(1e9 * seconds)


class FakeWorkload:
    """An asynchronous device: steps queue up, a barrier waits, a checksum copies.

    `early` is the part of the last step that the barrier does not wait for.
    """

    variant = "fake"
    layout = "NHWC"
    attention = None
    products = None
    compile_s = 0.5
    compile_cached = False

    def __init__(
        self,
        clock,
        step_ns=1_000_000,
        barrier_ns=1_000,
        copy_ns=2_000,
        early=0.0,
        compiles_at=(),
        value=1.0,
    ):
        self.clock, self.step_ns = clock, step_ns
        self.barrier_ns, self.copy_ns, self.early = barrier_ns, copy_ns, early
        self.compiles_at = compiles_at
        self.busy_until = 0
        self.steps = self.barriers = self.checksums = self.compiled = 0
        self.collector_was_on = []
        self.value = value

    def enqueue(self):
        duration = self.step_ns(self.steps) if callable(self.step_ns) else self.step_ns
        self.busy_until = max(self.clock.now, self.busy_until) + duration
        self.last_ns = duration
        self.steps += 1
        self.compiled += self.steps in self.compiles_at
        self.collector_was_on.append(gc.isenabled())

    def barrier(self):
        self.barriers += 1
        last = self.last_ns if self.steps else 0
        seen = self.busy_until - round(self.early * last)
        self.clock.now = max(self.clock.now, seen) + self.barrier_ns

    def checksum(self):
        self.checksums += 1
        self.clock.now = max(self.clock.now, self.busy_until) + self.copy_ns
        return self.value

    def outputs(self):
        return [0.5, -0.5]

    def compilations(self):
        return self.compiled


class FakeEvents:
    """The device's clock: marks are passed in the order of the queue."""

    name = "fake events"

    def __init__(self, workload, share=1.0):
        self.workload, self.share, self.blocks = workload, share, 0

    def start(self):
        self.began = max(self.workload.clock.now, self.workload.busy_until)

    def stop(self):
        self.ended = self.workload.busy_until

    def seconds(self):
        self.blocks += 1
        return self.share * (self.ended - self.began) / 1e9
