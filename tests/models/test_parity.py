"""Both twins are the same function, and have the same derivative."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from network_cases import CASES, IN_FLOAT32, images_of, probe_of

import bench
from bench import models
from bench.models import ModelSpec, weights

torch = pytest.importorskip("torch")
pytest.importorskip("flax")


@pytest.fixture(scope="module")
def from_jax(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, np.ndarray]:
    path = tmp_path_factory.mktemp("parity") / "jax.npz"
    script = Path(__file__).with_name("parity_in_jax.py")
    root = str(Path(bench.__file__).parents[1])
    env = os.environ | {
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",  # compiles in half the time
        "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
    }
    subprocess.run([sys.executable, script, path], env=env, check=True)
    return np.load(path)


def network_of(spec: ModelSpec, dtype: str) -> torch.nn.Module:
    twin = models.twin(spec, "torch")
    return twin.build(spec, weights.random(spec, 1), dtype=dtype)


def relative(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape and a.dtype == b.dtype
    return float(np.abs(a - b).max() / np.abs(a).max())


@pytest.mark.parametrize("case", CASES)
def test_float64_logits_and_features_agree(
    case: str, from_jax: Mapping[str, np.ndarray]
) -> None:
    network, images = network_of(CASES[case], "float64"), images_of(CASES[case])
    with torch.no_grad():
        logits = network(torch.tensor(images)).numpy()
        features = network.features(torch.tensor(images)).numpy()
    assert logits.std() > 0.1  # nothing to compare otherwise
    assert relative(from_jax[f"{case}/float64"], logits) < 1e-10
    assert relative(from_jax[f"{case}/features"], features) < 1e-10


@pytest.mark.parametrize("case", CASES)
def test_float64_gradients_agree_as_one_vector(
    case: str, from_jax: Mapping[str, np.ndarray]
) -> None:
    # as one vector: the gradient of some biases is exactly zero, up to rounding
    spec = CASES[case]
    network = network_of(spec, "float64")
    loss = network(torch.tensor(images_of(spec))) * torch.tensor(probe_of(spec))
    loss.sum().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.grad)
    ours = models.twin(spec, "torch").dump(network)
    theirs = {name: from_jax[f"{case}/gradient/{name}"] for name in spec.tensors()}
    assert set(ours) == set(theirs)
    a, b = (
        np.concatenate([part[name].ravel() for name in spec.tensors()])
        for part in (theirs, ours)
    )
    assert np.linalg.norm(a - b) / np.linalg.norm(a) < 1e-10


@pytest.mark.parametrize("case", IN_FLOAT32)
def test_float32_logits_agree(case: str, from_jax: Mapping[str, np.ndarray]) -> None:
    spec = IN_FLOAT32[case]
    with torch.no_grad():
        logits = network_of(spec, "float32")(torch.tensor(images_of(spec)).float())
    assert relative(from_jax[f"{case}/float32"], logits.numpy()) < 1e-4
