"""What both learners promise beside equal losses: parts, precision, quiet graphs."""

from __future__ import annotations

import dataclasses
import functools
import weakref

import numpy as np
import pytest

from bench import backend, cores, models
from bench.errors import Diverged
from bench.models import noise, weights
from bench.recipes.recipe import Recipe
from bench.specs import Cell, WorkItem
from bench.training import loop

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")

SPEC = dataclasses.replace(
    models.spec_for("Mixer-XXS/4", image_size=8, num_classes=5), num_blocks=1
)
QUIET = Recipe()
NOISY = Recipe(
    loss="sigmoid", dropout=0.1, stochastic_depth=0.2, mixup=0.5, accumulate=4
)
FRAMEWORKS = pytest.mark.parametrize("framework", backend.FRAMEWORKS)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads that share busy cores wait for each other; a test needs no speed."""
    monkeypatch.setattr(cores, "threads", lambda: 1)


@functools.cache  # jax compiles for seconds, and no test minds where weights stand
def learner(framework, recipe, batch_size=16, dtype="float32"):
    start = weights.random(SPEC, 0)
    made = backend.load(framework, "cpu")
    return made.learner(SPEC, start, recipe, batch_size=batch_size, dtype=dtype)


def batch(size=16, soft=True):
    rng = np.random.default_rng(1)
    images = rng.standard_normal((size, 8, 8, 3), dtype=np.float32)
    labels = rng.integers(0, 5, size)
    shares = 0.75 * np.eye(5)[labels] + 0.25 * np.eye(5)[labels[::-1]]
    return images, (shares.astype(np.float32) if soft else labels)


@FRAMEWORKS
def test_bfloat16_keeps_float32_weights_moments_and_losses(framework):
    losses = {}
    for name, dtype in (("torch", "float32"), (framework, "bfloat16")):
        made = learner(name, NOISY, dtype=dtype)
        before, seen = made.state_dict(), len(made.losses())
        for step in range(3):
            made.step(*batch(), 1e-4, noise.key(0, step))
        losses[dtype] = made.losses()[seen:]
    after = made.state_dict()
    assert {array.dtype for array in after.values()} == {np.dtype("float32")}
    # an update of 1e-4 of a weight near 1 is lost in bfloat16, whose step is 8e-3
    scale = "pre_head_layer_norm/scale"
    assert 0 < np.median(np.abs(after[scale] - before[scale])) < 1e-3
    assert _kept_in(made, framework) == {"float32"}
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bfloat16"] != losses["float32"]


def _kept_in(made, framework) -> set[str]:
    """Dtypes of everything that a step changes, step counters apart."""
    update = made._update
    if framework == "torch":
        assert {p.grad.dtype for p in update.module.parameters()} == {torch.float32}
        kept = update.state()
    else:
        kept = jax.tree.leaves(update.state)
    names = {str(array.dtype).removeprefix("torch.") for array in kept}
    return {name for name in names if "float" in name}


@FRAMEWORKS
def test_one_learner_takes_class_numbers_and_shares(framework):
    made = learner(framework, QUIET)
    images, labels = batch(soft=False)
    made.step(images, labels, 0.0)
    made.step(images, np.eye(5, dtype=np.float32)[labels], 0.0)
    one, same = made.losses()[-2:]
    assert one == pytest.approx(same, rel=1e-6)


@FRAMEWORKS
def test_evaluation_has_no_noise_and_takes_no_more_than_a_part(framework):
    made, images = learner(framework, NOISY), batch()[0]
    plain = backend.load(framework, "cpu").model(
        SPEC, made.state_dict(), dtype="float32"
    )
    found = made.logits(images)
    np.testing.assert_allclose(found, plain.predict(images), atol=1e-5)
    np.testing.assert_array_equal(found, made.logits(images))


@FRAMEWORKS
def test_a_noisy_step_needs_its_key_and_a_quiet_one_has_none(framework):
    with pytest.raises(AssertionError, match="needs its key"):
        learner(framework, NOISY).step(*batch(), 1e-3)
    with pytest.raises(AssertionError, match="needs its key"):
        learner(framework, QUIET).step(*batch(soft=False), 1e-3, noise.key(0, 0))


@FRAMEWORKS
def test_losses_are_read_once_and_kept(framework):
    made = learner(framework, QUIET)
    known = made.losses()
    for count in (1, 2):
        made.step(*batch(soft=False), 1e-3)
        now = made.losses()
        assert now[:-1] == known + now[len(known) : -1] and len(now) == len(known) + 1
        known = now
        assert made.losses() == now, count


# memory ------------------------------------------------------------------------------


def test_a_batch_in_parts_needs_less_memory_in_jax():
    """What XLA says of its own program: beside arguments and results."""
    needed = {}
    for parts in (1, 8):
        made = learner("jax", Recipe(accumulate=parts), batch_size=256)
        (step,) = made._update._steps.values()
        needed[parts] = step.memory_analysis().temp_size_in_bytes
    assert needed[8] < needed[1] / 4


def test_a_batch_in_parts_needs_less_memory_in_torch():
    """Bytes that wait for the backward pass at one time."""
    needed = {}
    for parts in (1, 8):
        made = learner("torch", Recipe(accumulate=parts), batch_size=256)
        meter = _Saved()
        with torch.autograd.graph.saved_tensors_hooks(meter.pack, lambda k: k.tensor):
            made.step(*batch(256, soft=False), 1e-3)
        needed[parts] = meter.peak
    weights_too = 4 * SPEC.param_count  # they are saved whatever the part
    assert needed[1] > 8 * weights_too
    assert needed[8] < needed[1] / 8 + 2 * weights_too


class _Saved:
    """Counts bytes between saving and release."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def pack(self, tensor):
        kept = _Kept(tensor)
        size = tensor.numel() * tensor.element_size()
        self._add(size)
        weakref.finalize(kept, self._add, -size)
        return kept

    def _add(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)


