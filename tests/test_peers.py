"""timm beside us: the same weights, the same outputs, in its own layout."""

import importlib.util

import numpy as np
import pytest
from test_tuned_variants import assert_same, outputs

from bench import models, peers
from bench.errors import StudyError
from bench.models import weights

MODELS = ["Mixer-XXS/4", "ViT-XXS/4", "BiT-R14x1/4"]


@pytest.fixture(scope="module")
def timm():
    pytest.importorskip("torch")
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    return peers.twin("timm")


def logits(module, images):
    import torch

    with torch.inference_mode():
        batch = torch.tensor(images).permute(0, 3, 1, 2).contiguous()
        return module.eval()(batch).numpy()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("pool", [None, "gap"])
def test_the_same_weights_give_the_same_logits(timm, name, pool):
    if pool and not name.startswith("ViT"):
        pytest.skip("only ViT pools in two ways")
    spec = models.spec_for(name, image_size=16, num_classes=5, pool=pool)
    start = weights.random(spec, 0)
    images = np.random.default_rng(0).standard_normal((3, 16, 16, 3))
    ours = models.twin(spec, "torch").build(spec, start, dtype="float64")
    theirs = timm.build(spec, start, dtype="float64")
    assert sum(p.numel() for p in theirs.parameters()) == spec.param_count
    import torch

    with torch.inference_mode():
        wanted = ours(torch.tensor(images)).numpy()
    np.testing.assert_allclose(logits(theirs, images), wanted, rtol=0, atol=1e-9)


def test_every_tensor_of_ours_is_read(timm):
    for name in MODELS:
        spec = models.spec_for(name, image_size=16, num_classes=5)
        module = timm.build(spec, weights.random(spec, 0), dtype="float32")
        ours = set(timm.canonical_names(module).values())
        fused = {t for t in spec.tensors() if "/key/" in t or "/value/" in t}
        assert ours == set(spec.tensors()) - fused


def test_reduced_precision_is_autocast_and_leaves_float32(timm):
    spec = models.spec_for("Mixer-XXS/4", image_size=16, num_classes=5)
    start = weights.random(spec, 0)
    images = np.random.default_rng(0).standard_normal((3, 16, 16, 3), dtype=np.float32)
    exact = logits(timm.build(spec, start, dtype="float32"), images)
    found = logits(timm.build(spec, start, dtype="bfloat16"), images)
    assert found.dtype == np.float32
    error = np.abs(found - exact).max() / exact.std()
    assert 1e-4 < error < 0.1


def test_a_family_that_timm_lacks_is_one_line(timm):
    spec = models.spec_for("ResNetV1-R50x1", image_size=32)
    with pytest.raises(StudyError, match="has no counterpart of ResNetV1-R50x1; it ha"):
        timm.build(spec, {}, dtype="float32")


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_a_timed_step_of_the_peer_agrees_with_ours(timm, mode):
    ours = outputs("BiT-R14x1/4", mode, "eager")["eager"]
    both = outputs("BiT-R14x1/4", mode, "eager", "eager+channels-last", peer="timm")
    for theirs in both.values():
        assert_same(mode, theirs[0], ours[0])
    assert [theirs[3] for theirs in both.values()] == ["NCHW", "NHWC"]
