"""The command of a row: what a stranger runs to measure the same.

Where its files went is left out: that changes no number, and is nobody else's folder.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

PLACES = ("--out", "--plots")
"""Options that only say where files go."""


def line(words: Sequence[str]) -> str:
    """The command line of these arguments.

    >>> line(["run", "my study.yaml", "--out", "/tmp/x", "--reuse", "any"])
    "mixer-bench run 'my study.yaml' --reuse any"
    """
    return shlex.join(["mixer-bench", *_lasting(words)])


def without_places(command: str) -> str:
    """A command line that an earlier version recorded, less the folders of its files.

    >>> without_places("mixer-bench run studies/a_a.yaml --out /tmp/a --plots=/tmp/b")
    'mixer-bench run studies/a_a.yaml'
    """
    return " ".join(_lasting(command.split(" ")))  # as it was joined: quotes are lost


def _lasting(words: Sequence[str]) -> Iterator[str]:
    skip = False
    for word in words:
        name, equals, _ = word.partition("=")
        if skip or name in (*PLACES, "--debug"):
            skip = not skip and name in PLACES and not equals
            continue
        yield word
