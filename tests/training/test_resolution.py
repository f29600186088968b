"""Weights at a higher resolution: exact for Mixer, the released code's for ViT."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest

from bench import models
from bench.errors import WeightsError
from bench.models import weights
from bench.models.vit import POSITIONS
from bench.training import resolution

CLASSES = 3


def mixer(size: int, **options: object) -> models.ModelSpec:
    return models.spec_for(
        "Mixer-XXS/4", image_size=size, num_classes=CLASSES, **options
    )


def vit(size: int, classes: int = CLASSES, **options: object) -> models.ModelSpec:
    return models.spec_for("ViT-XXS/4", image_size=size, num_classes=classes, **options)


def logits(framework: str, spec: models.ModelSpec, values, images) -> np.ndarray:
    """In float64, with the twin of one framework."""
    if framework == "torch":
        torch = pytest.importorskip("torch")
        context, tensor = torch.no_grad(), torch.tensor
    else:
        jax = pytest.importorskip("jax")
        pytest.importorskip("flax")
        context, tensor = jax.enable_x64(True), jax.numpy.asarray
    with contextlib.ExitStack() as stack:
        stack.enter_context(context)
        network = models.twin(spec, framework).build(spec, values, dtype="float64")
        return np.asarray(network(tensor(images)))


def parts_of(images: np.ndarray, factor: int) -> np.ndarray:
    """The factor x factor parts of every image: (images, parts, side, side, 3)."""
    count, size = images.shape[:2]
    side = size // factor
    blocks = images.reshape(count, factor, side, factor, side, 3)
    return blocks.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, side, side, 3)


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize(("size", "factor"), [(8, 2), (12, 2), (8, 3)])
def test_logits_are_the_mean_of_those_of_the_parts(framework, size, factor):
    """Exact, head bias included: each part's mean passes the same linear head."""
    small, large = mixer(size), mixer(factor * size, tokens_mlp_dim=32 * factor**2)
    old = weights.random(small, 0)
    new, _ = resolution.fit(old, large)
    images = np.random.default_rng(1).standard_normal(
        (2, factor * size, factor * size, 3)
    )
    whole = logits(framework, large, new, images)
    parts = parts_of(images, factor)
    each = [logits(framework, small, old, part) for part in parts]
    assert whole.std() > 0.1 and np.abs(old["head/bias"]).max() > 0.05
    expected = np.stack([one.mean(axis=0) for one in each])
    np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-12)


def test_copies_in_the_order_of_the_parts_are_not_the_same():
    """The trap: tokens come row by row over the whole image."""
    small, large = mixer(8), mixer(16, tokens_mlp_dim=128)
    old = weights.random(small, 0)
    right, _ = resolution.fit(old, large)
    wrong = dict(right)
    for block in range(2):
        for layer in ("Dense_0", "Dense_1"):
            name = f"MixerBlock_{block}/token_mixing/{layer}/kernel"
            wrong[name] = np.kron(np.eye(4), old[name])
    images = np.random.default_rng(1).standard_normal((1, 16, 16, 3))
    apart = logits("torch", large, right, images) - logits(
        "torch", large, wrong, images
    )
    assert np.abs(apart).max() > 1e-3


def test_the_tokens_of_a_part_stand_in_rows_of_the_whole():
    assert resolution.token_order(2, 2).tolist() == [
        [0, 1, 4, 5],
        [2, 3, 6, 7],
        [8, 9, 12, 13],
        [10, 11, 14, 15],
    ]


def test_a_mixer_file_of_the_same_size_is_loaded_as_it_stands():
    spec = mixer(8)
    old = weights.random(spec, 0)
    new, report = resolution.fit(old, spec)
    assert report.as_found and str(report) == "30 of 30 tensors as in the file"
    assert report.image_size == 8
    for name, array in old.items():
        np.testing.assert_array_equal(new[name], array)


