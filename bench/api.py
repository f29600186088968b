"""The public door to a network: numpy in, numpy out, in either framework."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bench import backend, models
from bench.backend import Features, Logits, Model
from bench.errors import StudyError, unknown
from bench.models import ModelSpec
from bench.models.weights import initial, save_file
from bench.specs import DTYPES
from bench.training import resolution
from bench.training.resolution import Report

# Normal noise stays below this; images that were never scaled from 0..255 do not.
_LARGEST_PIXEL = 20.0


@dataclass(frozen=True)
class LoadedModel:
    """A network with weights, on one device of one framework."""

    spec: ModelSpec
    framework: str
    dtype: str
    backend: Model
    report: Report | None = None
    """What became of the tensors of the weights file; None without one."""

    def predict(self, images: Float[np.ndarray, "batch height width 3"]) -> Logits:
        """Logits (batch, classes) of NHWC images in [-1, 1]."""
        return self.backend.predict(self._checked(images))

    def features(self, images: Float[np.ndarray, "batch height width 3"]) -> Features:
        """Pre-logits (batch, width) of NHWC images in [-1, 1]."""
        return self.backend.features(self._checked(images))

    def state_dict(self) -> dict[str, np.ndarray]:
        """Canonical name (as in the released files) -> array."""
        held = self.backend.state_dict()
        return {name: held[name] for name in self.spec.tensors()}

    def save(self, path: str | Path) -> None:
        """Write the weights to .npz or .safetensors."""
        save_file(path, self.state_dict())

    def _checked(self, images: np.ndarray) -> np.ndarray:
        """The images in the dtype that goes in, or one line saying what is wrong."""
        images = np.asarray(images)
        size = self.spec.image_size
        fits = images.ndim == 4 and images.shape[1:] == (size, size, 3)
        if not fits or not np.issubdtype(images.dtype, np.floating):
            raise StudyError(
                f"images are {images.dtype} {images.shape}; {self.spec.name} takes "
                f"float32 (batch, {size}, {size}, 3) in [-1, 1], which bytes become "
                "by images / 127.5 - 1"
            )
        if images.size and np.abs(images).max() > _LARGEST_PIXEL:
            raise StudyError(
                f"images reach {np.abs(images).max():g}; {self.spec.name} takes "
                "[-1, 1], which 0..255 becomes by images / 127.5 - 1"
            )
        return images.astype(np.float64 if self.dtype == "float64" else np.float32)


def load_model(
    name: str,
    framework: str = "jax",
    *,
    image_size: int = 224,
    num_classes: int = 1000,
    weights: str | Path | None = None,
    seed: int = 0,
    dtype: str = "float32",
    pool: str | None = None,
    tokens_mlp_dim: int | None = None,
    representation: bool | None = None,
    token_mixing: str = "mlp",
    tied_token_mixing: bool = True,
    position_embedding: str = "learned",
    device: str = "auto",
) -> LoadedModel:
    """A network by the name of the papers, with weights from a file or from a seed.

    Args:
      weights: .npz or .safetensors under the released names; None draws the paper's
        initialisation, whose head is zero, from `seed`. A file of another resolution is
        carried to this one, and a head for another number of classes starts from zero:
        the model's `report` says what became of each tensor, and a warning is logged.
      dtype: what matrix products compute in; parameters stay float32.
      pool, representation, position_embedding: ViT only. See `models.spec_for`.
      tokens_mlp_dim, token_mixing, tied_token_mixing: Mixer only.
    """
    if dtype not in DTYPES:
        raise StudyError(unknown("dtype", dtype, DTYPES))
    spec = models.spec_for(
        name,
        image_size=image_size,
        num_classes=num_classes,
        pool=pool,
        tokens_mlp_dim=tokens_mlp_dim,
        representation=representation,
        token_mixing=token_mixing,
        tied_token_mixing=tied_token_mixing,
        position_embedding=position_embedding,
    )
    opened = backend.load(framework, device)
    values, report = initial(spec, seed), None
    if weights is not None:
        if tokens_mlp_dim is None:
            spec = resolution.widened(spec, weights)
        values, report = resolution.load(weights, spec)
        if not report.as_found:
            logging.getLogger(__name__).warning("%s: %s", weights, report)
    model = opened.model(spec, values, dtype=dtype)
    return LoadedModel(spec, framework, dtype, model, report)