class _Kept:
    """A tensor that waits for the backward pass."""

    def __init__(self, tensor) -> None:
        self.tensor = tensor


# without regularisers nothing changes ------------------------------------------------


def test_a_quiet_program_draws_nothing():
    """Masks need shifts; no network has any."""
    for recipe, draws in ((QUIET, False), (NOISY, True)):
        update = learner("jax", recipe)._update
        images, labels = batch(soft=draws)
        key = noise.key(0, 0) if draws else None
        given = update._arguments(images, labels, 1e-3, key)
        assert len(given) == 3 + draws
        program = str(jax.make_jaxpr(update._advance)(update.state, *given))
        assert ("shift_right_logical" in program) == draws


def test_a_quiet_torch_step_runs_no_other_kernel():
    from torch.utils._python_dispatch import TorchDispatchMode

    class Named(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    for recipe, draws in ((QUIET, False), (NOISY, True)):
        seen: set[str] = set()
        made = learner("torch", recipe)
        with Named():
            made.step(*batch(soft=draws), 1e-3, noise.key(0, 0) if draws else None)
        assert ("__rshift__" in seen) == draws
        assert ("where" in seen) == draws


# divergence --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framework", "optimizer"), [("jax", "adam"), ("torch", "sgd")]
)
def test_a_real_run_that_diverges_stops_early_and_says_where(framework, optimizer):
    cell = Cell(
        mode="pretrain",
        framework=framework,
        model="Mixer-XXS/4",
        device="cpu",
        image_size=8,
        batch_size=8,
        dataset="digits",
        data_examples=64,
        total_steps=2_000,
        learning_rate=1e6,
        optimizer=optimizer,
        clip_norm=None,
        schedule="constant",
        warmup_steps=20,
    )
    made = backend.load(framework, "cpu")
    with pytest.raises(Diverged, match=r"loss \S+ at step \d+ of 2000, .*1e\+06"):
        loop.pretrain(WorkItem(cell=cell), made)


def test_jax_runs_no_further_ahead_than_it_says():
    """Else the loop would fetch batches long before their time, and call it waiting."""
    from bench.learner_jax import QUEUED

    spec = models.spec_for("Mixer-S/16", image_size=64, num_classes=5)
    made = backend.load("jax", "cpu").learner(
        spec, weights.random(spec, 0), QUIET, batch_size=16, dtype="float32"
    )
    images = np.zeros((16, 64, 64, 3), np.float32)
    for _ in range(8):
        made.step(images, np.zeros(16, int), 1e-4)
        late = [loss for loss in made._pending if not loss.is_ready()]
        assert len(late) <= 1 + QUEUED
    assert len(late) > 0, "steps are waited for one by one: nothing overlaps"
    made.barrier()
