"""Every claim is flipped by planted rows; the published verdicts are the paper's."""

from __future__ import annotations

import pandas as pd
import pytest
from claim_rows import NUDGES, both, evidence, grown, shuffled, timed, trained

from bench.analysis.claims import CLAIMS, Evidence, answer, frontier
from bench.analysis.seeds import student_interval
from bench.results import read_published

WOBBLY = (-0.3, -0.1, 0.0, 0.1, 0.3)
VIT_CURVE = [*timed("ViT-S/16", 300, param_count=22e6)]
VIT_LINE = [*both("ViT-S/16", 300, 0.6), *both("ViT-B/16", 100, 0.8)]

CASES = [
    ("equal-size-speed", [timed("Mixer-B/16", 150), timed("ViT-B/16", 100)], "yes"),
    ("equal-size-speed", [timed("Mixer-B/16", 90), timed("ViT-B/16", 100)], "no"),
    (
        "equal-size-speed",  # other people's code speaks for nobody
        [
            timed("Mixer-B/16", 90),
            timed("Mixer-B/16", 900, peer="timm", cell_id="timm"),
            timed("ViT-B/16", 100),
        ],
        "no",
    ),
    (
        "equal-size-speed",
        [timed("Mixer-B/16", 150), timed("ViT-S/16", 100)],
        "untested",
    ),
    (
        "equal-size-speed",
        [timed("Mixer-B/16", 101, WOBBLY), timed("ViT-B/16", 100, WOBBLY)],
        "untested",
    ),
    ("equal-accuracy-speed", [VIT_LINE, both("Mixer-B/16", 250, 0.7)], "yes"),
    ("equal-accuracy-speed", [VIT_LINE, both("Mixer-B/16", 120, 0.7)], "no"),
    ("equal-accuracy-speed", [VIT_LINE, both("Mixer-B/16", 200, 0.5)], "no"),
    ("equal-accuracy-speed", [VIT_LINE, both("Mixer-B/16", 900, 0.5)], "untested"),
    ("equal-accuracy-speed", [VIT_LINE, both("Mixer-B/16", 90, 0.9)], "untested"),
    (
        "competitive-accuracy",
        [grown("Mixer-B/16", 0.5, 0.795), grown("ViT-B/16", 0.6, 0.8)],
        "yes",
    ),
    (
        "competitive-accuracy",
        [grown("Mixer-B/16", 0.5, 0.6), grown("ViT-B/16", 0.6, 0.8)],
        "no",
    ),
    ("competitive-accuracy", [grown("Mixer-B/16", 0.5, 0.6)], "untested"),
    ("pareto", [trained("Mixer-B/16", 0.7), trained("ViT-B/16", 0.6)], "yes"),
    ("pareto", [trained("Mixer-B/16", 0.6), trained("ViT-B/16", 0.7)], "no"),
    ("pareto", [trained("Mixer-B/16", 0.6)], "untested"),
    (
        "pareto",
        [trained("Mixer-B/16", 0.7, (0.0,)), trained("ViT-B/16", 0.6)],
        "untested",
    ),
    (
        "data-hunger",
        [grown("Mixer-B/16", 0.3, 0.5, 0.7), grown("BiT-R50x1", 0.4, 0.5, 0.55)],
        "yes",
    ),
    (
        "data-hunger",
        [grown("Mixer-B/16", 0.3, 0.5, 0.55), grown("BiT-R50x1", 0.1, 0.4, 0.6)],
        "no",
    ),
    ("data-hunger", [grown("Mixer-B/16", 0.3), grown("BiT-R50x1", 0.4)], "untested"),
    (
        "resolution-cost",
        [timed("Mixer-B/16", 100), timed("Mixer-B/16", 25, image_size=448)],
        "yes",
    ),
    (
        "resolution-cost",
        [timed("Mixer-B/16", 100), timed("Mixer-B/16", 15, image_size=448)],
        "no",
    ),
    ("resolution-cost", [timed("Mixer-B/16", 100)], "untested"),
    (
        "linear-cost",
        [timed("Mixer-B/32", 300, tokens=49), timed("Mixer-B/16", 100, tokens=196)],
        "yes",
    ),
    (
        "linear-cost",
        [timed("Mixer-B/32", 2000, tokens=49), timed("Mixer-B/16", 100, tokens=196)],
        "no",
    ),
    (
        "linear-cost",
        [timed("Mixer-S/32", 300, tokens=49), timed("Mixer-B/16", 100, tokens=196)],
        "untested",
    ),
    (
        "shuffle-invariance",
        [shuffled("Mixer-B/16", 0.6, 0.6, 0.4), shuffled("BiT-R50x1", 0.6, 0.4, 0.2)],
        "yes",
    ),
    (
        "shuffle-invariance",
        [shuffled("Mixer-B/16", 0.6, 0.5, 0.4), shuffled("BiT-R50x1", 0.6, 0.4, 0.2)],
        "no",
    ),
    (
        "shuffle-invariance",
        [shuffled("Mixer-B/16", 0.6, 0.6, 0.1), shuffled("BiT-R50x1", 0.6, 0.4, 0.5)],
        "no",
    ),
    ("shuffle-invariance", [trained("Mixer-B/16", 0.6)], "untested"),
    ("tied-token-mixing", [trained("Mixer-B/16", 0.6)], "untested"),
    ("unit-structure", [trained("Mixer-B/16", 0.6)], "untested"),
]
WORDS = {"yes": "supported", "no": "contradicted", "untested": "untested"}


