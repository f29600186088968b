"""Which runs and rates are compared: of one seed, one sitting, one batch, one width."""

from __future__ import annotations

import pytest
from claim_rows import both, evidence, timed, trained

from bench.analysis.claims import CLAIMS, Evidence
from bench.analysis.claims.evidence import Finding
from bench.analysis.seeds import student_interval
from bench.report import answers

COMMON = (-0.1, -0.05, 0.0, 0.05, 0.1)
"""What the seed does to a run, far more than what is judged."""
UNLIKE = COMMON[::-1]
"""The same spread, of other seeds: on its own each side looks as above."""


def curve(model: str, *steps: tuple[float, tuple], **values) -> list[dict]:
    """Ever more data, each step with what the seeds do to its runs."""
    return [
        row
        for step, (score, nudges) in enumerate(steps)
        for row in trained(
            model, score, nudges, data_examples=1000 * 10**step, **values
        )
    ]


def untied(score: float, nudges: tuple, **values) -> list[dict]:
    return curve("Mixer-B/16", (score, nudges), tied_token_mixing=False, **values)


def _near(last: float, nudges: tuple) -> list[list[dict]]:
    """A Mixer that ends at `last`, and a ViT at 80 %."""
    mixer = curve("Mixer-B/16", (0.5, COMMON), (last, COMMON))
    return [mixer, curve("ViT-B/16", (0.6, COMMON), (0.8, nudges))]


def _gaining(last: float, nudges: tuple) -> list[list[dict]]:
    """A Mixer that gains 20 points, and a ResNet that starts at 40 %."""
    mixer = curve("Mixer-B/16", (0.3, COMMON), (0.5, COMMON))
    return [mixer, curve("BiT-R50x1", (0.4, COMMON), (last, nudges))]


def _tied(own: float, nudges: tuple) -> list[list[dict]]:
    return [curve("Mixer-B/16", (0.7, COMMON)), untied(own, nudges)]


@pytest.mark.parametrize(
    ("claim", "made", "yes", "no"),
    [
        ("competitive-accuracy", _near, 0.795, 0.65),
        ("data-hunger", _gaining, 0.45, 0.75),
        ("tied-token-mixing", _tied, 0.702, 0.75),
    ],
)
def test_accuracies_are_compared_by_seed(claim, made, yes, no):
    """What a seed does to both sides cancels, and only there."""
    assert evidence(claim, *made(yes, COMMON)).verdict == "supported"
    assert evidence(claim, *made(no, COMMON)).verdict == "contradicted"
    for score in (yes, no):
        found = evidence(claim, *made(score, UNLIKE))
        assert (found.verdict, found.note) == (
            "untested",
            "no interval lies on one side",
        )


def strangers(rows: list[dict]) -> list[dict]:
    """The same runs by seeds that nobody else has."""
    return [{**row, "seed": row["seed"] + 100} for row in rows]


@pytest.mark.parametrize(
    ("claim", "made", "score"),
    [
        ("competitive-accuracy", _near, 0.65),
        ("data-hunger", _gaining, 0.75),
        ("tied-token-mixing", _tied, 0.75),
    ],
)
def test_runs_of_unlike_seeds_are_not_compared(claim, made, score):
    ours, theirs = made(score, COMMON)
    found = evidence(claim, ours, strangers(theirs))
    assert (found.verdict, found.note) == ("untested", "no runs share their seeds")
    for one in found.findings:
        assert one.text.endswith(" (no runs share their seeds)")
        assert (one.n, one.low, one.high) == (0, None, None)


@pytest.mark.parametrize(
    ("nudges", "other_seeds", "verdict", "note"),
    [
        (COMMON, False, "contradicted", ""),
        (UNLIKE, False, "untested", "no interval lies on one side"),
        (COMMON, True, "untested", "no runs share their seeds"),
    ],
)
def test_a_faster_rival_must_surely_be_better(nudges, other_seeds, verdict, note):
    """A Mixer one point below a faster ViT: whether that is luck, its seeds say."""
    learned = trained("Mixer-B/16", 0.59, nudges)
    found = evidence(
        "equal-accuracy-speed",
        [*timed("ViT-S/16", 300), *trained("ViT-S/16", 0.6, COMMON)],
        timed("Mixer-B/16", 200),
        strangers(learned) if other_seeds else learned,
    )
    assert (found.verdict, found.note) == (verdict, note)
    assert found.findings[0].text.startswith(
        "Mixer-B/16 at its 59.00 %: at most 0.67x the rate, as ViT-S/16 is faster"
    )


