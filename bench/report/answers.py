"""The claims of the paper answered in sentences, as one would tell a colleague.

First one line for each claim, then what each verdict rests on. Of many alike numbers
the two ends are told and how many there are; json and csv of `claims` hold every one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.analysis.claims import Answer, Evidence
from bench.analysis.claims.accuracy import COMPETITIVE
from bench.analysis.claims.evidence import (
    Finding,
    Place,
    by_where,
    tally,
    verdict_of,
)
from bench.analysis.claims.speed import LINEAR, PROPORTIONAL
from bench.report.markup import markdown
from bench.units import decimals_for

WIDTH = 92
"""Columns of the text where no terminal says otherwise."""
FEW = 2
"""So many findings of one kind are told one by one."""
NOTE = (
    "For and against: the whole interval lies on one side; undecided: it does not. "
    "Brackets hold the interval over fresh processes or seeds, 95 % for all of one "
    "place together, and their number; published figures are judged over their "
    "rounding, which says nothing about a second run. Together: all numbers of one "
    "claim in one place that have an interval, of every size, share the 5 % of error "
    "evenly (Bonferroni), so that an interval is wider here than that of one pair "
    "alone, as in the figure relative. Rates measured here are geometric means, "
    "divided at the same fixed batch, or each at its best where it was swept; where "
    "no sitting holds both, as a machine drifts between two, there is no interval. "
    "Accuracies measured here are compared run by run with the same seeds, and n "
    "counts the pairs (rates at equal accuracy are interpolated, unpaired); of a "
    "model the recipe counts that was most accurate on the most images. Tuned: of "
    "each side its best variant, chosen by these very runs. On 2 of 3: of the places "
    "where something is sure. In part: nothing there is surely for some part of the "
    "claim. Parentheses after a verdict count what it rests on, in the places just "
    "named; open: undecided, few runs, or nothing to pair. "
    "By seed: each shuffled run against the original of its seed, median and range. "
    "The bars: close to ViT, unchanged and no loss mean "
    f"{COMPETITIVE:g} point; as much as it has more patches, at most "
    f"{PROPORTIONAL:g} times that; linearly, a power of at most {LINEAR:g}."
)
_SIDES = (("supported", "for"), ("contradicted", "against"))
_TABLE = "mixer-bench table "


@dataclass(frozen=True)
class Block:
    """One claim: its sentence, and titled lines of what is known about it."""

    name: str
    statement: str
    lines: list[tuple[str, str, list[str]]] = field(default_factory=list)
    """Title, the answer, and what it rests on."""


def block(one: Answer, figure: str) -> Block:
    """What is known about one claim; `figure` is the command that shows it."""
    made = [
        ("published", said(one.published), rests_on(one.published)),
        ("yours", said(one.measured), rests_on(one.measured)),
    ]
    if one.measured.verdict == "untested":
        made.append(("to test", one.claim.to_test, []))
    made.append(("table" if figure.startswith(_TABLE) else "figure", figure, []))
    return Block(one.claim.name, one.claim.statement, made)


def verdict(side: Evidence) -> str:
    """The verdict in a few words: on how many places, where they disagree."""
    told = [place.words for place in side.places if place.verdict != "untested"]
    against, partly = told.count("contradicted"), told.count("supported in part")
    if 0 < against < len(told):
        words = f"contradicted on {against} of {len(told)}"
        return _counted(words, side.findings, " in all")
    if side.words == "supported" and partly:
        words = f"supported, in part on {partly} of {len(told)}"
        return _counted(words, side.findings, " in all")
    return _counted(side.words, side.findings)


def _counted(verdict: str, found: Sequence[Finding], of: str = "") -> str:
    """A verdict, and how many findings say so; those that decide it first."""
    known = tally(found)
    first = "against" if verdict_of(found) == "contradicted" else "for"
    words = dict.fromkeys((first, "for", "against", "open"))
    counts = [f"{known[word]} {word}" for word in words if known[word]]
    return f"{verdict} ({', '.join(counts)}{of})" if counts else verdict


def said(side: Evidence) -> str:
    """Each verdict, where it holds and how many say so there; or why there is none."""
    if side.verdict == "untested":
        counted = _counted(side.verdict, side.findings)
        return ": ".join(part for part in (counted, side.note) if part)
    return " / ".join(_there(*group) for group in side.by_words.items())


def _there(words: str, places: Sequence[Place]) -> str:
    where = "; ".join(place.where for place in places)
    found = [one for place in places for one in place.findings]
    return _counted(f"{words} on {where}", found)


def rests_on(side: Evidence) -> list[str]:
    """One line for each place and kind of number, then what was left out."""
    lines = []
    for where, found in by_where(side.findings).items():
        kinds: dict[str, list[Finding]] = {}
        for finding in found:
            kinds.setdefault(finding.about, []).append(finding)
        parts = [_told(about, where, alike) for about, alike in kinds.items()]
        lines.append(f"{where}: {'. '.join(parts)}.")
    lines += _left_open(side)
    note = "" if side.verdict == "untested" else side.note
    return [*lines, f"Left out: {note}."] if note else lines


def _left_open(side: Evidence) -> Iterator[str]:
    """Parts of the claim that are open where the rest of it is supported."""
    supported = [place for place in side.places if place.verdict == "supported"]
    groups: dict[tuple[str, ...], list[str]] = {}
    for part in side.parts:
        there = tuple(one.where for one in supported if part in one.open_parts)
        where = () if part in side.open_parts else there
        if there:
            groups.setdefault(where, []).append(part)
    for where, parts in groups.items():
        some = f" (on {'; '.join(where)})" if where else ""
        yield f"Nothing surely for: {'; '.join(parts)}{some}."


def _told(about: str, where: str, found: Sequence[Finding]) -> str:
    if about:
        return _many(about, found)
    texts = (one.text.removeprefix(f"{where}: ") for one in found)
    return "; ".join(
        text + _within(one) for text, one in zip(texts, found, strict=True)
    )


def _many(about: str, found: Sequence[Finding]) -> str:
    """How many are for and against, with the ends of their range."""
    parts = []
    for verdict_, word in _SIDES:
        mine = [one for one in found if one.verdict == verdict_]
        parts += [f"{len(mine)} {word}, {_range(mine)}"] if mine else []
    open_ = [one for one in found if one.verdict == "untested"]
    crossed = [one for one in open_ if one.low is not None]
    few = [one for one in open_ if one.low is None]
    parts += [f"{len(crossed)} undecided, {_range(crossed)}"] if crossed else []
    for why in dict.fromkeys(one.why for one in few):
        mine = [one for one in few if one.why == why]
        parts.append(f"{len(mine)} {why or 'with too few runs'}, {_range(mine)}")
    return f"{about[0].upper()}{about[1:]}: {'; '.join(parts)}"


def _range(found: Sequence[Finding]) -> str:
    ranked = sorted(found, key=lambda one: one.value or 0)
    if len(ranked) <= FEW:
        return ", ".join(map(_number, ranked))
    return f"{_number(ranked[0])} to {_number(ranked[-1])}"


def _number(one: Finding) -> str:
    assert one.value is not None
    places = 2 if one.low is None or one.n == 1 else _places(one)
    within = f" [n={one.n}]" if one.low is None else _within(one)
    return f"{one.value:.{places}f}{one.unit}{within} ({one.subject})"


def _within(one: Finding) -> str:
    """The interval and n of a measured number; rounding alone is not worth telling."""
    if one.low is None or one.high is None or one.n == 1:
        return ""
    places = _places(one)
    return f" [{one.low:.{places}f} – {one.high:.{places}f}, n={one.n}]"


def _places(one: Finding) -> int:
    assert one.low is not None and one.high is not None
    if one.low == one.high:  # runs that agree in every digit
        return 2
    places = decimals_for((one.high - one.low) / 2)
    ends = [one.low, one.high]
    if one.unit == "x" and one.verdict != "untested" and 1 not in ends:
        while 1 in (round(end, places) for end in ends):
            places += 1  # of an interval without 1 no end is printed as 1
    return places


def plain(blocks: Sequence[Block], width: int) -> str:
    """Blocks as text of at most `width` columns."""
    return "\n\n".join("\n".join(_plain_lines(one, width)) for one in blocks)


def _plain_lines(one: Block, width: int) -> Iterator[str]:
    yield from _wrapped(f"{one.statement}.  [{one.name}]", "", "", width)
    for title, answer, reasons in one.lines:
        if answer.startswith("mixer-bench "):  # a command is copied as it stands
            yield f"  {title:<10} {answer}"
            continue
        yield from _wrapped(answer, f"  {title:<10} ", " " * 13, width)
        for reason in reasons:
            yield from _wrapped(reason, f"{'':13}- ", " " * 15, width)


def _wrapped(text: str, first: str, rest: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def github(blocks: Sequence[Block], width: int) -> str:
    """Blocks as nested lists; `width` is the reader's browser's to choose."""
    del width
    return "\n\n".join("\n".join(_github_lines(one)) for one in blocks)


def _github_lines(one: Block) -> Iterator[str]:
    yield f"**{markdown(one.statement)}** (`{one.name}`)"
    yield ""
    for title, answer, reasons in one.lines:
        command = answer.startswith("mixer-bench ")
        yield f"- {title}: {f'`{answer}`' if command else markdown(answer)}"
        yield from (f"  - {markdown(reason)}" for reason in reasons)
