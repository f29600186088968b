"""Other people's implementations of the same networks, timed in the same run."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import Any

from bench.errors import MissingPackage, StudyError, unknown

FRAMEWORK = {"timm": "torch"}
"""Peer -> the framework that it is written in."""
PEERS = tuple(FRAMEWORK)


def check(peer: str) -> None:
    """Refuse an unknown peer, and one that is not installed, in one line each."""
    if peer not in PEERS:
        raise StudyError(unknown("peer", peer, PEERS))
    if importlib.util.find_spec(peer) is None:
        raise MissingPackage(peer, extra="peers")


def check_framework(peer: str | None, framework: str) -> None:
    """Refuse a peer in a framework that it is not written in."""
    if peer is not None and framework != FRAMEWORK[peer]:
        raise StudyError(
            f"peer {peer}: is written in {FRAMEWORK[peer]}, not in {framework}; "
            f"say framework: {FRAMEWORK[peer]}"
        )


def version(peer: str | None) -> str | None:
    """The installed version; None for our own code."""
    return None if peer is None else importlib.metadata.version(peer)


def twin(peer: str) -> Any:
    """The module that builds a peer's network with our weights, imported now."""
    check(peer)
    return importlib.import_module(f"bench.peers.{peer}_{FRAMEWORK[peer]}")