def test_a_paired_difference_says_its_pairs_and_has_students_interval():
    """Two of five seeds are not shared: they count for neither side."""
    gains = (9.0, 0.01, 0.02, 0.06, 9.0)
    own = untied(0.7, gains)
    own = [*strangers(own[:1]), *own[1:4], *strangers(own[4:])]
    (found,) = evidence(
        "tied-token-mixing", curve("Mixer-B/16", (0.7, (0.0,) * 5)), own
    ).findings
    assert found.text == (
        "Mixer-B/16 untied gains 3.00 points, 3 pairs by seed (undecided)"
    )
    assert (found.value, found.n) == (pytest.approx(3.0), 3)
    expected = student_interval([1.0, 2.0, 6.0])
    assert (found.low, found.high) == pytest.approx(expected, rel=0.02)


def test_a_lead_and_a_gain_are_told_over_the_pairs_that_are_judged():
    ours, theirs = _near(0.65, COMMON)
    texts = [
        one.text for one in evidence("competitive-accuracy", ours, theirs).findings
    ]
    assert texts == [
        "B/16: ViT's lead goes from 10.00 points (1,000 images) to 15.00 (10,000 "
        "images), 5 pairs by seed",
        "B/16: 15.00 points behind ViT on 10,000 images, 5 pairs by seed",
    ]
    (found,) = evidence("data-hunger", *_gaining(0.45, COMMON)).findings
    assert found.text == (
        "from 1,000 to 10,000 images Mixer-B/16 gains 20.00 points, BiT-R50x1 5.00, "
        "5 pairs by seed"
    )


def sat(rows: list[dict], sitting: str) -> list[dict]:
    return [{**row, "sitting_id": sitting} for row in rows]


@pytest.mark.parametrize(
    ("claim", "one", "other"),
    [
        ("equal-size-speed", timed("Mixer-B/16", 150), timed("ViT-B/16", 100)),
        (
            "equal-accuracy-speed",
            both("Mixer-B/16", 250, 0.7),
            [*both("ViT-S/16", 300, 0.6), *both("ViT-B/16", 100, 0.8)],
        ),
        (
            "resolution-cost",
            timed("Mixer-B/16", 100),
            timed("Mixer-B/16", 25, image_size=448),
        ),
        (
            "linear-cost",
            timed("Mixer-B/32", 300, tokens=49),
            timed("Mixer-B/16", 100, tokens=196),
        ),
    ],
)
def test_rates_of_two_sittings_are_told_and_not_judged(claim, one, other):
    """A machine drifts between two sittings, and no interval holds that."""
    together = evidence(claim, sat(one, "now"), sat(other, "now"))
    assert together.verdict == "supported"
    apart = evidence(claim, sat(one, "then"), sat(other, "now"))
    assert (apart.verdict, apart.note) == ("untested", "timed in different sittings")
    for before, found in zip(together.findings, apart.findings, strict=True):
        assert found.text == f"{before.text} (timed in different sittings)"
        assert (found.value, found.low) == (before.value, None)


def test_a_fixed_batch_is_divided_by_the_same_batch_alone():
    def at(model: str, batch: int, rate: float) -> list[dict]:
        told = {"batch_rule": "fixed", "batch_size": batch}
        return timed(model, rate, cell_id=f"{model} {batch}", **told)

    mixers = [at("Mixer-B/16", 8, 150), at("Mixer-B/16", 32, 180)]
    vits = [at("ViT-B/16", 8, 100), at("ViT-B/16", 32, 90)]
    found = evidence("equal-size-speed", *mixers, *vits).findings
    assert {one.subject: round(one.value, 3) for one in found} == {
        "Mixer-B/16, batch 8": 1.5,
        "Mixer-B/16, batch 32": 2.0,
    }
    assert evidence("equal-size-speed", mixers[1], vits[0]).findings == []


