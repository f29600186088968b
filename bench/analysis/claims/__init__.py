"""The paper's claims, each with a test: rows in, a verdict on each side out.

One line per claim of Tolstikhin et al. (2021). Published and measured evidence are
judged apart and never mixed. A verdict speaks of the rows it was given: one sure
counter-example contradicts, no sure comparison leaves a claim untested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.analysis.claims import accuracy, frontier, shown, speed
from bench.analysis.claims.evidence import (
    Comparison,
    Finding,
    Place,
    Verdict,
    by_where,
    in_words,
    judged,
    open_parts,
    tally,
    verdict_of,
)
from bench.analysis.claims.points import PAPER_SIZE, Point, points_of
from bench.analysis.claims.shown import Shown
from bench.analysis.key import equal
from bench.analysis.stats import MIN_REPETITIONS

__all__ = ["CLAIMS", "Answer", "Claim", "Evidence", "answer"]

Test = Callable[[Sequence[Point]], Iterable[Comparison]]


@dataclass(frozen=True)
class Claim:
    """A claim in our words, the test of it, what shows it and what would test it."""

    name: str
    statement: str
    to_test: str
    """A line for a shell, with what it needs or tells as its comment."""
    shown: tuple[Shown, ...]
    """What shows measured rows, the first that they allow before the others."""
    test: Test | None = None
    parts: tuple[str, ...] = ()
    """What it says, piece by piece, where one may be shown and another not."""
    scale: bool = True
    """Whether it is about scale, so that demo sizes are no evidence."""
    one_size: bool = False
    """Whether published rows count only at 224 px."""
    untied: bool = False
    """Whether a Mixer with a token MLP for each channel counts too."""
    published_note: str = ""
    """What the paper says where it prints no numbers."""
    paper_figure: str | None = None
    """Drawn from the published rows alone; None where they draw nothing."""


WORDS = ("contradicted", "supported", "supported in part", "untested")


@dataclass(frozen=True)
class Evidence:
    """One side's verdict, what it rests on, and why there is not more."""

    verdict: Verdict
    findings: list[Finding]
    note: str = ""
    parts: tuple[str, ...] = ()
    """Those of the claim."""
    panels: Sequence[frontier.Panel] = field(default=(), repr=False, compare=False)
    """The frontiers that a claim about them rests on."""

    @property
    def open_parts(self) -> list[str]:
        """Parts of the claim that nothing supports."""
        return open_parts(self.findings, self.parts)

    @property
    def words(self) -> str:
        """The verdict; of a claim of several parts some may be left open."""
        return in_words(self.findings, self.parts)

    @property
    def places(self) -> list[Place]:
        """What was found in each place, in order of appearance."""
        groups = by_where(self.findings).items()
        return [Place(where, found, self.parts) for where, found in groups]

    @property
    def by_words(self) -> dict[str, list[Place]]:
        """The places of each verdict, those that contradict first."""
        places = self.places
        found = {w: [p for p in places if p.words == w] for w in WORDS}
        return {words: there for words, there in found.items() if there}

    @property
    def tally(self) -> dict[str, int]:
        """Findings for, against and open: how much a verdict rests on."""
        return tally(self.findings)

    @property
    def summary(self) -> str:
        """The verdict; where findings disagree, which machine or set says which."""
        if self.verdict == "untested":
            return self.verdict
        return " | ".join(
            f"{words}: {'; '.join(place.where for place in there)}"
            for words, there in self.by_words.items()
        )


@dataclass(frozen=True)
class Answer:
    """A claim with what was published and what was measured."""

    claim: Claim
    published: Evidence
    measured: Evidence
    shown: Shown | None = None
    """What shows the measured rows; None where they do not have it."""


_STUDY = "mixer-bench run studies/claims.yaml  # needs ImageNet, accelerators"