@pytest.mark.parametrize(("claim", "parts", "expected"), CASES)
def test_planted_rows_flip_the_verdict(claim, parts, expected):
    assert evidence(claim, *parts).verdict == WORDS[expected]


def test_every_claim_that_has_a_test_is_flipped_above():
    seen: dict[str, set[str]] = {}
    for claim, _, expected in CASES:
        seen.setdefault(claim, set()).add(expected)
    assert set(seen) == {claim.name for claim in CLAIMS}
    without = {"tied-token-mixing", "unit-structure"}
    assert all(seen[c.name] == set(WORDS) for c in CLAIMS if c.name not in without)


def test_equal_parameters_are_interpolated_and_never_extrapolated():
    line = [
        *timed("ViT-S/16", 400, param_count=20_000_000),
        *timed("ViT-B/16", 100, param_count=80_000_000),
    ]
    inside = evidence(
        "equal-size-speed", line, timed("Mixer-S/16", 100, param_count=40_000_000)
    )
    (same, equal) = inside.findings
    assert same.value == pytest.approx(0.25)
    assert equal.value == pytest.approx(0.5)  # half way in logarithms: 200
    assert equal.low < 0.5 < equal.high and equal.n == 5
    outside = evidence(
        "equal-size-speed", line, timed("Mixer-S/16", 100, param_count=19_000_000)
    )
    assert [finding.value for finding in outside.findings] == [same.value]


def test_equal_accuracy_is_interpolated_in_logarithms():
    (found,) = evidence(
        "equal-accuracy-speed",
        [*both("ViT-S/16", 400, 0.6), *both("ViT-B/16", 100, 0.8)],
        both("Mixer-B/16", 200, 0.7),
    ).findings
    assert found.value == pytest.approx(1.0, rel=1e-3)
    assert found.low < 1.0 < found.high and found.verdict == "untested"


def test_fewer_than_five_repetitions_leave_a_claim_untested_and_say_so():
    few = NUDGES[:4]
    found = evidence(
        "equal-size-speed", timed("Mixer-B/16", 150, few), timed("ViT-B/16", 100, few)
    )
    assert found.verdict == "untested"
    assert "n=4, an interval needs 5" in found.findings[0].text
    assert found.findings[0].low is None
    assert found.note == "too few runs, an interval needs 5"


def test_intervals_that_cross_the_bar_are_the_reason_given():
    found = evidence(
        "equal-size-speed",
        timed("Mixer-B/16", 101, WOBBLY),
        timed("ViT-B/16", 100, WOBBLY),
        timed("Mixer-XS/4", 1),
    )
    assert found.note.startswith("no interval lies on one side; demo sizes are no")


def test_a_token_mlp_for_each_channel_that_gains_nothing_supports_the_shared_one():
    def tied(own_top1: float) -> Evidence:
        rows = [
            *trained("Mixer-B/16", 0.7, data_examples=1000, param_count=60),
            *trained(
                "Mixer-B/16",
                own_top1,
                data_examples=1000,
                tied_token_mixing=False,
                param_count=90,
            ),
        ]
        return evidence("tied-token-mixing", rows)

    same, better = tied(0.702), tied(0.75)
    assert (same.verdict, better.verdict) == ("supported", "contradicted")
    assert same.findings[0].text == (
        "Mixer-B/16 untied gains 0.20 points and has 1.50x the parameters, "
        "5 pairs by seed"
    )


