"""Initial weights, what files are accepted, and what is refused."""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from network_cases import CASES

from bench import models
from bench.errors import WeightsError
from bench.models import Tensor, weights

SPEC = CASES["vit with representation"]
BLOCK = "Transformer/encoderblock_0"


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert list(a) == list(b)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# Initialisers


def test_a_seed_is_frozen() -> None:
    spec = models.spec_for("Mixer-XXS/4", image_size=8, num_classes=2)
    kernel = weights.initial(spec, 0)["stem/kernel"]
    frozen = [0.14261127, -0.21501112, 0.020673819]
    np.testing.assert_allclose(kernel[0, 0, 0, :3], frozen, rtol=1e-6)


def test_each_tensor_has_its_own_stream() -> None:
    plain = weights.initial(CASES["vit"], 5)
    more = weights.initial(SPEC, 5)
    assert set(more) - set(plain) == {"pre_logits/kernel", "pre_logits/bias"}
    assert_same(plain, {name: more[name] for name in plain})
    other = weights.initial(CASES["vit"], 6)
    assert not np.array_equal(other["embedding/kernel"], plain["embedding/kernel"])


def test_lecun_normal_has_unit_gain_and_is_cut_at_two_deviations() -> None:
    draw = weights.INITIALISERS["lecun_normal"]
    kernel = draw(np.random.default_rng(0), Tensor((4, 4, 8, 2000), "lecun_normal"))
    assert kernel.std() == pytest.approx(1 / np.sqrt(128), rel=0.01)
    cut = 2 / 0.8796256610342398 / np.sqrt(128)
    assert 0.99 * cut < np.abs(kernel).max() <= cut * (1 + 1e-6)
    assert kernel.dtype == np.float32


@pytest.mark.parametrize(
    "tensor, fans",
    [
        (Tensor((300, 500), "xavier_uniform"), (300, 500)),
        (Tensor((192, 3, 64), "xavier_uniform", input_axes=1), (192, 192)),
        (Tensor((3, 64, 192), "xavier_uniform"), (192, 192)),
        (Tensor((7, 7, 3, 64), "lecun_normal"), (147, 64)),
    ],
)
def test_fans(tensor: Tensor, fans: tuple[int, int]) -> None:
    assert tensor.fans == fans
    if tensor.init == "xavier_uniform":
        kernel = weights.INITIALISERS[tensor.init](np.random.default_rng(0), tensor)
        bound = np.sqrt(6 / sum(fans))
        assert 0.99 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize(
    "name, std",
    [
        ("cls", 0.0),
        ("head/kernel", 0.0),
        ("head/bias", 0.0),
        ("embedding/bias", 0.0),
        ("Transformer/posembed_input/pos_embedding", 0.02),
        (f"{BLOCK}/MlpBlock_3/Dense_0/bias", 1e-6),
        (f"{BLOCK}/MultiHeadDotProductAttention_1/query/bias", 0.0),
    ],
)
def test_vit_starts_as_in_the_released_code(name: str, std: float) -> None:
    spec = models.spec_for("ViT-Ti/16", num_classes=3)
    assert weights.initial(spec, 0)[name].std() == pytest.approx(std, rel=0.1)


def test_norms_start_as_the_identity_but_for_the_last_of_a_v1_unit() -> None:
    start = weights.initial(CASES["resnet_v1"], 0)
    scales = {name: a for name, a in start.items() if name.endswith("/scale")}
    assert all((a == ("gn3" not in name)).all() for name, a in scales.items())
    bit = weights.initial(CASES["resnet"], 0)
    assert all((a == 1).all() for n, a in bit.items() if n.endswith("/gamma"))


@pytest.mark.parametrize("case", CASES)
def test_random_leaves_no_tensor_at_its_start(case: str) -> None:
    drawn = weights.random(CASES[case], 0)
    weights.check(drawn, CASES[case])
    for name, array in drawn.items():
        assert array.std() > 0, name
        assert array.dtype == np.float32


@pytest.mark.parametrize(
    "name, decays",
    [
        ("head/kernel", True),
        ("resnet/block1/unit01/a/standardized_conv2d/kernel", True),
        (f"{BLOCK}/MultiHeadDotProductAttention_1/query/kernel", True),
        ("head/bias", False),
        ("cls", False),
        ("Transformer/posembed_input/pos_embedding", False),
        ("MixerBlock_0/LayerNorm_0/scale", False),
        ("resnet/group_norm/gamma", False),
    ],
)
def test_only_kernels_decay(name: str, decays: bool) -> None:
    assert weights.is_kernel(name) is decays


