"""The report page as text: escaped, complete, small, the same every time."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pandas as pd
import pytest
from hostile import ATTACK, attacked, frame, measured

from bench.analysis import demo
from bench.analysis.claims import answer
from bench.errors import ResultsError
from bench.plots import style
from bench.report import html, packed, troubles
from bench.results import read_published

ASSETS = html._ASSETS


def page(rows, named=("results",), **more) -> str:
    return html.page(rows, named, ["mixer-bench report results"], "1.2.3", **more)


class Seen(HTMLParser):
    """Every element with its attributes, and the text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside[-1:]):
            self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def data_of(text: str) -> list[dict]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])


def view_of(text: str, name: str) -> dict:
    return next(view for view in data_of(text) if view["name"] == name)


def values(view: dict, name: str) -> list:
    column = next(c for c in view["columns"] if c["name"] == name)
    if column["number"]:
        return column["values"]
    return [None if at < 0 else column["words"][at] for at in column["at"]]


def test_the_page_holds_every_row_and_every_section():
    rows = frame([measured(n) for n in range(10)])
    text = page(rows)
    seen = Seen(text)
    assert [one["id"] for one in seen.named("section")] == [
        "section-overview", "section-figure", "section-table", "section-comparison",
        "section-machine-and-provenance", "section-forecasts", "section-cautions",
        "section-failures", "section-commands",
    ]  # fmt: skip
    attempts = view_of(text, "attempts")
    assert values(attempts, "attempt_id") == rows["attempt_id"].tolist()
    assert values(attempts, "img_per_sec_core") == [
        float(f"{1000 / (n + 1):.6g}") for n in range(10)
    ]
    joined = "".join(seen.text)
    assert "10 records: 10 ok, 0 not" in joined
    assert "mixer-bench run studies/speed.yaml   # 10 records" in joined


def test_the_same_rows_give_the_same_bytes():
    rows = frame([measured(n) for n in range(10)])
    assert page(rows) == page(rows)


