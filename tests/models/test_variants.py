"""Parameter counts and MACs of every variant, names, and what is refused."""

from __future__ import annotations

import pytest

from bench import models
from bench.errors import StudyError
from bench.models.mixer import MixerSpec
from bench.models.vit import ViTSpec

# name: (parameters with 1000 classes, with 21843 classes, GMACs per image), all at
# 224 pixels, demo sizes at 16. ResNetV1's MACs are BiT's: the convolutions are equal.
GOLDEN = {
    "Mixer-S/32": (19_104_624, 29_797_083, 1.002),
    "Mixer-S/16": (18_528_264, 29_220_723, 3.777),
    "Mixer-B/32": (60_293_428, 76_321_695, 3.238),
    "Mixer-B/16": (59_880_472, 75_908_739, 12.602),
    "Mixer-L/32": (206_939_264, 228_303_339, 11.253),
    "Mixer-L/16": (208_196_168, 229_560_243, 44.548),
    "Mixer-H/14": (432_350_952, 459_050_835, 120.990),
    "Mixer-Ti/16": (4_355_800, 8_378_499, 0.809430528),
    "Mixer-XXXS/4": (43_656, 731_475, 0.000204032),
    "Mixer-XXS/4": (137_096, 1_491_891, 0.0012928),
    "Mixer-XS/4": (672_936, 3_361_683, 0.009663488),
    "ViT-Ti/16": (5_717_416, 9_740_115, 1.254),
    "ViT-S/32": (22_878_952, 30_903_507, 1.143),
    "ViT-S/16": (22_050_664, 30_075_219, 4.599),
    "ViT-B/32": (88_224_232, 104_252_499, 4.409),
    "ViT-B/16": (86_567_656, 102_595_923, 17.564),
    "ViT-L/32": (306_535_400, 327_899_475, 15.378),
    "ViT-L/16": (304_326_632, 325_690_707, 61.555),
    "ViT-H/14": (632_045_800, 658_745_683, 167.295),
    "ViT-XXS/4": (169_384, 1_524_179, 0.001858304),
    "ViT-XS/4": (930_920, 3_619_667, 0.013891584),
    "BiT-R50x1": (25_549_352, 68_256_659, 4.089),
    "BiT-R50x2": (97_988_712, 183_382_483, 16.117),
    "BiT-R50x3": (217_319_080, 345_399_315, 36.082),
    "BiT-R101x1": (44_541_480, 87_248_787, 7.801),
    "BiT-R101x3": (387_934_888, 516_015_123, 69.492),
    "BiT-R152x1": (60_185_128, 102_892_435, 11.514),
    "BiT-R152x2": (236_335_208, 321_728_979, 45.814),
    "BiT-R152x4": (936_533_224, 1_107_299_923, 182.777),
    "BiT-R200x3": (568_633_000, 696_713_235, 134.347),
    "BiT-R14x1/4": (1_017_464, 11_709_923, 0.001350656),
    "BiT-R26x1/4": (1_390_264, 12_082_723, 0.00183808),
    "ResNetV1-R50x1": (25_557_032, 68_264_339, 4.089),
}

# name: GAP with 1000 classes, then token and representation with 1000 and 21843
GOLDEN_VIT_OPTIONS = {
    "ViT-Ti/16": (5_717_032, 5_754_472, 9_777_171),
    "ViT-S/32": (22_878_184, 23_026_792, 31_051_347),
    "ViT-S/16": (22_049_896, 22_198_504, 30_223_059),
    "ViT-B/32": (88_222_696, 88_814_824, 104_843_091),
    "ViT-B/16": (86_566_120, 87_158_248, 103_186_515),
    "ViT-L/32": (306_533_352, 307_585_000, 328_949_075),
    "ViT-L/16": (304_324_584, 305_376_232, 326_740_307),
    "ViT-H/14": (632_043_240, 633_685_480, 660_385_363),
}