def test_what_a_mixer_carries_is_reported():
    new, report = resolution.fit(
        weights.random(mixer(8), 0), mixer(16, tokens_mlp_dim=128), new_head=True
    )
    assert str(report) == (
        "20 of 30 tensors as in the file; "
        "MixerBlock_0/token_mixing/Dense_0/kernel, "
        "MixerBlock_0/token_mixing/Dense_0/bias and 6 more: 4 copies, 4 to 16 tokens; "
        "new head/kernel, head/bias: zeros for 3 classes, the file's is for 3"
    )
    assert report.image_size == 8
    kernel = new["MixerBlock_0/token_mixing/Dense_0/kernel"]
    assert np.count_nonzero(kernel) == 4 * 4 * 32
    assert (new["head/kernel"] == 0).all() and (new["head/bias"] == 0).all()


@pytest.mark.parametrize(
    ("large", "message"),
    [
        (
            mixer(12, tokens_mlp_dim=32),
            "Mixer-XXS/4 at 12 px: MixerBlock_0/token_mixing/Dense_0/kernel is "
            "(4, 32), not (9, 32); token mixing is carried to whole multiples of the "
            "file's resolution only: 8, 16, 24 px",
        ),
        (
            mixer(16),
            "Mixer-XXS/4 at 16 px: MixerBlock_0/token_mixing/Dense_0/kernel is "
            "(4, 32), not (16, 32); at 2 times the resolution give tokens_mlp_dim 128, "
            "4 times the file's",
        ),
        (
            mixer(4),
            "Mixer-XXS/4 at 4 px: MixerBlock_0/token_mixing/Dense_0/kernel is (4, 32), "
            "not (1, 32); token mixing is carried to whole multiples of the file's "
            "resolution only: 8, 16, 24 px",
        ),
    ],
)
def test_a_mixer_goes_to_whole_multiples_only(large, message):
    with pytest.raises(WeightsError) as caught:
        resolution.fit(weights.random(mixer(8), 0), large)
    assert str(caught.value) == message


# ViT ---------------------------------------------------------------------------


def interpolated(grid: np.ndarray, side: int) -> np.ndarray:
    """Bilinear with fixed corners, one axis after the other, by np.interp."""
    old = len(grid)
    at = np.arange(side) * (old - 1) / max(side - 1, 1)

    def along(values: np.ndarray) -> np.ndarray:
        return np.interp(at, np.arange(old), values)

    rows = np.apply_along_axis(along, 0, grid)
    return np.apply_along_axis(along, 1, rows)


