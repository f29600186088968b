"""Training in torch: one update, and the learner around it. Twin of `learner_jax`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import models, probe
from bench.averages_torch import Average
from bench.backend import Features, Images, Key, Labels, Logits, SoftLabels
from bench.errors import UnfitCheckpoint
from bench.gradients_torch import derived, mean_loss
from bench.models import ModelSpec
from bench.models.noise import Rates
from bench.models.noise_torch import Noise
from bench.models.spec import scope
from bench.models.weights import is_kernel
from bench.recipes.recipe import Recipe


def on_device(array: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """A copy of the array on the device: the caller may reuse its buffer.

    What is a tensor is there already.
    """
    if isinstance(array, Tensor):
        return array
    return torch.tensor(array, device=device)


def put(module: nn.Module, other: nn.Module) -> None:
    """The parameters of another module of this kind into this one."""
    with torch.no_grad():
        for mine, theirs in zip(module.parameters(), other.parameters(), strict=True):
            mine.copy_(theirs)


class Update:
    """Forward, backward, clip, decay, step; parameters change in place.

    `branches` is the network's number of residual branches; see `ModelSpec`.
    """

    def __init__(
        self,
        module: nn.Module,
        names: Mapping[str, str],
        recipe: Recipe,
        branches: int = 0,
    ):
        self.module, self._recipe = module, recipe
        self.polyak = recipe.polyak
        self.objective: Callable[..., Tensor] = self._loss
        """Mean loss of images and labels; a tuned step puts a compiled one here."""
        self._parameters = list(module.parameters())
        named = list(module.named_parameters())
        kernels = [p for name, p in named if is_kernel(names[name])]
        others = [p for name, p in named if not is_kernel(names[name])]
        self._optimizer = _optimizer(recipe, kernels, others)
        self._rates = Rates(
            dropout=recipe.dropout,
            stochastic_depth=recipe.stochastic_depth,
            branches=branches,
        )

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        key: Key | None = None,
    ) -> Tensor:
        """One step; returns the mean loss before it, still on the device."""
        assert (key is not None) == self._recipe.noisy, "a noisy step needs its key"
        self._optimizer.zero_grad(set_to_none=True)
        objective = partial(self._objective, key=key)
        loss = derived(objective, images, labels, self._recipe.accumulate)
        if self._recipe.clip_norm is not None:
            clip(self._parameters, self._recipe.clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._decay(learning_rate)
        self._optimizer.step()
        return loss

    def _objective(
        self, images: Tensor, labels: Tensor, first: int, key: Key | None
    ) -> Tensor:
        """Mean loss of these images, which stand in the batch from `first`."""
        if key is None:
            return self.objective(images, labels)
        return self.objective(images, labels, Noise(self._rates, key, first))

    def _loss(self, images: Tensor, labels: Tensor, *noise: Noise) -> Tensor:
        return mean_loss(self.module(images, *noise), labels, self._recipe.loss)

    def state(self) -> list[Tensor]:
        """Everything that a step changes: parameters and moments."""
        moments = [
            value
            for state in self._optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        return [*self._parameters, *moments]

    def moments(self) -> dict[str, np.ndarray]:
        """The optimiser's state: parameter's number / what -> array."""
        return {
            f"{index}/{what}": value.cpu().numpy()
            for index, state in self._optimizer.state_dict()["state"].items()
            for what, value in state.items()
            if isinstance(value, Tensor)
        }

    def put_moments(self, moments: Mapping[str, np.ndarray]) -> None:
        """The inverse of `moments`, into an optimiser of the same parameters."""
        held = self._optimizer.state_dict()
        for name, array in moments.items():
            index, _, what = name.partition("/")
            held["state"].setdefault(int(index), {})[what] = torch.tensor(array)
        self._optimizer.load_state_dict(held)

    def _decay(self, learning_rate: float) -> None:
        """Decoupled decay for SGD, whose own is coupled; AdamW brings the same."""
        if self._recipe.optimizer == "sgd" and self._recipe.decoupled_decay:
            factor = 1 - learning_rate * self._recipe.decoupled_decay
            with torch.no_grad():
                for parameter in self._optimizer.param_groups[0]["params"]:
                    parameter.mul_(factor)


def _optimizer(
    recipe: Recipe, kernels: list[Tensor], others: list[Tensor]
) -> torch.optim.Optimizer:
    """Kernels decay and stand first, the rest does not. The rate is set each step.

    Fused, because XLA fuses the update as well; torch's loop over tensors took two to
    five times as long on a CPU.
    """
    sgd = recipe.optimizer == "sgd"
    own = recipe.coupled_decay if sgd else recipe.decoupled_decay
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": own},
        {"params": others, "weight_decay": 0.0},
    ]
    if sgd:
        return torch.optim.SGD(groups, lr=0.0, momentum=probe.MOMENTUM, fused=True)
    return torch.optim.AdamW(
        groups, lr=0.0, betas=probe.BETAS, eps=probe.EPS, fused=True
    )


def clip(parameters: list[nn.Parameter], limit: float) -> None:
    """Scale all gradients so that their global norm is at most `limit`.

    torch's own adds 1e-6 to the norm; optax does not, and the twins must agree.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    with torch.no_grad():
        norm = torch.nn.utils.get_total_norm(gradients)
        scale = torch.clamp(limit / norm, max=1.0)
        torch._foreach_mul_(gradients, scale)


