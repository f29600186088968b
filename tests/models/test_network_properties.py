"""What the papers say of the networks, as properties of the functions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from network_cases import CASES, images_of

from bench import models
from bench.models import ModelSpec, weights

torch = pytest.importorskip("torch")

MIXER, GAP = CASES["mixer"], CASES["vit gap"]
TOKEN_MODELS = [case for case, spec in CASES.items() if spec.tokens is not None]
POSITIONS = "Transformer/posembed_input/pos_embedding"


def logits(
    spec: ModelSpec, given: dict[str, np.ndarray], images: np.ndarray
) -> np.ndarray:
    network = models.twin(spec, "torch").build(spec, given, dtype="float64")
    with torch.no_grad():
        return network(torch.tensor(images)).numpy()


def shuffled(
    images: np.ndarray, patch: int, patches: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    """Patch i becomes patch patches[i], and within each, pixel i is pixels[i]."""
    batch, size, _, channels = images.shape
    grid = size // patch
    x = images.reshape(batch, grid, patch, grid, patch, channels).swapaxes(2, 3)
    x = x.reshape(batch, grid**2, patch**2, channels)[:, patches][:, :, pixels]
    x = x.reshape(batch, grid, grid, patch, patch, channels).swapaxes(2, 3)
    return x.reshape(images.shape)


def orders(spec: ModelSpec) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.permutation(spec.grid**2), rng.permutation(spec.patch_size**2)


def test_the_order_of_tokens_matters_to_mixer() -> None:
    images, (patches, pixels) = images_of(MIXER), orders(MIXER)
    given = weights.random(MIXER, 0)
    moved = shuffled(images, 4, patches, np.sort(pixels))
    gap = np.abs(logits(MIXER, given, moved) - logits(MIXER, given, images)).max()
    assert gap > 0.01


def test_the_order_of_tokens_reaches_a_gap_vit_by_positions_alone() -> None:
    images, (patches, pixels) = images_of(GAP), orders(GAP)
    moved = shuffled(images, 4, patches, np.sort(pixels))
    given = weights.random(GAP, 0)
    assert np.abs(logits(GAP, given, moved) - logits(GAP, given, images)).max() > 0.01
    blind = given | {POSITIONS: np.zeros_like(given[POSITIONS])}
    np.testing.assert_allclose(
        logits(GAP, blind, moved), logits(GAP, blind, images), rtol=0, atol=1e-12
    )


def test_untied_copies_of_tied_weights_are_the_tied_network() -> None:
    untied, images = CASES["mixer untied"], images_of(MIXER)
    given = weights.random(MIXER, 0)
    copied = {
        name: np.repeat(array[None], MIXER.width, 0)
        if "/token_mixing/" in name
        else array
        for name, array in given.items()
    }
    np.testing.assert_allclose(
        logits(untied, copied, images), logits(MIXER, given, images), rtol=0, atol=1e-12
    )


def test_untied_channels_do_not_read_each_others_weights() -> None:
    spec = CASES["mixer linear untied"]
    block = models.twin(spec, "torch").build(
        spec, weights.random(spec, 0), dtype="float64"
    )
    mixing = block.MixerBlock_0.token_mixing
    x = torch.randn(2, spec.tokens, spec.width, dtype=torch.float64)
    with torch.no_grad():
        before = mixing(x)
        mixing.Dense_0.kernel[5] *= 2
        changed = (mixing(x) != before).any(dim=1).any(dim=0)
    assert changed.nonzero().flatten().tolist() == [5]


def test_without_token_mixing_the_order_of_tokens_is_lost() -> None:
    spec = CASES["mixer without token mixing"]
    images, (patches, pixels) = images_of(spec), orders(spec)
    given = weights.random(spec, 0)
    moved = shuffled(images, 4, patches, np.sort(pixels))
    np.testing.assert_allclose(
        logits(spec, given, moved), logits(spec, given, images), rtol=0, atol=1e-12
    )


def test_linear_token_mixing_is_one_matrix() -> None:
    spec = CASES["mixer linear"]
    network = models.twin(spec, "torch").build(
        spec, weights.random(spec, 0), dtype="float64"
    )
    mixing = network.MixerBlock_0.token_mixing
    x = torch.randn(2, spec.tokens, spec.width, dtype=torch.float64)
    with torch.no_grad():
        wanted = torch.einsum("bsc,sd->bdc", x, mixing.Dense_0.kernel)
        wanted += mixing.Dense_0.bias[:, None]
        torch.testing.assert_close(mixing(x), wanted, rtol=0, atol=1e-12)


def test_patch_and_pixel_shuffling_only_permutes_the_weights_of_mixer() -> None:
    """Section 3.4 and Figure 4: training cannot see this shuffling."""
    images, (patches, pixels) = images_of(MIXER), orders(MIXER)
    given = weights.random(MIXER, 0)
    moved = dict(given)
    kernel = given["stem/kernel"]
    moved["stem/kernel"] = kernel.reshape(16, 3, -1)[pixels].reshape(kernel.shape)
    for block in range(MIXER.num_blocks):
        mlp = f"MixerBlock_{block}/token_mixing"
        moved[f"{mlp}/Dense_0/kernel"] = given[f"{mlp}/Dense_0/kernel"][patches]
        moved[f"{mlp}/Dense_1/kernel"] = given[f"{mlp}/Dense_1/kernel"][:, patches]
        moved[f"{mlp}/Dense_1/bias"] = given[f"{mlp}/Dense_1/bias"][patches]
    there = logits(MIXER, moved, shuffled(images, 4, patches, pixels))
    here = logits(MIXER, given, images)
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-12)
    unmoved = logits(MIXER, given, shuffled(images, 4, patches, pixels))
    assert np.abs(unmoved - here).max() > 0.01


def _is_without_effect(spec: ModelSpec, name: str) -> bool:
    # one number for all channels of a token: every later reader is a layer norm;
    # one number for all keys of a query: the softmax removes it
    if not getattr(spec, "tied_token_mixing", True):  # there each has its own number
        return False
    last = "Dense_0" if getattr(spec, "token_mixing", "") == "linear" else "Dense_1"
    return name.endswith((f"token_mixing/{last}/bias", "key/bias"))


@pytest.mark.parametrize("case", TOKEN_MODELS)
def test_every_tensor_counts(case: str) -> None:
    spec, images = CASES[case], images_of(CASES[case])
    given = weights.random(spec, 0)
    before = logits(spec, given, images)
    for name, array in given.items():
        after = logits(spec, given | {name: np.zeros_like(array)}, images)
        gap = np.abs(after - before).max()
        assert gap < 1e-12 if _is_without_effect(spec, name) else gap > 1e-4, name


@pytest.mark.parametrize("case", CASES)
def test_random_weights_keep_features_near_one(case: str) -> None:
    spec = CASES[case]
    network = models.twin(spec, "torch").build(
        spec, weights.random(spec, 0), dtype="float64"
    )
    with torch.no_grad():
        features = network.features(torch.tensor(images_of(spec)))
    assert 0.1 < features.std() < 10


@pytest.mark.parametrize("case", CASES)
def test_a_fresh_network_answers_zero(case: str) -> None:
    spec = CASES[case]
    assert not logits(spec, weights.initial(spec, 0), images_of(spec)).any()


def test_a_fresh_v1_unit_passes_its_shortcut_through() -> None:
    spec = CASES["resnet_v1"]
    shallow = replace(spec, blocks=(1, 1))
    fresh = weights.initial(spec, 0)
    fresh["head/kernel"] = weights.random(spec, 0)["head/kernel"]
    kept = {name: fresh[name] for name in shallow.tensors()}
    images = images_of(spec)
    np.testing.assert_allclose(
        logits(spec, fresh, images), logits(shallow, kept, images), atol=1e-12
    )


def test_bits_max_pool_pads_with_zeros() -> None:
    """The released code's choice; padding with -inf is another function."""
    spec = CASES["resnet"]
    network = models.twin(spec, "torch").build(
        spec, weights.random(spec, 0), dtype="float64"
    )
    images = torch.tensor(images_of(spec)).permute(0, 3, 1, 2)
    root = network.resnet.root_block
    with torch.no_grad():
        conv = root.standardized_conv2d(images)
        pooled = root(images)
    padded = np.pad(conv.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    np.testing.assert_array_equal(
        pooled.numpy(), windows[:, :, ::2, ::2].max(axis=(4, 5))
    )
    minus_infinity = torch.nn.functional.max_pool2d(conv, 3, 2, padding=1)
    assert (pooled[:, :, 0] > minus_infinity[:, :, 0]).any()
    assert torch.equal(pooled[:, :, 1:-1, 1:-1], minus_infinity[:, :, 1:-1, 1:-1])


# Layers by hand, in both frameworks


def numeric(framework: str):
    """The shared layers of a framework, and how its arrays are made."""
    if framework == "torch":
        from bench.models import layers_torch as layers

        return layers, torch.tensor
    jnp = pytest.importorskip("jax.numpy")
    pytest.importorskip("flax")
    from bench.models import layers_jax as layers

    return layers, jnp.asarray


def numbers(array: object) -> np.ndarray:
    return np.asarray(array.detach() if hasattr(array, "detach") else array)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_gelu_is_the_tanh_form(framework: str) -> None:
    layers, made = numeric(framework)
    x = np.linspace(-4, 4, 81, dtype=np.float32)
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    wanted = 0.5 * x * (1 + np.tanh(inner))
    erf = np.vectorize(math.erf)
    assert np.abs(wanted - 0.5 * x * (1 + erf(x / math.sqrt(2)))).max() > 1e-4
    np.testing.assert_allclose(numbers(layers.gelu(made(x))), wanted, atol=1e-6)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_layer_norm_epsilon_is_1e_6(framework: str) -> None:
    layers, made = numeric(framework)
    given = {"scale": made(np.ones(2, "f4")), "bias": made(np.zeros(2, "f4"))}
    x = made(np.array([[1e-3, -1e-3]], "f4"))  # variance 1e-6, as large as epsilon
    y = numbers(layers.LayerNorm(given)(x))
    np.testing.assert_allclose(y, [[0.5**0.5, -(0.5**0.5)]], rtol=1e-5)


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize("family, eps", [("resnet", 1e-5), ("resnet_v1", 1e-6)])
def test_group_norm_epsilon_and_offset(family: str, eps: float, framework: str) -> None:
    _, made = numeric(framework)
    twin = models.twin(CASES[family], framework)
    names = ("gamma", "beta") if family == "resnet" else ("scale", "bias")
    given = dict(zip(names, (np.ones(64, "f4"), np.zeros(64, "f4")), strict=True))
    norm = twin.GroupNorm({name: made(array) for name, array in given.items()})

    def run(x: np.ndarray) -> np.ndarray:
        """NHWC in and out; torch works in NCHW."""
        if framework == "jax":
            return numbers(norm(made(x)))
        return numbers(norm(made(np.moveaxis(x, 3, 1).copy()))).transpose(0, 2, 3, 1)

    signs = np.where(np.arange(64) % 2, 1, -1).astype("f4")
    tiny = np.broadcast_to(signs * np.float32(eps**0.5), (1, 3, 3, 64)).copy()
    np.testing.assert_allclose(np.abs(run(tiny)), 0.5**0.5, rtol=1e-4)
    # far from zero, a variance taken as a difference of means would lose all digits
    noise = np.random.default_rng(0).standard_normal((1, 8, 8, 64)).astype("f4")
    np.testing.assert_allclose(run(noise + 1000), run(noise), atol=1e-3)


@pytest.mark.parametrize("framework", ["jax", "torch"])
@pytest.mark.parametrize(
    "family, size, wanted",
    [
        ("resnet", 1e-5, 0.5**0.5),  # sqrt(variance + 1e-10)
        ("resnet_v1", 1e-5, 0.5),  # deviation + 1e-5
    ],
)
def test_weight_standardisation(
    family: str, size: float, wanted: float, framework: str
) -> None:
    _, made = numeric(framework)
    twin = models.twin(CASES[family], framework)
    signs = np.where(np.arange(8) % 2, size, -size).astype("f4").reshape(2, 2, 2, 1)
    dtype = twin.COMPUTE["float32"]
    conv = twin.StdConv({"kernel": made(signs)}, dtype)
    np.testing.assert_allclose(np.abs(numbers(conv.standardized())), wanted, rtol=1e-4)
