"""`mixer-bench weights`: draw a network's units, and say how structured they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli import _print
from bench.cli.plot import inches
from bench.errors import ResultsError


def command(
    file: Annotated[Path, typer.Argument(help="Weights, .npz or .safetensors.")],
    out: Annotated[
        Path | None, typer.Option(help="Figures folder; default plots/<file's name>.")
    ] = None,
    format: Annotated[str, typer.Option(help="table, json or csv.")] = "table",
    images: Annotated[str, typer.Option(help="png,svg,pdf")] = "png,svg,pdf",
    width: Annotated[str, typer.Option(help="3.25in (a column) or 6.75in.")] = "6.75in",
) -> None:
    """Draw hidden units, stem and position embeddings of any checkpoint.

    Prints for each layer how structured its units are, beside white noise, which is
    what training starts from. Needs neither jax nor torch.
    """
    from bench.models import recognise
    from bench.plots import structure, weights

    _print.check_format(format)
    folder = Path("plots") / file.stem if out is None else out
    if folder.exists() and not folder.is_dir():
        raise ResultsError(f"{folder}: is a file; --out takes a folder")
    drawable = _drawable(recognise.read(file), file.name)
    kinds = list(dict.fromkeys(filter(None, images.split(","))))
    written = weights.draw_all(drawable, folder, kinds, inches(width))
    written.append(weights.write_page(folder, file))
    numbers = structure.points(drawable.layers)
    print(_print.data([_row(row) for row in numbers.to_dict("records")], format))
    for path in written:
        _print.note(str(path))


def _drawable(found: Any, name: str) -> Any:
    from bench.analysis import units
    from bench.plots.units import Layer
    from bench.plots.weights import Drawable

    layers = []
    for block, kernel in found.token_mixing.items():
        label = f"token mixing {block}"
        if kernel.ndim == 3:  # untied: every channel has units of its own
            label, kernel = f"{label}, channel 0 of {len(kernel)}", kernel[0]
        maps = units.maps_of(kernel)
        if maps is None:
            _print.note(f"{label}: {len(kernel)} tokens are no square; not drawn")
        else:
            layers.append(Layer(label, maps))
    return Drawable(
        source=f"{name} ({found.family}, width {found.stem.shape[-1]})",
        demo=found.demo,
        stem=Layer("stem", units.stem_maps(found.stem)),
        token_mixing=tuple(layers),
        positions=found.positions,
    )


def _row(values: dict[Any, Any]) -> dict[str, Any]:
    return {
        str(name): round(value, 3) if isinstance(value, float) else value
        for name, value in values.items()
    }
