"""The built wheel works in an empty folder and an empty environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

STUDY = """
question: Does an installed wheel train and time?
settings: {batch_size: 8, window_s: 0.3, total_steps: 2, dataset: digits}
anchor: null
grids:
  - {mode: infer, model: Mixer-XXS/4, framework: jax, image_size: 16}
  - {mode: pretrain, model: Mixer-XXS/4, framework: jax, image_size: 16}
"""


def shell(*command, cwd):
    """Run a command; its standard output. The user's Python settings stay outside."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """An empty folder, and `mixer-bench` of a fresh environment with the wheel."""
    place = tmp_path_factory.mktemp("wheel")
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", place]
    shell(sys.executable, *build, cwd=ROOT)
    (wheel,) = place.glob("*.whl")
    shell(sys.executable, "-m", "venv", place / "env", cwd=place)
    pip = [place / "env/bin/pip", "install", "-q", "-c", ROOT / "constraints.txt"]
    shell(*pip, f"{wheel}[jax]", cwd=place)
    empty = place / "empty"
    empty.mkdir()
    return empty, place / "env/bin/mixer-bench"


@pytest.mark.slow
def test_the_wheel_lists_tabulates_and_knows_its_studies(installed):
    folder, command = installed
    models = json.loads(shell(command, "models", "--format", "json", cwd=folder))
    assert {"Mixer-B/16", "ViT-B/16", "BiT-R50x1"} <= {row["name"] for row in models}
    assert "0.41k(‡)" in shell(command, "table", "published", cwd=folder)
    cells = shell(command, "run", "quickstart", "--dry-run", cwd=folder)
    assert "pretrain BiT-R14x1/4 torch" in cells
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_the_wheel_measures_into_the_folder_it_is_called_in(installed):
    folder, command = installed
    (folder / "tiny.yaml").write_text(STUDY)
    out = shell(command, "run", "tiny.yaml", cwd=folder)
    assert "Mixer-XXS/4" in out
    assert len(list((folder / "results").rglob("tiny.parquet"))) == 1
    assert (folder / "plots" / "tiny" / "table.md").exists()
