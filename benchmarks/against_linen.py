"""Is our JAX as fast as the same network written in flax.linen? One run, interleaved.

    python benchmarks/against_linen.py [Mixer-S/16 ViT-S/16 BiT-R50x1] [--rounds 15]

The papers' code is written in flax (Mixer and ViT in linen). Here each network stands
in linen as plainly as there: `nn.Dense`, `nn.Conv`, `nn.MultiHeadDotProductAttention`,
`nn.GroupNorm`, and nothing of ours. Both sides hold the same weights, and their logits
are compared before anything is timed. Then their steps take turns in one process, in an
order drawn anew each round, so that a drifting machine slows both: the ratio of their
medians is printed with an interval over rounds. float32, on the CPU; training is SGD
with momentum, the whole state donated on both sides.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array, Float
from tabulate import tabulate

from bench import backend as backends
from bench import models
from bench.models import ModelSpec, weights
from bench.models.resnet import GROUP_NORM_EPS, WEIGHT_EPS, num_groups
from bench.recipes.recipe import Recipe

MODELS = ("Mixer-S/16", "ViT-S/16", "BiT-R50x1")
STEPS = (("infer", 8), ("infer", 32), ("train", 8))
RATE, MOMENTUM, CLASSES, SIZE = 1e-3, 0.9, 1000, 224
WARM_UP = 2
SAME = 1e-4
"""Largest difference of two logits, over their deviation: the certificate's bound."""
Images = Float[Array, "batch height width 3"]


# The networks ------------------------------------------------------------------------
# A module is named by its place in the released files, with dots for slashes, so that
# `of` needs no table.

Norm = partial(nn.LayerNorm, epsilon=1e-6)


def mlp(x: Array, name: str, hidden: int) -> Array:
    """Two layers with GELU between."""
    y = nn.gelu(nn.Dense(hidden, name=f"{name}.Dense_0")(x))
    return nn.Dense(x.shape[-1], name=f"{name}.Dense_1")(y)


class Mixer(nn.Module):
    """As in appendix E of Tolstikhin et al., 2021."""

    spec: Any

    @nn.compact
    def __call__(self, images: Images) -> Array:
        spec, patch = self.spec, (self.spec.patch_size,) * 2
        x = nn.Conv(spec.width, patch, strides=patch, name="stem")(images)
        x = x.reshape(len(x), -1, spec.width)
        for i in range(spec.num_blocks):
            block = f"MixerBlock_{i}"
            y = Norm(name=f"{block}.LayerNorm_0")(x).swapaxes(1, 2)
            y = mlp(y, f"{block}.token_mixing", spec.tokens_mlp_dim)
            x = x + y.swapaxes(1, 2)
            y = Norm(name=f"{block}.LayerNorm_1")(x)
            x = x + mlp(y, f"{block}.channel_mixing", spec.channels_mlp_dim)
        x = Norm(name="pre_head_layer_norm")(x).mean(axis=1)
        return nn.Dense(CLASSES, name="head")(x)


class ViT(nn.Module):
    """As in Dosovitskiy et al., 2021, with a class token."""

    spec: Any

    @nn.compact
    def __call__(self, images: Images) -> Array:
        spec, patch = self.spec, (self.spec.patch_size,) * 2
        x = nn.Conv(spec.width, patch, strides=patch, name="embedding")(images)
        x = x.reshape(len(x), -1, spec.width)
        zeros = nn.initializers.zeros
        cls = self.param("cls", zeros, (1, 1, spec.width))
        x = jnp.concatenate([jnp.tile(cls, (len(x), 1, 1)), x], axis=1)
        name = "Transformer.posembed_input.pos_embedding"
        x = x + self.param(name, zeros, (1, *x.shape[1:]))
        for i in range(spec.num_blocks):
            block = f"Transformer.encoderblock_{i}"
            y = Norm(name=f"{block}.LayerNorm_0")(x)
            x = x + nn.MultiHeadDotProductAttention(
                spec.num_heads, name=f"{block}.MultiHeadDotProductAttention_1"
            )(y, y)
            y = Norm(name=f"{block}.LayerNorm_2")(x)
            x = x + mlp(y, f"{block}.MlpBlock_3", spec.mlp_dim)
        x = Norm(name="Transformer.encoder_norm")(x)
        return nn.Dense(CLASSES, name="head")(x[:, 0])


