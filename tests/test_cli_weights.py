"""`mixer-bench weights`: any checkpoint becomes pictures and numbers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy

import bench
from bench import models
from bench.cli import app
from bench.errors import WeightsError
from bench.models import recognise, weights
from bench.plots import gallery

FAMILIES = {
    "mixer": ("Mixer-XXS/4", {}, ["token_units", "stem_units", "structure"]),
    "vit": ("ViT-XXS/4", {}, ["stem_units", "positions", "structure"]),
    "resnet": ("BiT-R14x1/4", {}, ["stem_units", "structure"]),
    "resnet_v1": ("ResNetV1-R50x1", {}, ["stem_units", "structure"]),
}


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    code = app._run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def saved(folder: Path, name: str, suffix: str = ".npz", **options: object) -> Path:
    size = 32 if name.endswith("x1") else 16
    spec = models.spec_for(name, image_size=size, num_classes=3, **options)
    path = folder / f"net{suffix}"
    weights.save_file(path, weights.random(spec, 0))
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_recognised_and_drawn(family, capsys, tmp_path):
    name, options, figures = FAMILIES[family]
    path = saved(tmp_path, name, **options)
    out = tmp_path / "drawn"
    code, text, err = call(
        capsys, "weights", str(path), "--out", str(out), "--format", "json",
        "--images", "png",
    )  # fmt: skip
    assert code == 0, err
    assert sorted(p.stem for p in out.glob("*.png")) == sorted(figures)
    assert sorted(p.stem for p in out.glob("*.csv")) == sorted(figures)
    rows = json.loads(text)
    layers = {"mixer": ["token mixing 0", "token mixing 1"]}.get(family, ["stem"])
    assert [row["layer"] for row in rows] == layers
    for row in rows:  # random weights are white noise
        assert row["entropy"] == pytest.approx(row["entropy_noise"], abs=0.06)
    assert recognise.read(path).family == family


def test_the_points_are_the_units(capsys, tmp_path):
    path = saved(tmp_path, "Mixer-XXS/4", ".safetensors")
    assert call(capsys, "weights", str(path), "--out", str(tmp_path / "o"))[0] == 0
    found = pd.read_csv(tmp_path / "o" / "token_units.csv")
    assert (
        found.groupby("layer")["unit"].apply(sorted).tolist() == [list(range(32))] * 2
    )
    first = found[found["pair"] == 0]
    held = safetensors.numpy.load_file(path)
    kernel = held["MixerBlock_0/token_mixing/Dense_0/kernel"]
    one, other = (kernel[:, unit] for unit in first["unit"][:2])
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert cosine == pytest.approx(first["cosine_with_partner"].iloc[0], rel=1e-5)
    assert "closest to its negative" in (tmp_path / "o" / "token_units.txt").read_text()


def test_a_page_holds_the_pictures_and_the_command_and_the_gallery_finds_it(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "ViT-XXS/4")
    words = ["weights", "net.npz", "--out", "plots/weights/vit", "--images", "png,svg"]
    code, _, err = call(capsys, *words)
    assert code == 0 and "plots/weights/vit/README.md" in err
    page = Path("plots/weights/vit/README.md").read_text()
    assert "    mixer-bench weights net.npz --out plots/weights/vit\n" in page
    links = re.findall(r"\]\(([^)]*)\)", page)
    assert links and all(Path("plots/weights/vit", one).exists() for one in links)
    for name in ("positions", "stem_units", "structure"):
        assert f"{name}.png" in links
        assert Path(f"plots/weights/vit/{name}.txt").read_text().strip() in page
    whole = gallery.write_page(Path("plots"), ["published"]).read_text()
    found = re.findall(r"\]\(([^)]*)\)", whole)
    assert found == ["weights/vit/positions.png", "weights/vit/README.md"]
    assert all(Path("plots", one).exists() for one in found)


def test_a_training_checkpoint_is_read_too(tmp_path):
    spec = models.spec_for("Mixer-XXS/4", image_size=16, num_classes=3)
    given = weights.random(spec, 0)
    arrays = {f"weights/{name}": array for name, array in given.items()}
    path = tmp_path / "checkpoint.safetensors"
    safetensors.numpy.save_file({**arrays, "losses": np.zeros(3)}, path)
    assert list(recognise.read(path).token_mixing) == [0, 1]
    loaded = weights.load_file(path, spec)
    assert weights.sha256(loaded) == weights.sha256(given)


def test_released_prefixes_and_positions_without_a_class_token(tmp_path):
    spec = models.spec_for("ViT-XXS/4", image_size=16, num_classes=3, pool="gap")
    path = tmp_path / "linen.npz"
    given = weights.random(spec, 0)
    np.savez(path, **{f"params/{name}": array for name, array in given.items()})
    found = recognise.read(path)
    assert found.family == "vit" and found.positions.shape == (16, 64)
    token = saved(tmp_path, "ViT-XXS/4")
    assert recognise.read(token).positions.shape == (16, 64)
    none = saved(tmp_path, "ViT-XXS/4", position_embedding="none")
    assert recognise.read(none).positions is None


def test_untied_units_are_those_of_one_channel(capsys, tmp_path):
    path = saved(tmp_path, "Mixer-XXS/4", tied_token_mixing=False)
    code, text, _ = call(
        capsys, "weights", str(path), "--out", str(tmp_path / "o"), "--format", "csv"
    )
    assert code == 0 and "token mixing 0, channel 0 of 64" in text


def _text(path: Path) -> None:
    path.write_text("no weights")


def _foreign(path: Path) -> None:
    np.savez(path, a=np.zeros(3))


def _older(path: Path) -> None:  # big_vision's first Mixer layout
    np.savez(path, **{"embedding/kernel": np.zeros((4, 4, 3, 8))})


@pytest.mark.parametrize(
    ("make", "name", "said"),
    [
        (None, "none.npz", "no such file"),
        (_text, "text.npz", "not readable as .npz"),
        (_text, "text.pt", "unknown kind of weights file"),
        (_foreign, "foreign.npz", "holds no network known here (mixer, vit, "),
        (_older, "older.npz", "holds no network known here"),
    ],
)
def test_a_wrong_file_is_one_line(make, name, said, capsys, tmp_path):
    path = tmp_path / name
    if make:
        make(path)
    code, out, err = call(capsys, "weights", str(path), "--out", str(tmp_path / "o"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err and not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format", "yaml"], "unknown format 'yaml'"),
        (["--images", "gif"], "unknown figure format 'gif'"),
        (["--width", "wide"], "give inches"),
        (["--width", "1in"], "too narrow"),
    ],
)
def test_wrong_flags_write_nothing(flags, said, capsys, tmp_path):
    path = saved(tmp_path, "Mixer-XXS/4")
    code, _, err = call(
        capsys, "weights", str(path), "--out", str(tmp_path / "o"), *flags
    )
    assert code == 2 and said in err and not (tmp_path / "o").exists()


def test_neither_framework_is_loaded(tmp_path):
    path = saved(tmp_path, "Mixer-XXS/4")
    program = (
        "import sys\n"
        "from bench.cli import app\n"
        f"code = app._run(['weights', {str(path)!r}, '--out', {str(tmp_path)!r},"
        " '--images', 'svg'])\n"
        "print(code, sorted({'jax', 'torch', 'flax'} & set(sys.modules)))\n"
    )
    root = str(Path(bench.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=env, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_an_unknown_family_is_a_weights_error(tmp_path):
    _foreign(tmp_path / "a.npz")
    with pytest.raises(WeightsError, match="under the released names"):
        recognise.read(tmp_path / "a.npz")