# Files


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("case", CASES)
def test_save_and_load_bit_for_bit(case: str, suffix: str, tmp_path: Path) -> None:
    drawn = weights.random(CASES[case], 0)
    path = tmp_path / f"weights{suffix}"
    weights.save_file(path, drawn)
    assert_same(weights.load_file(path, CASES[case]), drawn)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def _prefixed(prefix: str) -> Callable[[str], str]:
    return lambda name: prefix + name


def _linen(name: str) -> str:
    for ours, theirs in (
        ("Attention_1/", "Attention_0/"),
        ("LayerNorm_2/", "LayerNorm_1/"),
        ("MlpBlock_3/", "MlpBlock_0/"),
    ):
        name = name.replace(ours, theirs)
    return name


def _big_vision(name: str) -> str:
    return "params/" + _linen(name).replace("Transformer/posembed_input/", "")


def _numbered(name: str) -> str:
    return name.replace("standardized_conv2d/", "standardized_conv2d_12/")


def _bit_paper(name: str) -> str:
    """The names of big_vision's bit_paper."""
    name = name.removeprefix("resnet/")
    name = name.replace("/gamma", "/scale").replace("/beta", "/bias")
    name = name.replace("root_block/standardized_conv2d", "root_block/conv_root")
    name = name.replace("a/proj/standardized_conv2d", "conv_proj")
    name = name.replace("head/conv2d", "head")
    name = re.sub(r"^group_norm", "norm-pre-head", name)
    for number, letter in enumerate("abc", 1):
        name = name.replace(f"/{letter}/standardized_conv2d", f"/conv{number}")
        name = name.replace(f"/{letter}/group_norm", f"/gn{number}")
    return name


@pytest.mark.parametrize(
    "case, rename",
    [
        ("mixer", _prefixed("opt/target/")),
        ("mixer", _prefixed("params/")),
        ("vit", _prefixed("opt/target/")),
        ("vit", _linen),
        ("vit", lambda name: name.replace("posembed_input/", "")),  # before 2022
        ("vit gap", _big_vision),
        ("vit with representation", _big_vision),
        ("resnet", _numbered),
        ("resnet", _bit_paper),
        ("resnet_v1", _prefixed("params/")),
    ],
)
def test_names_in_circulation(
    case: str, rename: Callable[[str], str], tmp_path: Path
) -> None:
    drawn = weights.random(CASES[case], 0)
    foreign = {rename(name): array for name, array in drawn.items()}
    assert set(foreign) != set(drawn)
    np.savez(tmp_path / "foreign.npz", **foreign)
    assert_same(weights.load_file(tmp_path / "foreign.npz", CASES[case]), drawn)


def test_flax_shapes_of_a_bit_file(tmp_path: Path) -> None:
    drawn = weights.random(CASES["resnet"], 0)
    foreign = {
        name: array[None, None, None] if "group_norm" in name else array
        for name, array in drawn.items()
    }
    foreign["resnet/head/conv2d/kernel"] = drawn["resnet/head/conv2d/kernel"][0, 0]
    np.savez(tmp_path / "foreign.npz", **foreign)
    assert_same(weights.load_file(tmp_path / "foreign.npz", CASES["resnet"]), drawn)


def test_big_vision_positions_leave_the_class_token_alone(tmp_path: Path) -> None:
    spec, name = CASES["vit"], "Transformer/posembed_input/pos_embedding"
    drawn = weights.random(spec, 0)
    drawn[name][:, 0] = 0
    np.savez(tmp_path / "foreign.npz", **(drawn | {name: drawn[name][:, 1:]}))
    assert_same(weights.load_file(tmp_path / "foreign.npz", spec), drawn)


def test_blocks_stacked_by_a_scan_are_taken_apart(tmp_path: Path) -> None:
    """big_vision's ViTs trained by nn.scan: (blocks, ...) under encoderblock."""
    spec = CASES["vit gap"]
    drawn = weights.random(spec, 0)
    stacked = {n: a for n, a in drawn.items() if "encoderblock_" not in n}
    for name in drawn:
        if name.startswith(f"{BLOCK}/"):
            rest = _linen(name.removeprefix(f"{BLOCK}/"))
            both = [drawn[name.replace("block_0", f"block_{i}")] for i in (0, 1)]
            stacked[f"params/Transformer/encoderblock/{rest}"] = np.stack(both)
    assert len(stacked) < len(drawn)
    np.savez(tmp_path / "foreign.npz", **stacked)
    assert_same(weights.load_file(tmp_path / "foreign.npz", spec), drawn)


