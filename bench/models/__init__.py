"""The model families. One triplet each: `X.py` says what, its twins say how.

`X.py` is numpy at most: sizes, tensors with shape and initialiser, MACs, tokens.
`X_jax.py` and `X_torch.py` hold the network; they are imported by name, late.
"""

from __future__ import annotations

FAMILIES = ("mixer", "vit", "resnet", "resnet_v1")