# name, image size, D_S: GMACs at the resolutions of fine-tuning
HIGH_RESOLUTION = {
    ("Mixer-B/16", 448, 1536): 67.05,
    ("Mixer-L/16", 448, 2048): 237.38,
    ("Mixer-H/14", 448, 2560): 645.02,
    ("ViT-B/16", 384, None): 55.48,
    ("ViT-L/16", 512, None): 361.99,
    ("ViT-H/14", 518, None): 1016.72,
}


def size_of(name: str) -> int:
    return 16 if name.endswith("/4") else 224


def test_every_variant_is_golden() -> None:
    assert models.variants() == list(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_parameters_and_macs(name: str) -> None:
    small, large, gmacs = GOLDEN[name]
    spec = models.spec_for(name, image_size=size_of(name))
    wide = models.spec_for(name, image_size=size_of(name), num_classes=21_843)
    assert (spec.param_count, wide.param_count) == (small, large)
    assert spec.macs / 1e9 == pytest.approx(gmacs, rel=5e-4)


@pytest.mark.parametrize("name", GOLDEN_VIT_OPTIONS)
def test_parameters_of_vit_options(name: str) -> None:
    gap = models.spec_for(name, pool="gap")
    counts = [
        models.spec_for(name, num_classes=n, representation=True).param_count
        for n in (1000, 21_843)
    ]
    assert (gap.param_count, *counts) == GOLDEN_VIT_OPTIONS[name]
    assert gap.tokens == models.spec_for(name).tokens - 1


def test_every_paper_vit_has_golden_options() -> None:
    vits = [n for n in GOLDEN if n.startswith("ViT") and not n.endswith("/4")]
    assert vits == list(GOLDEN_VIT_OPTIONS)


@pytest.mark.parametrize("name, image_size, tokens_mlp_dim", HIGH_RESOLUTION)
def test_macs_at_high_resolution(
    name: str, image_size: int, tokens_mlp_dim: int | None
) -> None:
    spec = models.spec_for(name, image_size=image_size, tokens_mlp_dim=tokens_mlp_dim)
    wanted = HIGH_RESOLUTION[name, image_size, tokens_mlp_dim]
    assert spec.macs / 1e9 == pytest.approx(wanted, abs=0.005)


def test_mixer_at_twice_the_resolution_has_the_papers_body() -> None:
    spec = models.spec_for("Mixer-B/16", image_size=448, tokens_mlp_dim=1536)
    assert spec.param_count - 769 * 1000 == 86_227_392


@pytest.mark.parametrize(
    "text, printed",
    [
        ("mixer-b16", "Mixer-B/16"),
        ("mixer_b/16", "Mixer-B/16"),
        ("MIXER-B/16", "Mixer-B/16"),
        ("Mixer S 8", "Mixer-S/8"),
        ("mixer_xxs_4", "Mixer-XXS/4"),
        ("vit-ti16", "ViT-Ti/16"),
        ("ViTL/16", "ViT-L/16"),
        ("bit-r50x1", "BiT-R50x1"),
        ("BIT_R152X4", "BiT-R152x4"),
        ("bit r14x1/4", "BiT-R14x1/4"),
        ("resnetv1-r50x1", "ResNetV1-R50x1"),
        ("resnet_v1_r50x1", "ResNetV1-R50x1"),
    ],
)
def test_forgiving_names(text: str, printed: str) -> None:
    assert models.canonical_name(text) == printed
    assert models.spec_for(text).name == printed


@pytest.mark.parametrize("name", GOLDEN)
def test_printed_names_are_fixed_points(name: str) -> None:
    assert models.canonical_name(name) == name
    spec = models.spec_for(name)
    assert models.family_of(name) == spec.family
    assert spec.family in models.FAMILIES


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("ConvNeXt-B", {}, "unknown model 'ConvNeXt-B'; known: Mixer-S/32, "),
        ("Mixer-Q/16", {}, "unknown model 'Mixer-Q/16'; known: Mixer-S/32, "),
        ("BiT-R34x1", {}, "unknown model 'BiT-R34x1'; known: BiT-R50x1, "),
        (
            "ResNetV1-R101x1",
            {},
            "unknown model 'ResNetV1-R101x1'; known: ResNetV1-R50x1; "
            "did you mean 'ResNetV1-R50x1'?",
        ),
        (
            "vit-b16",
            {"image_size": 225},
            "ViT-B/16: patch 16 does not divide image_size 225; "
            "nearest that work: 224, 240",
        ),
        (
            "Mixer-S/16",
            {"image_size": 8},
            "Mixer-S/16: patch 16 does not divide image_size 8; nearest that work: 16",
        ),
        ("Mixer-S/0", {}, "Mixer-S/0: the patch must be 1 pixel or more"),
        (
            "Mixer-B/16",
            {"pool": "gap"},
            "Mixer-B/16: Mixer has no pool; its options: tokens_mlp_dim, "
            "token_mixing, tied_token_mixing",
        ),
        (
            "BiT-R50x1",
            {"pool": "gap"},
            "BiT-R50x1: BiT has no pool; its options: none",
        ),
        (
            "ViT-B/16",
            {"tokens_mlp_dim": 1},
            "ViT-B/16: ViT has no tokens_mlp_dim; its options: pool, representation, "
            "position_embedding",
        ),
        (
            "ViT-B/16",
            {"pool": "map"},
            "ViT-B/16: unknown pool 'map'; known: token, gap; did you mean 'gap'?",
        ),
        (
            "Mixer-B/16",
            {"tokens_mlp_dim": 0},
            "Mixer-B/16: tokens_mlp_dim 0; it must be 1 or more",
        ),
        (
            "BiT-R50x1",
            {"tied_token_mixing": False},
            "BiT-R50x1: BiT has no tied_token_mixing; its options: none",
        ),
        (
            "ViT-B/16",
            {"token_mixing": "none"},
            "ViT-B/16: ViT has no token_mixing; its options: pool, ",
        ),
        (
            "Mixer-B/16",
            {"position_embedding": "none"},
            "Mixer-B/16: Mixer has no position_embedding; its options: ",
        ),
        (
            "Mixer-B/16",
            {"token_mixing": "fft"},
            "Mixer-B/16: unknown token_mixing 'fft'; known: mlp, linear, none",
        ),
        (
            "ViT-B/16",
            {"position_embedding": "sincos"},
            "ViT-B/16: unknown position_embedding 'sincos'; known: learned, none",
        ),
        (
            "Mixer-B/16",
            {"token_mixing": "none", "tied_token_mixing": False},
            "Mixer-B/16: tied_token_mixing false, but token_mixing none has nothing to "
            "untie; say mlp or linear",
        ),
        (
            "Mixer-B/16",
            {"token_mixing": "linear", "tokens_mlp_dim": 384},
            "Mixer-B/16: tokens_mlp_dim 384, but token_mixing linear has no hidden "
            "layer; leave one of them out",
        ),
        (
            "BiT-R50x1",
            {"num_classes": 0},
            "BiT-R50x1: num_classes 0; it must be 1 or more",
        ),
        (
            "BiT-R50x1",
            {"image_size": 0},
            "BiT-R50x1: image_size 0; it must be 1 or more",
        ),
    ],
)
def test_refusals(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(StudyError) as caught:
        models.spec_for(name, **options)
    assert str(caught.value).startswith(message)


def test_a_gap_vit_has_no_class_token() -> None:
    spec = models.spec_for("ViT-B/16", pool="gap")
    assert isinstance(spec, ViTSpec)
    table = spec.tensors()
    assert "cls" not in table
    assert table["Transformer/posembed_input/pos_embedding"].shape == (1, 196, 768)


@pytest.mark.parametrize(
    "name, tensor, shape",
    [
        ("Mixer-B/16", "stem/kernel", (16, 16, 3, 768)),
        ("Mixer-B/16", "MixerBlock_11/token_mixing/Dense_0/kernel", (196, 384)),
        ("Mixer-B/16", "MixerBlock_0/token_mixing/Dense_1/bias", (196,)),
        ("Mixer-B/16", "MixerBlock_0/channel_mixing/Dense_0/kernel", (768, 3072)),
        ("ViT-B/16", "cls", (1, 1, 768)),
        ("ViT-B/16", "Transformer/posembed_input/pos_embedding", (1, 197, 768)),
        (
            "ViT-B/16",
            "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel",
            (768, 12, 64),
        ),
        (
            "ViT-B/16",
            "Transformer/encoderblock_11/MultiHeadDotProductAttention_1/out/kernel",
            (12, 64, 768),
        ),
        ("ViT-B/16", "Transformer/encoderblock_0/LayerNorm_2/scale", (768,)),
        (
            "ViT-B/16",
            "Transformer/encoderblock_0/MlpBlock_3/Dense_1/kernel",
            (3072, 768),
        ),
        (
            "BiT-R50x1",
            "resnet/root_block/standardized_conv2d/kernel",
            (7, 7, 3, 64),
        ),
        (
            "BiT-R50x1",
            "resnet/block1/unit01/a/proj/standardized_conv2d/kernel",
            (1, 1, 64, 256),
        ),
        (
            "BiT-R50x1",
            "resnet/block2/unit01/b/standardized_conv2d/kernel",
            (3, 3, 128, 128),
        ),
        ("BiT-R50x1", "resnet/block2/unit01/a/group_norm/gamma", (256,)),
        ("BiT-R50x1", "resnet/group_norm/beta", (2048,)),
        ("BiT-R50x1", "resnet/head/conv2d/kernel", (1, 1, 2048, 1000)),
        ("ResNetV1-R50x1", "block1/unit1/gn_proj/scale", (256,)),
        ("ResNetV1-R50x1", "head/kernel", (2048, 1000)),
    ],
)
def test_released_names_and_shapes(
    name: str, tensor: str, shape: tuple[int, ...]
) -> None:
    assert models.spec_for(name).tensors()[tensor].shape == shape


# options: parameters of B/16 with 1000 classes, of its token mixing, GMACs. By hand:
# (196 x 384 + 384) + (384 x 196 + 196) = 151,108 a network; 12 blocks, 768 channels.
ABLATIONS = {
    (): (59_880_472, 1_813_296, 12.602),
    (("tied_token_mixing", False),): (1_450_678_504, 1_392_611_328, 12.602),
    (("token_mixing", "linear"),): (58_530_520, 463_344, 11.569),
    (("token_mixing", "linear"), ("tied_token_mixing", False)): (
        413_915_368,
        355_848_192,
        11.569,
    ),
    (("token_mixing", "none"),): (58_048_744, 0, 11.215),
}


@pytest.mark.parametrize("options", ABLATIONS)
def test_ablations_of_mixer_b16(options: tuple[tuple[str, object], ...]) -> None:
    total, mixing, gmacs = ABLATIONS[options]
    spec = models.spec_for("Mixer-B/16", **dict(options))
    assert isinstance(spec, MixerSpec)
    assert (spec.param_count, spec.token_mixing_params) == (total, mixing)
    assert spec.macs / 1e9 == pytest.approx(gmacs, abs=5e-4)
    counted = [t.size for n, t in spec.tensors().items() if "/token_mixing/" in n]
    assert sum(counted) == mixing
    assert spec.adam_bytes == 16 * total


def test_untying_asks_for_23_gb_before_any_activation() -> None:
    untied = models.spec_for("Mixer-B/16", tied_token_mixing=False)
    assert untied.adam_bytes / 1e9 == pytest.approx(23.2, abs=0.05)
    shape = untied.tensors()["MixerBlock_0/token_mixing/Dense_0/kernel"].shape
    assert shape == (768, 196, 384)
    fans = untied.tensors()["MixerBlock_0/token_mixing/Dense_1/kernel"].fans
    assert fans == (
        384,
        196,
    )  # of one channel's network: it starts as the tied one does


def test_a_vit_without_positions() -> None:
    spec = models.spec_for("ViT-B/16", position_embedding="none")
    assert spec.param_count == 86_567_656 - 197 * 768
    assert spec.macs == models.spec_for("ViT-B/16").macs
    assert "Transformer/posembed_input/pos_embedding" not in spec.tensors()


def test_mixer_b16_has_the_150_arrays_of_its_file() -> None:
    assert len(models.spec_for("Mixer-B/16").tensors()) == 150
