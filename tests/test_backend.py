"""Both backends against one numpy reference, in float64: every rule of an update.

jax runs in its own process, because 64 bits are a setting of the whole process.
"""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import backend, models
from bench.errors import StudyError
from bench.models import weights
from bench.recipes.recipe import Recipe

ROOT = Path(__file__).parent.parent
RATES = (0.1, 0.03, 0.2)
FRAMEWORKS = ("jax", "torch")

# clipping is off, acts, or is too loose to act
RECIPES = [
    dict(zip(("optimizer", "weight_decay", "clip_norm", "loss"), row, strict=True))
    for row in (
        ("adam", 0.0, None, "softmax"),
        ("adam", 0.3, 0.05, "sigmoid"),
        ("adam", 0.3, 100.0, "softmax"),
        ("sgd", 0.0, 0.05, "softmax"),
        ("sgd", 0.3, None, "sigmoid"),
        ("sgd", 0.0, 100.0, "sigmoid"),
    )
]
# the decay of BiT's SGD; soft labels, which mixup makes; a batch in parts
RECIPES += [
    {**RECIPES[number], **more}
    for number, more in (
        (4, {"decay": "coupled"}),
        (4, {"decay": "coupled", "clip_norm": 0.05}),
        (0, {"mixup": 0.5}),
        (1, {"mixup": 0.5}),
        (0, {"accumulate": 5}),
        (1, {"mixup": 0.5, "accumulate": 2}),
        (4, {"decay": "coupled", "mixup": 0.5, "accumulate": 10}),
    )
]


