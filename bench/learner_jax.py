"""Training in jax: one compiled update, and the learner around it.

Twin of `learner_torch`; the network itself as pure state is `network_jax`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array, Float

from bench import probe
from bench.averages_jax import Average
from bench.backend import Features, Images, Key, Labels, Logits, SoftLabels
from bench.errors import UnfitCheckpoint
from bench.gradients_jax import ClassIds, Params, Shares, derived, mean_loss
from bench.models.noise import Rates
from bench.models.noise_jax import Noise, Words
from bench.models.spec import scope
from bench.models.weights import is_kernel
from bench.network_jax import Network, compiled, put
from bench.recipes.recipe import Recipe


class Update:
    """Forward, backward, clip, decay, step, in one compiled and donating function."""

    def __init__(
        self, network: Network, recipe: Recipe, images: Array, labels: Array
    ) -> None:
        self._network, self._recipe = network, recipe
        self._rates = _rates(network, recipe) if recipe.noisy else None
        self._optimizer = _optimizer(recipe, [is_kernel(n) for n in network.names])
        # Copies: a step donates its state, and the network keeps its parameters.
        params = jax.device_put(network.params, network.device, may_alias=False)
        moments = jax.jit(self._optimizer.init)(params)
        self.state: tuple[Params, Any] = (params, moments)
        self.compile_s, self.compile_cached = 0.0, False
        self._steps: dict[int, Callable[..., Any]] = {}
        key = np.zeros(2, np.uint32) if recipe.noisy else None
        self._step_for(self._arguments(images, labels, recipe.learning_rate, key))

    def __call__(
        self,
        images: Array,
        labels: Array,
        learning_rate: float,
        key: Key | None = None,
    ) -> Array:
        """One step; returns the mean loss before it, still on the device."""
        arguments = self._arguments(images, labels, learning_rate, key)
        self.state, loss = self._step_for(arguments)(self.state, *arguments)
        return loss

    def _arguments(
        self, images: Array, labels: Array, learning_rate: float, key: Key | None
    ) -> tuple[Any, ...]:
        """Rate and key as arrays, not constants: others are not another program."""
        rate = np.asarray(learning_rate, dtype=self._network.params[0].dtype)
        assert (key is None) == (self._rates is None), "a noisy step needs its key"
        return (images, labels, rate) if key is None else (images, labels, rate, key)

    def _step_for(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        """The program for labels of this kind: class numbers, or shares."""
        kind = arguments[1].ndim
        if kind not in self._steps:
            built = compiled(
                self._advance, self._network.dtype, self.state, *arguments, donate=[0]
            )
            self._steps[kind] = built.call
            self.compile_s += built.seconds
            self.compile_cached |= built.cached
        return self._steps[kind]

    def program(self) -> Any:
        """The compiled step, for what its text says of itself."""
        (step,) = self._steps.values()
        return step

    def snapshot(self) -> dict[str, np.ndarray]:
        """Every array of the state, the parameters under their canonical names."""
        return {
            name: np.array(leaf)
            for name, leaf in zip(
                self._leaf_names(), jax.tree.leaves(self.state), strict=True
            )
        }

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """The state in `snapshot`, if it has every array of this one's."""
        names, (leaves, tree) = self._leaf_names(), jax.tree.flatten(self.state)
        for name, leaf in zip(names, leaves, strict=True):
            if name not in snapshot or snapshot[name].shape != leaf.shape:
                raise UnfitCheckpoint(f"has no {name} of shape {leaf.shape}")
        found = [
            snapshot[name].astype(leaf.dtype)
            for name, leaf in zip(names, leaves, strict=True)
        ]
        # Copies: a step donates its state.
        put = jax.device_put(found, self._network.device, may_alias=False)
        self.state = jax.tree.unflatten(tree, jax.block_until_ready(put))

    def _leaf_names(self) -> list[str]:
        paths = jax.tree.leaves_with_path(self.state[1:])
        return [
            *(f"weights/{name}" for name in self._network.names),
            *(f"optimizer/{jax.tree_util.keystr(path)}" for path, _ in paths),
        ]

    def _advance(
        self,
        state: tuple[Params, Any],
        images: Float[Array, "batch height width 3"],
        labels: ClassIds | Shares,
        rate: Float[Array, ""],
        key: Words | None = None,
    ) -> tuple[tuple[Params, Any], Float[Array, ""]]:
        params, moments = state
        objective = partial(self._objective, key=key)
        parts = self._recipe.accumulate
        loss, gradients = derived(objective, params, images, labels, parts)
        updates, moments = self._optimizer.update(gradients, moments, params)
        params = [p - rate * u for p, u in zip(params, updates, strict=True)]
        return (params, moments), loss

    def _objective(
        self,
        params: Params,
        images: Float[Array, "batch height width 3"],
        labels: ClassIds | Shares,
        first: Words | int,
        key: Words | None,
    ) -> Float[Array, ""]:
        """Mean loss of these images, which stand in the batch from `first`."""
        if self._rates is None or key is None:
            logits = self._network.logits(params, images)
        else:
            noise = Noise(self._rates, key, first)
            logits = self._network.logits(params, images, noise)
        return mean_loss(logits, labels, self._recipe.loss)


