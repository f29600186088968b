"""The report page in a real browser: draws, filters, sorts, silent and offline."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import chromium
import pandas as pd
import pytest
from chromium import Browser
from hostile import ATTACK, attacked, frame, measured

from bench.analysis import demo
from bench.report import html
from bench.results import read_published

BINARY = chromium.find()
pytestmark = pytest.mark.skipif(BINARY is None, reason=chromium.ABSENT)

POINTS = "document.querySelectorAll('#figure .point').length"
ROWS = "document.querySelectorAll('#rows tbody tr').length"
COUNT = "document.getElementById('count').textContent"
SAID = "document.getElementById('said').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert BINARY is not None
    made = Browser(BINARY)
    yield made
    made.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of some rows; afterwards it must have been silent and offline."""
    path = tmp_path / "report.html"

    def load(rows) -> Browser:
        text = rows if isinstance(rows, str) else page(rows)
        path.write_text(text, encoding="utf-8")
        browser.open(path)
        enter(browser, "#view", "attempts", "change")
        return browser

    yield load
    assert browser.complaints() == []
    assert browser.requested() == [path.as_uri()]


def page(rows) -> str:
    return html.page(rows, ["results"], ["mixer-bench report results"], "1.2.3")


@functools.cache
def page_of_twelve() -> str:
    return page(frame([measured(n) for n in range(12)]))


@functools.cache
def page_of_thirteen() -> str:
    """Twelve alike, and one with another mode, framework, size and a caution."""
    caution = {"kind": "k", "seen": "s", "cause": "c", "remedy": "r"}
    other = {"mode": "train", "framework": "x", "image_size": 1, "repetition": 7}
    odd = measured(12, **other, cautions=[caution], img_per_sec_core=270.0)
    return page(frame([*(measured(n) for n in range(12)), odd]))


@pytest.fixture
def twelve(opened):
    return opened(page_of_twelve())