def test_a_stack_of_another_depth_is_refused(tmp_path: Path) -> None:
    spec = CASES["vit gap"]
    drawn = weights.random(spec, 0)
    drawn["Transformer/encoderblock/LayerNorm_0/scale"] = np.ones((3, 64), np.float32)
    np.savez(tmp_path / "foreign.npz", **drawn)
    with pytest.raises(WeightsError, match="no Transformer/encoderblock/LayerNorm_0"):
        weights.load_file(tmp_path / "foreign.npz", spec)


def _older_mixer(name: str) -> str:
    """The Mixer layout before release, with pre-Linen numbers of layer norms."""
    name = re.sub(r"^stem/", "embedding/", name)
    name = name.replace("pre_head_layer_norm", "Mixer/encoder_norm")
    name = name.replace("/LayerNorm_1/", "/LayerNorm_2/")
    name = re.sub(r"^MixerBlock_", "Mixer/encoderblock_", name)
    return re.sub(
        r"_mixing/Dense_(\d)/(\w+)$",
        lambda found: f"_mixing_phase_0/{found[2]}{int(found[1]) + 1}",
        name,
    )


def test_the_older_mixer_layout_with_its_axes_of_length_one(tmp_path: Path) -> None:
    drawn = weights.random(CASES["mixer"], 0)
    foreign = {
        _older_mixer(name): array[None] if "_mixing/" in name else array
        for name, array in drawn.items()
    }
    wanted = "Mixer/encoderblock_1/token_mixing_phase_0/kernel2"
    assert foreign[wanted].shape == (1, 32, 9)
    assert "Mixer/encoderblock_0/LayerNorm_2/bias" in foreign
    np.savez(tmp_path / "foreign.npz", **foreign)
    assert_same(weights.load_file(tmp_path / "foreign.npz", CASES["mixer"]), drawn)


@pytest.mark.parametrize(
    ("model", "tensors", "shapes"),
    [
        (
            "Mixer-B/16",
            150,
            {
                "stem/kernel": (16, 16, 3, 768),
                "MixerBlock_11/token_mixing/Dense_0/kernel": (196, 384),
                "MixerBlock_0/channel_mixing/Dense_1/kernel": (3072, 768),
                "pre_head_layer_norm/scale": (768,),
                "head/kernel": (768, 1000),
            },
        ),
        (
            "ViT-B/16",
            200,
            {
                "cls": (1, 1, 768),
                "Transformer/posembed_input/pos_embedding": (1, 197, 768),
                f"{BLOCK}/MultiHeadDotProductAttention_1/query/kernel": (768, 12, 64),
                f"{BLOCK}/MultiHeadDotProductAttention_1/out/kernel": (12, 64, 768),
                f"{BLOCK}/MlpBlock_3/Dense_0/kernel": (768, 3072),
                "Transformer/encoder_norm/bias": (768,),
            },
        ),
        (
            "BiT-R50x1",
            None,
            {
                "resnet/root_block/standardized_conv2d/kernel": (7, 7, 3, 64),
                "resnet/block1/unit01/a/proj/standardized_conv2d/kernel": (
                    *(1, 1, 64, 256),
                ),
                "resnet/block4/unit03/c/group_norm/gamma": (512,),
                "resnet/group_norm/beta": (2048,),
                "resnet/head/conv2d/kernel": (1, 1, 2048, 1000),
            },
        ),
    ],
)
def test_the_released_names_and_shapes(
    model: str, tensors: int | None, shapes: dict[str, tuple[int, ...]]
) -> None:
    table = models.spec_for(model).tensors()
    assert tensors in (None, len(table))
    assert {name: table[name].shape for name in shapes} == shapes


def test_files_in_other_precisions_become_float32(tmp_path: Path) -> None:
    drawn = weights.random(SPEC, 0)
    np.savez(tmp_path / "w.npz", **{k: v.astype(np.float16) for k, v in drawn.items()})
    loaded = weights.load_file(tmp_path / "w.npz", SPEC)
    assert {array.dtype for array in loaded.values()} == {np.dtype(np.float32)}


