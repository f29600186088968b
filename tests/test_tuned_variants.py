"""Variants: what is allowed where, how they are named, and what a study makes of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import peers, studies, variants
from bench.analysis import certificate
from bench.errors import MissingPackage, StudyError
from bench.executors.process import Process
from bench.specs import Cell, Effort, WorkItem

ROOT = Path(__file__).parents[1]
TORCH = {"framework": "torch", "mode": "infer", "family": "resnet"}


def canonical(text, device_kind="cpu", **changed):
    step = variants.Step(device_kind=device_kind, **{**TORCH, **changed})
    return step.canonical(text)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("eager", "eager"),
        ("malloc", "eager+malloc"),
        ("malloc+compile", "compile+malloc"),
        ("malloc+channels-last", "eager+channels-last+malloc"),
    ],
)
def test_one_way_to_build_has_one_name(given, wanted):
    assert canonical(given) == wanted


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ("jit", {}),
        ("eager+compile", {}),
        ("fast", {}),
        ("compile-freeze", {"mode": "train"}),
        ("channels-last", {"family": "mixer"}),
        ("compile", {"framework": "jax"}),
        ("malloc", {"device_kind": "cuda"}),
        ("cudnn-attention", {"family": "vit"}),
        ("onednn", {"mode": "train"}),
        ("onednn", {"family": "resnet_v1"}),
        ("compile-freeze+onednn", {}),
        ("onednn", {"family": "vit", "device_kind": "cuda"}),
        ("onednn", {"family": "vit", "peer": "timm"}),
        ("compile+onednn", {"family": "vit"}),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(given, changed):
    with pytest.raises(StudyError, match=r"unknown variant .*; known: .* \(for "):
        canonical(given, **changed)


def test_cudnn_attention_is_for_vit_on_cuda():
    made = canonical("cudnn-attention", family="vit", device_kind="cuda")
    assert made == "eager+cudnn-attention"


@pytest.mark.parametrize(
    ("framework", "mode", "family", "device_kind"),
    [
        (framework, mode, family, "cpu")
        for framework in ("jax", "torch")
        for mode in ("infer", "train")
        for family in ("mixer", "vit", "resnet")
    ],
)
def test_what_is_tried_is_allowed_and_starts_with_the_default(
    framework, mode, family, device_kind
):
    step = variants.Step(
        framework=framework, mode=mode, family=family, device_kind=device_kind
    )
    assert step.tried()[0] == variants.DEFAULT[framework]
    assert set(step.tried()) <= set(step.allowed())
    assert len(set(step.tried())) == len(step.tried())


GRID = {"mode": "infer", "framework": "torch", "model": "Mixer-XXS/4", "device": "cpu"}


def cells(**grid):
    return studies.from_values("test", {"grids": [{**GRID, **grid}]}).cells


def test_the_tuned_track_becomes_one_cell_for_each_variant():
    made = cells(track="tuned")
    step = variants.Step(
        framework="torch", mode="infer", family="mixer", device_kind="cpu"
    )
    wanted = step.tried()
    assert tuple(cell.variant for cell in made) == wanted
    assert len({cell.cell_id for cell in made}) == len(wanted) > 4


def test_a_given_variant_is_the_only_one():
    (cell,) = cells(track="tuned", variant="malloc+compile")
    assert cell.variant == "compile+malloc"


def test_the_protocols_own_variant_is_no_new_cell():
    (bare,), (named,) = cells(), cells(variant="eager")
    assert bare == named
    assert bare.cell_id == Cell(**GRID).cell_id


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"variant": "compile"}, "track protocol builds torch as eager; say track: t"),
        ({"track": "tuned", "variant": "jit"}, "unknown variant 'jit'; known: eager"),
        ({"track": "best"}, "unknown track 'best'; known: protocol, tuned"),
        ({"peer": "timm", "framework": "jax"}, "peer timm: is written in torch"),
        ({"peer": "keras"}, "unknown peer 'keras'; known: timm"),
    ],
)
def test_a_study_that_cannot_be_run_is_one_line(grid, message):
    with pytest.raises(StudyError, match=message) as error:
        cells(**grid)
    assert "\n" not in str(error.value)


def test_a_peer_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r"pip install 'mixer-bench\[peers\]'"):
        peers.check("timm")


# The allocator ------------------------------------------------------------------


def test_only_malloc_asks_for_an_environment():
    assert variants.process_environment(None) == {}
    assert variants.process_environment("eager") == {}
    found = variants.process_environment("eager+malloc")
    assert found == variants.MALLOC_ENVIRONMENT
    assert all(name.startswith("MALLOC_") for name in found)


def item(**fields):
    cell = Cell(
        **{**GRID, "image_size": 8, "num_classes": 3, "batch_size": 2, **fields}
    )
    return WorkItem(cell=cell, effort=Effort(window_s=0.1, time_limit_s=120))


def test_the_worker_of_a_malloc_cell_is_started_with_its_variables():
    pytest.importorskip("torch")
    values = Process().run(item(track="tuned", variant="eager+malloc"))
    assert values["status"] == "ok", values["error_message"]
    assert values["variant"] == "eager+malloc"
    assert len(values["probe_outputs"]) == 2 * 3


def test_a_process_without_them_is_refused():
    from bench.timing.speed import check_variant

    cell = item(track="tuned", variant="eager+malloc").cell
    with pytest.raises(StudyError, match=r"MALLOC_.*use --executor process"):
        check_variant(cell, "cpu")


# Each variant computes what eager does --------------------------------------------

PARITY = """
import json, os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import numpy as np
from bench import backend, models
from bench.models import weights
from bench.recipes.recipe import Recipe
model, mode, peer, *names = sys.argv[1:]
b = backend.load("torch", "cpu")
spec = models.spec_for(model, image_size=16, num_classes=3)
rng = np.random.default_rng(0)
images = rng.standard_normal((4, 16, 16, 3), dtype=np.float32)
labels = np.array([0, 1, 2, 0])
found = {}
for name in names:
    how = {"dtype": "float32", "variant": name, "peer": peer or None}
    given = (spec, weights.random(spec, 0), images)
    if mode == "infer":
        work = b.infer(*given, **how)
    else:
        work = b.train(*given, labels, Recipe(), **how)
    before = work.compilations()
    for _ in range(3):
        work.enqueue()
    work.barrier()
    assert work.compilations() == before, "compiled again after the first call"
    found[name] = [work.outputs(), work.compile_s, work.compile_cached, work.layout]