CLAIMS = (
    Claim(
        "equal-size-speed",
        "Mixer classifies more images per second and core than a ViT of its size",
        "mixer-bench time Mixer-B/16 ViT-B/16 ViT-S/16 --repetitions 5",
        (shown.RELATIVE, shown.RATES),
        speed.equal_size,
        parts=(speed.NAMESAKE, speed.EQUAL_PARAMETERS),
        one_size=True,
        paper_figure="relative",
    ),
    Claim(
        "equal-accuracy-speed",
        "At equal accuracy Mixer is faster than ResNet and ViT",
        _STUDY,
        (shown.plot("throughput"),),
        accuracy.equal_accuracy,
        parts=("faster than ResNet", "faster than ViT"),
        one_size=True,
        paper_figure="throughput",
    ),
    Claim(
        "competitive-accuracy",
        "Mixer comes close to ViT, and the gap shrinks with pre-training data",
        _STUDY,
        (shown.DATA_SCALE, shown.ACCURACIES),
        accuracy.gap,
        parts=(accuracy.CLOSE, accuracy.SHRINKS),
        one_size=True,
        paper_figure="scale",
    ),
    Claim(
        "pareto",
        "Mixer is on the frontier of accuracy against pre-training cost",
        _STUDY,
        (shown.plot("pareto"),),
        paper_figure="pareto",
    ),
    Claim(
        "data-hunger",
        "Mixer gains more from more data than ResNet, which saturates first",
        _STUDY,
        (shown.DATA_SCALE,),
        accuracy.hunger,
        parts=(accuracy.GAINS, accuracy.LASTS),
        one_size=True,
        published_note="figure 2, right, is only plotted, and the tables have no "
        "ResNet at 224 px on two pre-training sets",
    ),
    Claim(
        "resolution-cost",
        "A larger image slows Mixer about as much as it has more patches",
        "mixer-bench time Mixer-B/16 --image-size 224,448 --repetitions 5",
        (shown.plot("resolution"),),
        speed.resolution,
        paper_figure="resolution",
    ),
    Claim(
        "linear-cost",
        "With a fixed token MLP, Mixer's cost grows no faster than linearly in tokens",
        "mixer-bench time Mixer-B/32 Mixer-B/16 --repetitions 5",
        (shown.TOKENS, shown.RELATIVE, shown.RATES),
        speed.linear_cost,
        paper_figure="relative",
    ),
    Claim(
        "tied-token-mixing",
        "One token MLP shared by all channels, which saves memory, loses no accuracy",
        _STUDY,
        (shown.TIED,),
        accuracy.tying,
        untied=True,
        published_note="appendix A says so in words and prints no numbers",
    ),
    Claim(
        "shuffle-invariance",
        "Shuffled patches and pixels leave Mixer as it is; any shuffling hurts ResNet "
        "more",
        _STUDY,
        (shown.SHUFFLING,),
        accuracy.shuffling,
        parts=(accuracy.UNMOVED, *accuracy.HURT_LESS.values()),
        scale=False,
        published_note="figure 4 is only plotted; the text says that global shuffling "
        "costs Mixer about 45 % and ResNet about 75 %",
    ),
    Claim(
        "unit-structure",
        "First token-mixing units show structure in space, deep ones little",
        "mixer-bench weights CHECKPOINT  # prints how structured each layer is",
        (shown.UNITS,),
        published_note="figures 5 to 7 are pictures without numbers",
    ),
)


def answer(rows: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> list[Answer]:
    """Each claim judged on the published and on the measured rows among `rows`."""
    points = points_of(rows)
    return [_answer(claim, rows, points) for claim in claims]


SIDES = ("published", "measured")


def _answer(claim: Claim, rows: pd.DataFrame, points: list[Point]) -> Answer:
    published, measured = (_evidence(claim, rows, points, side) for side in SIDES)
    mine = [point for point in points if not point.published]
    if measured.findings:
        mine = [point for point in mine if _counts(claim, point)]
    allowed = (one for one in claim.shown if one.allowed(mine))
    return Answer(claim, published, measured, next(allowed, None))


def _evidence(
    claim: Claim, rows: pd.DataFrame, points: list[Point], side: str
) -> Evidence:
    mine = [point for point in points if point.published == (side == "published")]
    kept = [point for point in mine if _counts(claim, point)]
    panels: list[frontier.Panel] = []
    if claim.name == "pareto":
        panels = list(frontier.panels(rows[equal(rows, "source", side)]))
        findings = list(frontier.on_the_frontier(panels))
    else:
        findings = judged(list(claim.test(kept))) if claim.test else []
    demo = any(point.demo for point in mine) and claim.scale
    note = _note(claim, rows, side, findings, demo)
    return Evidence(verdict_of(findings), findings, note, claim.parts, panels)


def _counts(claim: Claim, point: Point) -> bool:
    if not point.tied and not claim.untied:
        return False
    if point.published and claim.one_size:
        return point.image_size == PAPER_SIZE
    return not (point.demo and claim.scale)


def _note(
    claim: Claim, rows: pd.DataFrame, side: str, findings: list[Finding], demo: bool
) -> str:
    """Why there is no verdict, or what was left out."""
    if side == "published":
        return claim.published_note
    if not equal(rows, "source", "measured").any():
        return "no measured rows given"
    left_out = "demo sizes are no evidence for a claim about scale" if demo else ""
    if findings:
        reasons = (_undecided(findings), left_out)
        return "; ".join(reason for reason in reasons if reason)
    if claim.test is None and claim.name != "pareto":
        return "no column of a row can say"
    return left_out or "no measured rows that can be compared"


def _undecided(findings: list[Finding]) -> str:
    """Why numbers that can be compared give no verdict; empty where one is given."""
    if verdict_of(findings) != "untested":
        return ""
    if all(finding.low is None for finding in findings):
        needs = max(finding.needs or MIN_REPETITIONS for finding in findings)
        few = f"too few runs, an interval needs {needs}"
        return "; ".join(dict.fromkeys(finding.why or few for finding in findings))
    return "no interval lies on one side"