def test_nothing_is_loaded_and_only_the_pages_own_code_may_run():
    text = page(read_published(), ["published"])
    seen = Seen(text)
    (policy,) = (m["content"] for m in seen.named("meta") if m.get("http-equiv"))
    assert policy is not None and policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "http" not in policy
    for asset in ("page.js", "page.css"):
        digest = hashlib.sha256((ASSETS / asset).read_bytes()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy
    for _, attributes in seen.elements:
        assert not {"src", "srcset", "style", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert not seen.named("link") and not seen.named("iframe")
    css = (ASSETS / "page.css").read_text()
    assert "url(" not in css and "@import" not in css
    script = (ASSETS / "page.js").read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "eval(",
        "fetch",
        "import",
    ):
        assert word not in script


def test_hostile_text_stays_text():
    text = page(attacked(), [ATTACK])
    seen = Seen(text)
    assert len(seen.named("script")) == 2 and not seen.named("img")
    assert ATTACK not in text and text.count("<!--") == 0
    assert "\u2028" not in text.partition("<script type")[2]
    assert values(view_of(text, "attempts"), "model") == [ATTACK] * 4
    shown = "".join(seen.text)
    # title, study, machine, hardware, software, commit, cautions, failure, command
    assert shown.count("window.pwned=1</script><!--") >= 15


def test_a_quote_cannot_leave_a_script():
    made = packed.as_script({"a": ATTACK})
    assert not set("<>&\u2028\u2029") & set(made) and json.loads(made) == {"a": ATTACK}


def test_rows_of_different_keys_are_plotted_apart():
    rows = frame(
        [measured(0), measured(5, dtype="bfloat16"), measured(10, track="tuned")]
    )
    view = view_of(page(rows), "attempts")
    assert view["key"] == [0, 1, 2] and len(set(view["keys"])) == 3


def test_keys_that_read_alike_are_told_apart():
    rows = frame([measured(0), measured(5, protocol=2)])
    names = view_of(page(rows), "attempts")["keys"]
    assert [name.rpartition(", ")[2] for name in names] == ["protocol 1", "protocol 2"]


def test_models_carry_their_interval():
    same = {"cell_id": "c", "model": "M", "framework": "jax", "param_count": 1}
    five = [measured(n, **same, samples=[0.1 + n / 1000] * 3) for n in range(5)]
    view = view_of(page(frame(five)), "models, inference")
    assert view["bars"] == {"img_per_sec_core": ["low", "high"]}
    (low,), (high,) = values(view, "low"), values(view, "high")
    assert low < high and values(view, "n") == [5]


def test_missing_is_null_and_no_number_is_invented():
    rows = frame([measured(0, train_loss=float("inf")), measured(1, compile_s=2.0)])
    view = view_of(page(rows), "attempts")
    assert values(view, "compile_s") == [None, 2]
    assert values(view, "train_loss") == [None, None]
    assert "top1" not in {column["name"] for column in view["columns"]}


BAD = {"status": "oom", "error_class": "OutOfMemory", "img_per_sec_core": None}


def shown(rows, **more) -> str:
    return "|".join(Seen(page(rows, **more)).text)


def test_cautions_are_told_once_with_their_number_and_their_studies():
    caution = {"kind": "host_load", "seen": "0.5 of 2", "cause": "c", "remedy": "r"}
    rows = [measured(n, cautions=[caution], study=f"s{n}") for n in range(5)]
    text = shown(frame(rows))
    assert "host_load|5|0.5 of 2|c|r|s0, s1, s2 and 2 more" in text
    assert "5 records: 5 ok, 0 not; 5 with a caution" in text


def test_like_failures_stand_in_one_line_and_say_what_is_still_open():
    rows = [measured(n, **BAD, error_message="9 GB") for n in range(3, 250)]
    again = {"cell_id": "c0", "repetition": 3, "attempt_id": "again"}
    text = shown(frame([*rows, measured(3, **again)]))
    assert "248 records: 1 ok, 247 not" in text
    assert "247 attempts did not end ok; 246 of them were not made good" in text
    cells = "infer Mixer-S/8 torch 224 px, batch 8"
    assert f"oom|OutOfMemory|9 GB|247|246|{cells}" in text
    assert "and 97 more" in text


def test_kinds_of_failure_beyond_the_most_are_counted():
    rows = [measured(n, **BAD, error_message=f"{n} GB") for n in range(250)]
    text = shown(frame(rows))
    assert text.count("oom|OutOfMemory|") == troubles.MOST_FAILURES
    assert "50 more kinds: filter the table by status." in text


def test_a_traceback_is_folded_below_its_message():
    rows = frame([measured(0, **BAD, error_message="9 GB", traceback="at <line> 7")])
    (folded,) = re.findall(r"<details>.*?</details>", page(rows))
    assert "<pre><code>at &lt;line&gt; 7</code></pre>" in folded


def test_the_overview_says_what_was_measured_where_and_what_was_left_out():
    rows = pd.concat([frame([measured(n) for n in range(10)]), read_published()])
    text = shown(rows, set_aside=["x.parquet: not a result file"])
    assert "measured on Xeon (Xeon, 8 GiB, 2 vcpu): 10 records of Mixer-S/8" in text
    assert "published: 123 records (TPUv3 71, RTX 3090 32, RTX 4090 20)" in text
    assert "set aside, not on this page: x.parquet: not a result file" in text
    assert demo.NOTE not in text
    assert demo.NOTE in shown(frame([measured(0, model="Mixer-XS/4")]))


def test_a_study_of_training_steps_drifts_as_its_anchors_of_inference_do():
    day = datetime(2026, 1, 1, tzinfo=UTC)
    anchor = {"role": "anchor", "sitting_id": "s", "cell_id": "anchor"}
    rows = [
        measured(0, **anchor, img_per_sec=100.0, started_at=day),
        measured(1, mode="train", sitting_id="s", img_per_sec=5.0, started_at=day),
        measured(2, **anchor, img_per_sec=80.0, started_at=day + timedelta(hours=1)),
    ]
    assert "speed|Xeon|infer, train|2|3|0|drifted 25.0 %" in shown(frame(rows))


def test_claims_are_answered_first_and_explained_below():
    rows = pd.concat([read_published(), frame([measured(0)])])
    judged = [(one, "mixer-bench plot x --figure relative") for one in answer(rows)]
    text = page(rows, judged=judged)
    seen = Seen(text)
    ids = [one.get("id") for one in seen.named("article")]
    assert len(ids) == len(judged) and "claim-pareto" in ids
    links = [one.get("href") for one in seen.named("a")]
    assert {f"#{name}" for name in ids} <= set(links)
    overview = text.partition('id="section-figure"')[0]
    assert '<span class="supported">supported (' in overview
    told = "".join(seen.text)
    assert "Mixer-H/14@448 (JFT-300M) is on it" in told
    assert "section-claims" not in page(rows)


def test_forecasts_stand_beside_what_it_took():
    day = datetime(2026, 1, 1, tzinfo=UTC)
    told = {"predicted_from": "same step", "started_at": day}
    rows = [
        measured(0, **told, predicted_s=10.0, finished_at=day + timedelta(seconds=20)),
        measured(1, **told, predicted_s=30.0, finished_at=day + timedelta(seconds=33),
                 predicted_core_days=2.0, core_days_measured=3.0),
        measured(2),
    ]  # fmt: skip
    assert "speed|same step|2|40 s|53 s|55.0 %|50.0 %" in shown(frame(rows))
    assert "No finished attempt carries a forecast" in shown(frame(rows[2:]))


def test_what_git_did_not_say_is_a_dash():
    text = shown(frame([measured(0, git_sha=None, git_dirty=None), measured(1)]))
    assert "—|—|process|1" in text and "0123456789abcdef|no|process|1" in text


def test_measured_keys_come_first():
    rows = pd.concat([read_published(), frame([measured(n) for n in range(2)])])
    view = view_of(page(rows), "models, inference")
    assert view["own"] == 1 and view["keys"][0].startswith("measured, Xeon")
    assert view["keys"][1].startswith("published")


def test_no_rows_is_one_line():
    with pytest.raises(ResultsError, match="results: no rows; nothing to report"):
        page(frame([]))


def test_ten_thousand_rows_stay_under_ten_megabytes(ten_thousand):
    assert len(ten_thousand.encode()) < 10e6
    assert len(values(view_of(ten_thousand, "attempts"), "step_s")) == 10_000


def test_families_have_the_colours_of_the_figures():
    css = (ASSETS / "page.css").read_text()
    light = dict(re.findall(r"--(\w+): (#\w{6});", css.partition("@media")[0]))
    assert {name: light[name] for name in style.COLOURS} == style.COLOURS
