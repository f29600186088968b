"""The claims of the paper on the report page: verdicts, then what they rest on."""

from __future__ import annotations

import html
from collections.abc import Sequence

from bench.analysis.claims import Answer, Evidence
from bench.report import answers
from bench.report.parts import Html, said, table

Judged = tuple[Answer, str]
"""A claim with its evidence, and the command that shows it."""


def summary(judged: Sequence[Judged]) -> str:
    """One line for each claim: its sentence, and the verdict of either side."""
    lines = [
        (_link(one), _verdict(one.published), _verdict(one.measured))
        for one, _ in judged
    ]
    return table(("claim of the paper", "published rows", "measured rows"), lines, ())


def _verdict(side: Evidence) -> Html:
    text = html.escape(answers.verdict(side))
    return Html(f'<span class="{html.escape(side.verdict)}">{text}</span>')


def _link(one: Answer) -> Html:
    statement = html.escape(one.claim.statement)
    return Html(f'<a href="#{_id(one)}">{statement}</a>')


def _id(one: Answer) -> str:
    return f"claim-{html.escape(one.claim.name)}"


def claims(judged: Sequence[Judged]) -> str:
    """What each verdict rests on, side by side with what would test it."""
    return "".join(_claim(one, figure) for one, figure in judged) + said(answers.NOTE)


def _claim(one: Answer, figure: str) -> str:
    block = answers.block(one, figure)
    lines = "".join(_line(*line) for line in block.lines)
    return (
        f'<article id="{_id(one)}"><h3>{html.escape(block.statement)}</h3>\n'
        f"<dl>{lines}</dl></article>\n"
    )


def _line(title: str, answer: str, reasons: Sequence[str]) -> str:
    command = answer.startswith("mixer-bench ")
    text = html.escape(answer)
    rest = "".join(f"<li>{html.escape(reason)}</li>" for reason in reasons)
    return (
        f"<dt>{html.escape(title)}</dt>"
        f"<dd>{f'<code>{text}</code>' if command else text}"
        f"{f'<ul>{rest}</ul>' if rest else ''}</dd>"
    )
