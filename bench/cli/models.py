"""`mixer-bench models`: every variant with its parameters, MACs and tokens."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bench import models
from bench.cli import _print


def command(
    image_size: Annotated[int, typer.Option(help="Input side in pixels.")] = 224,
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
) -> None:
    """List every variant: parameters for 1,000 and 21,843 classes, MACs, tokens.

    adam_mb: weights, gradients and Adam's two moments in 10^6 bytes, 1,000 classes.
    """
    rows = [_facts(name, image_size) for name in models.variants()]
    print(_print.data(rows, format))


def _facts(name: str, image_size: int) -> dict[str, Any]:
    spec = models.spec_for(name, image_size=image_size)
    many = models.spec_for(name, image_size=image_size, num_classes=21_843)
    return {
        "name": spec.name,
        "family": spec.family,
        "params_1k": spec.param_count,
        "params_21k": many.param_count,
        "macs": spec.macs,
        "adam_mb": round(spec.adam_bytes / 1e6, 1),
        "tokens": spec.tokens,
        "image_size": spec.image_size,
    }
