"""Whether two timed steps computed the same: only then is their ratio a fact.

A speed row holds outputs of the very step that was timed, on images and weights that
every framework draws alike. Two rows are certified when they are one model in one
mode on one device and these outputs agree as far as the dtype allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from bench.analysis.ablations import PAPERS
from bench.analysis.key import plain
from bench.specs import PROBE_LOSSES

SAME = "same"

_MUST_AGREE = (
    "model",
    "image_size",
    "num_classes",
    "pool",
    "tokens_mlp_dim",
    *PAPERS,
    "mode",
    "dtype",
    "effective_precision",
    "track",
    "input",
    "param_count",
    "macs",
    "loss",
    "optimizer",
    "machine_id",
    "device_kind",
    "protocol",
)
_WIDE = ("float32", "float64")

LOGITS = 1e-4
"""Largest difference of logits over their standard deviation, in float32."""
FIRST_LOSS = 1e-4
"""Relative difference of the loss before the first update, in float32.

A loss moves by no more than its logits do, and they may by `LOGITS`; two group norms
that are both right differ by 1e-5 in the loss."""
UPDATE = 0.02
"""Difference of what the first update took from the loss, relative to it."""
NARROW_LOSS = 2**-7
"""As `FIRST_LOSS`, in a narrow dtype: two steps of bfloat16's eight bits."""
NARROW_UPDATE = 0.1
"""As `UPDATE`, in a narrow dtype."""
REFERENCE = 1e-6
"""As `LOGITS`, of two float64 references."""
ERROR_RATIO = 2.0
"""A narrow dtype may be this many times further from float64 than the other side."""

Row = Mapping[str, Any]
Outputs = Float[np.ndarray, "outputs"]


def certify(one: Row, other: Row) -> str:
    """`same`, or in a few words why a ratio of these two rows would mean nothing."""
    for name in _MUST_AGREE:
        mine, theirs = plain(one[name]), plain(other[name])
        if mine != theirs:
            return f"{name}: {mine} and {theirs}"
    ours, others = _outputs(one, "probe_outputs"), _outputs(other, "probe_outputs")
    if ours is None or others is None:
        return "outputs not recorded, or not the same in every repetition"
    if not (np.isfinite(ours).all() and np.isfinite(others).all()):
        return "outputs not finite"
    if one["mode"] == "train":
        return _same_training(one, other, ours, others)
    ours, others = _common(ours, others)
    if one["dtype"] in _WIDE:
        return _within("logits differ", distance(ours, others), LOGITS)
    return _same_error(one, other, ours, others)


def shared_outputs(repetitions: Sequence[Any], dtype: str) -> list[float] | None:
    """The outputs that all repetitions of a cell agree on; None where one has others.

    It is the same program on the same numbers: they differ by no more than sums in no
    fixed order do. More, and the first one's certificate would not be the others'.
    """
    limit = LOGITS if dtype in _WIDE else NARROW_LOSS
    found = [_as_outputs(values) for values in repetitions]
    first = found[0]
    for other in found:
        if first is None or other is None or len(first) != len(other):
            return None
        if not np.abs(first - other).max() <= limit * np.abs(first).max():
            return None
    return None if first is None else first.tolist()


def distance(ours: Outputs, others: Outputs) -> float:
    """Largest difference over the standard deviation of the second side."""
    return float(np.abs(ours - others).max() / max(others.std(), 1e-30))


def _same_training(one: Row, other: Row, ours: Outputs, others: Outputs) -> str:
    """The loss on the same batch, and what one update takes from it.

    A narrow dtype's losses agree to its rounding only; the logits before the first
    update, which follow the losses, are judged as those of inference.
    """
    batches = plain(one["batch_size"]), plain(other["batch_size"])
    if batches[0] is None or batches[0] != batches[1]:
        return f"batch_size: {batches[0]} and {batches[1]}"
    if min(len(ours), len(others)) < PROBE_LOSSES:
        return "outputs not recorded"
    wide = one["dtype"] in _WIDE
    first = abs(ours[0] - others[0]) / abs(others[0])
    limit = FIRST_LOSS if wide else NARROW_LOSS
    if first > limit:
        return _within("losses differ", first, limit)
    took, should = ours[1] - ours[0], others[1] - others[0]
    limit = UPDATE if wide else NARROW_UPDATE
    verdict = _within("updates differ", abs(took - should) / abs(should), limit)
    if wide or verdict != SAME:
        return verdict
    if min(len(ours), len(others)) == PROBE_LOSSES:
        return "logits not recorded"
    return _same_error(one, other, ours[PROBE_LOSSES:], others[PROBE_LOSSES:])


def _same_error(one: Row, other: Row, ours: Outputs, others: Outputs) -> str:
    """Both sides as near to float64 as each other, and to the same float64."""
    exact, theirs = (_outputs(row, "probe_reference") for row in (one, other))
    if exact is None or theirs is None:
        return "float64 reference not recorded"
    exact, theirs = _common(exact, theirs)
    count = min(len(exact), len(ours))
    exact, theirs = exact[:count], theirs[:count]
    apart = distance(exact, theirs)
    if apart > REFERENCE:
        return _within("float64 references differ", apart, REFERENCE)
    errors = _rms(ours[:count] - exact), _rms(others[:count] - exact)
    ratio = max(errors) / max(min(errors), 1e-30)
    return _within("rounding errors differ, ratio", ratio, ERROR_RATIO)


def _within(what: str, found: float, limit: float) -> str:
    return SAME if found <= limit else f"{what}: {found:.2g}, over {limit:g}"


def _rms(error: Outputs) -> float:
    return float(np.sqrt(np.mean(error**2)))


def _outputs(row: Row, name: str) -> Outputs | None:
    return _as_outputs(row.get(name))


def _as_outputs(values: Sequence[float] | None) -> Outputs | None:
    if values is None or np.ndim(values) != 1 or len(values) == 0:
        return None
    return np.asarray(values, dtype=np.float64)


def _common(ours: Outputs, others: Outputs) -> tuple[Outputs, Outputs]:
    """The images that both batches had: they are drawn in the same order."""
    count = min(len(ours), len(others))
    return ours[:count], others[:count]
