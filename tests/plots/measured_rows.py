"""Rows as if measured on one machine."""

from __future__ import annotations

from typing import Any

FAMILY = {"M": "mixer", "V": "vit", "B": "resnet"}


def base(model: str, framework: str) -> dict[str, Any]:
    return {
        "status": "ok",
        "role": "cell",
        "source": "measured",
        "protocol": 1,
        "machine_id": "m1",
        "machine": "Xeon, 2 vcpu",
        "environment_id": framework,
        "core_kind": "vcpu",
        "cores": 2.0,
        "model": model,
        "family": FAMILY[model[0]],
        "framework": framework,
        "dtype": "float32",
        "image_size": 16,
        "batch_size": 32,
    }


def timed(
    model: str, rate: float, count: int = 5, **values: Any
) -> list[dict[str, Any]]:
    """Repetitions of a paper's model at 224 px, one per cent apart."""
    row = {
        **base(model, "jax"),
        "mode": "infer",
        "track": "protocol",
        "cell_id": f"{model} {sorted(values.items())}",
        "image_size": 224,
        "batch_rule": "fixed",
        "num_classes": 1000,
        **values,
    }
    rates = [rate * (1 + 0.01 * (r - count // 2)) for r in range(count)]
    images = row["batch_size"] / row["cores"]
    return [
        {**row, "repetition": r, "img_per_sec_core": one, "samples": [images / one] * 3}
        for r, one in enumerate(rates)
    ]