class TorchLearner:
    """A network being trained. Losses stay on the device until they are asked for."""

    compile_s = 0.0
    compile_cached = None

    def __init__(
        self,
        spec: ModelSpec,
        update: Update,
        batch_size: int,
        device: torch.device,
        barrier: Callable[[], None],
    ):
        self._spec, self._update, self._device = spec, update, device
        self._batch_size = batch_size
        """Of an evaluation: no more images at once than a step's part takes."""
        factor = update.polyak
        self._average = Average(update.module, factor) if factor else None
        self._pending: list[Tensor] = []
        self._losses: list[float] = []
        self.barrier = barrier

    def step(
        self,
        images: Images,
        labels: Labels | SoftLabels,
        learning_rate: float,
        key: Key | None = None,
    ) -> None:
        batch = on_device(images, self._device), on_device(labels, self._device)
        self._pending.append(self._update(*batch, learning_rate, key))
        if self._average is not None:
            self._average.follow(self._update.module)

    @property
    def _module(self) -> nn.Module:
        """What is evaluated: the averaged network, where there is one."""
        return self._update.module if self._average is None else self._average.module

    def losses(self) -> list[float]:
        if self._pending:
            self._losses += torch.stack(self._pending).tolist()
            self._pending.clear()
        return list(self._losses)

    def logits(self, images: Images) -> Logits:
        return self._evaluate(self._module, images)

    def features(self, images: Images) -> Features:
        return self._evaluate(self._module.features, images)

    def state_dict(self) -> dict[str, np.ndarray]:
        return self._dumped(self._module)

    def _dumped(self, module: nn.Module) -> dict[str, np.ndarray]:
        dumped: dict[str, np.ndarray] = models.twin(self._spec, "torch").dump(module)
        return dumped

    def snapshot(self) -> dict[str, np.ndarray]:
        weights = self._dumped(self._update.module)
        parts = {"weights": weights, "optimizer": self._update.moments()}
        if self._average is not None:
            parts["average"] = self._dumped(self._average.module)
        named = {
            f"{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }
        return {**named, "losses": np.array(self.losses())}

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        weights, moments = (scope(p, snapshot) for p in ("weights", "optimizer"))
        if not moments or "losses" not in snapshot:
            raise UnfitCheckpoint("has no optimiser state of torch")
        average = scope("average", snapshot)
        if self._average is not None and average.keys() != weights.keys():
            raise UnfitCheckpoint("has no averaged weights")
        self._update.put_moments(moments)
        put(self._update.module, self._built(weights))
        if self._average is not None:
            put(self._average.module, self._built(average))
        self._losses = [*snapshot["losses"].tolist()]

    def _built(self, weights: Mapping[str, np.ndarray]) -> nn.Module:
        dtype = "float64" if next(iter(weights.values())).itemsize == 8 else "float32"
        built: nn.Module = models.twin(self._spec, "torch").build(
            self._spec, weights, dtype=dtype
        )
        return built

    def _evaluate(
        self, forward: Callable[[Tensor], Tensor], images: Images
    ) -> np.ndarray:
        with torch.inference_mode():
            parts = [
                forward(on_device(batch, self._device))[:count].cpu().numpy()
                for batch, count in probe.in_batches(images, self._batch_size)
            ]
        return np.concatenate(parts)