def test_a_rate_with_an_interval_stands_before_a_luckier_one():
    lucky = timed("Mixer-B/16", 900, (0.0,), cell_id="lucky")
    (found,) = evidence(
        "equal-size-speed", timed("Mixer-B/16", 150), lucky, timed("ViT-B/16", 100)
    ).findings
    assert (round(found.value, 3), found.n) == (1.5, 5)


def test_another_width_is_another_network():
    """A Mixer whose D_S grows with its patches has a line of its own."""
    widened = [
        *timed("Mixer-B/16", 90, tokens=196, tokens_mlp_dim=384, cell_id="small"),
        *timed("Mixer-B/16", 15, tokens=784, tokens_mlp_dim=1536, cell_id="large",
               image_size=448),
    ]  # fmt: skip
    kept = [*timed("Mixer-B/16", 100), *timed("Mixer-B/16", 40, image_size=448)]
    found = evidence("resolution-cost", widened, kept).findings
    assert {one.subject: round(one.value, 3) for one in found} == {
        "Mixer-B/16 from 224 to 448 px, D_S kept, 4x the patches": 2.5,
        "Mixer-B/16 from 224 to 448 px, D_S widened, 4x the patches": 6.0,
    }
    assert evidence("equal-size-speed", widened, timed("ViT-B/16", 9)).findings == []


def test_a_claim_of_several_parts_is_supported_in_part():
    rows = [
        row
        for model, left in (("Mixer-B/16", 0.4), ("BiT-R50x1", 0.2))
        for kind, top1, nudges in (
            ("none", 0.6, COMMON),
            ("patch_pixel", 0.6, UNLIKE),
            ("global", left, COMMON),
        )
        for row in trained(model, top1, nudges, shuffle=kind, data_examples=9)
    ]
    found = evidence("shuffle-invariance", rows)
    where = "Xeon, jax, float32, photos at 224 px"
    assert found.verdict == "supported"
    assert answers.verdict(found) == "supported in part (1 for, 2 open)"
    assert answers.said(found) == f"supported in part on {where} (1 for, 2 open)"
    assert found.summary == f"supported in part: {where}"
    assert answers.rests_on(found)[-1] == (
        "Nothing surely for: unchanged by shuffled patches and pixels; hurt less than "
        "ResNet by shuffled patches and pixels."
    )


@pytest.mark.parametrize(
    ("low", "verdict", "told"),
    [
        (1.004, "supported", "1.500x [1.004 – 2.390, n=5] (M)"),
        (1.0004, "supported", "1.5000x [1.0004 – 2.3900, n=5] (M)"),
        (1.014, "supported", "1.50x [1.01 – 2.39, n=5] (M)"),
        (0.998, "untested", "1.50x [1.00 – 2.39, n=5] (M)"),
    ],
)
def test_an_interval_without_one_is_not_printed_as_if_it_held_it(low, verdict, told):
    found = Finding("here", "", verdict, 1.5, low, 2.39, 5, "rate", "M", "x")
    (line,) = answers.rests_on(Evidence(verdict, [found]))
    assert line.endswith(f", {told}.")


def test_what_tests_a_claim_is_one_sitting():
    """Two commands are two, and their rates have no interval."""
    for claim in CLAIMS:
        assert claim.to_test.partition("#")[0].count("mixer-bench ") == 1


@pytest.mark.parametrize(
    ("claim", "made", "score"),
    [
        ("data-hunger", _gaining, 0.45),
        ("tied-token-mixing", _tied, 0.702),
    ],
)
def test_a_recipe_that_fails_decides_nothing(claim, made, score):
    """A learning rate that fails does not stand for the one that was meant."""
    mixers, others = made(score, COMMON)
    failed = [
        {**row, "learning_rate": 9.0, "top1": 0.01, "attempt_id": f"{n}",
         "cell_id": f"{row['cell_id']} 9"}
        for n, row in enumerate(mixers)
    ]  # fmt: skip
    alone = evidence(claim, mixers, others)
    both_ = evidence(claim, mixers, failed, others)
    assert [one.text for one in both_.findings] == [one.text for one in alone.findings]
    assert both_.verdict == alone.verdict


def test_untied_is_compared_with_the_tied_of_its_recipe():
    mixers, own = _tied(0.702, COMMON)
    other = [
        {**row, "learning_rate": 9.0, "cell_id": f"{row['cell_id']} 9"} for row in own
    ]
    assert evidence("tied-token-mixing", mixers, other).findings == []
