"""The paper's claims, each with a test: rows in, a verdict on each side out.

One line per claim of Tolstikhin et al. (2021). Published and measured evidence are
judged apart and never mixed. A verdict speaks of the rows it was given: one sure
counter-example contradicts, no sure comparison leaves a claim untested.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pandas as pd

from bench.analysis.claims import accuracy, frontier, speed
from bench.analysis.claims.evidence import (
    Comparison,
    Finding,
    Verdict,
    by_where,
    judged,
    tally,
    verdict_of,
)
from bench.analysis.claims.points import PAPER_SIZE, Point, points_of
from bench.analysis.key import equal
from bench.analysis.stats import MIN_REPETITIONS

__all__ = ["CLAIMS", "Answer", "Claim", "Evidence", "answer"]

Test = Callable[[Sequence[Point]], Iterable[Comparison]]


@dataclass(frozen=True)
class Claim:
    """A claim in our words, the test of it, its figure, and what would test it."""

    name: str
    statement: str
    to_test: str
    """A line for a shell, with what it needs or tells as its comment."""
    figure: str | None = None
    """Drawn from measured rows."""
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
        known = {one.part for one in self.findings if one.verdict == "supported"}
        return [part for part in self.parts if part not in known]

    @property
    def words(self) -> str:
        """The verdict; of a claim of several parts some may be left open."""
        partly = self.verdict == "supported" and self.open_parts
        return f"{self.verdict} in part" if partly else self.verdict

    @property
    def tally(self) -> dict[str, int]:
        """Findings for, against and open: how much a verdict rests on."""
        return tally(self.findings)

    @property
    def summary(self) -> str:
        """The verdict; where findings disagree, which machine or set says which."""
        verdicts = {w: verdict_of(f) for w, f in by_where(self.findings).items()}
        if self.verdict == "untested":
            return self.verdict
        parts = []
        for word in ("contradicted", "supported"):
            found = [where for where, verdict in verdicts.items() if verdict == word]
            said = self.words if word == self.verdict else word
            parts += [f"{said}: {'; '.join(found)}"] if found else []
        return " | ".join(parts)


@dataclass(frozen=True)
class Answer:
    """A claim with what was published and what was measured."""

    claim: Claim
    published: Evidence
    measured: Evidence


_STUDY = "mixer-bench run studies/claims.yaml  # needs ImageNet, accelerators"

CLAIMS = (
    Claim(
        "equal-size-speed",
        "Mixer classifies more images per second and core than a ViT of its size",
        "mixer-bench time Mixer-B/16 ViT-B/16 ViT-S/16 --repetitions 5",
        "relative",
        speed.equal_size,
        one_size=True,
        paper_figure="relative",
    ),
    Claim(
        "equal-accuracy-speed",
        "At equal accuracy Mixer is faster than ResNet and ViT",
        _STUDY,
        "throughput",
        accuracy.equal_accuracy,
        parts=("faster than ResNet", "faster than ViT"),
        one_size=True,
        paper_figure="throughput",
    ),
    Claim(
        "competitive-accuracy",
        "Mixer comes close to ViT, and the gap shrinks with pre-training data",
        _STUDY,
        "data_scale",
        accuracy.gap,
        parts=(accuracy.CLOSE, accuracy.SHRINKS),
        one_size=True,
        paper_figure="scale",
    ),
    Claim(
        "pareto",
        "Mixer is on the frontier of accuracy against pre-training cost",
        _STUDY,
        "pareto",
        paper_figure="pareto",
    ),
    Claim(
        "data-hunger",
        "Mixer gains more from more data than ResNet, which saturates first",
        _STUDY,
        "data_scale",
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
        "resolution",
        speed.resolution,
        paper_figure="resolution",
    ),
    Claim(
        "linear-cost",
        "With a fixed token MLP, Mixer's cost grows no faster than linearly in tokens",
        "mixer-bench time Mixer-B/32 Mixer-B/16 --repetitions 5",
        "tokens",
        speed.linear_cost,
        paper_figure="relative",
    ),
    Claim(
        "tied-token-mixing",
        "One token MLP shared by all channels saves memory and loses no accuracy",
        _STUDY,
        test=accuracy.tying,
        untied=True,
        published_note="appendix A says so in words and prints no numbers",
    ),
    Claim(
        "shuffle-invariance",
        "Shuffled patches and pixels leave Mixer as it is; any shuffling hurts ResNet "
        "more",
        _STUDY,
        "shuffling",
        accuracy.shuffling,
        parts=(accuracy.UNMOVED, *accuracy.HURT_LESS.values()),
        scale=False,
        published_note="figure 4 is only plotted; the text says that global shuffling "
        "costs Mixer about 45 % and ResNet about 75 %",
    ),
    Claim(
        "unit-structure",
        "First token-mixing units show structure in space, deep ones little",
        "mixer-bench weights Mixer-B_16.npz  # any checkpoint: how structured each "
        "layer's units are",
        published_note="figures 5 to 7 are pictures without numbers",
    ),
)


def answer(rows: pd.DataFrame, claims: Sequence[Claim] = CLAIMS) -> list[Answer]:
    """Each claim judged on the published and on the measured rows among `rows`."""
    points = points_of(rows)
    return [
        Answer(claim, *(_evidence(claim, rows, points, side) for side in SIDES))
        for claim in claims
    ]


SIDES = ("published", "measured")


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