def toy(recipe):
    """Ten images of 2 x 2 pixels, a linear network with kernel and bias."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((10, 2, 2, 3))
    labels = rng.integers(0, 4, 10)
    kernel, bias = rng.standard_normal((12, 4)), rng.standard_normal(4)
    if "mixup" in recipe:
        labels = 0.7 * np.eye(4)[labels] + 0.3 * np.eye(4)[rng.integers(0, 4, 10)]
    return images, labels, kernel, bias


def reference(recipe):
    """Three updates, written out: losses, kernel, bias."""
    images, labels, kernel, bias = toy(recipe)
    x, wanted = images.reshape(10, 12), labels
    if labels.ndim == 1:
        wanted = np.eye(4)[labels]
    params, losses = [kernel, bias], []
    first = [np.zeros_like(p) for p in params]
    second = [np.zeros_like(p) for p in params]
    for step, rate in enumerate(RATES, start=1):
        logits = x @ params[0] + params[1]
        if recipe["loss"] == "softmax":
            chances = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
            losses.append(-(wanted * np.log(chances)).sum(-1).mean())
        else:
            chances = 1 / (1 + np.exp(-logits))
            likely = wanted * np.log(chances) + (1 - wanted) * np.log(1 - chances)
            losses.append(-likely.sum(-1).mean())
        error = (chances - wanted) / 10
        gradients = [x.T @ error, error.sum(0)]
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        if recipe["clip_norm"] is not None and norm > recipe["clip_norm"]:
            gradients = [g * recipe["clip_norm"] / norm for g in gradients]
        for i, (p, g) in enumerate(zip(params, gradients, strict=True)):
            decay = recipe["weight_decay"] * p if i == 0 else 0  # kernels only
            if recipe.get("decay") == "coupled":
                g, decay = g + decay, 0
            if recipe["optimizer"] == "sgd":
                first[i] = 0.9 * first[i] + g
                update = first[i]
            else:
                first[i] = 0.9 * first[i] + 0.1 * g
                second[i] = 0.999 * second[i] + 0.001 * g**2
                debiased = second[i] / (1 - 0.999**step)
                update = first[i] / (1 - 0.9**step) / (np.sqrt(debiased) + 1e-8)
            params[i] = p - rate * (update + decay)
    return losses, *params


def torch_updates():
    import torch

    from bench.learner_torch import Update

    class Linear(torch.nn.Module):
        def __init__(self, kernel, bias):
            super().__init__()
            self.kernel = torch.nn.Parameter(torch.tensor(kernel))
            self.bias = torch.nn.Parameter(torch.tensor(bias))

        def forward(self, images):
            return images.reshape(len(images), -1) @ self.kernel + self.bias

    for recipe in RECIPES:
        images, labels, kernel, bias = toy(recipe)
        batch = torch.tensor(images), torch.tensor(labels)
        module = Linear(kernel, bias)
        names = {"kernel": "head/kernel", "bias": "head/bias"}
        update = Update(module, names, Recipe(**recipe))
        losses = [float(update(*batch, rate)) for rate in RATES]
        yield losses, *(p.detach().numpy() for p in module.parameters())


def jax_updates():
    import types

    import jax

    from bench import backend_jax
    from bench.learner_jax import Update

    jax.config.update("jax_enable_x64", True)
    for recipe in RECIPES:
        images, labels, kernel, bias = toy(recipe)
        network = types.SimpleNamespace(
            names=["head/kernel", "head/bias"],
            params=[jax.numpy.asarray(kernel), jax.numpy.asarray(bias)],
            dtype="float64",
            device=jax.devices("cpu")[0],
            logits=lambda p, x: x.reshape(len(x), -1) @ p[0] + p[1],
        )
        batch = jax.device_put((images, labels))
        update = Update(network, Recipe(**recipe), *batch)
        before = backend_jax._COMPILATIONS.count
        losses = [float(update(*batch, rate)) for rate in RATES]
        assert backend_jax._COMPILATIONS.count == before, "a rate was compiled in"
        yield losses, *(np.asarray(p) for p in update.state[0])


def trained(framework):
    """Three real updates of a small Mixer in float64, through the public door."""
    spec = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=3)
    rng = np.random.default_rng(1)
    learner = backend.load(framework, "cpu").learner(
        spec,
        weights.random(spec, 0),
        Recipe(weight_decay=0.1, clip_norm=1.0),
        batch_size=4,
        dtype="float64",
    )
    for rate in RATES:
        images = rng.standard_normal((4, 8, 8, 3))
        learner.step(images, rng.integers(0, 3, 4), rate / 100)
    probes = rng.standard_normal((6, 8, 8, 3))
    return {
        **learner.state_dict(),
        "losses": np.array(learner.losses()),
        "logits": learner.logits(probes),
        "features": learner.features(probes),
    }


def main(path):
    """The jax half: toy updates and a trained network, left in a file."""
    toys = {
        f"{number}/{part}": value
        for number, values in enumerate(jax_updates())
        for part, value in enumerate(values)
    }
    real = {f"real/{name}": value for name, value in trained("jax").items()}
    np.savez(path, **toys, **real)


@pytest.fixture(scope="module")
def from_jax(tmp_path_factory):
    pytest.importorskip("jax")
    path = tmp_path_factory.mktemp("jax") / "half.npz"
    code = (
        "import sys; sys.path[:0] = ['tests']; import test_backend as t; t.main({!r})"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.format(str(path))],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(path))


def assert_updates_equal(found, recipe):
    for part, wanted in zip(found, reference(recipe), strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("number", range(len(RECIPES)), ids=lambda n: str(RECIPES[n]))
def test_jax_updates_as_written_out(number, from_jax):
    found = [from_jax[f"{number}/{part}"] for part in range(3)]
    assert_updates_equal(found, RECIPES[number])


def test_torch_updates_as_written_out():
    pytest.importorskip("torch")
    for found, recipe in zip(torch_updates(), RECIPES, strict=True):
        assert_updates_equal(found, recipe)


def test_a_real_network_trains_alike(from_jax):
    pytest.importorskip("torch")
    found = trained("torch")
    assert {f"real/{name}" for name in found} <= set(from_jax)
    for name, value in found.items():
        np.testing.assert_allclose(value, from_jax[f"real/{name}"], rtol=0, atol=1e-10)
    assert found["logits"].shape == (6, 3)
    assert found["features"].shape == (6, 64)


# One process for each framework -------------------------------------------------


def ask(framework, code):
    """What `code` prints as JSON, with `b` the backend, in a process of its own."""
    pytest.importorskip(framework)
    head = (
        "import json, os, numpy as np\n"
        # One core: two OpenMP threads that spin beside other work are many times slower
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from bench import backend, models, probe\n"
        "from bench.errors import StudyError\n"
        "from bench.models import weights\n"
        "from bench.recipes.recipe import Recipe\n"
        f"b = backend.load({framework!r}, 'cpu')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", head + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


PRECISIONS = """
names = ("float32", "bfloat16", "float16", "tf32", "float64")
print(json.dumps({n: [b.effective_precision(n), b.convolution_precision(n)]
                  for n in names}))
"""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_cpu_computes_in_what_the_dtype_says_and_has_no_tf32(framework):
    found = ask(framework, PRECISIONS)
    assert found.pop("tf32") == ["float32", "float32"]
    assert found == {name: [name, name] for name in found}


ERRORS = {
    "jax": "import jax.numpy as jnp; make = lambda: float(jnp.zeros(10**15)[0])",
    "torch": "import torch; make = lambda: torch.zeros(10**15)",
}
MEMORY = """
try:
    make()
