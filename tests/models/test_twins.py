"""The twins have the same classes, and exactly the tensors that the spec lists."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from network_cases import CASES, images_of

import bench
from bench import models
from bench.models import ModelSpec, weights

MODELS = Path(bench.__file__).parent / "models"


def size_of(name: str) -> int:
    return 16 if name.endswith("/4") else 224


def public_classes(path: Path) -> list[str]:
    body = ast.parse(path.read_text()).body
    return [node.name for node in body if isinstance(node, ast.ClassDef)]


def sublayers(path: Path) -> list[str]:
    """Attributes that a constructor sets, class by class, in order."""
    return [
        f"{cls.name}.{target.attr}"
        for cls in ast.parse(path.read_text()).body
        if isinstance(cls, ast.ClassDef)
        for node in ast.walk(cls)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
    ]


@pytest.mark.parametrize("stem", [*models.FAMILIES, "layers"])
def test_same_classes_and_sublayers_in_the_same_order(stem: str) -> None:
    in_jax, in_torch = (MODELS / f"{stem}_{fw}.py" for fw in ("jax", "torch"))
    assert public_classes(in_jax) == public_classes(in_torch) != []
    assert sublayers(in_jax) == sublayers(in_torch) != []


@pytest.mark.parametrize("name", models.variants())
def test_torch_network_is_the_spec(name: str) -> None:
    """On the meta device: names, sizes, output and products, without a number."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    spec = models.spec_for(name, image_size=size_of(name))
    twin = models.twin(spec, "torch")
    with torch.device("meta"):
        given = {key: torch.empty(t.shape) for key, t in spec.tensors().items()}
        network = class_of(spec, twin)(spec, given, torch.float32)
        images = torch.empty(2, spec.image_size, spec.image_size, 3)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert network(images).shape == (2, 1000)
    assert sum(p.numel() for p in network.parameters()) == spec.param_count
    assert sorted(twin.canonical_names(network).values()) == sorted(spec.tensors())
    assert counter.get_total_flops() == 2 * 2 * spec.macs


@pytest.mark.parametrize("name", models.variants())
def test_jax_network_is_the_spec(name: str) -> None:
    """Traced with shapes only."""
    jax = pytest.importorskip("jax")
    nnx = pytest.importorskip("flax.nnx")
    spec = models.spec_for(name, image_size=size_of(name))
    twin = models.twin(spec, "jax")
    given = {
        key: jax.ShapeDtypeStruct(t.shape, "float32")
        for key, t in spec.tensors().items()
    }
    size = spec.image_size
    images = jax.ShapeDtypeStruct((2, size, size, 3), "float32")

    def run(given, images):
        network = class_of(spec, twin)(spec, given, jax.numpy.float32)
        names.update(twin.canonical_names(network))
        return network(images), nnx.state(network, nnx.Param)

    names: dict[tuple[str, ...], str] = {}
    logits, state = jax.eval_shape(run, given, images)
    assert logits.shape == (2, 1000)
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) == spec.param_count
    assert sorted(names.values()) == sorted(spec.tensors())


def class_of(spec: ModelSpec, twin: object) -> type:
    names = {"mixer": "Mixer", "vit": "ViT", "resnet": "ResNet"}
    return getattr(twin, names.get(spec.family, "ResNetV1"))


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("case", ["mixer", "vit", "resnet", "resnet_v1"])
def test_dump_gives_back_what_was_built(case: str, framework: str) -> None:
    pytest.importorskip("flax" if framework == "jax" else "torch")
    given = weights.random(CASES[case], 3)
    twin = models.twin(CASES[case], framework)
    back = twin.dump(twin.build(CASES[case], given, dtype="bfloat16"))
    assert set(back) == set(given)
    for name, array in given.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == np.float32  # parameters keep their precision


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("case", ["mixer", "vit with representation", "resnet"])
@pytest.mark.parametrize("dtype", ["tf32", "bfloat16", "float16"])
def test_low_precision_stays_close_and_leaves_in_float32(
    case: str, framework: str, dtype: str
) -> None:
    pytest.importorskip("flax" if framework == "jax" else "torch")
    spec = CASES[case]
    exact = _logits(spec, framework, "float32")
    logits = _logits(spec, framework, dtype)
    assert logits.dtype == np.float32
    step = {"bfloat16": 2**-8, "float16": 2**-11}.get(dtype, 0)
    error = np.abs(logits - exact).max() / np.abs(exact).max()
    assert error <= 24 * step  # a few roundings for each of some twenty layers
    assert (error > 0) == (step > 0)  # and it does compute in the low precision


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("case", ["mixer", "vit", "resnet", "resnet_v1"])
def test_head_of_features_is_the_logits(case: str, framework: str) -> None:
    pytest.importorskip("flax" if framework == "jax" else "torch")
    spec = CASES[case]
    network, features, logits = _ran(spec, framework, "float32")
    assert features.shape == (3, spec.width)
    head = np.asarray(network.head(features))
    np.testing.assert_allclose(head, np.asarray(logits), atol=1e-5)


def test_float64_in_jax_needs_its_switch() -> None:
    pytest.importorskip("flax")
    from bench.errors import StudyError

    spec = CASES["mixer"]
    with pytest.raises(StudyError, match="JAX_ENABLE_X64=1"):
        models.twin(spec, "jax").build(spec, weights.random(spec, 0), dtype="float64")


def _logits(spec: ModelSpec, framework: str, dtype: str) -> np.ndarray:
    return np.asarray(_ran(spec, framework, dtype)[2])


@cache
def _ran(spec: ModelSpec, framework: str, dtype: str) -> tuple:
    """The network, its features and its logits."""

    def both(network, images):
        return network.features(images), network(images)

    build = models.twin(spec, framework).build
    network = build(spec, weights.random(spec, 2), dtype=dtype)
    images = images_of(spec).astype(np.float32)
    if framework == "jax":
        nnx = pytest.importorskip("flax.nnx")
        return network, *nnx.jit(both)(network, images)
    torch = pytest.importorskip("torch")
    return network, *both(network.requires_grad_(False), torch.from_numpy(images))
