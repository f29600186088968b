"""The loss of a batch and its derivative, whole or in parts, in jax. Twin of
`gradients_torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

Params = list[Array]
ClassIds = Int[Array, "batch"]
Shares = Float[Array, "batch classes"]
Derived = tuple[Float[Array, ""], Params]
"""A mean loss, and its derivative."""


def derived(
    objective: Callable[..., Float[Array, ""]],
    params: Params,
    images: Float[Array, "batch height width 3"],
    labels: ClassIds | Shares,
    parts: int,
) -> Derived:
    """The mean loss of a batch, at once or taken in parts, one after the other.

    `objective(params, images, labels, first)` is the mean loss of images that stand in
    the batch from `first`. Sums are kept in the dtype of the parameters.
    """
    one = jax.value_and_grad(objective)
    if parts == 1:
        whole: Derived = one(params, images, labels, 0)
        return whole
    size = len(images) // parts

    def add(total: Derived, part: Any) -> tuple[Derived, None]:
        number, images, labels = part
        found = one(params, images, labels, number * size)
        return jax.tree.map(jnp.add, total, found), None

    zeros = jax.tree.map(jnp.zeros_like, (params[0].sum(), params))
    cut = [a.reshape(parts, size, *a.shape[1:]) for a in (images, labels)]
    total, _ = jax.lax.scan(add, zeros, (jnp.arange(parts, dtype=jnp.uint32), *cut))
    mean: Derived = jax.tree.map(lambda t: t / parts, total)
    return mean


def mean_loss(
    logits: Float[Array, "batch classes"], labels: ClassIds | Shares, kind: str
) -> Float[Array, ""]:
    """Cross-entropy, mean over the batch; the sigmoid form sums over the classes.

    Labels are class numbers, or shares of the classes.
    """
    if kind == "softmax":
        if labels.ndim == 1:
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        else:
            losses = optax.softmax_cross_entropy(logits, labels)
    else:
        if labels.ndim == 1:
            labels = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
        losses = optax.sigmoid_binary_cross_entropy(logits, labels).sum(-1)
    return losses.mean()
