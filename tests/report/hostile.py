"""Rows whose every text is an attack, and rows in great number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.record import table
from bench.results import to_frame

ATTACK = "</script><script>window.pwned=1</script><!--<img src=http://x.test/a onerror=pwned()>'\"&amp;\u2028\u2029"  # noqa: E501


def measured(number: int, **values: Any) -> dict[str, Any]:
    """One timed row; rates fall, so that sorting has something to do."""
    families = ("mixer", "vit", "resnet")
    row = {
        "attempt_id": f"a{number}",
        "status": "ok",
        "role": "cell",
        "source": "measured",
        "protocol": 1,
        "repetition": number % 5,
        "cell_id": f"c{number // 5}",
        "study": "speed",
        "machine_id": "m1",
        "machine": "Xeon",
        "environment_id": "e1",
        "environment": {"jax": "0.10.2"},
        "hardware": {"cpu": "Xeon", "memory": "8 GiB"},
        "core_kind": "vcpu",
        "cores": 2.0,
        "mode": "infer",
        "model": f"Mixer-S/{8 + number // 5}",
        "family": families[number % 3],
        "framework": ("jax", "torch")[number % 2],
        "dtype": "float32",
        "track": "protocol",
        "batch_rule": "fixed",
        "input": "resident",
        "layout": "NHWC",
        "variant": "jit",
        "image_size": 224,
        "batch_size": 8,
        "param_count": 1_000_000 + 1000 * number,
        "img_per_sec_core": 1000.0 / (number + 1),
        "git_sha": "0123456789abcdef",
        "git_dirty": False,
        "command": "mixer-bench run studies/speed.yaml",
        "executor": "process",
        "cautions": [],
    }
    return {**row, **values}


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return to_frame(table(rows), samples=True)


def attacked() -> pd.DataFrame:
    """Hostile text wherever a row can carry text."""
    texts = dict.fromkeys(
        ("model", "study", "machine", "git_sha", "command", "variant", "layout"), ATTACK
    )
    caution = dict.fromkeys(("kind", "seen", "cause", "remedy"), ATTACK)
    bad = {
        "status": "failed",
        "error_class": ATTACK,
        "error_message": ATTACK,
        "img_per_sec_core": None,
    }
    maps = {"environment": {ATTACK: ATTACK}, "hardware": {ATTACK: ATTACK}}
    rows = [measured(n, **texts, **maps, cautions=[caution]) for n in range(3)]
    return frame([*rows, measured(3, **texts, **maps, **bad)])


def many(count: int) -> pd.DataFrame:
    """Rows as full as real ones: every number of the record that timing fills."""
    rng = np.random.default_rng(0)
    names = (
        "step_s img_per_sec compile_s first_step_s barrier_s ms_per_image_batch1 "
        "flop_per_sec within_run_halfwidth load_before load_after energy_j "
        "clock_mhz_before clock_mhz_after peak_memory_bytes"
    ).split()
    rows = []
    for number in range(count):
        draws = rng.uniform(1, 1e6, len(names)).tolist()
        values: dict[str, Any] = dict(zip(names, draws, strict=True))
        values["peak_memory_bytes"] = int(values["peak_memory_bytes"])
        uuid = f"{number:032x}"
        cell = number // 100
        values["cell_id"], values["repetition"] = f"c{cell}", number % 100
        values["model"], values["framework"] = (
            f"Mixer-S/{cell}",
            ("jax", "torch")[cell % 2],
        )
        rows.append(measured(number, **values, attempt_id=uuid, sitting_id=uuid))
    return frame(rows)
