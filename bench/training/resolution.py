"""Weights carried to a higher resolution and to a new head: numpy, no framework.

Mixer (section 3 and appendix C): the image is K x K parts, each mixed by its own copy
of the token-mixing MLP, so the two kernels become block-diagonal and D_S grows by K^2.
Tokens leave the stem in raster order over the whole image, not part by part, so the
copies are scattered to where the tokens of their part stand. Logits are then the mean
of the logits that the old network gives the K^2 parts, head bias included.

ViT: position embeddings are resized bilinearly on their grid as the released code does
it, by `scipy.ndimage.zoom(order=1)`: the corners stay where they are, so new row i of
n samples old row i (m - 1) / (n - 1) of m. The class token's entry is kept apart.

BiT has nothing that depends on the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from bench.errors import WeightsError
from bench.models import ModelSpec, weights
from bench.models.mixer import FIRST_TOKEN_KERNEL, MixerSpec
from bench.models.spec import PatchSpec
from bench.models.vit import POSITIONS, ViTSpec

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Report:
    """What became of a file's tensors; the rest is loaded as it stands there."""

    tensors: int
    """How many the network has."""
    carried: Mapping[str, str]
    """Canonical name -> how it was carried to this resolution."""
    new: Mapping[str, str]
    """Canonical name -> what it starts from instead."""
    dropped: tuple[str, ...]
    """Tensors of the file that the network does not have."""
    image_size: int | None
    """Resolution that the file was trained at, where its shapes tell."""

    @property
    def as_found(self) -> bool:
        """Whether every tensor is the file's."""
        return not (self.carried or self.new or self.dropped)

    def __str__(self) -> str:
        """One line for people and for the row."""
        loaded = self.tensors - len(self.carried) - len(self.new)
        parts = [f"{loaded} of {self.tensors} tensors as in the file"]
        for verb, table in (("", self.carried), ("new ", self.new)):
            for how in dict.fromkeys(table.values()):
                names = [name for name in table if table[name] == how]
                parts.append(f"{verb}{_shortened(names)}: {how}")
        if self.dropped:
            parts.append(f"dropped {_shortened(self.dropped)}")
        return "; ".join(parts)


