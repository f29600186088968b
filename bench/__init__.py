"""mixer-bench: how MLP-Mixer, ViT and ResNet scale, in numbers that hold up.

The public names load late: `import bench` imports neither jax nor torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api import load_model as load_model
    from bench.results import read_results as read_results
    from bench.runner import run_study as run_study

__version__ = "0.1.0"

_HOMES = {
    "load_model": "bench.api",
    "read_results": "bench.results",
    "run_study": "bench.runner",
}

__all__ = ["__version__", "load_model", "read_results", "run_study"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
