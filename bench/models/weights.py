"""Weights as a flat dict: canonical name (as in the released files) -> numpy array.

Loading never unpickles. Import accepts the names of the released files, those of
their Linen successors, and the prefixes that training states add; export writes
canonical names only.
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.lib.npyio import NpzFile

from bench.errors import WeightsError, unknown
from bench.models.spec import ModelSpec, Tensor, scope

Weights = Mapping[str, np.ndarray]

_PREFIXES = ("opt/target/", "params/")
_SUFFIXES = (".npz", ".safetensors")
_HEAD_BIASES = {"head/bias", "resnet/head/conv2d/bias"}

# What numpy and safetensors raise on a truncated, foreign or pickled file.
_DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
    safetensors.SafetensorError,
)


def is_kernel(name: str) -> bool:
    """Whether weight decay applies: to kernels, never to biases, norms, embeddings."""
    return name.endswith("/kernel")


# Initialisers ------------------------------------------------------------------------


def _normal(std: float) -> Callable[[np.random.Generator, Tensor], np.ndarray]:
    def draw(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
        return std * rng.standard_normal(tensor.shape, dtype=np.float32)

    return draw


def _lecun_normal(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    """Normal cut at two deviations, with variance 1 / inputs after the cut (Flax)."""
    draws = rng.standard_normal(tensor.size, dtype=np.float32)
    while (outside := np.flatnonzero(np.abs(draws) > 2)).size:
        draws[outside] = rng.standard_normal(outside.size, dtype=np.float32)
    std_after_cut = 0.8796256610342398
    draws /= np.float32(std_after_cut * np.sqrt(tensor.fans[0]))
    return draws.reshape(tensor.shape)


def _xavier_uniform(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    bound = np.float32(np.sqrt(6 / sum(tensor.fans)))
    return bound * (2 * rng.random(tensor.shape, dtype=np.float32) - 1)


def _zeros(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    return np.zeros(tensor.shape, np.float32)


def _ones(rng: np.random.Generator, tensor: Tensor) -> np.ndarray:
    return np.ones(tensor.shape, np.float32)


INITIALISERS: dict[str, Callable[[np.random.Generator, Tensor], np.ndarray]] = {
    "lecun_normal": _lecun_normal,
    "xavier_uniform": _xavier_uniform,
    "normal_0.02": _normal(0.02),
    "normal_1e-6": _normal(1e-6),
    "zeros": _zeros,
    "ones": _ones,
}


def _stream(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one tensor; those of another never shift them."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def initial(
    spec: ModelSpec, seed: int, head_bias: float = 0.0
) -> dict[str, np.ndarray]:
    """Fresh weights as the papers start from: every logit is the bias of the head."""
    fresh = {
        name: INITIALISERS[tensor.init](_stream(seed, name), tensor)
        for name, tensor in spec.tensors().items()
    }
    (bias,) = _HEAD_BIASES & fresh.keys()
    fresh[bias][:] = head_bias
    return fresh


def random(spec: ModelSpec, seed: int) -> dict[str, np.ndarray]:
    """Weights with nothing degenerate in them, for timing and for parity.

    Kernels keep activations near 1; every other tensor leaves its zero or one. Tensors
    are drawn side by side: every process that times a large model waits for this.
    """
    tensors = spec.tensors()
    with ThreadPoolExecutor() as pool:
        drawn = pool.map(partial(_random, seed), tensors, tensors.values())
        return dict(zip(tensors, drawn, strict=True))


def _random(seed: int, name: str, tensor: Tensor) -> np.ndarray:
    draws = _stream(seed, name).standard_normal(tensor.shape, dtype=np.float32)
    if is_kernel(name):
        draws /= np.float32(np.sqrt(tensor.fans[0]))
        return draws
    draws *= np.float32(0.1)
    draws += np.float32(name.endswith(("/scale", "/gamma")))
    return draws


# Checks ------------------------------------------------------------------------------


def check(weights: Weights, spec: ModelSpec) -> None:
    """Refuse weights that do not fit, naming the first tensor that is wrong."""
    wanted = spec.tensors()
    for name, tensor in wanted.items():
        if name not in weights:
            raise WeightsError(
                f"{_who(spec)}: {name} {tensor.shape} is missing; "
                "give the model of the file"
            )
        _check_array(name, weights[name], tensor, spec)
    extra = next((name for name in weights if name not in wanted), None)
    if extra is not None:
        raise WeightsError(
            f"{_who(spec)}: there is no {extra} in it; give the model of the file"
        )


def _check_array(name: str, array: np.ndarray, tensor: Tensor, spec: ModelSpec) -> None:
    if array.shape != tensor.shape:
        raise WeightsError(
            f"{_who(spec)}: {name} is {array.shape}, not {tensor.shape}; "
            "give the model, image size and number of classes of the file"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise WeightsError(f"{_who(spec)}: {name} is {array.dtype}; save it as float32")
    if not np.isfinite(array).all():
        raise WeightsError(f"{_who(spec)}: {name} holds NaN or infinity")


def _who(spec: ModelSpec) -> str:
    return f"{spec.name} at {spec.image_size} px with {spec.num_classes} classes"


def sha256(weights: Weights) -> str:
    """Hash of names, shapes and float32 values, whatever the order of the dict."""
    total = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name], dtype="<f4")
        total.update(f"{name}{array.shape}".encode())
        total.update(array.data)
    return total.hexdigest()


def file_sha256(path: str | Path) -> str:
    """Hash of the bytes of a file, as sha256sum prints it."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Files -------------------------------------------------------------------------------