def test_a_network_with_a_token_mlp_for_each_channel_is_no_evidence_elsewhere():
    own = timed("Mixer-B/16", 50, tied_token_mixing=False, cell_id="untied")
    found = evidence("equal-size-speed", own, timed("ViT-B/16", 100))
    assert found.findings == []


def test_tuned_and_protocol_rates_are_told_apart():
    rows = [timed("Mixer-B/16", 150), timed("ViT-B/16", 100)]
    tuned = [
        timed(name, rate, track="tuned", variant="jit", cell_id=f"{name} tuned")
        for name, rate in (("Mixer-B/16", 300), ("ViT-B/16", 200))
    ]
    found = evidence("equal-size-speed", *rows, *tuned).findings
    assert {one.where for one in found} == {
        "Xeon, jax, float32",
        "Xeon, jax, float32, tuned",
    }


def test_demo_sizes_are_no_evidence_about_scale():
    rows = [timed("Mixer-XS/4", 150), timed("ViT-XS/4", 100)]
    found = evidence("equal-size-speed", *rows)
    assert (found.verdict, found.findings) == ("untested", [])
    assert "demo sizes are no evidence" in found.note
    pareto = evidence("pareto", trained("Mixer-XS/4", 0.7), trained("ViT-XS/4", 0.6))
    assert (pareto.verdict, pareto.findings) == ("untested", [])


def test_demo_sizes_can_show_invariance_which_is_not_about_scale():
    rows = [
        shuffled("Mixer-XS/4", 0.6, 0.6, 0.4),
        shuffled("BiT-R14x1/4", 0.6, 0.4, 0.2),
    ]
    assert evidence("shuffle-invariance", *rows).verdict == "supported"


DROPS = {
    "Mixer-B/16": {1: (0.8, 0.72), 2: (0.5, 0.4), 3: (0.6, 0.51), 9: (0.9, None)},
    "BiT-R50x1": {1: (0.8, 0.4), 2: (0.5, 0.3), 3: (0.6, 0.27)},
}
"""Seed -> top-1 in order and with all pixels shuffled; relative drops in per cent:
10, 20, 15 of Mixer, 50, 40, 55 of ResNet."""


def seeded(drops: dict[str, dict]) -> list[dict]:
    return [
        row
        for model, runs in drops.items()
        for seed, both in runs.items()
        for kind, top1 in zip(("none", "global"), both, strict=True)
        if top1 is not None
        for row in trained(model, top1, (0,), data_examples=9, shuffle=kind)
        for row in [{**row, "seed": seed, "attempt_id": f"{model} {kind} {seed}"}]
    ]


def test_shuffling_is_told_and_judged_seed_by_seed():
    (found,) = evidence("shuffle-invariance", seeded(DROPS)).findings
    assert found.text == (
        "global shuffling: median relative drop by seed 15.0 % (10.0 to 20.0, n=3) "
        "for Mixer-B/16, 50.0 % (40.0 to 55.0, n=3) for BiT-R50x1; mean difference "
        "33.3 points"
    )
    low, high = student_interval([40.0, 20.0, 40.0])
    assert found.value == pytest.approx(100 / 3) and found.n == 3
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.02)
    assert found.verdict == "supported"


def test_shuffling_of_two_seeds_has_no_interval_and_of_strangers_no_number():
    two = {name: {s: runs[s] for s in (1, 2)} for name, runs in DROPS.items()}
    found = evidence("shuffle-invariance", seeded(two))
    assert found.note == "too few runs, an interval needs 3"
    assert (found.findings[0].low, found.findings[0].n) == (None, 2)
    mixer, resnet = DROPS.values()
    apart = {"Mixer-B/16": {1: mixer[1]}, "BiT-R50x1": {2: resnet[2]}}
    assert evidence("shuffle-invariance", seeded(apart)).findings == []


def test_machines_are_judged_apart_and_never_divided():
    elsewhere = {"machine_id": "m2", "machine": "EPYC"}
    found = evidence(
        "equal-size-speed",
        timed("Mixer-B/16", 150),
        timed("ViT-B/16", 100),
        timed("Mixer-B/16", 90, **elsewhere),
        timed("ViT-B/16", 100, **elsewhere),
    )
    assert found.summary == (
        "contradicted: EPYC, jax, float32 | supported in part: Xeon, jax, float32"
    )
    apart = evidence(
        "equal-size-speed",
        timed("Mixer-B/16", 150),
        timed("ViT-B/16", 100, **elsewhere),
    )
    assert apart.findings == []