def _without(name: str) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda drawn: drawn.__delitem__(name)


def _with(name: str, array: np.ndarray) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda drawn: drawn.update({name: array})


@pytest.mark.parametrize(
    "spoil, message",
    [
        (_without("cls"), "cls (1, 1, 64) is missing; give the model of the file"),
        (
            _with("extra/kernel", np.zeros(3, np.float32)),
            "there is no extra/kernel in it; give the model of the file",
        ),
        (
            _with("head/bias", np.zeros(9, np.float32)),
            "head/bias is (9,), not (7,); give the model, image size and number of "
            "classes of the file",
        ),
        (
            _with("head/bias", np.zeros(7, np.int64)),
            "head/bias is int64; save it as float32",
        ),
        (
            _with("head/bias", np.full(7, np.nan, np.float32)),
            "head/bias holds NaN or infinity",
        ),
    ],
)
def test_weights_that_do_not_fit(
    spoil: Callable[[dict[str, np.ndarray]], None], message: str, tmp_path: Path
) -> None:
    drawn = weights.random(SPEC, 0)
    spoil(drawn)
    where = "ViT-XXS/4 at 12 px with 7 classes"
    with pytest.raises(WeightsError) as caught:
        weights.check(drawn, SPEC)
    assert str(caught.value) == f"{where}: {message}"
    path = tmp_path / "w.npz"
    np.savez(path, **drawn)
    with pytest.raises(WeightsError) as caught:
        weights.load_file(path, SPEC)
    assert str(caught.value) == f"{path}: {where}: {message}"


def test_two_names_of_one_tensor(tmp_path: Path) -> None:
    drawn = weights.random(SPEC, 0)
    np.savez(tmp_path / "w.npz", **drawn, **{"params/cls": drawn["cls"]})
    with pytest.raises(WeightsError, match="two tensors are cls; keep one"):
        weights.load_file(tmp_path / "w.npz", SPEC)


def _good(suffix: str, folder: Path) -> bytes:
    path = folder / f"good{suffix}"
    weights.save_file(path, weights.random(SPEC, 0))
    return path.read_bytes()


def one_array() -> bytes:
    """A .npy file, which np.load would take for an array."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"not a weights file at all",
        lambda data: pickle.dumps({"cls": [0.0]}),
        lambda data: one_array(),
        lambda data: data[:2000] + b"\xff" * 64 + data[2064:],
    ],
    ids=["empty", "half", "text", "pickle", "npy", "overwritten"],
)
def test_damaged_files(
    damage: Callable[[bytes], bytes], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(damage(_good(suffix, tmp_path)))
    with pytest.raises(WeightsError) as caught:
        weights.load_file(path, SPEC)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, cls=np.array([{"a": 1}], dtype=object))
    with pytest.raises(WeightsError, match="allow_pickle=False"):
        weights.load_file(path, SPEC)


@pytest.mark.parametrize("name", ["w.pt", "w"])
def test_unknown_kinds_of_file(name: str, tmp_path: Path) -> None:
    for act in (
        lambda: weights.load_file(tmp_path / name, SPEC),
        lambda: weights.save_file(tmp_path / name, {}),
    ):
        with pytest.raises(WeightsError, match=r"known: \.npz, \.safetensors"):
            act()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        weights.load_file(tmp_path / "w.npz", SPEC)


def test_a_failed_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.npz"
    weights.save_file(path, weights.random(SPEC, 0))
    before = path.read_bytes()

    def full_disk(handle, **arrays):
        handle.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space left"):
        weights.save_file(path, weights.random(SPEC, 1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_hash_sees_names_shapes_and_values_but_not_order() -> None:
    a = {"x": np.arange(6, dtype=np.float32), "y": np.ones(2, np.float32)}
    golden = weights.sha256(a)
    assert golden == "c402a4d77e7d1000741507f81c0be5d0123377a347e01065df4bd871f221893a"
    assert weights.sha256(dict(reversed(a.items()))) == golden
    for other in (
        a | {"x": a["x"].reshape(2, 3)},
        a | {"y": np.full(2, 1 + 1e-6, np.float32)},
        {"x": a["x"], "z": a["y"]},
    ):
        assert weights.sha256(other) != golden