except Exception as error:
    true = b.is_out_of_memory(error)
try:
    b.infer(None, {}, None, dtype="float32")
except Exception as error:
    other = b.is_out_of_memory(error)
print(json.dumps([true, other, b.is_out_of_memory(MemoryError())]))
"""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_only_a_true_memory_error_is_one(framework):
    assert ask(framework, ERRORS[framework] + MEMORY) == [True, False, True]


LEARNER = """
spec = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=3)
start = weights.random(spec, 0)
rng = np.random.default_rng(0)
images = rng.standard_normal((9, 8, 8, 3), dtype=np.float32)
model = b.model(spec, start, dtype="float32")
learner = b.learner(spec, start, Recipe(), batch_size=4, dtype="float32")
kept = learner.state_dict()
same = all((kept[name] == start[name]).all() for name in start)
padded = float(abs(learner.logits(images) - model.predict(images)).max())
width = learner.features(images).shape
buffer = images[:4].copy()
for step in range(20):
    learner.step(buffer, np.array([0, 1, 2, 0]), 1e-2)
buffer[:] = np.nan  # the loader reuses its buffer while steps still wait
learner.barrier()
losses = learner.losses()
seconds = learner.compile_s
learner.logits(images)
refused = []
for dtype in ("float16", "fp32"):
    try:
        b.learner(spec, start, Recipe(), batch_size=4, dtype=dtype)
    except StudyError as error:
        refused.append(str(error))
print(json.dumps({
    "same": same, "padded": padded, "width": width, "losses": losses,
    "again": learner.compile_s - seconds, "refused": refused,
    "start": all((start[n] == kept[n]).all() for n in start),
    "moved": any((learner.state_dict()[n] != kept[n]).any() for n in start),
    "peak": b.peak_memory()[0], "rate": b.matmul_rate(256, "float32"),
}))
"""


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_learner_learns_and_leaves_what_it_was_given(framework):
    found = ask(framework, LEARNER)
    assert found["same"] and found["start"] and found["moved"]
    assert found["padded"] < 1e-5
    assert found["width"] == [9, 64]
    assert len(found["losses"]) == 20
    assert found["losses"][-1] < 0.5 * found["losses"][0]
    assert found["again"] == 0  # an evaluation compiles once
    assert [text.split(" ")[1] for text in found["refused"]] == ["float16", "dtype"]
    assert found["peak"] > 2**20
    assert 1e8 < found["rate"] < 1e14


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_absent_device_is_refused_with_what_is_there(framework):
    pytest.importorskip(framework)
    with pytest.raises(StudyError, match=rf"device 'npu'; known: auto.*{framework}"):
        backend.load(framework, "npu")


def test_an_unknown_framework_is_refused():
    with pytest.raises(StudyError, match="unknown framework 'tf'; known: jax, torch"):
        backend.load("tf")


NO_BARRIER = """
from bench.errors import UntrustedMeasurement
from bench.timing.measure import measure
spec = models.spec_for("Mixer-XXS/4", image_size=32, num_classes=3)
images = np.random.default_rng(0).standard_normal((64, 32, 32, 3), dtype=np.float32)
work = b.infer(spec, weights.random(spec, 0), images, dtype="float32")
work.barrier = lambda: None
try:
    measure(work, precision=0.05, window_s=0.1)
    print(json.dumps("trusted"))
except UntrustedMeasurement as error:
    print(json.dumps(str(error)))
"""


def test_jax_without_its_barrier_is_caught():
    """Even on a CPU jax returns before the work is done."""
    assert ask("jax", NO_BARRIER).startswith("the barrier returned early")


@pytest.mark.parametrize(("kind", "waits"), [("cpu", 0), ("cuda", 1), ("npu", 1)])
def test_torch_waits_for_any_accelerator_known_or_not(kind, waits, monkeypatch):
    torch = pytest.importorskip("torch")
    from bench.backend_torch import barrier_of

    calls = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: calls.append(1))
    barrier_of(SimpleNamespace(type=kind))()
    assert len(calls) == waits


@pytest.mark.parametrize(
    "model, layout", [("Mixer-XXS/4", "NHWC"), ("BiT-R14x1/4", "NCHW")]
)
def test_torch_rows_say_the_layout_that_the_network_computes_in(model, layout):
    spec = models.spec_for(model, image_size=16, num_classes=2)
    images = np.zeros((1, 16, 16, 3), np.float32)
    made = backend.load("torch", "cpu")
    step = made.infer(spec, weights.random(spec, seed=0), images, dtype="float32")
    assert step.layout == layout
