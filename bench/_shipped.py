"""Where the files that ship with the package lie: in the wheel, or in the checkout."""

from __future__ import annotations

from pathlib import Path


def shipped(folder: str) -> Path:
    """`bench/_data/<folder>` in an installed wheel, else `<checkout>/<folder>`."""
    package = Path(__file__).parent
    installed = package / "_data" / folder
    return installed if installed.is_dir() else package.parent / folder
