"""Weights averaged over the steps (Polyak), in torch. Twin of `averages_jax`."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """An average that follows the parameters, `factor` of it staying in each step."""

    def __init__(self, start: nn.Module, factor: float) -> None:
        """Start at the parameters of a network."""
        self.module = copy.deepcopy(start)
        self._factor = factor

    def follow(self, module: nn.Module) -> None:
        """One more step."""
        mine, theirs = (list(m.parameters()) for m in (self.module, module))
        with torch.no_grad():
            torch._foreach_lerp_(mine, theirs, 1 - self._factor)
