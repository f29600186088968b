"""timm's result files of every year, as rows. Lines stand as in timm's repository."""

from __future__ import annotations

import json

import pytest

from bench import imports, timm_results
from bench.errors import ResultsError, StudyError

Y2021 = """\
model,infer_samples_per_sec,infer_step_time,infer_batch_size,infer_img_size,\
infer_gmacs,infer_macts,param_count
vit_small_patch32_224,9285.97,27.555,256,224,1.15,2.5,22.88
mixer_b16_224,1285.59,199.119,256,224,12.62,14.53,59.88
mixer_b16_224_miil,1283.81,199.396,256,224,12.62,14.53,59.88
"""
Y2022_TRAIN = """\
model,train_samples_per_sec,train_step_time,train_batch_size,train_img_size,param_count
mixer_b32_224,1784.58,286.101,512,224,60.29
"""
Y2025 = """\
model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,\
param_count,infer_gmacs,infer_macts
mixer_s32_224,224,40386.6,50.692,2048,19.1,1.0,2.28
resnet18,160,70836.8,28.885,2048,11.69,0.93,1.27
"""
IMAGENET = """\
model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation
vit_base_patch16_384.augreg_in21k_ft_in1k,85.994,14.006,98.006,1.994,86.86,384,1.000,bicubic
eva_giant_patch14_336.clip_ft_in1k,89.466,10.534,98.826,1.174,"1,013.01",336,1.000,bicubic
"""
REAL = """\
model,top1,top1_err,top5,top5_err,param_count,img_size,crop_pct,interpolation,\
top1_diff,top5_diff,rank_diff
vit_base_patch16_384.augreg_in21k_ft_in1k,89.989,10.011,98.678,1.322,86.86,384,\
1.000,bicubic,+3.993,+0.676,+34
"""
BOTH = [
    {
        "model": "mixer_b16_224",
        "infer_samples_per_sec": 1285.59,
        "infer_step_time": 199.119,
        "infer_batch_size": 256,
        "infer_img_size": 224,
        "train_samples_per_sec": 400.5,
        "train_step_time": 300.0,
        "train_batch_size": 128,
        "train_img_size": 224,
        "param_count": 59.88,
    },
    {"model": "vit_huge_patch14_224", "error": "CUDA out of memory."},
]
ONE = """\
Benchmarking in float32 precision. NCHW layout. torchscript disabled
--result
{
    "model": "vit_base_patch16_224",
    "infer_samples_per_sec": 12.5,
    "infer_step_time": 80.0,
    "infer_batch_size": 1,
    "infer_img_size": 224,
    "param_count": 86.57
}
"""


def read(tmp_path, text, *fixed, name="benchmark.csv"):
    path = tmp_path / name
    path.write_text(text)
    return timm_results.read(path, imports.origin("timm", "c", fixed))


@pytest.mark.parametrize(
    "text, values",
    [
        (Y2021, ("ViT-S/32", "infer", 9285.97, 0.027555, 256, 224, 22_880_000)),
        (Y2022_TRAIN, ("Mixer-B/32", "train", 1784.58, 0.286101, 512, 224, 60_290_000)),
        (Y2025, ("Mixer-S/32", "infer", 40386.6, 0.050692, 2048, 224, 19_100_000)),
        (
            json.dumps(BOTH),
            ("Mixer-B/16", "infer", 1285.59, 0.199119, 256, 224, 59_880_000),
        ),
        (ONE, ("ViT-B/16", "infer", 12.5, 0.08, 1, 224, 86_570_000)),
    ],
    ids=["2021", "2022 train", "2025", "json", "printed"],
)
def test_speed_of_every_form(tmp_path, text, values):
    names = ("model", "mode", "img_per_sec", "step_s", "batch_size", "image_size")
    row = read(tmp_path, text).rows[0]
    assert [row[name] for name in names] == pytest.approx(list(values[:6]))
    assert row["param_count"] == values[6] and row["macs"] is None
    # timm times steps and the whole apart: the two agree to half a per cent.
    assert row["batch_size"] / row["step_s"] == pytest.approx(row["img_per_sec"], 5e-3)


def test_both_modes_and_a_failure_in_one_file(tmp_path):
    found = read(tmp_path, json.dumps(BOTH), name="b.json")
    assert [row["mode"] for row in found.rows] == ["infer", "train"]
    assert found.failed == ("vit_huge_patch14_224",) and found.strangers == ()