class StdConv(nn.Conv):
    """A convolution that standardises its kernels at every call."""

    def param(self, name: str, *given: Any, **named: Any) -> Any:
        found = super().param(name, *given, **named)
        if name != "kernel":
            return found
        centred = found - found.mean(axis=(0, 1, 2))
        return centred / jnp.sqrt((centred**2).mean(axis=(0, 1, 2)) + WEIGHT_EPS)


class BiT(nn.Module):
    """As in Kolesnikov et al., 2020."""

    spec: Any

    @nn.compact
    def __call__(self, images: Images) -> Array:
        spec = self.spec
        name = "resnet.root_block.standardized_conv2d"
        x = self.conv(spec.stem_width, 7, 2, 3, name)(images)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = nn.max_pool(x, (3, 3), strides=(2, 2))
        for unit_name, unit in spec.units():
            x = self.unit(x, unit, f"resnet.{unit_name.replace('/', '.')}")
        x = self.normed(x, "resnet.group_norm").mean(axis=(1, 2))
        return nn.Dense(CLASSES, name="resnet.head.conv2d")(x)

    def unit(self, x: Array, unit: Any, name: str) -> Array:
        """One bottleneck."""
        conv = "standardized_conv2d"
        y, middle = self.normed(x, f"{name}.a.group_norm"), unit.middle
        if unit.projects:
            shortcut = self.conv(
                unit.outputs, 1, unit.stride, 0, f"{name}.a.proj.{conv}"
            )
            x = shortcut(y)
        y = self.conv(middle, 1, 1, 0, f"{name}.a.{conv}")(y)
        y = self.normed(y, f"{name}.b.group_norm")
        y = self.conv(middle, 3, unit.stride, 1, f"{name}.b.{conv}")(y)
        y = self.normed(y, f"{name}.c.group_norm")
        return x + self.conv(unit.outputs, 1, 1, 0, f"{name}.c.{conv}")(y)

    def normed(self, x: Array, name: str) -> Array:
        """Group norm and ReLU."""
        groups = num_groups(x.shape[-1])
        return nn.relu(nn.GroupNorm(groups, epsilon=GROUP_NORM_EPS, name=name)(x))

    def conv(self, width: int, side: int, stride: int, pad: int, name: str) -> StdConv:
        """Without bias; `pad` pixels on every side."""
        return StdConv(
            width, (side, side), (stride, stride), pad, use_bias=False, name=name
        )


NETWORKS = {"mixer": Mixer, "vit": ViT, "resnet": BiT}
_LEAVES = {"gamma": "scale", "beta": "bias"}


