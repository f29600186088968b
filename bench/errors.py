"""Every error that bench raises on purpose, in one tree.

BenchError
├── UserError                the input is wrong; exit code 2
│   ├── StudyError           a study file, grid or flag asks for what cannot be run
│   ├── ResultsError         a results file or folder cannot be read or written
│   ├── WeightsError         a weights file does not fit the model
│   ├── DataError            a data set on disk is missing, damaged or of no known form
│   └── MissingPackage       an optional part is not installed; says how to install it
├── UnfitCheckpoint          it is set aside, and training starts anew
└── AttemptError             one attempt failed; it becomes a row, never a crash
    ├── OutOfMemory          a true memory error, of the device or of the host
    ├── Diverged             the loss left the finite range or its bound
    ├── TimedOut             the attempt outlasted its time limit
    └── UntrustedMeasurement a guard acted: barrier, recompile, precision

A `UserError` is one line: where, what was given, what is allowed, the remedy.
Anything else that escapes is our fault and exits with 70.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Root of the tree."""


class UserError(BenchError):
    """The input is wrong. The message is one line and ends with the remedy."""


class StudyError(UserError):
    """A study file, a grid or a flag asks for something that cannot be run."""


class ResultsError(UserError):
    """A results file or folder cannot be read or written."""


class WeightsError(UserError):
    """A weights file does not fit the model."""


class DataError(UserError):
    """A data set on disk is missing, damaged or not of its format."""


class MissingPackage(UserError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; install it with: "
            f"pip install 'mixer-bench[{extra}]'"
        )


class UnfitCheckpoint(BenchError):
    """A checkpoint that this training cannot go on from; the message says why."""


class AttemptError(BenchError):
    """One attempt failed; the runner writes it down as a row and goes on."""

    status = "failed"


class OutOfMemory(AttemptError):
    """The device or the host ran out of memory."""

    status = "oom"


class Diverged(AttemptError):
    """The loss became NaN or infinite, or passed its bound."""

    status = "diverged"


class TimedOut(AttemptError):
    """The attempt outlasted its time limit."""

    status = "timeout"


class UntrustedMeasurement(AttemptError):
    """A guard acted: the number would have been wrong, so there is none."""


def unknown(what: str, given: object, allowed: Iterable[str]) -> str:
    """One line for an unknown name: what was given, what is allowed, the nearest."""
    names = [str(name) for name in allowed]
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {str(given)!r}; known: {', '.join(names)}{hint}"