@pytest.mark.parametrize(("old", "new"), [(8, 16), (16, 24), (24, 16), (4, 12)])
@pytest.mark.parametrize("pool", ["token", "gap"])
def test_positions_are_bilinear_and_the_class_entry_is_kept(old, new, pool):
    before = weights.random(vit(old, pool=pool), 0)
    after, report = resolution.fit(before, vit(new, pool=pool))
    own = int(pool == "token")
    table = before[POSITIONS]
    grid = table[0, own:].reshape(old // 4, old // 4, 64).astype(np.float64)
    expected = interpolated(grid, new // 4).reshape(-1, 64)
    np.testing.assert_allclose(after[POSITIONS][0, own:], expected, atol=1e-6)
    np.testing.assert_array_equal(after[POSITIONS][:, :own], table[:, :own])
    assert list(report.carried) == [POSITIONS]
    assert report.image_size == old


def test_corners_stay_and_a_straight_line_stays_straight():
    ramp = np.broadcast_to(np.arange(3.0)[:, None, None], (3, 3, 1))
    made = resolution.resized(ramp, 5)
    np.testing.assert_allclose(made[:, 0, 0], [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(made[0, :, 0], 0)


def test_positions_without_a_class_entry_get_one_of_zero():
    spec = vit(8)
    before = weights.random(spec, 0)
    bare = {**before, POSITIONS: before[POSITIONS][:, 1:]}
    after, _ = resolution.fit(bare, vit(16))
    assert (after[POSITIONS][:, 0] == 0).all()
    whole, _ = resolution.fit(before, vit(16))
    np.testing.assert_array_equal(after[POSITIONS][:, 1:], whole[POSITIONS][:, 1:])


def test_a_token_file_is_not_resized_into_a_gap_network():
    with pytest.raises(WeightsError, match=r"pos_embedding is \(1, 5, 64\), not"):
        resolution.fit(weights.random(vit(8), 0), vit(16, pool="gap"))


# The head ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Mixer-XXS/4", "ViT-XXS/4", "BiT-R14x1/4"])
def test_a_head_of_other_classes_starts_from_zero_and_is_reported(name):
    small, large = (models.spec_for(name, image_size=8, num_classes=n) for n in (21, 3))
    before = weights.random(small, 0)
    after, report = resolution.fit(before, large)
    assert tuple(report.new) == large.head() and len(large.head()) == 2
    assert not report.carried and not report.dropped
    for head in large.head():
        assert (after[head] == 0).all()
    assert str(report).endswith("zeros for 3 classes, the file's is for 21")
    body = set(after) - set(large.head())
    assert all((after[one] == before[one]).all() for one in body)


def test_a_fitting_head_is_kept_unless_a_new_one_is_wanted():
    spec = vit(8)
    before = weights.random(spec, 0)
    kept, report = resolution.fit(before, spec)
    assert (kept["head/kernel"] == before["head/kernel"]).all() and report.as_found
    new, report = resolution.fit(before, spec, new_head=True)
    assert (new["head/kernel"] == 0).all() and not report.as_found


def test_the_hidden_layer_of_a_pre_training_head_goes_with_it():
    with_layer = vit(8, representation=True)
    before = weights.random(with_layer, 0)
    after, report = resolution.fit(before, vit(8), new_head=True)
    assert report.dropped == ("pre_logits/kernel", "pre_logits/bias")
    assert "dropped pre_logits/kernel, pre_logits/bias" in str(report)
    assert set(after) == set(vit(8).tensors())
    # where the head stays, its hidden layer is no spare part
    with pytest.raises(WeightsError, match="there is no pre_logits/"):
        resolution.fit(before, vit(8))
    kept, report = resolution.fit(before, with_layer, new_head=True)
    assert not report.dropped and "pre_logits/kernel" in kept


# Files -----------------------------------------------------------------------------


def test_a_file_of_another_model_names_the_first_tensor_and_both_shapes(tmp_path):
    path = tmp_path / "w.npz"
    weights.save_file(path, weights.random(vit(8), 0))
    wide = models.spec_for("ViT-XS/4", image_size=8, num_classes=CLASSES)
    with pytest.raises(WeightsError) as caught:
        resolution.load(path, wide)
    assert str(caught.value) == (
        f"{path}: ViT-XS/4 at 8 px with 3 classes: cls is (1, 1, 64), not (1, 1, 128); "
        "give the model, image size and number of classes of the file"
    )
    with pytest.raises(
        WeightsError, match=r"MixerBlock_0/LayerNorm_0/scale \(64,\) is mis"
    ):
        resolution.load(path, mixer(8))


def test_carrying_is_not_undone_by_saving(tmp_path):
    large = mixer(16, tokens_mlp_dim=128)
    made, _ = resolution.fit(weights.random(mixer(8), 0), large)
    weights.save_file(tmp_path / "w.npz", made)
    again, report = resolution.load(tmp_path / "w.npz", large)
    assert report.as_found
    assert all((again[name] == made[name]).all() for name in made)


def test_the_spec_of_a_higher_resolution_has_the_files_hidden_units(tmp_path):
    path = tmp_path / "w.npz"
    weights.save_file(path, weights.random(mixer(8), 0))
    assert resolution.widened(mixer(16), path) == mixer(16, tokens_mlp_dim=128)
    assert resolution.widened(mixer(8), path) == mixer(8)
    other = dataclasses.replace(mixer(8), tokens_mlp_dim=7)
    assert resolution.widened(other, path) == other  # a wrong file stays wrong