def _rates(network: Network, recipe: Recipe) -> Rates:
    return Rates(
        dropout=recipe.dropout,
        stochastic_depth=recipe.stochastic_depth,
        branches=network.spec.branches,
    )


def _optimizer(recipe: Recipe, decays: list[bool]) -> optax.GradientTransformation:
    """What is subtracted from the parameters, before the learning rate."""
    parts = []
    if recipe.clip_norm is not None:
        parts.append(optax.clip_by_global_norm(recipe.clip_norm))
    if recipe.coupled_decay:
        parts.append(optax.add_decayed_weights(recipe.coupled_decay, mask=decays))
    if recipe.optimizer == "sgd":
        parts.append(optax.trace(decay=probe.MOMENTUM))
    else:
        b1, b2 = probe.BETAS
        parts.append(optax.scale_by_adam(b1=b1, b2=b2, eps=probe.EPS))
    if recipe.decoupled_decay:
        parts.append(optax.add_decayed_weights(recipe.decoupled_decay, mask=decays))
    return optax.chain(*parts)


QUEUED = 2
"""Steps that may be started behind the running one. jax would take a few dozen: each
holds its batch, and the loop would seem to wait for data that nobody needs yet."""


class JaxLearner:
    """A network being trained. Losses stay on the device until they are asked for."""

    def __init__(self, network: Network, recipe: Recipe, batch_size: int):
        self._network = network
        size, dtype = network.spec.image_size, network.params[0].dtype
        images = np.zeros((batch_size, size, size, 3), dtype)
        shares = (batch_size, network.spec.num_classes)
        labels = np.zeros(shares, dtype) if recipe.mixup else np.zeros(batch_size, int)
        self._update = Update(network, recipe, self._put(images), self._labels(labels))
        # Evaluation takes no more images at once than a step's part does.
        self._images = images[: batch_size // recipe.accumulate]
        factor = recipe.polyak
        self._average = Average(network, factor) if factor else None
        self._forward: dict[str, Callable[..., Any]] = {}
        self._pending: list[Array] = []
        self._losses: list[float] = []
        self._evaluation_compile_s = 0.0
        self._evaluation_cached = False

    @property
    def compile_s(self) -> float:
        averaging = 0.0 if self._average is None else self._average.compile_s
        return self._update.compile_s + averaging + self._evaluation_compile_s

    @property
    def compile_cached(self) -> bool:
        averaging = self._average is not None and self._average.compile_cached
        return self._update.compile_cached or averaging or self._evaluation_cached

    def step(
        self,
        images: Images,
        labels: Labels | SoftLabels,
        learning_rate: float,
        key: Key | None = None,
    ) -> None:
        batch = self._put(images), self._labels(labels)
        self._pending.append(self._update(*batch, learning_rate, key))
        if self._average is not None:
            self._average.follow(self._update.state[0])
        jax.block_until_ready(self._pending[: -1 - QUEUED][-1:])

    def barrier(self) -> None:
        jax.block_until_ready((self._update.state, self._averaged, self._pending))

    def losses(self) -> list[float]:
        self._losses += [float(loss) for loss in jax.device_get(self._pending)]
        self._pending.clear()
        return list(self._losses)

    def logits(self, images: Images) -> Logits:
        return self._evaluate("logits", images)

    def features(self, images: Images) -> Features:
        return self._evaluate("features", images)

    def state_dict(self) -> dict[str, np.ndarray]:
        return self._network.dump(self._averaged)

    @property
    def _averaged(self) -> Params:
        """What is evaluated: the averaged weights, where there are some."""
        return self._update.state[0] if self._average is None else self._average.params

    def snapshot(self) -> dict[str, np.ndarray]:
        found = {**self._update.snapshot(), "losses": np.array(self.losses())}
        if self._average is not None:
            for name, leaf in zip(self._network.names, self._averaged, strict=True):
                found[f"average/{name}"] = np.array(leaf)
        return found

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        average = scope("average", snapshot)
        if self._average is not None and average.keys() != set(self._network.names):
            raise UnfitCheckpoint("has no averaged weights")
        self._update.restore(snapshot)
        if self._average is not None:
            self._average.put([average[name] for name in self._network.names])
        self._losses = [*snapshot["losses"].tolist()]

    def _evaluate(self, what: str, images: Images) -> np.ndarray:
        params = self._averaged
        if what not in self._forward:
            function = getattr(self._network, what)
            shaped = self._put(self._images)
            built = compiled(function, self._network.dtype, params, shaped)
            self._forward[what] = built.call
            self._evaluation_compile_s += built.seconds
            self._evaluation_cached |= built.cached
        parts = [
            np.asarray(self._forward[what](params, self._put(batch)))[:count]
            for batch, count in probe.in_batches(images, len(self._images))
        ]
        return np.concatenate(parts)

    def _put(self, array: np.ndarray | Array) -> Array:
        if isinstance(array, Array):
            return array
        if array.dtype.kind == "f":  # float64 programs take no float32 images
            array = array.astype(self._network.params[0].dtype, copy=False)
        return put(array, self._network.device)

    def _labels(self, labels: Labels | SoftLabels) -> Array:
        numbers = isinstance(labels, np.ndarray) and labels.ndim == 1
        return self._put(labels.astype(np.int32) if numbers else labels)
