"""The sentences of `claims`: tallies by place, parts left open, commands that work."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from claim_rows import evidence, grown, shuffled, timed, trained

from bench import models
from bench.analysis.claims import CLAIMS, SIDES, answer
from bench.analysis.claims.evidence import tally
from bench.cli import app
from bench.cli.claims import figure_of, with_sizes
from bench.models import weights
from bench.record import table
from bench.report import answers
from bench.results import append, read, to_frame

RESULTS = Path(__file__).parents[2] / "results"
THROUGHPUT = RESULTS / "amd-epyc-2vcpu" / "throughput.parquet"
COUNTED = re.compile(r"(\d+) (for|against|open)\b")
WOBBLY = (-0.3, -0.1, 0.0, 0.1, 0.3)


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = app._run(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def counted(text: str) -> dict[str, int]:
    """The counts in a sentence, added up."""
    found = dict.fromkeys(("for", "against", "open"), 0)
    for number, word in COUNTED.findall(text):
        found[word] += int(number)
    return found


@pytest.mark.parametrize("rows", [[], [str(RESULTS)], [str(THROUGHPUT)]])
def test_the_tallies_of_all_places_add_up_to_the_counts_in_json(rows, capsys):
    code, out, _ = call(capsys, "claims", *rows, "--format", "json")
    assert code == 0
    for claim in json.loads(out)["claims"]:
        for side in (claim[name] for name in SIDES):
            for word in ("for", "against", "open"):
                assert sum(place[word] for place in side["places"]) == side[word]
            wheres = [place["where"] for place in side["places"]]
            assert len(set(wheres)) == len(wheres)


@pytest.mark.parametrize("rows", [["published"], [str(RESULTS)], [str(THROUGHPUT)]])
def test_a_sentence_counts_each_comparison_where_it_stands(rows):
    loaded = read(list(dict.fromkeys([*rows, "published"])))
    frame = with_sizes(to_frame(loaded.table, samples=True))
    for one in answer(frame):
        for side in (one.published, one.measured):
            told = answers.said(side).removesuffix(side.note)
            assert counted(told) == counted(answers.verdict(side)) == side.tally
            if side.verdict == "untested":
                continue
            for clause, there in zip(
                told.split(" / "), side.by_words.values(), strict=True
            ):
                assert all(place.where in clause for place in there)
                found = [finding for place in there for finding in place.findings]
                assert counted(clause) == tally(found)


def test_the_throughput_alone_supports_the_first_claim_in_part(capsys):
    """At equal parameters it decides nothing."""
    _, out, _ = call(capsys, "claims", str(THROUGHPUT), "--format", "json")
    mine = json.loads(out)["claims"][0]["measured"]
    assert mine["open_parts"] == ["faster than ViT at equal parameters"]
    assert mine["summary"].startswith("supported in part: amd-epyc-2vcpu, jax, float32")
    _, out, _ = call(capsys, "claims", str(THROUGHPUT))
    assert re.search(r"equal-size-speed .* supported in part \(1 for, 7 open\)", out)
    told = " ".join(out.split())
    assert (
        "supported in part on amd-epyc-2vcpu, jax, float32 (1 for, 3 open) / untested "
        "on amd-epyc-2vcpu, torch, float32 (4 open)"
    ) in told
    assert "Nothing surely for: faster than ViT at equal parameters." in told


def line(mixer: float, nudges=WOBBLY, **where) -> list[dict]:
    """A Mixer at `mixer`, its namesake at 100 and a ViT of fewer parameters."""
    sizes = {"Mixer-B/16": 60e6, "ViT-B/16": 87e6, "ViT-S/16": 22e6}
    rates = {"Mixer-B/16": mixer, "ViT-B/16": 100, "ViT-S/16": 110}
    return [
        row
        for name, rate in rates.items()
        for row in timed(name, rate, nudges, param_count=int(sizes[name]), **where)
    ]


def test_supported_here_and_in_part_there_is_said_of_each():
    steady = (-0.002, -0.001, 0.0, 0.001, 0.002)
    elsewhere = {"machine_id": "m2", "machine": "EPYC"}
    pair = [
        row
        for name, rate in (("Mixer-B/16", 150), ("ViT-B/16", 100))
        for row in timed(name, rate, steady, **elsewhere)
    ]
    found = evidence("equal-size-speed", line(150, steady), pair)
    assert answers.verdict(found) == "supported, in part on 1 of 2 (3 for in all)"
    assert answers.said(found) == (
        "supported on Xeon, jax, float32 (2 for) / supported in part on EPYC, jax, "
        "float32 (1 for)"
    )
    assert answers.rests_on(found)[-1] == (
        "Nothing surely for: faster than ViT at equal parameters (on EPYC, jax, "
        "float32)."
    )
    undecided = line(101, **elsewhere)
    assert answers.said(evidence("equal-size-speed", line(50, steady), undecided)) == (
        "contradicted on Xeon, jax, float32 (2 against) / untested on EPYC, jax, "
        "float32 (2 open)"
    )


def test_an_interval_of_no_width_is_printed_in_its_digits():
    own = trained("Mixer-B/16", 0.702, (0.0,) * 5, tied_token_mixing=False)
    found = evidence("tied-token-mixing", trained("Mixer-B/16", 0.7, (0.0,) * 5), own)
    assert answers.rests_on(found)[0].endswith("5 pairs by seed [0.20 – 0.20, n=5].")


# Commands --------------------------------------------------------------------


def command(name: str, *parts: list[dict]) -> str:
    rows = to_frame(table([row for part in parts for row in part]), samples=True)
    (found,) = answer(rows, [one for one in CLAIMS if one.name == name])
    return figure_of(found, ["my rows"])


MINE = "mixer-bench plot 'my rows' --figure"
UNTIED = trained("Mixer-B/16", 0.7, tied_token_mixing=False)
SHOWN = [
    ("equal-size-speed", [line(150)], f"{MINE} relative"),
    (
        "equal-size-speed",  # nothing that the figure divides by
        [timed("Mixer-S/16", 150), timed("ViT-S/16", 100)],
        "mixer-bench table 'my rows' --where mode=infer",
    ),
    (
        "linear-cost",  # two counts of tokens are no curve
        [timed("Mixer-B/32", 300, tokens=49), timed("Mixer-B/16", 100, tokens=196)],
        f"{MINE} relative",
    ),
    (
        "linear-cost",
        [
            timed("Mixer-B/16", 100 / n, image_size=224 * n, tokens=196 * n * n)
            for n in (1, 2, 3)
        ],
        f"{MINE} tokens",
    ),
    (
        "data-hunger",  # at demo scale no evidence, and drawn all the same
        [grown("Mixer-XS/4", 0.3, 0.5)],
        f"{MINE} data_scale",
    ),
    (
        "data-hunger",
        [trained("Mixer-B/16", 0.3, data_examples=9)],
        "mixer-bench plot RESULTS --figure data_scale  # needs a model trained on two "
        "amounts of data",
    ),
    ("shuffle-invariance", [shuffled("Mixer-B/16", 1, 1, 0)], f"{MINE} shuffling"),
    (
        "tied-token-mixing",
        [trained("Mixer-B/16", 0.7), UNTIED],
        "mixer-bench table 'my rows' --where mode=pretrain --where family=mixer",
    ),
    (
        "unit-structure",
        [trained("Mixer-B/16", 0.7)],
        "mixer-bench weights CHECKPOINT  # needs weights of a Mixer, .npz or "
        ".safetensors; draws into plots/",
    ),
]


@pytest.mark.parametrize(("name", "parts", "expected"), SHOWN)
def test_the_command_is_of_rows_that_hold_what_it_shows(name, parts, expected):
    assert command(name, *parts) == expected


def test_every_claim_names_a_command_that_needs_nothing_or_says_what(capsys):
    for rows in ([], [str(RESULTS)], [str(THROUGHPUT)]):
        _, out, _ = call(capsys, "claims", *rows, "--format", "json")
        for one in json.loads(out)["claims"]:
            words, _, needs = one["figure"].partition("  # needs ")
            open_ = {"RESULTS", "CHECKPOINT"} & set(shlex.split(words))
            assert bool(open_) == bool(needs), one["figure"]
    for claim in CLAIMS:
        assert claim.paper_figure or claim.shown[0].needs


@pytest.mark.parametrize("rows", [RESULTS, THROUGHPUT], ids=lambda path: path.stem)
def test_every_command_of_these_rows_draws_them(rows, capsys, tmp_path):
    _, out, _ = call(capsys, "claims", str(rows), "--format", "json")
    lines = {one["figure"] for one in json.loads(out)["claims"]}
    figures = {shlex.split(one)[-1] for one in lines if f" plot {rows} " in one}
    flags = [word for name in sorted(figures) for word in ("--figure", name)]
    options = ["--format", "svg", "--out", str(tmp_path)]
    code, _, err = call(capsys, "plot", str(rows), *flags, *options)
    assert (code, err) == (0, "")
    for name in figures:
        drawn = (tmp_path / f"{name}.csv").read_text()
        assert ",measured," in drawn, name


def test_the_table_shows_tied_beside_untied(capsys, tmp_path):
    rows = [*trained("Mixer-B/16", 0.7, tied_token_mixing=True), *UNTIED]
    for n, row in enumerate(rows):
        append({**row, "study": "mine", "attempt_id": f"a{n}"}, tmp_path)
    _, out, _ = call(capsys, "claims", str(tmp_path))
    told = out.partition("[tied-token-mixing]")[2].partition("\n\n")[0]
    (line_,) = (one for one in told.splitlines() if one.startswith("  table "))
    words = shlex.split(line_.removeprefix("  table "), comments=True)
    code, out, _ = call(capsys, *words[1:])
    assert code == 0
    assert {"tied", "token", "mixing", "True", "False"} <= set(out.split())


def test_the_checkpoint_command_prints_and_draws(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = models.spec_for("Mixer-XXS/4", image_size=16, num_classes=3)
    weights.save_file(Path("net.npz"), weights.random(spec, 0))
    said = command("unit-structure", UNTIED).replace("CHECKPOINT", "net.npz")
    code, out, _ = call(capsys, *shlex.split(said, comments=True)[1:])
    assert code == 0 and "token mixing 0" in out
    assert Path("plots/net/token_units.csv").exists()
