"""`mixer-bench time`: img/sec/core of some models, with no study file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench import compile_cache, peers, results, studies
from bench.backend import FRAMEWORKS, installed
from bench.cli import _session
from bench.errors import MissingPackage, StudyError
from bench.report.against import ours_over
from bench.specs import Study


def command(
    models: Annotated[list[str], typer.Argument(help="Mixer-B/16 ViT-B/16 ...")],
    mode: Annotated[str, typer.Option(help="infer, train, or both: infer,train")] = (
        "infer"
    ),
    framework: Annotated[
        str, typer.Option(help="jax, torch, or both: jax,torch. Default: installed.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    image_size: Annotated[int, typer.Option(help="Input side, pixels.")] = 224,
    batch_size: Annotated[
        str, typer.Option(help="auto (sweep), or numbers: 8,32")
    ] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, float16, tf32")
    ] = "float32",
    track: Annotated[
        str, typer.Option(help="protocol, or tuned: every variant, the best one named.")
    ] = "protocol",
    against: Annotated[
        str, typer.Option(help="Time somebody else's code beside ours: timm.")
    ] = "",
    repetitions: Annotated[
        int, typer.Option(help="Fresh processes per cell; an interval needs 5.")
    ] = 5,
    window: Annotated[
        float, typer.Option(help="Seconds of measuring per repetition, at most.")
    ] = 5.0,
    no_compile_cache: Annotated[
        bool,
        typer.Option(
            "--no-compile-cache",
            help="Compile anew; keep and reuse no compiled program.",
        ),
    ] = False,
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
) -> int:
    """Measure throughput, repeated in fresh processes, and print the table."""
    grid = {
        "mode": _words(mode),
        "model": models,
        "framework": _words(framework) or _installed(),
        "device": device,
        "image_size": image_size,
        "batch_size": [_batch(word) for word in _words(batch_size)],
        "dtype": _words(dtype),
        "track": track,
    }
    if no_compile_cache:
        compile_cache.switch_off()
    study = _study(_with_peer(grid, against), repetitions, window)
    summary = _session.measure(study, out=out, executor="process", retry_failed=False)
    code = _session.finish(summary, plots=None)
    if against and summary.file is not None:
        frame = results.read_results(summary.file, samples=True)
        print("\n".join(ours_over(frame, against)))
    return code


def _with_peer(grid: dict[str, Any], peer: str) -> list[dict[str, Any]]:
    """The grid, and the same for a peer in the framework that it is written in."""
    if not peer:
        return [grid]
    peers.check(peer)
    framework = peers.FRAMEWORK[peer]
    if framework not in grid["framework"]:
        raise StudyError(
            f"--against {peer}: is written in {framework}; add --framework {framework}"
        )
    return [grid, {**grid, "framework": framework, "peer": peer}]


def _study(grids: list[dict[str, Any]], repetitions: int, window: float) -> Study:
    return studies.from_values(
        "time",
        {
            "question": "How many images per second and core?",
            "settings": {"window_s": window, "sweep_min": 2, "sweep_max": 1024},
            "grids": grids,
            "repetitions": repetitions,
        },
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _batch(word: str) -> int | str:
    if word == "auto":
        return word
    if not word.isdecimal():
        raise StudyError(f"--batch-size: {word!r}: give auto, or numbers like 8,32")
    return int(word)


def _installed() -> list[str]:
    found = [name for name in FRAMEWORKS if installed(name)]
    if not found:
        raise MissingPackage("neither jax nor torch", extra="jax,torch")
    return found