def test_several_comparisons_share_their_error():
    """Wider intervals where more is compared: 95 % holds for all together."""
    pair = [timed("Mixer-B/16", 150), timed("ViT-B/16", 100)]
    more = [timed("Mixer-L/16", 50), timed("ViT-L/16", 40)]
    (alone,) = evidence("equal-size-speed", *pair).findings
    first = evidence("equal-size-speed", *pair, *more).findings[0]
    assert first.value == alone.value
    assert first.high - first.low > 1.05 * (alone.high - alone.low)


# Published -------------------------------------------------------------------

SIZES = {
    "Mixer-S/16": 18_528_264,
    "Mixer-B/16": 59_880_472,
    "Mixer-L/16": 208_196_168,
    "ViT-S/16": 22_050_664,
    "ViT-B/16": 86_567_656,
    "ViT-L/16": 304_326_632,
}


@pytest.fixture(scope="module")
def published() -> dict[str, Evidence]:
    rows = read_published()
    at_224 = rows["image_size"].eq(224).fillna(False).astype(bool)
    params = rows["model"].map(SIZES).where(at_224)
    patch = pd.to_numeric(rows["model"].str.extract(r"/(\d+)$")[0])
    tokens = ((224 // patch) ** 2).where(at_224)
    return {
        one.claim.name: one.published
        for one in answer(rows.assign(param_count=params, tokens=tokens))
    }


@pytest.mark.parametrize(
    ("claim", "summary"),
    [
        ("equal-size-speed", "contradicted: RTX 4090; RTX 3090 | supported: TPUv3"),
        (
            "equal-accuracy-speed",
            "contradicted: TPUv3, ImageNet; TPUv3, ImageNet-21k | "
            "supported: TPUv3, JFT-300M",
        ),
        (
            "competitive-accuracy",
            "contradicted: B/16 | supported: L/16 | supported in part: H/14",
        ),
        ("pareto", "supported: TPUv3"),
        ("data-hunger", "untested"),
        ("resolution-cost", "supported: TPUv3"),
        ("linear-cost", "supported: TPUv3; RTX 4090; RTX 3090"),
        ("tied-token-mixing", "untested"),
        ("shuffle-invariance", "untested"),
        ("unit-structure", "untested"),
    ],
)
def test_what_the_published_rows_say(published, claim, summary):
    assert published[claim].summary == summary


def numbers(found: Evidence, where: str) -> dict[str, float]:
    return {f.text.split(",")[0]: f.value for f in found.findings if f.where == where}


def test_the_published_ratios_are_those_of_the_tables(published):
    found = published["equal-size-speed"]
    values = {f.text: f.value for f in found.findings if f.where == "TPUv3"}
    assert values["Mixer-B/16 1,384, ViT-B/16 861 img/s/core: 1.61x"] == 1384 / 861
    assert values["Mixer-H/14 194, ViT-H/14 87.0 img/s/core: 2.23x"] == 194 / 87
    there = {f.text: f.value for f in found.findings if f.where == "RTX 4090"}
    assert there["Mixer-B/16 2,608, ViT-B/16 2,787 img/s/core: 0.94x"] == 2608 / 2787


def test_at_equal_parameters_the_published_lead_nearly_vanishes(published):
    (found,) = (
        f
        for f in published["equal-size-speed"].findings
        if f.where == "TPUv3" and "parameters" in f.text
    )
    assert found.value == pytest.approx(1.066, abs=0.001)


def test_published_gaps_are_those_of_table_3(published):
    gaps = [
        (f.where, round(f.value, 2)) for f in published["competitive-accuracy"].findings
    ]
    assert sorted(gaps) == [
        ("B/16", -0.72),  # the lead grows from 3.23 to 3.95 points
        ("H/14", 0.33),
        ("L/16", 0.76),
        ("L/16", 0.81),
        ("L/16", 2.78),
    ]


def test_published_intervals_are_the_rounding_and_nothing_else(published):
    found = published["resolution-cost"].findings[0]
    assert found.value == pytest.approx(419 / 105)
    assert 418.5 / 105.5 < found.low < found.high < 419.5 / 104.5
    assert found.n == 1


def test_the_paper_figures_points_have_names_of_their_own():
    ((_, panel),) = frontier.panels(read_published())
    assert panel["label"].is_unique
    (finding,) = frontier.on_the_frontier([*frontier.panels(read_published())])
    assert "Mixer-L/16@448 (ImageNet-21k) is not" in finding.text
    assert "Mixer-L/16@448 (JFT-300M) is on it" in finding.text
