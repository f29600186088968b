"""What git says of this package's own checkout: which code a row is of."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CODE = ("bench", "pyproject.toml")


def git_state() -> tuple[str | None, bool | None]:
    """Commit of the checkout, and whether its code was changed since.

    (None, None) for an installed copy: a repository around the site-packages folder is
    somebody else's.
    """
    if not _is_one():
        return None, None
    changed = _git("status", "--porcelain", "--", *_CODE)
    return _git("rev-parse", "HEAD") or None, None if changed is None else bool(changed)


def commit_of(name: str) -> str | None:
    """The commit that git knows by a name such as `HEAD~1`; None if it knows none."""
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options")
    return (_git(*words, f"{name}^{{commit}}") or None) if _is_one() else None


def _root() -> Path:
    return Path(__file__).resolve().parents[1]


def _is_one() -> bool:
    return (_root() / ".git").exists()


def _git(*arguments: str) -> str | None:
    """Output of one git command; None where git is missing or refuses the folder."""
    try:
        command = ["git", "-C", str(_root()), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
