"""`mixer-bench claims` as a user meets it."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys

import pytest

from bench.analysis.claims import CLAIMS, SIDES
from bench.cli import app
from bench.results import append

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "machine": "Xeon",
    "environment_id": "e1",
    "core_kind": "vcpu",
    "cores": 2.0,
    "mode": "infer",
    "framework": "torch",
    "dtype": "float32",
    "image_size": 224,
    "track": "protocol",
    "input": "resident",
    "batch_rule": "fixed",
    "batch_size": 8,
    "study": "mine",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for model, family, rate in (("Mixer-B/16", "mixer", 5), ("ViT-B/16", "vit", 10)):
        for r in range(5):
            made = {
                "model": model,
                "family": family,
                "cell_id": model,
                "attempt_id": f"{family}{r}",
                "repetition": r,
                "img_per_sec_core": rate * (1 + r / 1000),
            }
            append({**BASE, **made}, tmp_path / "results")
    (tmp_path / "junk.bin").write_bytes(bytes(range(256)))
    return tmp_path


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_without_results_the_published_rows_answer(capsys):
    code, out, err = call(capsys, "claims")
    assert code == 0 and err == ""
    lines = out.splitlines()
    for claim in CLAIMS:
        assert sum(line.startswith(f"{claim.name} ") for line in lines) == 1
    for verdict in (
        "contradicted on RTX 4090; RTX 3090 (17 against, 5 for) / supported on TPUv3 "
        "(4 for)",
        "contradicted on TPUv3, ImageNet; TPUv3, ImageNet-21k (2 against) / supported "
        "on TPUv3, JFT-300M (6 for)",
        "contradicted on B/16 (1 against) / supported on L/16 (3 for) / supported in "
        "part on H/14 (1 for)",
        "supported on TPUv3; RTX 4090; RTX 3090 (9 for)",
        "Nothing surely for: the gap shrinks (on H/14).",
    ):
        assert verdict in " ".join(out.split())
    assert "Rate over the ViT of its name: 3 for, 1.50x (Mixer-L/16) to 2.23x" in out
    assert "P(on" in out  # a wide title is wrapped
    found = r"ViT-H/14@518 +JFT-300M +2,300 +88.55 +0.00 +NFNet-F4\+ +0.81 +0.65"
    assert re.search(found, out)


def test_no_line_is_wider_than_the_terminal_but_a_command(capsys, monkeypatch, here):
    for columns in (60, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        _, out, _ = call(capsys, "claims", "results")
        answered = out.partition("Pareto:")[0].splitlines()
        wide = [line for line in answered if len(line) > columns]
        assert all("mixer-bench " in line for line in wide), wide


def test_your_numbers_have_an_interval_in_its_own_digits_and_n(capsys, here):
    _, out, _ = call(capsys, "claims", "results")
    yours = out.partition("yours      ")[2].partition("figure ")[0]
    assert yours.startswith("contradicted on Xeon, torch, float32 (1 against)\n")
    assert re.search(r"1 against, 0\.\d{4,5}x\s+\[0\.\d+ – 0\.\d+, n=5\]", yours)
    assert "to test" not in out.partition("[equal-accuracy-speed]")[0]


HEAD = {
    "equal-size-speed": (
        "contradicted on 2 of 3 (17 against, 9 for in all)",
        "(1 against)",
    ),
    "equal-accuracy-speed": (
        "contradicted on 2 of 3 (2 against, 6 for in all)",
        "untested",
    ),
    "pareto": ("supported (1 for)", "untested"),
    "linear-cost": ("supported (9 for)", "untested (1 open)"),
    "unit-structure": ("untested", "untested"),
}


@pytest.mark.parametrize("name", HEAD)
def test_the_head_counts_what_a_verdict_rests_on(name, capsys, here):
    few = {**BASE, "family": "mixer", "img_per_sec_core": 9.0, "repetition": 0}
    for model, tokens in (("Mixer-S/32", 49), ("Mixer-S/16", 196)):
        made = {"model": model, "cell_id": model, "tokens": tokens}
        append({**few, **made, "attempt_id": f"few{tokens}"}, here / "results")
    _, out, _ = call(capsys, "claims", "results", "--format", "github")
    line = next(row for row in out.splitlines() if row.startswith(f"| {name} "))
    published, yours = (cell.strip() for cell in line.split("|")[2:4])
    assert (published, yours.removeprefix("contradicted ")) == HEAD[name]


def test_the_note_tells_intervals_of_all_together_from_those_of_one_pair(capsys):
    _, out, _ = call(capsys, "claims")
    text = " ".join(out.split())
    assert text.count("share the 5 % of error evenly (Bonferroni)") == 1
    assert "wider here than that of one pair alone, as in the figure relative" in text


def test_rows_that_are_none_are_said(capsys, here):
    (here / "empty").mkdir()
    code, _, err = call(capsys, "claims", "empty")
    assert code == 0
    assert err == "empty: no rows; the published ones answer alone\n"


@pytest.mark.parametrize("also", [[], ["results"]])
def test_imported_rows_are_counted_and_not_judged(also, capsys, here):
    row = {"model": "Mixer-B/16", "family": "mixer", "img_per_sec_core": 9.0}
    for n, (source, peer) in enumerate((("lab", None), ("lab", "timm"), ("rig", None))):
        made = {"source": source, "peer": peer, "cell_id": "x", "attempt_id": f"x{n}"}
        append({**BASE, **row, **made}, here / "elsewhere")
    ablated = {"source": "lab", "attempt_id": "y", "token_mixing": "none"}
    append({**BASE, **row, **ablated}, here / "elsewhere")  # never judged
    code, out, err = call(capsys, "claims", "elsewhere", *also, "--format", "json")
    assert code == 0 and json.loads(out)["not_judged"] == {"lab": 2, "rig": 1}
    assert err == (
        "3 imported rows (lab, rig) not judged: only measured and published rows have "
        "the intervals that a verdict needs; mixer-bench table shows imported ones\n"
    )


ASKING = {
    "data-hunger": "mixer-bench plot RESULTS --figure data_scale",
    "tied-token-mixing": (
        "mixer-bench table RESULTS --where mode=pretrain --where family=mixer"
    ),
    "shuffle-invariance": "mixer-bench plot RESULTS --figure shuffling",
    "unit-structure": "mixer-bench weights CHECKPOINT",
}


def test_every_figure_that_is_named_is_drawn(capsys, here):
    """A command that draws nothing would send the reader into the void."""
    _, out, _ = call(capsys, "claims", "--format", "json")
    shown = {one["claim"]: one["figure"] for one in json.loads(out)["claims"]}
    asking = {name: line for name, line in shown.items() if "# needs " in line}
    assert {name: line.split("  #")[0] for name, line in asking.items()} == ASKING
    named = {line for name, line in shown.items() if name not in asking}
    assert len(named) >= 4 and all("RESULTS" not in line for line in named)
    flags = [word for line in named for word in line.split()[3:]]
    code, _, err = call(
        capsys, "plot", "published", "--format", "svg", "--out", "drawn", *flags
    )
    assert (code, err) == (0, "")


def test_your_rows_have_their_own_verdict(capsys, here):
    code, out, _ = call(capsys, "claims", "results", "--format", "json")
    claims = {one["claim"]: one for one in json.loads(out)["claims"]}
    speed = claims["equal-size-speed"]
    assert code == 0
    assert speed["measured"]["verdict"] == "contradicted"
    (finding,) = speed["measured"]["findings"]
    assert finding["value"] == pytest.approx(0.5) and finding["n"] == 5
    assert finding["low"] < 0.5 < finding["high"]
    counts = [speed[side][word] for side in SIDES for word in ("for", "against")]
    assert counts == [9, 17, 0, 1] and speed["measured"]["open"] == 0
    assert finding["where"] == "Xeon, torch, float32"
    assert speed["figure"] == "mixer-bench plot results --figure relative"
    assert claims["pareto"]["measured"]["verdict"] == "untested"


def test_the_other_formats(capsys, here):
    _, out, _ = call(capsys, "claims", "results", "--format", "csv")
    rows = {row["claim"]: row for row in csv.DictReader(out.splitlines())}
    assert list(rows) == [claim.name for claim in CLAIMS]
    assert rows["equal-size-speed"]["measured"] == "contradicted"
    assert "n=5" in rows["equal-size-speed"]["measured_evidence"]
    names = ("published_for", "published_against", "measured_for", "measured_against")
    assert [rows["equal-size-speed"][name] for name in names] == ["9", "17", "0", "1"]
    _, out, _ = call(capsys, "claims", "--format", "github")
    assert out.startswith("| claim") and "| equal-size-speed" in out


BAD = [
    (["nowhere"], "no such file"),
    (["junk.bin"], "not a parquet file"),
    (["--format", "latex"], "unknown format 'latex'; known: table, json, csv, github"),
    (["--verdict"], "No such option"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[:4]))
def test_bad_input_is_one_line_exit_2(arguments, message, capsys, here):
    before = sorted(here.rglob("*"))
    code, out, err = call(capsys, "claims", *arguments)
    assert code == 2 and re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and err.startswith("mixer-bench: ")
    assert out == "" and sorted(here.rglob("*")) == before


def test_it_loads_neither_a_framework_nor_a_plotting_library():
    code = """
import sys
from bench.cli import app
assert app._run(['claims', '--format', 'csv']) == 0
heavy = {'jax', 'torch', 'matplotlib', 'scipy.stats'} & {*sys.modules}
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
