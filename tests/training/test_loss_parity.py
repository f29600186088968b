"""Both frameworks train alike: fifty losses, every regulariser on and seeded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from parity_runs import IN_FLOAT32, IN_PARTS, RUNS, STEPS, losses

import bench
from bench import cores

pytest.importorskip("torch")
pytest.importorskip("flax")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that share busy cores wait for each other; a test needs no speed."""
    monkeypatch.setattr(cores, "threads", lambda: 1)


@pytest.fixture(scope="module")
def from_jax(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, np.ndarray]:
    path = tmp_path_factory.mktemp("losses") / "jax.npz"
    script = Path(__file__).with_name("parity_runs.py")
    root = str(Path(bench.__file__).parents[1])
    env = os.environ | {
        "JAX_ENABLE_X64": "1",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles in half the time
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }
    subprocess.run([sys.executable, script, path], env=env, check=True)
    return dict(np.load(path))


def furthest(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest relative difference of two runs."""
    assert found.shape == expected.shape == (STEPS,)
    return float(np.max(np.abs(found / expected - 1)))


@pytest.mark.parametrize("run", RUNS)
def test_losses_agree_in_float64(run: str, from_jax: Mapping[str, np.ndarray]) -> None:
    found = losses("torch", run, "float64")
    assert furthest(found, from_jax[run]) < 1e-9
    assert np.ptp(found) > 0.2 * found[0]  # something moved


@pytest.mark.parametrize("run", IN_PARTS)
def test_a_batch_in_parts_is_the_whole_batch(
    run: str, from_jax: Mapping[str, np.ndarray]
) -> None:
    """Masks included: they go by the place in the batch, not in the part."""
    whole = from_jax[run]
    assert furthest(from_jax[f"{run} in parts"], whole) < 1e-9
    assert furthest(losses("torch", run, "float64", accumulate=2), whole) < 1e-9


@pytest.mark.parametrize("run", IN_FLOAT32)
def test_float32_differs_no_more_than_by_one_ulp_of_the_weights(
    run: str, from_jax: Mapping[str, np.ndarray]
) -> None:
    """Training is chaotic: what rounding may do is measured, in one framework."""
    plain = losses("torch", run, "float32")
    nudged = [
        furthest(losses("torch", run, "float32", nudge=to), plain)
        for to in (-np.inf, np.inf)
    ]
    assert furthest(from_jax[f"{run} in float32"], plain) < 10 * max(nudged)
