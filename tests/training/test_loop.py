import dataclasses

import numpy as np
import pytest

from bench import record
from bench.data.loader import Loader
from bench.errors import Diverged, StudyError, UntrustedMeasurement
from bench.models import noise, weights
from bench.recipes.recipe import Recipe
from bench.specs import Cell, WorkItem
from bench.training import loop, task

CELL = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="jax",
    device="cpu",
    image_size=8,
    batch_size=50,
    dataset="digits",
    data_examples=200,
    total_steps=40,
    learning_rate=0.5,
    warmup_steps=0,
)


class FakeClock:
    """Time passes only where a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeLearner:
    """Softmax regression on pixels, with a price for everything it does."""

    BUILD, COMPILE, STEP, BARRIER, EVALUATE = 5.0, 2.0, 1.0, 0.25, 0.5

    def __init__(self, clock: FakeClock, spoil_at: int | None = None) -> None:
        self.clock = clock
        self.spoil_at = spoil_at
        self.events: list[str] = []
        self.compile_s = 0.0
        self.compile_cached = False
        self.kernel = np.zeros((8 * 8 * 3, 10))
        self._losses: list[float] = []
        self.keys: list[np.ndarray | None] = []
        clock.now += self.BUILD

    def step(self, images, labels, learning_rate, key=None) -> None:
        if not self._losses:  # compiled late, inside a measured span
            self.compile_s += self.COMPILE
            self.clock.now += self.COMPILE
        self.clock.now += self.STEP
        self.keys.append(key)
        self.events.append("step")
        x = images.reshape(len(images), -1)
        scores = x @ self.kernel
        scores -= scores.max(1, keepdims=True)
        shares = np.exp(scores)
        shares /= shares.sum(1, keepdims=True)
        hit = shares[np.arange(len(x)), labels]
        loss = np.nan if len(self._losses) == self.spoil_at else -np.log(hit).mean()
        self._losses.append(float(loss))
        shares[np.arange(len(x)), labels] -= 1
        self.kernel -= learning_rate * x.T @ shares / len(x) / 10

    def barrier(self) -> None:
        self.clock.now += self.BARRIER
        self.events.append("barrier")

    def losses(self) -> list[float]:
        return list(self._losses)

    def logits(self, images):
        self.clock.now += self.EVALUATE
        self.events.append("evaluate")
        return (images.reshape(len(images), -1) @ self.kernel).astype(np.float32)

    def features(self, images):
        self.clock.now += self.EVALUATE
        self.events.append("features")
        scores = images.reshape(len(images), -1) @ (self.kernel + np.eye(192, 10))
        return scores.astype(np.float32)

    def state_dict(self):
        return {"head/kernel": self.kernel.astype(np.float32)}


class FakeBackend:
    name = "fake"
    device_kind = "cpu"
    device_name = "fake"

    def __init__(self, clock: FakeClock, spoil_at: int | None = None) -> None:
        self.clock, self.spoil_at = clock, spoil_at

    def learner(self, spec, initial, recipe, *, batch_size, dtype):
        self.asked = (spec, recipe, batch_size, dtype)
        self.made = FakeLearner(self.clock, self.spoil_at)
        return self.made

    def peak_memory(self):
        return 12345, "fake"

    def effective_precision(self, dtype):
        return "float32"

    convolution_precision = effective_precision


def trained(cell: Cell = CELL, **backend):
    clock = FakeClock()
    fake = FakeBackend(clock, **backend)
    return loop.pretrain(WorkItem(cell=cell), fake, clock), fake


def changed(**fields) -> Cell:
    return dataclasses.replace(CELL, **fields)


def test_the_account_is_exact_and_adds_up():
    row, _ = trained()
    # 40 steps in 4 spans, each closed by a barrier; 4 curve points of one call each,
    # and two calls (512 + 85 images) for the test split.
    measured = 40 * FakeLearner.STEP + 4 * FakeLearner.BARRIER
    evaluations = (4 + 2) * FakeLearner.EVALUATE
    assert row["measured_s"] == pytest.approx(measured)
    assert row["excluded_s"] == pytest.approx(
        FakeLearner.BUILD + FakeLearner.COMPILE + evaluations
    )
    assert row["idle_s"] == pytest.approx(0)
    parts = ("measured_s", "excluded_s", "repeated_s", "idle_s")
    total = sum(row[part] for part in parts)
    assert row["allocated_s"] == pytest.approx(total, rel=1e-3)
    assert row["compile_s"] == FakeLearner.COMPILE


def test_rates_and_core_days_come_from_measured_time_alone():
    row, _ = trained()
    cores = loop.machine.fingerprint("cpu").cores
    rate = 40 * 50 / row["measured_s"] / cores
    assert row["train_img_per_sec_core"] == pytest.approx(rate)
    assert row["core_days_measured"] == pytest.approx(cores * 41 / 86_400)


def test_waiting_for_data_is_part_of_training(monkeypatch):
    plain = Loader.batch

    def slow(self, step):
        clock.now += 0.5
        return plain(self, step)

    monkeypatch.setattr(Loader, "batch", slow)
    clock = FakeClock()
    row = loop.pretrain(WorkItem(cell=CELL), FakeBackend(clock), clock)
    assert row["data_wait_s"] == pytest.approx(20)
    assert row["measured_s"] == pytest.approx(41 + 20)
    assert row["data_wait_fraction"] == pytest.approx(20 / 61)


def test_spans_end_with_a_barrier_before_anything_is_evaluated():
    _, fake = trained(changed(total_steps=8))
    span = ["step", "step", "barrier", "evaluate"]
    assert fake.made.events == span * 4 + ["evaluate"] * 2


def test_the_row_fits_the_record_and_says_what_was_trained():
    row, fake = trained(changed(augment="flip"))
    record.row(row)
    assert {key: row[key] for key in ("steps", "images_seen", "unique_images")} == {
        "steps": 40,
        "images_seen": 2_000,
        "unique_images": 200,
    }
    assert row["epochs"] == 10
    assert (row["pretrain_dataset"], row["pretrain_image_size"]) == ("digits", 8)
    assert (row["eval_dataset"], row["eval_split"], row["n_eval"]) == (
        "digits",
        "test",
        597,
    )
    assert row["eval_preprocess"] == "8 px scan, bilinear to 8 px, grey to RGB"
    assert row["chance"] == pytest.approx(61 / 597)
    assert row["weights_sha256"] == weights.sha256(fake.made.state_dict())
    spec, recipe, batch_size, dtype = fake.asked
    assert (spec.num_classes, spec.image_size) == (10, 8)
    assert (recipe.learning_rate, batch_size, dtype) == (0.5, 50, "float32")
    assert (row["family"], row["param_count"]) == ("mixer", spec.param_count)


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({"warmup_steps": None}, 4),  # a tenth of the run
        ({"warmup_steps": 7}, 7),
        ({"warmup_steps": 10_000, "warmup_share": 0.1066}, 4),  # as mixer-imagenet
    ],
)
def test_the_row_says_how_long_the_warm_up_was(fields, taken):
    row, _ = trained(changed(**fields))
    assert row["warmup_steps_taken"] == taken


def test_it_learns_and_the_curve_shows_it():
    row, _ = trained()
    assert row["top1"] > 0.7 > 3 * row["chance"]
    steps = [point["step"] for point in row["curve"]]
    losses = [point["train_loss"] for point in row["curve"]]
    assert steps == [10, 20, 30, 40]
    assert losses == sorted(losses, reverse=True)
    assert row["train_loss"] < losses[-1]  # the last tenth is later than the last span
    assert row["curve"][-1]["train_s"] == pytest.approx(row["measured_s"])


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_a_short_run_takes_exactly_its_steps(steps):
    row, fake = trained(changed(total_steps=steps))
    assert fake.made.events.count("step") == row["steps"] == steps
    assert row["curve"][-1]["step"] == steps


def test_probes_stand_beside_both_baselines():
    row, _ = trained(changed(probe="digits+fractals-unseen", total_steps=20))
    found = {(r["dataset"], r["baseline"]) for r in row["fewshot"]}
    kinds = (None, "raw_pixels", "random_init")
    assert found == {(d, k) for d in ("digits", "fractals-unseen") for k in kinds}
    assert len(row["fewshot"]) == 2 * 3 * 4 * 3
    record.table([row])
    raw = [
        r["accuracy"]
        for r in row["fewshot"]
        if (r["dataset"], r["shots"], r["baseline"]) == ("digits", 10, "raw_pixels")
    ]
    assert np.mean(raw) > 0.8


def test_the_random_init_baseline_is_taken_before_the_first_step():
    _, fake = trained(changed(probe="digits"))
    events = fake.made.events
    before = events[: events.index("step")]
    assert before == ["features"] * 4  # support and test, two calls each


def test_linear_five_shot_stands_in_the_curve_and_not_on_the_clock():
    plain, _ = trained()
    probed, fake = trained(changed(probe="digits"))
    record.table([probed])
    assert [point["fewshot"] for point in plain["curve"]] == [None] * 4
    names = [[one["dataset"] for one in p["fewshot"]] for p in probed["curve"]]
    assert names == [["digits"]] * 4
    last = [
        row["accuracy"]
        for row in probed["fewshot"]
        if row["shots"] == 5 and row["baseline"] is None
    ]
    assert probed["curve"][-1]["fewshot"][0]["accuracy"] == np.median(last)
    assert len({p["fewshot"][0]["accuracy"] for p in probed["curve"]}) > 1
    assert probed["measured_s"] == plain["measured_s"]
    assert probed["excluded_s"] > plain["excluded_s"]
    assert fake.made.events.count("features") == 4 * (1 + 4 + 1)


def test_raw_pixels_are_those_before_the_shuffle():
    """Least squares does not see an order; an average over shuffled pixels would."""
    size = {"image_size": 40, "total_steps": 1, "probe_examples": 100}
    fake = FakeBackend(FakeClock())
    fake.learner = lambda *_, **__: Blind(fake.clock)
    accuracies = [
        [
            row["accuracy"]
            for row in loop.pretrain(
                WorkItem(cell=changed(probe="digits", shuffle=kind, **size)), fake
            )["fewshot"]
            if row["baseline"] == "raw_pixels"
        ]
        for kind in ("none", "global")
    ]
    assert accuracies[0] == accuracies[1] and max(accuracies[0]) > 0.8


class Blind(FakeLearner):
    """Sees 8 x 8 pixels of any image."""

    def step(self, images, *rest) -> None:
        super().step(images[:, :8, :8], *rest)

    def logits(self, images):
        return super().logits(images[:, :8, :8])

    def features(self, images):
        return super().features(images[:, :8, :8])


def test_a_dtype_that_is_not_what_is_computed_fails_the_attempt():
    with pytest.raises(UntrustedMeasurement, match=r"dtype bfloat16: .*float32"):
        trained(changed(dtype="bfloat16"))


@pytest.mark.parametrize("bad", [0, 17, 39])
def test_a_run_that_diverges_says_where(bad):
    with pytest.raises(Diverged, match=rf"loss nan at step {bad} of 40.*0\.5"):
        trained(spoil_at=bad)


@pytest.mark.parametrize(("bad", "noticed"), [(17, 100), (100, 200), (530, 550)])
def test_a_run_that_diverges_ends_soon_after_not_at_its_end(bad, noticed):
    clock = FakeClock()
    fake = FakeBackend(clock, spoil_at=bad)
    item = WorkItem(cell=changed(total_steps=2_200))
    with pytest.raises(Diverged, match=f"loss nan at step {bad} of 2200"):
        loop.pretrain(item, fake, clock)
    assert fake.made.events.count("step") == noticed


def test_weights_that_only_the_last_update_spoils_are_no_result():
    clock = FakeClock()
    fake = FakeBackend(clock)
    cell = changed(total_steps=4, learning_rate=1e308)

    def unbounded(losses, task):
        assert np.isfinite(losses[0])

    # every loss is taken before its update: suppose that they all looked well
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "check_losses", unbounded)
        with (
            np.errstate(all="ignore"),
            pytest.raises(Diverged, match="a logit is not finite after step 0; lower"),
        ):
            loop.pretrain(WorkItem(cell=cell), fake, clock)


@pytest.mark.parametrize(
    ("recipe", "loss"),
    [
        (Recipe(), 2.302585),
        (Recipe(loss="sigmoid"), 6.931472),
        (Recipe(loss="sigmoid", head_bias=-6.9), 10 * 0.0010073 + 6.9),
    ],
)
def test_the_loss_of_guessing_is_that_of_an_untrained_network(recipe, loss):
    assert loop.guessing_loss(recipe, 10) == pytest.approx(loss, rel=1e-5)


def test_a_noisy_cell_gives_every_step_its_key():
    _, fake = trained(changed(total_steps=5, dropout=0.1))
    keys = [noise.key(CELL.seed, step).tolist() for step in range(5)]
    assert [key.tolist() for key in fake.made.keys] == keys
    _, fake = trained(changed(total_steps=5))
    assert fake.made.keys == [None] * 5


def test_a_loss_far_above_guessing_has_diverged():
    ready = task.prepare(CELL)
    loop.check_losses([2.3, 100.0], ready)
    with pytest.raises(Diverged, match=r"loss 1000 at step 1 .*lower learning_rate"):
        loop.check_losses([2.3, 1000.0], ready)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"total_steps": None}, "give exactly one"),
        ({"total_epochs": 1.0}, "total_steps 40 and total_epochs 1.0"),
        ({"total_steps": 0}, "total_steps 0 is not possible"),
        ({"batch_size": "auto"}, "batch_size 'auto' is for speed modes"),
        ({"dataset": None}, "no dataset; known: digits"),
        ({"data_examples": 1_001}, "the training split has 1000 images"),
        ({"warmup_steps": 40}, "warmup_steps 40 does not fit a run of 40 steps"),
        ({"probe": "digit"}, "unknown dataset 'digit'"),
    ],
)
def test_a_cell_that_cannot_be_trained_is_refused(fields, message):
    with pytest.raises(StudyError, match=message):
        trained(changed(**fields))


@pytest.mark.parametrize(
    ("epochs", "steps"), [(1.0, 4), (2.5, 10), (0.1, 1), (0.01, 1), (1.1, 4)]
)
def test_epochs_become_whole_steps(epochs, steps):
    cell = changed(total_steps=None, total_epochs=epochs)
    assert task.total_steps(cell, unique_images=200) == steps


# what a cell sees --------------------------------------------------------------------


def test_a_cell_sees_the_same_batches_in_both_frameworks():
    one, other = (
        task.prepare(changed(framework=name, shuffle="global", augment="flip"))
        for name in ("jax", "torch")
    )
    for step in (0, 3, 11):
        for mine, theirs in zip(
            one.loader.batch(step), other.loader.batch(step), strict=True
        ):
            assert mine.tobytes() == theirs.tobytes()
    assert weights.sha256(one.weights) == weights.sha256(other.weights)


def test_the_seed_changes_weights_and_order_but_not_the_subset():
    one, other = (task.prepare(changed(seed=seed)) for seed in (0, 1))
    assert one.loader.images.tobytes() == other.loader.images.tobytes()
    assert one.loader.picks(0).tolist() != other.loader.picks(0).tolist()
    assert weights.sha256(one.weights) != weights.sha256(other.weights)


def test_the_subset_seed_changes_the_subset_alone():
    one, other = (task.prepare(changed(subset_seed=seed)) for seed in (0, 1))
    assert one.loader.images.tobytes() != other.loader.images.tobytes()
    assert weights.sha256(one.weights) == weights.sha256(other.weights)


@pytest.mark.parametrize("kind", ["patch_pixel", "global"])
def test_one_permutation_serves_every_image(kind):
    plain = task.prepare(changed(probe="digits"))
    mixed = task.prepare(changed(probe="digits", shuffle=kind))
    order = task.permutation(changed(shuffle=kind), plain.spec)

    def seen(view):
        return view.everything[0]

    pairs = [
        (plain.loader.batch(0)[0], mixed.loader.batch(0)[0]),
        (seen(plain.val), seen(mixed.val)),
        (seen(plain.test), seen(mixed.test)),
        (seen(plain.targets[0].support), seen(mixed.targets[0].support)),
        (seen(plain.targets[0].test), seen(mixed.targets[0].test)),
    ]
    for before, after in pairs:
        expected = task.shuffle.apply(before, order)
        np.testing.assert_array_equal(after, expected)
    assert mixed.eval_preprocess.endswith(f"{kind} shuffled")
    assert mixed.targets[0].preprocess.endswith(f"{kind} shuffled")
