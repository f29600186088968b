"""The public door: load_model, and names that load late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bench
from bench import models
from bench.errors import MissingPackage, StudyError
from bench.models import weights

SPEC = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=3)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "w.npz"
    weights.save_file(path, weights.random(SPEC, 0))
    return path


def loaded(framework: str, **options: object):
    pytest.importorskip("flax" if framework == "jax" else "torch")
    settings = {"image_size": 8, "num_classes": 3, "device": "cpu"} | options
    return bench.load_model("mixer-xxs4", framework=framework, **settings)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_predict_features_state_and_save(framework: str, file: Path) -> None:
    model = loaded(framework, weights=file)
    logits, features = model.predict(IMAGES), model.features(IMAGES)
    assert (logits.shape, logits.dtype) == ((2, 3), np.float32)
    assert (features.shape, features.dtype) == ((2, 64), np.float32)
    state = model.state_dict()
    assert list(state) == list(SPEC.tensors())
    head = features @ state["head/kernel"] + state["head/bias"]
    np.testing.assert_allclose(head, logits, atol=1e-5)
    again = file.with_suffix(".safetensors")
    model.save(again)
    np.testing.assert_array_equal(
        loaded(framework, weights=again).predict(IMAGES), logits
    )


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_a_file_of_half_the_size_and_other_classes(
    framework: str, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = loaded(framework, weights=file, image_size=16, num_classes=5)
    assert model.spec.tokens_mlp_dim == 4 * SPEC.tokens_mlp_dim
    report = str(model.report)
    assert "4 copies, 4 to 16 tokens" in report
    assert "new head/kernel, head/bias: zeros for 5 classes" in report
    assert report in caplog.text
    images = np.tile(IMAGES, (1, 2, 2, 1))  # four parts alike: the old features
    small = loaded(framework, weights=file)
    assert str(small.report) == "30 of 30 tensors as in the file"
    np.testing.assert_allclose(
        model.features(images), small.features(IMAGES), atol=1e-5
    )
    assert (model.predict(images) == 0).all()


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_without_a_file_the_seed_draws_the_weights(framework: str) -> None:
    model = loaded(framework, seed=4)
    for name, array in weights.initial(SPEC, 4).items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_float64_images_are_taken_as_float32(framework: str, file: Path) -> None:
    model = loaded(framework, weights=file)
    np.testing.assert_array_equal(
        model.predict(IMAGES.astype(np.float64)), model.predict(IMAGES)
    )


@pytest.mark.parametrize(
    "images, message",
    [
        (
            np.zeros((2, 8, 8, 3), np.uint8),
            "images are uint8 (2, 8, 8, 3); Mixer-XXS/4 takes float32 (batch, 8, 8, 3) "
            "in [-1, 1], which bytes become by images / 127.5 - 1",
        ),
        (np.zeros((8, 8, 3), np.float32), "images are float32 (8, 8, 3); "),
        (np.zeros((2, 3, 8, 8), np.float32), "images are float32 (2, 3, 8, 8); "),
        (
            np.full((1, 8, 8, 3), 255, np.float32),
            "images reach 255; Mixer-XXS/4 takes [-1, 1], "
            "which 0..255 becomes by images / 127.5 - 1",
        ),
    ],
)
def test_images_that_do_not_fit(images: np.ndarray, message: str) -> None:
    model = loaded("torch")
    for run in (model.predict, model.features):
        with pytest.raises(StudyError) as caught:
            run(images)
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"framework": "keras"}, "unknown framework 'keras'; known: jax, torch"),
        ({"dtype": "int8"}, "unknown dtype 'int8'; known: float32, "),
        ({"pool": "gap"}, "mixer-xxs4: Mixer has no pool"),
    ],
)
def test_settings_that_do_not_exist(options: dict[str, str], message: str) -> None:
    settings = {"framework": "torch", "image_size": 8} | options
    with pytest.raises(StudyError) as caught:
        bench.load_model("mixer-xxs4", **settings)
    assert str(caught.value).startswith(message)


def test_a_missing_framework_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"pip install 'mixer-bench\[torch\]'"):
        bench.load_model("mixer-xxs4", framework="torch", image_size=8)


HEAVY = ("jax", "flax", "torch", "pandas")


def _imported(code: str) -> set[str]:
    """Which of the heavy packages a fresh process holds after `code`."""
    check = f"{code}; import sys; print(*[n for n in {HEAVY} if n in sys.modules])"
    root = Path(bench.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import bench",
        "import bench.models; bench.models.spec_for('ViT-L/16').param_count",
        "import bench.models; bench.models.variants()",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    assert _imported(code) == set()


def test_the_check_above_can_fail() -> None:
    assert "pandas" in _imported("import bench, pandas")


def test_public_names() -> None:
    assert dir(bench) == ["__version__", "load_model", "read_results", "run_study"]
    assert bench.load_model.__module__ == "bench.api"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        bench.nonsense  # noqa: B018