def load_file(path: str | Path, spec: ModelSpec) -> dict[str, np.ndarray]:
    """Weights of `spec` from .npz or .safetensors, float32 under canonical names."""
    found = read_file(path, spec)
    try:
        check(found, spec)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    return {name: found[name].astype(np.float32) for name in spec.tensors()}


def read_file(path: str | Path, spec: ModelSpec) -> dict[str, np.ndarray]:
    """What the file holds, under canonical names; whether it fits is not checked."""
    path = Path(path)
    found: dict[str, np.ndarray] = {}
    for name, array in read_named(path).items():
        for ours, part in spec.unstacked(canonical(name, type(spec)), array).items():
            if ours in found:
                raise WeightsError(f"{path}: two tensors are {ours}; keep one")
            found[ours] = part
    wanted = spec.tensors()
    return {
        name: spec.adapted(name, array) if name in wanted else array
        for name, array in found.items()
    }


def save_file(path: str | Path, weights: Weights) -> None:
    """Write canonical names to .npz or .safetensors; all of the file or nothing."""
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise WeightsError(_unknown_suffix(path))
    arrays: dict[str, Any] = {
        name: np.ascontiguousarray(array) for name, array in weights.items()
    }
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("xb") as handle:
            if path.suffix == ".npz":
                np.savez(handle, **arrays)
            else:
                handle.write(safetensors.numpy.save(arrays))
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read_named(path: str | Path) -> dict[str, np.ndarray]:
    """Every weight of the file under the name that it has there.

    A checkpoint of a training holds other state as well, which is left out.
    """
    named = read(Path(path))
    return scope("weights", named) or named


def read(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the file under the name that it has there."""
    if path.suffix not in _SUFFIXES:
        raise WeightsError(_unknown_suffix(path))
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            return dict(safetensors.numpy.load_file(path))
        # not np.load: it leaves a damaged file open
        with path.open("rb") as handle, NpzFile(handle, allow_pickle=False) as arrays:
            return {name: np.asarray(arrays[name]) for name in arrays.files}
    except _DAMAGE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: not readable as {path.suffix} ({reason})"
        ) from None


def _unknown_suffix(path: Path) -> str:
    return f"{path}: " + unknown("kind of weights file", path.suffix, _SUFFIXES)


def canonical(name: str, spec: type[ModelSpec]) -> str:
    """The canonical form of a name in circulation, in the family of `spec`."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for pattern, ours in spec.aliases:
        name = re.sub(pattern, ours, name)
    return name
