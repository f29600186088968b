"""Run by test_resume in processes of their own: one training that may be killed.

The arguments are the checkpoint folder, the framework, and where the values go; or
`serve`. The learner of the framework `fake` is softmax regression in numpy.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import safetensors.numpy

from bench import backend, checkpoints, cores
from bench.backend import Weights
from bench.models import ModelSpec
from bench.recipes.recipe import Recipe
from bench.specs import Cell, Effort, WorkItem
from bench.training import loop

CELL = Cell(
    mode="pretrain",
    model="Mixer-XXS/4",
    framework="torch",
    device="cpu",
    image_size=8,
    batch_size=50,
    dataset="digits",
    data_examples=200,
    total_steps=24,
    learning_rate=3e-3,
    augment="flip",
)
EVERY = 5


class FakeLearner:
    """Softmax regression with momentum under the names of a real network's weights."""

    compile_s, compile_cached = 0.0, None

    def __init__(self, weights: Weights) -> None:
        self.weights = {name: array.copy() for name, array in weights.items()}
        self.speed = np.zeros((192, 10))
        self._losses: list[float] = []

    @property
    def kernel(self) -> np.ndarray:
        return self.weights["head/kernel"]  # 64 x 10: reads the first 64 values

    def step(self, images, labels, learning_rate, key=None) -> None:
        x = images.reshape(len(images), -1)[:, :64]
        scores = x @ self.kernel
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        hit = shares[np.arange(len(x)), labels]
        self._losses.append(float(-np.log(hit).mean()))
        shares[np.arange(len(x)), labels] -= 1
        self.speed[:64] = 0.9 * self.speed[:64] + x.T @ shares / len(x)
        self.weights["head/kernel"] = (
            self.kernel - learning_rate * self.speed[:64]
        ).astype(np.float32)

    def barrier(self) -> None: ...

    def losses(self) -> list[float]:
        return list(self._losses)

    def logits(self, images):
        return (images.reshape(len(images), -1)[:, :64] @ self.kernel).astype("f4")

    def state_dict(self):
        return self.weights

    def snapshot(self):
        named = {f"weights/{name}": array for name, array in self.weights.items()}
        return {
            **named,
            "optimizer/speed": self.speed,
            "losses": np.array(self._losses),
        }

    def restore(self, snapshot) -> None:
        self.weights = {
            name: snapshot[f"weights/{name}"].copy() for name in self.weights
        }
        self.speed = snapshot["optimizer/speed"].copy()
        self._losses = snapshot["losses"].tolist()


class FakeBackend:
    name, device_kind, device_name = "fake", "cpu", "fake"

    def learner(
        self, spec: ModelSpec, weights: Weights, recipe: Recipe, **given: object
    ) -> FakeLearner:
        return FakeLearner(weights)

    def peak_memory(self):
        return 1, "fake"

    def effective_precision(self, dtype):
        return dtype

    convolution_precision = effective_precision


def item(folder: Path, framework: str, every: int = EVERY) -> WorkItem:
    fields = {} if framework == "fake" else {"framework": framework, "probe": "digits"}
    cell = Cell(**{**CELL.declared(), **fields})
    effort = Effort(checkpoint_steps=every)
    return WorkItem(cell=cell, effort=effort, checkpoints=str(folder))


def train(folder: Path, framework: str, every: int = EVERY) -> dict:
    made = FakeBackend() if framework == "fake" else backend.load(framework, "cpu")
    return loop.pretrain(item(folder, framework, every), made)


def _half(arrays, path, metadata=None) -> None:
    """A write that has come half way."""
    whole = safetensors.numpy.save(arrays, metadata)
    Path(path).write_bytes(whole[: len(whole) // 2])


MOMENTS = {
    # name: (what is called then, whether the kill comes before the call)
    "step": (FakeLearner, "step", True),
    "evaluation": (loop, "accuracy", True),
    "write begins": (safetensors.numpy, "save_file", True),
    "half a write": (safetensors.numpy, "save_file", False),
    "write ends": (safetensors.numpy, "save_file", False),
    "rename": (Path, "replace", True),
    "renamed": (Path, "replace", False),
    "saved": (checkpoints.Work, "save", False),
}


def die(folder: Path, at: str, count: int, step_s: float, threads: int) -> None:
    """Train in this process, which is killed the `count`-th time that it is `at`."""
    cores.threads = lambda: threads
    owner, name, before = MOMENTS[at]
    calls, true = itertools.count(1), getattr(owner, name)

    def dying(*given, **named):
        time.sleep(step_s)
        if next(calls) != count:
            return true(*given, **named)
        if not before:
            (_half if at == "half a write" else true)(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)
    train(folder, "fake")


def serve() -> None:
    """Fork a child for each line of JSON, and answer how it ended.

    A process without a framework may fork; one that has loaded jax may not.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                given = json.loads(line)
                die(Path(given.pop("folder")), **given)
            finally:
                traceback.print_exc()
                os._exit(3)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    cores.threads = lambda: 1  # threads that share busy cores wait for each other
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        values = train(Path(sys.argv[1]), sys.argv[2])
        Path(sys.argv[3]).write_text(json.dumps(values))