def _shortened(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" * (len(names) > 2))


def load(
    path: str | Path, spec: ModelSpec, *, new_head: bool = False
) -> tuple[Arrays, Report]:
    """Weights of `spec` from a file of another resolution or number of classes.

    Args:
      new_head: start from a zero head even where the file's would fit.

    Raises:
      WeightsError: the file is of another network; names the first tensor that does
        not fit, with both shapes.
    """
    found = weights.read_file(path, spec)
    try:
        fitted, report = fit(found, spec, new_head=new_head)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    return fitted, report


def widened(spec: ModelSpec, path: str | Path) -> ModelSpec:
    """A Mixer with D_S grown by K^2 if the file is of 1/K the resolution."""
    if not isinstance(spec, MixerSpec):
        return spec
    kernel = weights.read_file(path, spec).get(FIRST_TOKEN_KERNEL)
    if kernel is None or kernel.ndim != 2 or len(kernel) == spec.tokens:
        return spec
    if spec.tokens % len(kernel):
        return spec  # loading it says what resolutions there are
    hidden = kernel.shape[1] * spec.tokens // len(kernel)
    return replace(spec, tokens_mlp_dim=hidden)


def fit(
    found: weights.Weights,
    spec: ModelSpec,
    *,
    new_head: bool = False,
    head_bias: float = 0.0,
) -> tuple[Arrays, Report]:
    """The weights of `found` in the shapes of `spec`, float32, and what that took.

    `head_bias` is where the bias of a new head starts.
    """
    made, new, dropped = _with_head(dict(found), spec, new_head, head_bias)
    image_size = _image_size(made, spec)
    carried: dict[str, str] = {}
    if isinstance(spec, MixerSpec):
        carried = _carry_token_mixing(made, spec)
    if isinstance(spec, ViTSpec):
        carried = _carry_positions(made, spec)
    weights.check(made, spec)
    fitted = {name: made[name].astype(np.float32) for name in spec.tensors()}
    return fitted, Report(len(fitted), carried, new, dropped, image_size)


def _image_size(found: Arrays, spec: ModelSpec) -> int | None:
    """Mixer and ViT show their number of patches, a ResNet shows nothing."""
    if not isinstance(spec, PatchSpec):
        return None
    name = POSITIONS if isinstance(spec, ViTSpec) else FIRST_TOKEN_KERNEL
    if name not in found or found[name].ndim < 2:
        return None
    entries = found[name].shape[1 if isinstance(spec, ViTSpec) else 0]
    return math.isqrt(entries) * spec.patch_size


# The head --------------------------------------------------------------------


def _with_head(
    found: Arrays, spec: ModelSpec, new_head: bool, bias: float
) -> tuple[Arrays, dict[str, str], tuple[str, ...]]:
    """A zero head where the file's is of other classes, or is not wanted.

    The hidden layer before a pre-training head goes with it, unless the network has
    one: fine-tuning puts a single linear layer on the representation.
    """
    wanted = spec.tensors()
    names = spec.head()
    fits = all(n not in found or found[n].shape == wanted[n].shape for n in names)
    if fits and not new_head:
        return found, {}, ()
    of_file = next((found[n].shape[-1] for n in names if n in found), None)
    how = "zeros{} for {} classes{}".format(
        f", its bias {bias:g}," if bias else "",
        spec.num_classes,
        "" if of_file is None else f", the file's is for {of_file}",
    )
    gone = tuple(n for n in found if n.startswith("pre_logits/") and n not in wanted)
    kept = {name: array for name, array in found.items() if name not in gone}
    start = {name: 0.0 if weights.is_kernel(name) else bias for name in names}
    fresh = {n: np.full(wanted[n].shape, start[n], np.float32) for n in names}
    return {**kept, **fresh}, dict.fromkeys(names, how), gone


# Mixer -----------------------------------------------------------------------


def token_order(grid: int, factor: int) -> Int64[np.ndarray, "parts tokens"]:
    """Where the tokens of each part stand among those of the whole image.

    The whole is `factor` x `factor` parts of `grid` x `grid` tokens. Parts, the tokens
    of a part, and the tokens of the image are each numbered row by row.
    """
    token = np.arange((factor * grid) ** 2).reshape(factor, grid, factor, grid)
    return token.transpose(0, 2, 1, 3).reshape(factor**2, grid**2)


def copies_into(
    kernel: Float[np.ndarray, "tokens hidden"],
    order: Int64[np.ndarray, "parts tokens"],
) -> Float[np.ndarray, "all_tokens all_hidden"]:
    """Block-diagonal: each part's tokens meet their own copy of the hidden units."""
    parts, tokens = order.shape
    blocks = np.zeros((parts, parts * tokens, kernel.shape[1]), kernel.dtype)
    blocks[np.arange(parts)[:, None], order] = kernel
    return blocks.transpose(1, 0, 2).reshape(parts * tokens, -1)


def _carry_token_mixing(made: Arrays, spec: MixerSpec) -> dict[str, str]:
    """Token-mixing MLPs of a smaller image become K x K copies, in place."""
    carried: dict[str, str] = {}
    for block in range(spec.num_blocks):
        start = f"MixerBlock_{block}/token_mixing"
        names = [f"{start}/Dense_{i}/{kind}" for i in (0, 1) for kind in _KINDS]
        first = made.get(names[0])
        if first is None or first.ndim != 2 or first.shape[0] == spec.tokens:
            continue  # nothing to carry; if it does not fit, the check says why
        order = token_order(*_parts(names[0], first.shape, spec))
        if any(name not in made for name in names):
            continue
        kernel_0, bias_0, kernel_1, bias_1 = (made[name] for name in names)
        bias = np.empty(spec.tokens, bias_1.dtype)
        bias[order] = bias_1
        made[names[0]] = copies_into(kernel_0, order)
        made[names[1]] = np.tile(bias_0, len(order))
        made[names[2]] = copies_into(kernel_1.T, order).T
        made[names[3]] = bias
        how = f"{len(order)} copies, {len(bias_1)} to {spec.tokens} tokens"
        carried |= dict.fromkeys(names, how)
    return carried


_KINDS = ("kernel", "bias")


def _parts(name: str, shape: tuple[int, ...], spec: MixerSpec) -> tuple[int, int]:
    """Tokens along a side of the file's image, and the factor K to this one."""
    tokens, hidden = shape
    grid = math.isqrt(tokens)
    factor, rest = divmod(spec.grid, grid)
    if grid**2 != tokens or rest or factor < 1:
        old = grid * spec.patch_size
        raise WeightsError(
            f"{spec.name} at {spec.image_size} px: {name} is {shape}, not "
            f"{(spec.tokens, spec.tokens_mlp_dim)}; token mixing is carried to whole "
            f"multiples of the file's resolution only: {old}, {2 * old}, {3 * old} px"
        )
    if spec.tokens_mlp_dim != factor**2 * hidden:
        raise WeightsError(
            f"{spec.name} at {spec.image_size} px: {name} is {shape}, not "
            f"{(spec.tokens, spec.tokens_mlp_dim)}; at {factor} times the resolution "
            f"give tokens_mlp_dim {factor**2 * hidden}, {factor**2} times the file's"
        )
    return grid, factor


# ViT -------------------------------------------------------------------------


def _carry_positions(made: Arrays, spec: ViTSpec) -> dict[str, str]:
    """Position embeddings of another grid are resized to this one's, in place."""
    table = made.get(POSITIONS)
    if table is None or table.ndim != 3 or table.shape[1] == spec.tokens:
        return {}
    entries = table.shape[1]
    has_class = math.isqrt(entries) ** 2 != entries
    old = math.isqrt(entries - has_class)
    if old < 1 or old**2 + has_class != entries or (has_class and spec.pool == "gap"):
        return {}  # no square grid, or another pooling; the check says so
    patches = resized(table[0, has_class:].reshape(old, old, -1), spec.grid)
    # files without an entry for the class token add it to the token itself
    first = table[:, :1] if has_class else np.zeros_like(table[:, :1])
    kept = [first] if spec.pool == "token" else []
    made[POSITIONS] = np.concatenate([*kept, patches.reshape(1, spec.grid**2, -1)], 1)
    return {POSITIONS: f"{old} x {old} resized to {spec.grid} x {spec.grid}, bilinear"}


def resized(
    grid: Float[np.ndarray, "old old width"], side: int
) -> Float[np.ndarray, "new new width"]:
    """Bilinear on the grid, corners fixed, as the released ViT code resizes."""
    from scipy.ndimage import zoom  # late: most cells carry nothing

    factor = side / len(grid)
    made: np.ndarray = zoom(grid, (factor, factor, 1), order=1)
    return made
