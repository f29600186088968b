"""Variants of a torch step: compiled, frozen, channels last, cuDNN attention."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench import compile_cache, variants
from bench.errors import StudyError

SCORES = "matmul, tokens x tokens scores"
"""The attention kernel where the scores exist as a tensor."""

_OPTIONS: dict[str, dict[str, Any]] = {
    "compile": {},
    "compile-max-autotune": {"mode": "max-autotune"},
    "compile-freeze": {"options": {"freezing": True}},
}


@dataclass(frozen=True)
class Compiling:
    """What the first call of a variant cost; all null where nothing is compiled."""

    seconds: float | None = None
    """The first call less one further step: trace, compile, autotune."""
    cached: bool | None = None


def memory_format(variant: str) -> torch.memory_format:
    """How a convolution's activations lie in memory.

    On a CPU torch's channels-last group norm loses digits, so that the certificate may
    refuse a ratio of `channels-last`; `onednn` has a norm of its own, which keeps them.
    """
    last = variants.is_channels_last(variant)
    return torch.channels_last if last else torch.contiguous_format


def layout(family: str, variant: str, peer: str | None) -> str:
    """The layout that a step computes in, whatever its images come in.

    Our Mixer and ViT keep NHWC; ResNets, and whatever a peer builds, are NCHW unless
    the variant says channels last.
    """
    if variants.is_channels_last(variant):
        return "NHWC"
    ours = peer is None and family not in variants.CONVOLUTIONAL
    return "NHWC" if ours else "NCHW"


def arrange(module: nn.Module, variant: str, *, training: bool) -> None:
    """Rewrite the module as the variant asks; its weights stay."""
    extras = variants.split(variant)[1]
    if variants.is_channels_last(variant):
        module.memory_format = torch.channels_last
    if variants.ONEDNN in extras:
        _onednn().arrange(module, training=training)


def resident(images: Tensor, family: str, variant: str, peer: str | None) -> Tensor:
    """The batch as it lies in memory before a step: NHWC, or as a peer takes it.

    On the tuned track our ResNets find it in the layout that they compute in.
    """
    if peer is None and family not in variants.CONVOLUTIONAL:
        return images
    if peer is None and variant == variants.DEFAULT["torch"]:
        return images
    laid_out = images.permute(0, 3, 1, 2).contiguous(
        memory_format=memory_format(variant)
    )
    return laid_out if peer else laid_out.permute(0, 2, 3, 1)


def attention(variant: str) -> contextlib.AbstractContextManager[Any]:
    """Where attention must run: in cuDNN, or wherever torch puts it."""
    if variants.CUDNN_ATTENTION in variants.split(variant)[1]:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        chosen: contextlib.AbstractContextManager[Any] = sdpa_kernel(
            SDPBackend.CUDNN_ATTENTION
        )
        return chosen
    return contextlib.nullcontext()


def written_out_attention(variant: str, dtype: torch.dtype) -> str | None:
    """The word for attention where the variant takes it out of torch's operator."""
    if variants.ONEDNN not in variants.split(variant)[1]:
        return None
    return SCORES if _onednn().writes_attention_out(dtype) else None


def _onednn() -> Any:
    """The rewritten layers; their operators exist only in a torch built with oneDNN."""
    if not torch.backends.mkldnn.is_available():
        raise StudyError(
            "variant onednn: this torch is built without oneDNN; name another variant"
        )
    return importlib.import_module("bench.models.onednn_torch")


def wrapped(function: Callable[..., Any], variant: str) -> Callable[..., Any]:
    """The function as it is, or to be compiled by its first call."""
    base = variants.split(variant)[0]
    if base == variants.DEFAULT["torch"]:
        return function
    _keep_programs()
    # Every batch size of a sweep is a program of its own; torch stops at eight.
    torch._dynamo.reset()
    built: Callable[..., Any] = torch.compile(
        function, fullgraph=True, dynamic=False, **_OPTIONS[base]
    )
    return built


def first_call(variant: str, step: Callable[[], None]) -> Compiling:
    """Make the first call of a compiled step, so that no later one compiles.

    `step` returns when the device is done.
    """
    if variants.split(variant)[0] == variants.DEFAULT["torch"]:
        return Compiling()
    hits = _cache_hits()
    seconds = _timed(step)
    cached = _cache_hits() > hits
    return Compiling(max(0.0, seconds - _timed(step)), cached)


def compilations() -> int:
    """Graphs that dynamo has compiled in this process.

    None before it is imported. An eager step needs no such import, which takes longer
    than most windows and would stand between the warm-up and the first block.
    """
    if "torch._dynamo" not in sys.modules:
        return 0
    return int(_counters()["stats"]["unique_graphs"])


def _cache_hits() -> int:
    counters = _counters()
    return int(
        counters["inductor"]["fxgraph_cache_hit"]
        + counters["aot_autograd"]["autograd_cache_hit"]
    )


def _counters() -> Any:
    from torch._dynamo.utils import counters

    return counters


def _timed(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _keep_programs() -> None:
    """Inductor reads this folder from the environment whenever it needs it.

    Its switches leave the compiled libraries in place, so that off is a folder of its
    own, which goes with the process.
    """
    place = compile_cache.folder("torch")
    if place is None and "mixer-bench-inductor" in _inductor_folder():
        return
    if place is None:
        made = tempfile.mkdtemp(prefix="mixer-bench-inductor-")
        atexit.register(shutil.rmtree, made, ignore_errors=True)
    else:
        compile_cache.hold(place)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = made if place is None else str(place)


def _inductor_folder() -> str:
    return os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")
