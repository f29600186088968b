"""What one comparison says about a claim: a number, its interval, a verdict.

Every number is an `Estimate` with draws from its uncertainty, so that a ratio, a gap or
an interpolation has an interval by doing the same to the draws. Measured: the mean over
repetitions or seeds plus Student's t times its standard error, on the logarithms for
rates (the generalised pivotal quantity of a mean, Weerahandi 1993, J. Am. Stat. Assoc.
88). Published: uniform over the rounding of the printed figure, and nothing else,
because the papers give no repetitions of their throughput.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from bench.analysis.seeds import MIN_RUNS, Values
from bench.analysis.stats import MIN_REPETITIONS

Verdict = Literal["supported", "contradicted", "untested"]
DRAWS = 4000
STRANGERS = "no runs share their seeds"
APART = "timed in different sittings"
Draws = Float[np.ndarray, " draws"]


@dataclass(frozen=True)
class Estimate:
    """A value with draws from its uncertainty; None where nothing says how large."""

    value: float
    draws: Draws | None
    n: int
    """Repetitions or seeds behind it; 1 for a printed figure, 0 where no runs pair."""
    needs: int = MIN_REPETITIONS
    """So many must be behind it before it has draws."""
    why: str = ""
    """Why nothing is judged by it, however many are behind it."""


@dataclass(frozen=True)
class Finding:
    """One comparison: where, what in words, the number, its interval, the verdict."""

    where: str
    text: str
    verdict: Verdict
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    about: str = ""
    """What the number is, the same for all that may be told in one range."""
    subject: str = ""
    """Whose number it is."""
    unit: str = ""
    part: str = ""
    """Which part of the claim it is about, where the claim has several."""
    needs: int | None = None
    """Repetitions or seeds that an interval of it needs; null where nothing counts."""
    why: str = ""
    """Why it has no interval, however many runs there are."""


def measured(values: Iterable[float | None], label: str, log: bool) -> Estimate | None:
    """The estimate of repeated values; no draws below five. None with none at all."""
    known = np.array([v for v in values if v is not None and not math.isnan(v)], float)
    if not len(known):
        return None
    scale = np.log(known) if log else known
    centre, n = float(scale.mean()), len(known)
    back = math.exp if log else float
    if n < MIN_REPETITIONS:
        return Estimate(back(centre), None, n)
    error = float(scale.std(ddof=1)) / math.sqrt(n)
    draws = centre + error * _generator(label).standard_t(n - 1, DRAWS)
    return Estimate(back(centre), np.exp(draws) if log else draws, n)


def of_pairs(differences: Values) -> Estimate:
    """The mean of differences between runs of one seed; no draws below three pairs.

    It is judged alone and never combined, so its draws are even quantiles of Student's
    t: the interval is exact, where random draws wobble.
    """
    found = np.asarray(differences, float)
    mean, n = float(found.mean()), len(found)
    if n < MIN_RUNS:
        return Estimate(mean, None, n, MIN_RUNS)
    error = float(found.std(ddof=1)) / math.sqrt(n)
    even = (np.arange(DRAWS) + 0.5) / DRAWS
    return Estimate(mean, mean + error * stdtrit(n - 1, even), n, MIN_RUNS)


def published(value: float, halfwidth: float, label: str) -> Estimate:
    """The estimate of a printed figure: anything that rounds to it."""
    draws = _generator(label).uniform(value - halfwidth, value + halfwidth, DRAWS)
    return Estimate(value, draws, 1)


def _generator(label: str) -> np.random.Generator:
    """Its own stream for each label: two estimates are independent, a run repeats."""
    return np.random.default_rng(zlib.crc32(label.encode()))


def combined(function: Callable[..., Any], *parts: Estimate) -> Estimate:
    """The same function of the values and of the draws."""
    value = float(function(*(part.value for part in parts)))
    known = [part.draws for part in parts if part.draws is not None]
    draws = function(*known) if len(known) == len(parts) else None
    needs = max(part.needs for part in parts)
    return Estimate(value, draws, min(part.n for part in parts), needs)


@dataclass(frozen=True)
class Comparison:
    """A number before its verdict: it supports the claim where `says` is above zero.

    `says` turns the number into a margin: 1.6x against a bar of 1 is log 1.6.
    """

    where: str
    text: str
    number: Estimate
    says: Callable[[Any], Any]
    about: str = ""
    subject: str = ""
    unit: str = ""
    part: str = ""


def judged(found: Sequence[Comparison]) -> list[Finding]:
    """Findings of one family: 95 % for all of one `where` together (Bonferroni).

    What has no interval cannot err, and takes no share of the 5 %.
    """
    count: dict[str, int] = {}
    for one in found:
        if one.number.draws is not None:
            count[one.where] = count.get(one.where, 0) + 1
    return [_judged(one, 0.05 / count.get(one.where, 1)) for one in found]


def _judged(one: Comparison, alpha: float) -> Finding:
    number = one.number
    if number.draws is None:
        why = number.why or f"n={number.n}, an interval needs {number.needs}"
        text = f"{one.text} ({why})"
        return Finding(
            one.where, text, "untested", number.value, n=number.n, **_told(one)
        )
    ends = [alpha / 2, 1 - alpha / 2]
    low, high = map(float, np.quantile(number.draws, ends))
    least, most = map(float, np.quantile(one.says(number.draws), ends))
    verdict: Verdict = "untested"
    if least > 0:
        verdict = "supported"
    elif most < 0:
        verdict = "contradicted"
    text = one.text if verdict != "untested" else f"{one.text} (undecided)"
    return Finding(
        one.where, text, verdict, number.value, low, high, number.n, **_told(one)
    )


def _told(one: Comparison) -> dict[str, Any]:
    words = {name: getattr(one, name) for name in ("about", "subject", "unit", "part")}
    return {**words, "needs": one.number.needs, "why": one.number.why}


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """One counter-example contradicts a general claim; silence leaves it untested."""
    said = {finding.verdict for finding in findings}
    for verdict in ("contradicted", "supported"):
        if verdict in said:
            return verdict
    return "untested"


def tally(findings: Iterable[Finding]) -> dict[str, int]:
    """How many say so: for, against, and open, undecided or of too few runs."""
    said = [finding.verdict for finding in findings]
    return {
        "for": said.count("supported"),
        "against": said.count("contradicted"),
        "open": said.count("untested"),
    }


def open_parts(findings: Iterable[Finding], parts: Iterable[str]) -> list[str]:
    """Those of a claim's parts that nothing supports."""
    known = {one.part for one in findings if one.verdict == "supported"}
    return [part for part in parts if part not in known]


def in_words(findings: Sequence[Finding], parts: Iterable[str]) -> str:
    """The verdict; of a claim of several parts some may be left open."""
    verdict = verdict_of(findings)
    partly = verdict == "supported" and open_parts(findings, parts)
    return f"{verdict} in part" if partly else verdict


@dataclass(frozen=True)
class Place:
    """What was found in one place, a machine or a set, about a claim of `parts`."""

    where: str
    findings: list[Finding]
    parts: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """That of its findings alone."""
        return verdict_of(self.findings)

    @property
    def words(self) -> str:
        """The verdict, in part where something of the claim is left open here."""
        return in_words(self.findings, self.parts)

    @property
    def open_parts(self) -> list[str]:
        """Parts of the claim that nothing supports here."""
        return open_parts(self.findings, self.parts)


def by_where(findings: Iterable[Finding]) -> Mapping[str, list[Finding]]:
    """Findings grouped by where they are from, in order of appearance."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.where, []).append(finding)
    return groups