print(json.dumps(found))
"""


def outputs(model, mode, *names, peer="", cache="off", folder=""):
    done = subprocess.run(
        [sys.executable, "-c", PARITY, model, mode, peer, *names],
        cwd=ROOT,
        env={
            **os.environ,
            "MIXER_BENCH_COMPILE_CACHE": cache,
            **({"XDG_CACHE_HOME": str(folder)} if folder else {}),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


CHANNELS_LAST_LOGITS = 5e-4
"""A CPU's channels-last group norm takes the variance as a difference of means, which
loses digits: 1.2e-4 here, so that the certificate may refuse a ratio."""


def assert_same(mode, found, wanted, logits=certificate.LOGITS):
    """Logits agree, or the first loss and what one update takes from it."""
    found, wanted = np.array(found), np.array(wanted)
    assert wanted.all()
    if mode == "infer":
        assert abs(found - wanted).max() <= logits * wanted.std()
        return
    assert found[0] == pytest.approx(wanted[0], rel=certificate.FIRST_LOSS)
    took = wanted[1] - wanted[0]
    assert found[1] - found[0] == pytest.approx(took, rel=certificate.UPDATE)


@pytest.mark.parametrize("mode", ["infer", "train"])
def test_channels_last_computes_what_eager_does(mode):
    pytest.importorskip("torch")
    found = outputs("BiT-R14x1/4", mode, "eager", "eager+channels-last")
    both = found["eager+channels-last"][0], found["eager"][0]
    assert_same(mode, *both, logits=CHANNELS_LAST_LOGITS)
    assert found["eager"][1:3] == [None, None]
    assert [found[name][3] for name in found] == ["NCHW", "NHWC"]


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        ("Mixer-XXS/4", "infer"),
        ("Mixer-XXS/4", "train"),
        ("ViT-XXS/4", "infer"),
        ("ViT-XXS/4", "train"),
        ("BiT-R14x1/4", "infer"),  # its group norm keeps the digits, channels last too
    ],
)
def test_onednn_computes_what_eager_does(model, mode):
    pytest.importorskip("torch")
    found = outputs(model, mode, "eager", "eager+onednn")
    assert_same(mode, found["eager+onednn"][0], found["eager"][0])
    assert found["eager+onednn"][0] != found["eager"][0], "another path computes it"


def test_a_torch_without_onednn_says_so_and_computes_the_other_variants(monkeypatch):
    torch = pytest.importorskip("torch")
    from bench import variants_torch

    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert variants_torch.written_out_attention("eager", torch.bfloat16) is None
    with pytest.raises(StudyError, match="without oneDNN; name another variant"):
        variants_torch.arrange(torch.nn.Linear(1, 1), "eager+onednn", training=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "variant"),
    [
        ("infer", "compile"),
        ("infer", "compile-max-autotune"),
        ("infer", "compile-freeze"),
        ("train", "compile"),
    ],
)
def test_compiled_steps_compute_what_eager_does_and_are_reused(mode, variant, tmp_path):
    pytest.importorskip("torch")
    given = {"cache": "on", "folder": tmp_path}
    cold = outputs("Mixer-XXS/4", mode, "eager", variant, **given)
    assert_same(mode, cold[variant][0], cold["eager"][0])
    assert cold[variant][1] > 0.1, "compiling costs seconds"
    assert cold[variant][2] is False
    warm = outputs("Mixer-XXS/4", mode, variant, **given)
    assert warm[variant][0] == cold[variant][0]
    assert warm[variant][2] is True
