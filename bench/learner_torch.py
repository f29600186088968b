"""Training in torch: one update, and the learner around it. Twin of `learner_jax`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench import models, probe
from bench.backend import Features, Images, Labels, Logits
from bench.errors import UnfitCheckpoint
from bench.models import ModelSpec
from bench.models.spec import scope
from bench.models.weights import is_kernel
from bench.recipes.recipe import Recipe


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """A copy of the array on the device: the caller may reuse its buffer."""
    return torch.tensor(array, device=device)


class Update:
    """Forward, backward, clip, decay, step; parameters change in place."""

    def __init__(self, module: nn.Module, names: Mapping[str, str], recipe: Recipe):
        self.module, self._recipe = module, recipe
        self.objective: Callable[[Tensor, Tensor], Tensor] = self._loss
        """Mean loss of a batch; a tuned step puts a compiled one here."""
        self._parameters = list(module.parameters())
        named = list(module.named_parameters())
        kernels = [p for name, p in named if is_kernel(names[name])]
        others = [p for name, p in named if not is_kernel(names[name])]
        self._optimizer = _optimizer(recipe, kernels, others)

    def __call__(self, images: Tensor, labels: Tensor, learning_rate: float) -> Tensor:
        """One step; returns the mean loss before it, still on the device."""
        self._optimizer.zero_grad(set_to_none=True)
        loss = self.objective(images, labels)
        loss.backward()
        if self._recipe.clip_norm is not None:
            clip(self._parameters, self._recipe.clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        self._decay(learning_rate)
        self._optimizer.step()
        return loss.detach()

    def _loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return mean_loss(self.module(images), labels, self._recipe.loss)

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

    def put_weights(self, weights: Iterable[Tensor]) -> None:
        """These values, in the order of the module's parameters."""
        with torch.no_grad():
            for parameter, value in zip(self._parameters, weights, strict=True):
                parameter.copy_(value)

    def _decay(self, learning_rate: float) -> None:
        """Decoupled decay for SGD, whose own is coupled; AdamW brings the same."""
        if self._recipe.optimizer == "sgd" and self._recipe.weight_decay:
            factor = 1 - learning_rate * self._recipe.weight_decay
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
    if recipe.optimizer == "sgd":
        both = [{"params": kernels}, {"params": others}]
        return torch.optim.SGD(both, lr=0.0, momentum=probe.MOMENTUM, fused=True)
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=0.0, betas=probe.BETAS, eps=probe.EPS, fused=True
    )


def mean_loss(logits: Tensor, labels: Tensor, kind: str) -> Tensor:
    """Cross-entropy, mean over the batch; the sigmoid form sums over the classes."""
    if kind == "softmax":
        return F.cross_entropy(logits, labels)
    targets = F.one_hot(labels, logits.shape[-1]).to(logits.dtype)
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / len(logits)


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
        self._losses: list[Tensor | float] = []
        self.barrier = barrier

    def step(self, images: Images, labels: Labels, learning_rate: float) -> None:
        batch = on_device(images, self._device), on_device(labels, self._device)
        self._losses.append(self._update(*batch, learning_rate))

    def losses(self) -> list[float]:
        return [float(loss) for loss in self._losses]

    def logits(self, images: Images) -> Logits:
        return self._evaluate(self._update.module, images)

    def features(self, images: Images) -> Features:
        return self._evaluate(self._update.module.features, images)

    def state_dict(self) -> dict[str, np.ndarray]:
        dumped: dict[str, np.ndarray] = models.twin(self._spec, "torch").dump(
            self._update.module
        )
        return dumped

    def snapshot(self) -> dict[str, np.ndarray]:
        parts = {"weights": self.state_dict(), "optimizer": self._update.moments()}
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
        dtype = "float64" if next(iter(weights.values())).itemsize == 8 else "float32"
        fresh = models.twin(self._spec, "torch").build(self._spec, weights, dtype=dtype)
        self._update.put_moments(moments)
        self._update.put_weights(fresh.parameters())
        self._losses = [*snapshot["losses"].tolist()]

    def _evaluate(
        self, forward: Callable[[Tensor], Tensor], images: Images
    ) -> np.ndarray:
        with torch.inference_mode():
            parts = [
                forward(on_device(batch, self._device))[:count].cpu().numpy()
                for batch, count in probe.in_batches(images, self._batch_size)
            ]
        return np.concatenate(parts)
