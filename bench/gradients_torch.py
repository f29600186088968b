"""The loss of a batch and its derivative, whole or in parts, in torch. Twin of
`gradients_jax`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

ClassIds = Int[Tensor, "batch"]
Shares = Float[Tensor, "batch classes"]


def derived(
    objective: Callable[[Tensor, Tensor, int], Tensor],
    images: Float[Tensor, "batch height width 3"],
    labels: ClassIds | Shares,
    parts: int,
) -> Float[Tensor, ""]:
    """The mean loss of a batch, at once or taken in parts, one after the other.

    Its derivative is added to `grad` of the parameters. `objective(images, labels,
    first)` is the mean loss of images that stand in the batch from `first`.
    """
    if parts == 1:
        loss = objective(images, labels, 0)
        loss.backward()
        return loss.detach()
    size = len(images) // parts
    losses = []
    for first in range(0, len(images), size):
        part = slice(first, first + size)
        loss = objective(images[part], labels[part], first) / parts
        loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def mean_loss(
    logits: Float[Tensor, "batch classes"], labels: ClassIds | Shares, kind: str
) -> Float[Tensor, ""]:
    """Cross-entropy, mean over the batch; the sigmoid form sums over the classes.

    Labels are class numbers, or shares of the classes.
    """
    if labels.ndim == 2:
        labels = labels.to(logits.dtype)
    if kind == "softmax":
        return F.cross_entropy(logits, labels)
    if labels.ndim == 1:
        labels = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    total = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
    return total / len(logits)
