"""Comparisons: every verdict flipped, keys refused, error rates by simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis.compare import MIN_EFFECT, Comparison, compare, judge
from bench.analysis.contrast import contrast
from bench.errors import ResultsError
from bench.record import table
from bench.results import read_published, to_frame

BASE = {
    "status": "ok",
    "role": "cell",
    "source": "measured",
    "protocol": 1,
    "machine_id": "m1",
    "machine": "Xeon",
    "environment_id": "e1",
    "environment": [("torch", "2.12"), ("python", "3.11")],
    "hardware": [("cpu", "Xeon")],
    "core_kind": "vcpu",
    "cores": 2.0,
    "mode": "infer",
    "model": "Mixer-B/16",
    "framework": "torch",
    "dtype": "float32",
    "image_size": 224,
    "track": "protocol",
    "input": "resident",
    "batch_rule": "fixed",
    "batch_size": 8,
    "git_sha": "aaaaaaaaaaaa",
    "git_dirty": False,
    "probe_outputs": [0.5, -1.0, 2.0],
}
STEADY = (100.0, 100.1, 99.9, 100.2, 99.8)
NOISY = (80.0, 120.0, 95.0, 105.0, 100.0)


def side(rates=STEADY, **values) -> pd.DataFrame:
    rows = [
        {**BASE, "repetition": r, "img_per_sec_core": rate, **values}
        for r, rate in enumerate(rates)
    ]
    return to_frame(table(rows), samples=True)


def scaled(factor: float, rates=STEADY):
    return tuple(factor * rate for rate in rates)


def only(found: Comparison):
    (cell,) = found.cells
    return cell


@pytest.mark.parametrize(
    ("rates", "verdict", "reason"),
    [
        (STEADY, "same", "the whole interval is within 2 %"),
        (scaled(1.1), "faster", "beyond 2 %"),
        (scaled(0.9), "slower", "beyond 2 %"),
        (scaled(1.01), "same", "within 2 %"),
        (NOISY, "ambiguous", "repetitions would tell"),
        (STEADY[:4], "ambiguous", "n=5 and n=4: an interval needs 5"),
        (scaled(0.1)[:4], "ambiguous", "n=5 and n=4: an interval needs 5"),
        ((*STEADY, 0.0), "invalid", "B holds a rate that is missing or not positive"),
        ((*STEADY, None), "invalid", "B holds a rate that is missing or not positive"),
    ],
)
def test_verdicts(rates, verdict, reason):
    cell = only(compare(side(), side(rates)))
    assert cell.verdict == verdict
    assert reason in cell.reason


def test_the_ratio_is_b_over_a_with_its_interval_and_n():
    cell = only(compare(side(), side(scaled(0.9))))
    assert cell.ratio == pytest.approx(0.9)
    assert cell.low < 0.9 < cell.high
    assert (cell.n_a, cell.n_b) == (5, 5)


@pytest.mark.parametrize("rates", [(1.0, 1.0, 1.0, 1.0, 32.0), (1.0, 4.0)])
def test_the_rates_shown_are_those_whose_ratio_is_given(rates):
    """Medians would contradict it: that of the first is 1, its geometric mean is 2."""
    cell = only(compare(side((2.0,) * len(rates)), side(rates)))
    assert (cell.geomean_a, cell.geomean_b) == (pytest.approx(2), pytest.approx(2))
    assert cell.ratio == (pytest.approx(1) if len(rates) == 5 else None)


def test_the_minimum_effect_is_the_callers():
    assert only(compare(side(), side(scaled(0.9)), min_effect=0.2)).verdict == "same"


def test_a_regression_is_beyond_the_accepted_slowdown():
    cell = only(compare(side(), side(scaled(0.95))))
    assert cell.verdict == "slower"
    assert cell.is_regression(0.02) and not cell.is_regression(0.06)
    assert not only(compare(side(), side(scaled(1.3)))).is_regression(0.02)


def test_what_worked_and_only_fails_now_is_a_regression():
    broken = only(compare(side(), side(status="oom")))
    assert broken.verdict == "invalid" and broken.is_regression(0.5)
    assert "B has no finished repetition (oom)" in broken.reason
    mended = only(compare(side(status="oom"), side()))
    assert mended.verdict == "invalid" and not mended.is_regression(0.02)


def test_a_variant_tells_cells_apart_on_the_tuned_track_alone():
    first = side(variant="eager")
    failed = side((None,) * 5, status="failed")  # a failed attempt says no variant
    assert only(compare(first, failed)).broken
    jax = side(framework="jax", variant="jit")
    assert only(compare(first, jax, varied=["framework"])).verdict == "same"
    one, other = (side(track="tuned", variant=v) for v in ("eager", "compile"))
    with pytest.raises(ResultsError, match=r"variant=eager.*variant=compile"):
        compare(one, other)


def test_different_precision_is_invalid():
    a, b = side(effective_precision="float32"), side(effective_precision="tf32")
    cell = only(compare(a, b))
    assert cell.verdict == "invalid" and "float32 and tf32" in cell.reason


def drawn(rng, cells: int, noise: float = 0.02, first: float = 1.0):
    """Contrasts of a comparison of `cells` cells, five repetitions a side."""
    a, b = rng.lognormal(0, noise, (2, cells, 5))
    b[0] *= first
    return [contrast(one, other) for one, other in zip(a, b, strict=True)]


RUNS = 1000


@pytest.mark.parametrize("cells", [1, 10])
@pytest.mark.parametrize("noise", [0.005, 0.02, 0.1])
def test_a_comparison_of_the_same_thing_seldom_raises_an_alarm(cells, noise):
    """At most one comparison in twenty has any false alarm, whatever the noise."""
    rng = np.random.default_rng(0)
    made = [judge(drawn(rng, cells, noise), MIN_EFFECT) for _ in range(RUNS // cells)]
    alarms = [any(v in ("faster", "slower") for v, _, _ in one) for one in made]
    assert np.mean(alarms) <= 0.05


def test_without_a_minimum_effect_the_test_is_exact():
    """One cell in twenty: the test above is not passed by saying nothing."""
    rng = np.random.default_rng(0)
    alarms = [judge(drawn(rng, 1), 1e-9)[0][0] != "ambiguous" for _ in range(RUNS)]
    assert 0.03 <= np.mean(alarms) <= 0.07


@pytest.mark.parametrize("cells", [1, 4])
def test_a_planted_slowdown_of_a_tenth_is_found(cells):
    rng = np.random.default_rng(0)
    found = [
        judge(drawn(rng, cells, first=0.9), MIN_EFFECT)[0][0] for _ in range(RUNS // 2)
    ]
    assert np.mean([verdict == "slower" for verdict in found]) >= 0.9


def test_holm_withholds_what_one_cell_alone_would_have_said():
    one = contrast(STEADY, scaled(0.955, (100.0, 101.2, 98.8, 101.6, 98.4)))
    others = drawn(np.random.default_rng(0), 40)
    assert judge([one], MIN_EFFECT)[0][0] == "slower"
    verdict, reason, _ = judge([one, *others], MIN_EFFECT)[0]
    assert verdict == "ambiguous" and "Holm's adjustment over 41 cells" in reason


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"machine_id": "m2", "machine": "EPYC"}, r"differ in machine_id \(m1, m2\)"),
        ({"core_kind": "cpu_core"}, r"differ in core_kind \(vcpu, cpu_core\)"),
        ({"protocol": 2}, r"differ in protocol \(1, 2\)"),
        ({"input": "h2d"}, r"differ in input \(resident, h2d\)"),
    ],
)
def test_unlike_keys_are_refused_by_name(values, message):
    with pytest.raises(ResultsError, match=message):
        compare(side(), side(**values))


def test_machines_are_compared_when_that_is_the_question():
    other = side(scaled(2.0), machine_id="m2", machine="EPYC")
    found = compare(side(), other, varied=["machine"])
    assert only(found).verdict == "faster"
    assert ("machine", "Xeon", "EPYC") in _told(found)


def test_frameworks_are_compared_when_that_is_the_question():
    found = compare(side(), side(scaled(2.0), framework="jax"), varied=["framework"])
    assert only(found).verdict == "faster" and "torch" not in only(found).cell


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        ({"probe_outputs": None}, "outputs not recorded"),
        ({"probe_outputs": [0.5, -1.0, 2.1]}, "logits differ"),
        ({"macs": 5.0}, "macs: None and 5"),
        ({"machine_id": "m2", "machine": "EPYC"}, "machine_id: m1 and m2"),
    ],
)
@pytest.mark.parametrize(
    ("column", "value"),
    [("framework", "jax"), ("peer", "timm"), ("variant", "compile")],
)
def test_two_programs_without_a_certificate_have_no_ratio(
    column, value, theirs, reason
):
    other = side(scaled(2.0), **{column: value, **theirs})
    cell = only(compare(side(), other, varied=[column, "machine"]))
    assert (cell.verdict, cell.ratio, cell.low) == ("invalid", None, None)
    assert cell.reason.startswith(f"no certificate: {reason}")


def test_a_repetition_that_computed_something_else_loses_the_ratio():
    stray = side(STEADY[4:], framework="jax", probe_outputs=[0.5, -1.0, 2.001])
    other = pd.concat([side(STEADY[:4], framework="jax"), stray], ignore_index=True)
    cell = only(compare(side(), other, varied=["framework"]))
    assert cell.verdict == "invalid" and "every repetition" in cell.reason


def _told(found: Comparison):
    return [(one.what, one.a, one.b) for one in found.differences]


def test_what_differs_around_the_cells_is_told_and_nothing_else():
    b = side(environment=[("torch", "2.13"), ("python", "3.11")], git_sha="bbbb")
    assert _told(compare(side(), b)) == [
        ("git_sha", "aaaaaaaaaaaa", "bbbb"),
        ("torch", "2.12", "2.13"),
    ]
    assert _told(compare(side(), side())) == []


def test_a_side_that_pools_two_environments_is_refused():
    pooled = pd.concat([side(), side(environment_id="e2")])
    with pytest.raises(ResultsError, match=r"B holds .* in 2 environments \(e1, e2\)"):
        compare(side(), pooled)


def test_cells_of_one_side_are_named_and_not_compared():
    both = pd.concat([side(), side(model="ViT-B/16")])
    found = compare(side(), both)
    assert len(found.cells) == 1
    assert found.notes == [
        "only in B, not compared: infer ViT-B/16 torch 224px batch_size=8"
    ]
    with pytest.raises(ResultsError, match="no timed cell in common"):
        compare(side(), side(model="ViT-B/16"))


def test_published_and_training_rows_are_no_timed_cells():
    with pytest.raises(ResultsError, match="no timed cell in common"):
        compare(read_published(), read_published())
    with pytest.raises(ResultsError, match="no timed cell in common"):
        compare(side(mode="pretrain"), side(mode="pretrain"))


def test_an_anchor_that_moved_is_said():
    a = pd.concat([side(), side((50.0,) * 2, role="anchor")])
    b = pd.concat([side(), side((40.0,) * 2, role="anchor")])
    found = compare(a, b)
    assert len(found.cells) == 1
    assert "0.800x" in found.notes[0] and "the machine itself moved" in found.notes[0]
    assert "moved" not in compare(a, a).notes[0]


def test_an_anchor_alone_is_nothing_to_compare():
    anchor = side(role="anchor")
    a, b = (pd.concat([anchor, side(model=name)]) for name in ("ViT-B/16", "ViT-B/32"))
    with pytest.raises(ResultsError, match="in common beside the anchor: nothing to"):
        compare(a, b)


def test_an_automatic_batch_may_differ_and_is_told():
    a, b = (side(batch_rule="auto", batch_size=size) for size in (8, 16))
    found = compare(a, b)
    assert only(found).verdict == "same"
    assert ("batch_size", "8", "16") in _told(found)


def test_a_row_older_than_a_field_has_its_default():
    assert only(compare(side(num_classes=None), side(num_classes=1000)))