def test_other_weights_of_the_same_form_are_no_second_measurement(tmp_path):
    found = read(tmp_path, Y2021)
    assert found.strangers == ("mixer_b16_224_miil",) and len(found.rows) == 2


def test_accuracy_says_what_the_weights_saw(tmp_path):
    found = read(tmp_path, IMAGENET, name="results-imagenet.csv")
    (row,) = found.rows
    assert row["top1"] == pytest.approx(0.85994) and row["image_size"] == 384
    assert (row["eval_dataset"], row["pretrain_dataset"]) == (
        "ImageNet",
        "ImageNet-21k",
    )


def test_other_labels_are_never_taken_for_imagenets(tmp_path):
    (real,) = read(tmp_path, REAL, name="results-imagenet-real.csv").rows
    assert real["real_top1"] == pytest.approx(0.89989) and real["top1"] is None
    (hard,) = read(tmp_path, REAL, name="results-imagenet-a.csv").rows
    assert (hard["eval_dataset"], hard["top1"]) == (
        "ImageNet-A",
        pytest.approx(0.89989),
    )
    with pytest.raises(ResultsError, match="not ImageNet's"):
        read(tmp_path, REAL, name="mine.csv")
    (named,) = read(tmp_path, REAL, "eval_dataset=own", name="mine.csv").rows
    assert (named["eval_dataset"], named["top1"]) == ("own", pytest.approx(0.89989))


def test_a_cell_that_is_not_there_is_null(tmp_path):
    text = (
        "model,infer_samples_per_sec,infer_batch_size\n"
        "mixer_b16_224,100,\nmixer_b32_224,,256\n"
    )
    found = read(tmp_path, text)
    (row,) = found.rows
    assert row["batch_size"] is None and row["step_s"] is None
    assert found.failed == ("mixer_b32_224",)


def test_a_repeated_line_is_one_row_and_a_contradicting_one_is_refused(tmp_path):
    line = Y2022_TRAIN.splitlines()[1]
    found = read(tmp_path, Y2022_TRAIN + line + "\n")
    assert len(found.rows) == 1 and found.twice == 1
    with pytest.raises(ResultsError, match=r"csv:3: the same setting as .*csv:2 \(Mix"):
        read(tmp_path, Y2022_TRAIN + line.replace("1784.58", "1500") + "\n")


@pytest.mark.parametrize(
    "text, message",
    [
        ("[]", "holds no objects"),
        ("[1]", "holds no objects"),
        ('--result\n{"model": ', "JSON is damaged"),
        ('{"model": "mixer_b16_224", "error": "x"}', "none of its 1 models"),
        (
            Y2022_TRAIN.replace("1784.58", "fast"),
            r"csv:2: train_samples_per_sec='fast'",
        ),
        (Y2022_TRAIN.replace("1784.58", "-1"), "must be above 0"),
        ("model,gmacs\nmixer_b16_224,12\n", "not a result of timm"),
    ],
    ids=lambda v: v[:20],
)
def test_what_cannot_be_read_is_one_line(tmp_path, text, message):
    with pytest.raises(ResultsError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("fixed", ["mode=train", "img_per_sec=5", "model=Mixer-B/16"])
def test_what_the_file_says_is_not_set_otherwise(tmp_path, fixed):
    with pytest.raises(StudyError, match="stands in the file"):
        read(tmp_path, Y2021, fixed)


@pytest.mark.parametrize(
    "name, ours",
    [
        ("mixer_l16_224.goog_in21k_ft_in1k", "Mixer-L/16"),
        ("vit_tiny_patch16_224", "ViT-Ti/16"),
        ("vit_base_patch16_384.augreg_in1k", "ViT-B/16"),
        ("resnetv2_101x3_bitm", "BiT-R101x3"),
        ("resnetv2_152x4_bit.goog_in21k_ft_in1k_480", "BiT-R152x4"),
        ("resnetv2_50x1_bitm_in21k", None),
        ("resnetv2_50x1_bit_distilled", None),
        ("vit_base_patch16_224_in21k", None),
        ("vit_base_patch32_224_sam", None),
        ("vit_base_patch8_224", None),
        ("vit_relpos_base_patch16_224", None),
        ("", None),
    ],
)
def test_names_of_timm(name, ours):
    assert timm_results.model(name) == ours