def click(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector({selector!r}).click()")


def enter(browser: Browser, selector: str, text: str, event: str = "input") -> None:
    browser.run(
        f"(() => {{ const e = document.querySelector({selector!r}); e.value = {text!r};"
        f" e.dispatchEvent(new Event({event!r})); }})()"
    )


def column(browser: Browser, name: str) -> list[str]:
    at = f"""[...document.querySelectorAll('#rows thead tr:first-child th')]
        .findIndex(th => th.textContent.startsWith({name!r}))"""
    rows = "[...document.querySelectorAll('#rows tbody tr')]"
    return browser.run(f"(at => {rows}.map(r => r.cells[at].textContent))({at})")


def test_every_row_is_a_point_and_a_line(twelve):
    assert twelve.run(POINTS) == 12 and twelve.run(ROWS) == 12
    assert twelve.run(COUNT) == "12 of 12 rows"
    assert "12 points" in twelve.run(SAID)
    ticks = twelve.run("document.querySelectorAll('#figure .tick').length")
    assert ticks >= 6


def test_the_legend_filters_figure_and_table(twelve):
    click(twelve, "[data-look='family:vit']")
    assert twelve.run(POINTS) == 8 and twelve.run(COUNT) == "8 of 12 rows"
    click(twelve, "[data-look='framework:jax']")
    assert twelve.run(POINTS) == 4
    pressed = "document.querySelector('[data-look=\"family:vit\"]').ariaPressed"
    assert twelve.run(pressed) == "false"
    click(twelve, "#clear")
    assert twelve.run(POINTS) == 12 and twelve.run(pressed) == "true"


@pytest.mark.parametrize(
    ("name", "asked", "kept"),
    [
        ("img_per_sec_core", ">300", 3),
        ("img_per_sec_core", "<=100", 3),
        ("img_per_sec_core", "90..260", 8),
        ("image_size", "224", 12),
        ("repetition", "=1", 3),
        ("framework", "torch", 6),
        ("framework", "!torch", 6),
        ("framework", "=tor", 0),
        ("cautions", "=", 12),
    ],
)
def test_a_column_filters(opened, name, asked, kept):
    browser = opened(page_of_thirteen())
    extra = 1 if asked == "!torch" else 0
    enter(browser, f"[data-filter={name}]", asked)
    assert browser.run(COUNT) == f"{kept + extra} of 13 rows"


def test_a_filter_that_is_no_number_says_so_and_filters_nothing(twelve):
    enter(twelve, "[data-filter=image_size]", "big")
    box = "document.querySelector('[data-filter=image_size]')"
    assert twelve.run(f"{box}.ariaInvalid") == "true"
    assert "give a number" in twelve.run(f"{box}.title")
    assert twelve.run(COUNT) == "12 of 12 rows"


def test_words_filter_rows_of_any_column(twelve):
    enter(twelve, "#words", "TORCH mixer-s/8")
    assert twelve.run(COUNT) == "2 of 12 rows"  # repetitions 1 and 3 of the first model


def test_a_title_sorts_both_ways_and_keeps_missing_last(opened):
    rows = [measured(n) for n in range(4)]
    browser = opened(frame([measured(9, img_per_sec_core=None), *rows]))
    click(browser, "[data-sort=img_per_sec_core]")
    rising = column(browser, "img_per_sec_core")
    assert rising == ["250", "333.333", "500", "1,000", "—"]
    click(browser, "[data-sort=img_per_sec_core]")
    assert column(browser, "img_per_sec_core") == [
        "1,000",
        "500",
        "333.333",
        "250",
        "—",
    ]
    sort = (
        "document.querySelector('[data-sort=img_per_sec_core]').parentElement.ariaSort"
    )
    assert browser.run(sort) == "descending"


def test_axes_are_picked_within_a_key(opened):
    rows = [measured(n) for n in range(6)]
    rows += [measured(n, dtype="bfloat16") for n in range(6, 10)]
    browser = opened(frame(rows))
    assert browser.run(POINTS) == 6
    enter(browser, "#key", "1", "change")
    assert browser.run(POINTS) == 4
    enter(browser, "#axis-y", "batch_size", "change")
    text = browser.run("document.querySelector('#figure svg').textContent")
    assert text.endswith("param_countbatch_size")
    joined = {"value": "models, inference"}
    enter(browser, "#view", joined["value"], "change")
    assert browser.run("document.getElementById('view').value") == joined["value"]


def test_log_leaves_out_what_has_no_logarithm_and_says_so(opened):
    rows = [measured(0, img_per_sec_core=0.0), *(measured(n) for n in (1, 2, 3))]
    browser = opened(frame(rows))
    assert browser.run(POINTS) == 4
    click(browser, "#log-y")
    assert browser.run(POINTS) == 3
    assert "1 not above 0 are left out of a log axis" in browser.run(SAID)
    heights = "[...document.querySelectorAll('#figure .point')].map(p => p.getBBox().y)"
    on_log = browser.run(heights)
    click(browser, "#log-y")
    assert browser.run(heights)[:3] != on_log


def test_the_pointer_shows_the_record(twelve):
    box = twelve.run(
        "(() => { const p = document.querySelector('#figure .point');"
        " p.scrollIntoView({block: 'center'}); const b = p.getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    twelve.move(*box)
    tip = twelve.run("document.getElementById('tip').textContent")
    assert "model: Mixer-S/8" in tip and "img_per_sec_core (image/s/core): 1,000" in tip


def test_the_keyboard_reaches_points_and_records(twelve):
    twelve.run("document.querySelector('#figure svg').focus()")
    twelve.press("ArrowRight")
    twelve.press("ArrowRight")
    assert "img_per_sec_core (image/s/core): 500" in twelve.run(SAID)
    twelve.press("Enter")
    record = "document.getElementById('record')"
    assert twelve.run(f"{record}.hidden") is False
    assert "attempt_id" in twelve.run(f"{record}.textContent")
    assert twelve.run(f"document.activeElement === {record}")
    twelve.press("Tab")
    twelve.press("Enter")  # the close button
    assert twelve.run(f"{record}.hidden") is True
    assert twelve.run("document.activeElement.tagName") == "svg"
    stops = twelve.run(
        "[...document.querySelectorAll('button, input, select, a, [tabindex]')]"
        ".filter(e => e.tabIndex < 0 && e.id !== 'record').length"
    )
    assert stops == 0


def test_hostile_text_never_runs(opened):
    browser = opened(attacked())
    assert browser.run("typeof window.pwned") == "undefined"
    assert browser.run("document.querySelectorAll('img').length") == 0
    shown = column(browser, "model")
    assert shown == [ATTACK] * 4
    click(browser, "#rows tbody button")
    record = browser.run("document.getElementById('record').textContent")
    assert ATTACK in record and browser.run("typeof window.pwned") == "undefined"


LONG = (
    "compile-max-autotune+channels-last+malloc",
    "eager+malloc+onednn",
    "x" * 200,  # nowhere to break a line
)


@functools.cache
def page_of_variants() -> str:
    """Tuned rows: the sentence below their table lists every variant among the best."""
    same = {"track": "tuned", "framework": "torch"}
    rows = [
        measured(n, **same, variant=variant, model=f"M-{n}", cell_id=f"c{n}")
        for n, variant in enumerate(LONG)
    ]
    return page(frame(rows))


@pytest.mark.parametrize("width", [320, 1200])
@pytest.mark.parametrize("made", [page_of_twelve, page_of_variants])
def test_the_page_is_no_wider_than_the_screen(opened, made, width):
    browser = opened(made())
    browser.send(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=800, deviceScaleFactor=1, mobile=True,
    )  # fmt: skip
    try:
        wide = "document.documentElement.scrollWidth"
        assert browser.run(wide) <= browser.run("innerWidth") == width
        assert browser.run(POINTS) > 0
        if made is page_of_variants:
            notes = "document.querySelector('#section-comparison').textContent"
            assert " / ".join(LONG) in browser.run(notes)
    finally:
        browser.send("Emulation.clearDeviceMetricsOverride")


def test_dark_and_light_have_contrast(twelve):
    seen = {}
    script = """(() => { const n = c => c.match(/\\d+/g).slice(0, 3).map(Number);
        const l = c => { const [r, g, b] = n(c).map(v => v / 255).map(v =>
            v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b; };
        const s = getComputedStyle(document.body);
        const [a, b] = [l(s.color), l(s.backgroundColor)].sort((x, y) => y - x);
        return (a + .05) / (b + .05); })()"""
    back = "getComputedStyle(document.body).backgroundColor"
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        twelve.send("Emulation.setEmulatedMedia", features=[feature])
        assert twelve.run(script) > 7  # WCAG AAA
        seen[scheme] = twelve.run(back)
    twelve.send("Emulation.setEmulatedMedia", features=[])
    assert seen["light"] != seen["dark"]


def test_the_page_begins_with_measured_models_and_their_intervals(browser, tmp_path):
    same = {"model": "M", "framework": "jax", "param_count": 1, "cell_id": "c"}
    five = [measured(n, **same, samples=[0.1 + n / 1000] * 3) for n in range(5)]
    path = tmp_path / "first.html"
    path.write_text(page(pd.concat([read_published(), frame(five)])))
    browser.open(path)
    assert browser.run("document.getElementById('view').value") == "models, inference"
    assert browser.run(POINTS) == 1
    assert browser.run("document.querySelectorAll('#figure .bar').length") == 1
    assert "1 points of measured, Xeon" in browser.run(SAID)


def test_a_figure_with_demo_sizes_says_so_inside(opened):
    rows = [measured(n) for n in range(4)]
    browser = opened(frame([*rows, measured(7, model="ViT-XS/4", framework="x")]))
    note = "document.querySelector('#figure .note')?.textContent"
    assert browser.run(note) == demo.NOTE
    click(browser, "[data-look='framework:x']")  # without the demo row
    assert browser.run(note) is None and browser.run(POINTS) == 4


def test_a_count_of_cautions_shows_its_rows(opened):
    browser = opened(page_of_thirteen())
    click(browser, "#section-cautions .show")
    assert browser.run(COUNT) == "1 of 13 rows"
    assert column(browser, "cautions") == ["k"]


def test_escape_closes_a_record(twelve):
    click(twelve, "#rows tbody button")
    twelve.press("Escape")
    assert twelve.run("document.getElementById('record').hidden") is True


def test_on_paper_controls_are_gone_and_nothing_is_folded_or_cut(opened):
    bad = {"status": "oom", "error_message": "9 GB", "traceback": "at line 7"}
    browser = opened(frame([measured(0), measured(1, **bad)]))
    open_ = "document.querySelector('#section-failures details').open"
    try:
        browser.send("Emulation.setEmulatedMedia", media="print")
        style = "getComputedStyle(document.querySelector({!r})).{}"
        for gone in ("nav", "#controls", "#section-table"):
            assert browser.run(style.format(gone, "display")) == "none"
        assert (
            browser.run(style.format("#section-comparison .scroll", "overflow"))
            == "visible"
        )
        browser.run("dispatchEvent(new Event('beforeprint'))")
        assert browser.run(open_) is True
        browser.run("dispatchEvent(new Event('afterprint'))")
        assert browser.run(open_) is False
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")


def test_ten_thousand_records_open_in_three_seconds(browser, opened, ten_thousand):
    browser.send("Performance.enable", timeDomain="threadTicks")
    opened(ten_thousand)
    assert browser.run(POINTS) == 10_000
    found = browser.send("Performance.getMetrics")["metrics"]
    busy = {one["name"]: one["value"] for one in found}["TaskDuration"]
    assert 0 < busy < 3  # seconds of processor: others may hold this machine
    assert browser.run(COUNT) == "10,000 of 10,000 rows; 1 to 100 shown"
    click(browser, "#pages button:last-child")
    assert browser.run(COUNT) == "10,000 of 10,000 rows; 101 to 200 shown"
