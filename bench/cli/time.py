"""`mixer-bench time`: img/sec/core of some models, with no study file."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import compile_cache, peers, results, studies
from bench.backend import FRAMEWORKS, installed
from bench.cli import _session
from bench.errors import MissingPackage, StudyError, unknown
from bench.report.against import ours_over
from bench.specs import DTYPES, SPEED_MODES, Limit, OwnCore, Study

_OPTIONS = {
    "model": "MODELS",
    "framework": "--framework",
    "device": "--device",
    "image_size": "--image-size",
    "batch_size": "--batch-size",
    "dtype": "--dtype",
    "track": "--track",
    "repetitions": "--repetitions",
    "window_s": "--window",
}
"""How the keys of a study are given here."""
_SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


Models = Annotated[list[str], typer.Argument(help="Mixer-B/16 ViT-B/16 ...")]
Mode = Annotated[str, typer.Option(help="infer, train, or both: infer,train")]
Framework = Annotated[
    str, typer.Option(help="jax, torch, or both: jax,torch. Default: installed.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, ...")]
ImageSize = Annotated[str, typer.Option(help="Input side, pixels; or several: 224,448")]
BatchSize = Annotated[str, typer.Option(help="auto (sweep), or numbers: 8,32")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16, tf32")]
Track = Annotated[
    str, typer.Option(help="protocol, or tuned: every variant, the best one named.")
]
Against = Annotated[
    str, typer.Option(help="Time somebody else's code beside ours: timm.")
]
Repetitions = Annotated[
    int, typer.Option(help="Fresh processes per cell; an interval needs 5.")
]
WindowS = Annotated[
    float,
    typer.Option("--window", help="Seconds of measuring per repetition, at most."),
]
NoCompileCache = Annotated[
    bool,
    typer.Option(
        "--no-compile-cache", help="Compile anew; keep and reuse no compiled program."
    ),
]
Anchor = Annotated[
    bool,
    typer.Option(
        help="Time one same cell first, between and last: it tells drift, and costs "
        "three runs more."
    ),
]
Peaks = Annotated[
    list[str] | None,
    typer.Option(
        "--peak", help="FLOP/s of the device: bf16=989e12:its source; repeatable."
    ),
]
CoreKind = Annotated[
    str | None,
    typer.Option(help="Your own definition of a core, with --cores-per-device."),
]
CoresPerDevice = Annotated[
    float | None, typer.Option(help="How many of those the device has.")
]
Out = Annotated[Path, typer.Option(help="Results folder.")]


def command(
    models: Models,
    mode: Mode = "infer",
    framework: Framework = "",
    device: Device = "auto",
    image_size: ImageSize = "224",
    batch_size: BatchSize = "auto",
    dtype: Dtype = "float32",
    track: Track = "protocol",
    against: Against = "",
    repetitions: Repetitions = 5,
    window: WindowS = 5.0,
    no_compile_cache: NoCompileCache = False,
    anchor: Anchor = True,
    peak: Peaks = None,
    core_kind: CoreKind = None,
    cores_per_device: CoresPerDevice = None,
    out: Out = Path("results"),
) -> int:
    """Measure throughput, repeated in fresh processes, and print the table."""
    grid = {
        "mode": _modes(mode),
        "model": models,
        "framework": frameworks(framework),
        "device": device,
        "image_size": [_side(word) for word in _words(image_size)],
        "batch_size": [_batch(word) for word in _words(batch_size)],
        "dtype": _words(dtype),
        "track": track,
    }
    if no_compile_cache:
        compile_cache.switch_off()
    study = dataclasses.replace(
        _study(_with_peer(grid, against), repetitions, window, anchor),
        peaks=dict(map(_peak, peak or [])),
        own_core=_own_core(core_kind, cores_per_device),
    )
    return _measured(study, out, against)


def _measured(study: Study, out: Path, against: str) -> int:
    """Run, tabulate, and set the peer's rates beside ours where one was asked for."""
    summary = _session.measure(study, out=out)
    code = _session.finish(summary, plots=None)
    if against and summary.attempts:
        frame = results.read_results(summary.out, samples=True)
        mine = frame[frame["attempt_id"].isin(summary.attempts)]
        print("\n".join(ours_over(mine, against)))
    return code


def _modes(text: str) -> list[str]:
    for word in _words(text):
        if word not in SPEED_MODES:
            raise StudyError(f"--mode: {unknown('speed mode', word, SPEED_MODES)}")
    return _words(text)


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


def _study(
    grids: list[dict[str, Any]], repetitions: int, window: float, anchor: bool
) -> Study:
    return studies.from_values(
        "time",
        {
            "question": "How many images per second and core?",
            "settings": {"window_s": window, "sweep_min": 2, "sweep_max": 1024},
            "grids": grids,
            "repetitions": repetitions,
            **({} if anchor else {"anchor": None}),
        },
        _OPTIONS,
    )


def _peak(text: str) -> tuple[str, Limit]:
    """A dtype and its peak, from `bf16=989e12:NVIDIA H100 data sheet`."""
    name, _, rest = text.partition("=")
    number, _, source = rest.partition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0 and source.strip()):
        raise StudyError(
            f"--peak: {text!r}: give dtype=FLOP/s:source, such as "
            "bf16=989e12:NVIDIA H100 data sheet"
        )
    dtype = _SHORT.get(name, name)
    if dtype not in DTYPES:
        raise StudyError(f"--peak: {unknown('dtype', name, (*DTYPES, *_SHORT))}")
    return dtype, Limit(value, source.strip())


def _own_core(kind: str | None, per_device: float | None) -> OwnCore | None:
    """A core as the user defines it; a rate over it is no other machine's rate."""
    if kind is None and per_device is None:
        return None
    if kind is None or per_device is None:
        given, missing = (
            ("--cores-per-device", "--core-kind")
            if kind is None
            else ("--core-kind", "--cores-per-device")
        )
        raise StudyError(f"{given}: give {missing} too: what a core is, and how many")
    if not re.fullmatch("[a-z][a-z0-9_]*", kind):
        raise StudyError(
            f"--core-kind: {kind!r}: give one word of lower-case letters, digits and "
            "underscores, such as tile"
        )
    if not 0 < per_device < math.inf:
        raise StudyError(
            f"--cores-per-device: {per_device:g}: must be a finite number above 0"
        )
    return OwnCore(kind=kind, per_device=per_device)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _batch(word: str) -> int | str:
    if word == "auto":
        return word
    if not word.isdecimal():
        raise StudyError(f"--batch-size: {word!r}: give auto, or numbers like 8,32")
    return int(word)


def _side(word: str) -> int:
    try:
        return int(word)
    except ValueError as error:
        raise StudyError(
            f"--image-size: {word!r}: give pixels, such as 224 or 224,448"
        ) from error


def frameworks(text: str) -> list[str]:
    """Those named in `jax,torch`; with an empty text, those installed."""
    found = _words(text) or [name for name in FRAMEWORKS if installed(name)]
    if not found:
        raise MissingPackage("neither jax nor torch", extra="jax,torch")
    return found
