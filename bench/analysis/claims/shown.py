"""The command that shows what a claim rests on, and which rows it needs for that."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from bench.analysis.claims.points import PAPER_SIZE, Point, family, grouped

ROWS = "RESULTS"
"""Stands in a command for the reader's rows."""
REFERENCE = "Mixer-B/16"
"""By its rate the figure `relative` divides."""
TOKEN_COUNTS = 3
"""So many of one model, before the figure `tokens` fits a curve."""


@dataclass(frozen=True)
class Shown:
    """A command without its program, of rows that hold what it shows."""

    words: str
    needs: str = ""
    """What rows must hold, or what else it wants."""
    allowed: Callable[[Sequence[Point]], bool] = bool
    """Whether these measured rows hold it."""

    def of(self, rows: str) -> str:
        """The command on rows that hold it."""
        return f"mixer-bench {self.words.replace(ROWS, rows, 1)}"

    @property
    def asking(self) -> str:
        """The command on rows yet to come, with what they need as its comment."""
        return f"mixer-bench {self.words}  # needs {self.needs}"


def _most(points: Sequence[Point], by: Callable[[Point], Hashable], what: str) -> int:
    """Of how many kinds `what` is in one group at most."""
    kinds = [
        {getattr(point, what) for point in part}
        for part in grouped(points, by).values()
    ]
    return max(map(len, kinds), default=0)


def _trained(point: Point) -> Hashable:
    where = (point.accuracy_key, point.where, point.setting, point.dataset)
    return (*where, point.model, point.recipe)


def _timed(point: Point) -> Hashable:
    return (point.speed_key, point.model, point.tokens_mlp_dim, point.plain)


def _learned(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.accuracy is not None]


def _of_two_sets(points: Sequence[Point]) -> bool:
    sized = [p for p in _learned(points) if p.images and p.shuffle == "none"]
    return _most(sized, _trained, "images") > 1


def _of_two_orders(points: Sequence[Point]) -> bool:
    sized = grouped(_learned(points), lambda p: p.images).values()
    return any(_most(part, _trained, "shuffle") > 1 for part in sized)


def _tied_and_not(points: Sequence[Point]) -> bool:
    mixers = family(_learned(points), "mixer")
    return _most(mixers, lambda p: (p.where, p.dataset, p.model), "tied") > 1


def _of_three_lengths(points: Sequence[Point]) -> bool:
    known = [point for point in points if point.rate is not None and point.tokens]
    return _most(known, _timed, "tokens") >= TOKEN_COUNTS


def _with_reference(points: Sequence[Point]) -> bool:
    named = [p for p in points if p.model == REFERENCE and p.rate is not None]
    return any(point.image_size == PAPER_SIZE for point in named)


def plot(name: str, needs: str = "", allowed: Callable[..., bool] = bool) -> Shown:
    """A figure of the reader's rows."""
    return Shown(f"plot {ROWS} --figure {name}", needs, allowed)


RELATIVE = plot("relative", f"{REFERENCE} timed at 224 px", _with_reference)
TOKENS = plot("tokens", "a model timed at three token counts", _of_three_lengths)
DATA_SCALE = plot("data_scale", "a model trained on two amounts of data", _of_two_sets)
SHUFFLING = plot(
    "shuffling", "a model trained on pixels in order and shuffled", _of_two_orders
)
RATES = Shown(f"table {ROWS} --where mode=infer")
ACCURACIES = Shown(f"table {ROWS} --where mode=pretrain --sort top1")
TIED = Shown(
    f"table {ROWS} --where mode=pretrain --where family=mixer",
    "a Mixer trained tied and untied",
    _tied_and_not,
)
UNITS = Shown(
    "weights CHECKPOINT",
    "weights of a Mixer, .npz or .safetensors; draws into plots/",
    lambda _: False,
)