def of(spec: ModelSpec, flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Our flat weights as linen's tree."""
    tree: dict[str, Any] = {}
    for name, array in flat.items():
        path, _, leaf = name.rpartition("/")
        module, _, part = path.rpartition("/")
        if not module.endswith("MultiHeadDotProductAttention_1"):
            module, part = path, ""
        if leaf in ("cls", "pos_embedding"):
            tree[name.replace("/", ".")] = jnp.asarray(array)
            continue
        place = tree.setdefault(module.replace("/", "."), {})
        place = place.setdefault(part, {}) if part else place
        is_head = path == "resnet/head/conv2d" and leaf == "kernel"
        place[_LEAVES.get(leaf, leaf)] = jnp.asarray(array[0, 0] if is_head else array)
    return tree


# The steps ---------------------------------------------------------------------------


def linen_step(
    spec: ModelSpec, flat: Mapping[str, np.ndarray], images: Any, labels: Any, mode: str
) -> Callable[[], None]:
    """One step of the linen network, to its end."""
    network, params = NETWORKS[spec.family](spec), of(spec, flat)
    forward = jax.jit(lambda params, images: network.apply({"params": params}, images))
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    if mode == "infer":
        return lambda: jax.block_until_ready(forward(params, images))
    optimizer = optax.sgd(RATE, momentum=MOMENTUM)

    def loss(params: Any) -> Array:
        logits = network.apply({"params": params}, images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @partial(jax.jit, donate_argnums=0)
    def advance(state: Any) -> Any:
        params, moments = state
        value, gradient = jax.value_and_grad(loss)(params)
        change, moments = optimizer.update(gradient, moments)
        return (optax.apply_updates(params, change), moments), value

    states = [(params, optimizer.init(params))]

    def step() -> None:
        states[0], value = advance(states[0])
        jax.block_until_ready(value)

    return step


def our_step(
    spec: ModelSpec, flat: Mapping[str, np.ndarray], images: Any, labels: Any, mode: str
) -> Callable[[], None]:
    """The step that `mixer-bench time` times, to its end."""
    backend = backends.load("jax", "cpu")
    if mode == "infer":
        workload = backend.infer(spec, flat, images, dtype="float32")
    else:
        recipe = Recipe(optimizer="sgd", learning_rate=RATE, clip_norm=None)
        workload = backend.train(spec, flat, images, labels, recipe, dtype="float32")

    def step() -> None:
        workload.enqueue()
        workload.barrier()

    return step


def difference(spec: ModelSpec, flat: Mapping[str, np.ndarray], images: Any) -> float:
    """The largest difference of two logits over their deviation."""
    network = NETWORKS[spec.family](spec)
    theirs = np.asarray(network.apply({"params": of(spec, flat)}, images))
    ours = backends.load("jax", "cpu").model(spec, flat, dtype="float32")
    return float(np.abs(ours.predict(images) - theirs).max() / theirs.std())


def interleaved(steps: list[Callable[[], None]], rounds: int) -> np.ndarray:
    """Seconds of each step in each round (rounds, steps)."""
    rng = np.random.default_rng(0)
    for step, _ in itertools.product(steps, range(WARM_UP)):
        step()
    taken = np.zeros((rounds, len(steps)))
    for number in range(rounds):
        for one in rng.permutation(len(steps)):
            began = time.perf_counter()
            steps[one]()
            taken[number, one] = time.perf_counter() - began
    return taken


def compared(name: str, mode: str, batch: int, rounds: int) -> list[Any]:
    """One line: both rates, and ours over linen's with its bootstrap interval."""
    spec = models.spec_for(name, image_size=SIZE, num_classes=CLASSES)
    flat, rng = weights.random(spec, seed=0), np.random.default_rng(0)
    images = rng.standard_normal((batch, SIZE, SIZE, 3), dtype=np.float32)
    labels = rng.integers(CLASSES, size=batch)
    if (apart := difference(spec, flat, images[:2])) > SAME:
        sys.exit(f"{name}: logits differ by {apart:.1e} deviations, over {SAME:g}")
    sides = [make(spec, flat, images, labels, mode) for make in (our_step, linen_step)]
    taken = interleaved(sides, rounds)
    ours, theirs = np.median(taken, axis=0)
    drawn = taken[rng.integers(rounds, size=(2000, rounds))]
    medians = np.median(drawn, axis=1)
    low, high = np.quantile(medians[:, 1] / medians[:, 0], [0.025, 0.975])
    ratio = f"{theirs / ours:.2f} [{low:.2f}, {high:.2f}]"
    return [name, mode, batch, batch / ours, batch / theirs, ratio, f"{apart:.0e}"]


def main() -> None:
    """Every model in every step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="*", default=MODELS)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    lines = [
        compared(name, mode, batch, asked.rounds)
        for name in asked.model
        for mode, batch in STEPS
    ]
    titles = ["model", "step", "batch", "ours, img/s", "linen, img/s"]
    titles += ["ours over linen [95 %]", "logits apart"]
    print(tabulate(lines, titles, floatfmt=".3g"))


if __name__ == "__main__":
    main()
