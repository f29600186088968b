"""The shuffling figure: what is compared, what is drawn, what is said."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.analysis.claims import CLAIMS, answer
from bench.plots import gallery, shuffling, style

PANELS = ["Mixer-XXS/4", "ViT-XXS/4", "BiT-R14x1/4", "What shuffling takes"]


def drawn(rows: pd.DataFrame, width: float = style.WIDTH_IN):
    with style.style():
        return shuffling.draw(rows, width)


def test_a_panel_for_each_model_and_one_for_the_drops(shuffled):
    points = shuffling.points(shuffled)
    titles = points["panel"].drop_duplicates().tolist()
    assert [title.split(",")[0].split(".")[0] for title in titles] == PANELS
    curves = points[points["metric"] == shuffling.CURVE]
    assert len(curves) == 3 * 3 * 4 and set(curves["n_train"]) == {3}
    mixer = curves[(curves["model"] == "Mixer-XXS/4") & (curves["x"] == 40)]
    found = mixer.set_index("shuffle")["y"].astype(float).to_dict()
    assert found == pytest.approx({"none": 90, "patch_pixel": 90, "global": 60})
    assert mixer.set_index("shuffle")["relative_drop"]["global"] == pytest.approx(1 / 3)


def test_drops_are_relative_and_stand_for_each_seed(shuffled):
    points = shuffling.points(shuffled)
    drops = points[points["metric"] == shuffling.DROP]
    assert len(drops) == 3 * 2 * 3
    by_label = drops.groupby("label")["y"].agg(lambda y: [round(v, 6) for v in y])
    assert by_label["Mixer-XXS/4, patch + pixel"] == [0, 0, 0]
    assert by_label["Mixer-XXS/4, global"] == [round(100 / 3, 6)] * 3
    assert by_label["BiT-R14x1/4, global"] == [50, 50, 50]
    one = drops[(drops["label"] == "BiT-R14x1/4, global") & (drops["seed"] == 2)]
    chance_free = 1 - (0.48 - 0.1) / (0.96 - 0.1)
    assert one["drop_above_chance"].iloc[0] == pytest.approx(chance_free)


def test_a_drop_compares_runs_of_the_same_seed(shuffled):
    one_less = shuffled[
        ~((shuffled["shuffle"] == "none") & (shuffled["seed"] == 2)).fillna(False)
    ]
    drops = shuffling.points(one_less)
    drops = drops[drops["metric"] == shuffling.DROP]
    assert set(drops["seed"]) == {1, 3}


def seed_rows(shuffled: pd.DataFrame) -> pd.DataFrame:
    """Mixer and ResNet, whose seeds lose unlike shares to shuffling."""
    rows = shuffled[shuffled["family"].isin(["mixer", "resnet"])].copy()
    moved = (rows["shuffle"] == "global") & (rows["seed"] == 1)
    top1 = rows["top1"].where(~moved, rows["top1"] * 0.9)
    return rows.assign(top1=top1, attempt_id=rows["cell_id"])


def test_the_claims_tell_the_same_drops_from_the_same_rows(shuffled):
    """The mean over seeds of either side, or seeds not paired, give other numbers."""
    rows = seed_rows(shuffled)
    text = shuffling.caption(shuffling.points(rows))
    (claim,) = (one for one in CLAIMS if one.name == "shuffle-invariance")
    (found,) = answer(rows, [claim])
    told = found.measured.findings[2].text
    for number, model in (
        ("33.3 % (33.3 to 40.0, n=3)", "Mixer-XXS/4"),
        ("50.0 % (50.0 to 55.0, n=3)", "BiT-R14x1/4"),
    ):
        assert f"{model}, global {number}" in text
        assert f"{number} for {model}" in told


def test_drops_of_two_frameworks_are_never_pooled(shuffled):
    other = seed_rows(shuffled).assign(framework="jax")
    text = shuffling.caption(shuffling.points(pd.concat([shuffled, other])))
    assert "Mixer-XXS/4, global, torch 33.3 % (33.3 to 33.3, n=3)" in text
    assert "Mixer-XXS/4, global, jax 33.3 % (33.3 to 40.0, n=3)" in text


def test_drops_of_two_keys_are_never_pooled(shuffled):
    other = seed_rows(shuffled).assign(machine_id="m9", machine="EPYC")
    both = shuffling.points(pd.concat([shuffled, other]))
    text = shuffling.caption(both)
    assert text.count("Mixer-XXS/4, global, ") == 2
    for low_high in ("(33.3 to 33.3, n=3)", "(33.3 to 40.0, n=3)"):
        assert f" 33.3 % {low_high}" in text
    assert "What shuffling takes" not in text


def test_the_papers_drops_are_lines_with_their_names(shuffled):
    figure = drawn(shuffled)
    texts = [t.get_text() for t in figure.axes[-1].texts if t.get_gid() == "note"]
    assert texts == [
        "paper, global,\nMixer-B/16:\nabout 45 %",
        "paper, global,\nResNet-50x1:\nabout 75 %",
    ]
    levels = {line.get_ydata()[0] for line in figure.axes[-1].lines}
    assert {45.0, 75.0} <= levels


def test_the_caption_names_metric_numbers_and_what_the_paper_lacks(shuffled):
    text = shuffling.caption(shuffling.points(shuffled))
    for words in (
        "top-1 on the validation split, medians over 3 seeds",
        "1 - shuffled / original of the same seed, top-1 on the test split",
        "Mixer-XXS/4, global 33.3 % (33.3 to 33.3, n=3); ",
        "about 75 % for ResNet-50x1",
        "not tabulated",
        "Demo scale",
    ):
        assert words in text


def test_the_demo_warning_stands_in_every_panel(shuffled):
    for axes in drawn(shuffled, 3.25).axes:
        assert any(text.get_gid() == "demo" for text in axes.texts)


@pytest.mark.parametrize("differs", ["machine_id", "total_steps", "eval_dataset"])
def test_runs_that_differ_in_more_than_the_shuffle_are_not_compared(shuffled, differs):
    changed = shuffled.copy()
    value = 99 if differs == "total_steps" else "another"
    changed.loc[changed["shuffle"] != "none", differs] = value
    assert drawn(changed) == shuffling.NOTHING


def test_without_shuffled_rows_one_sentence_says_so(published, tmp_path):
    made = gallery.draw_all(published, tmp_path, names=["shuffling"])
    assert made.skipped == {"shuffling": shuffling.NOTHING}
    assert "not tabulated" in shuffling.NOTHING and not list(tmp_path.iterdir())


def test_an_ablation_is_no_point_of_its_paper(shuffled, tmp_path):
    other = shuffled.assign(token_mixing="linear")
    made = gallery.draw_all(other, tmp_path, names=["shuffling"], formats=["svg"])
    assert list(made.skipped) == ["shuffling"]


def test_linear_five_shot_is_drawn_where_all_compared_runs_have_it(shuffled_probed):
    points = shuffling.points(shuffled_probed)
    assert set(points["metric"]) == {shuffling.SHOT_CURVE, shuffling.SHOT_DROP}
    assert set(points["eval_dataset"]) == {"digits"}  # fractals lack a point
    assert set(points["chance"]) == {0.05}
    last = points[(points["x"] == 40) & (points["model"] == "Mixer-XXS/4")]
    assert last.set_index("shuffle")["y"]["none"] == pytest.approx(45)
    drops = points[points["metric"] == shuffling.SHOT_DROP]
    of_mixer = drops[drops["label"] == "Mixer-XXS/4, global"]
    assert of_mixer["y"].astype(float).tolist() == pytest.approx([100 / 3] * 3)
    first = of_mixer[of_mixer["seed"] == 2].iloc[0]
    above = 1 - (0.3 - 0.05) / (0.45 - 0.05)
    assert first["drop_above_chance"] == pytest.approx(above)
    text = shuffling.caption(points)
    assert text.count("linear 5-shot top-1, the paper's metric (on digits)") == 2
    assert "validation" not in text
    labels = [axes.get_ylabel() for axes in drawn(shuffled_probed).axes]
    assert labels == ["digits linear 5-shot top-1 (%)"] * 3 + [
        "relative drop of linear 5-shot top-1 (%)"
    ]


def test_one_run_without_it_makes_top1_the_metric_of_all(shuffled_probed):
    rows = shuffled_probed.copy()
    column = rows["fewshot"].astype(object)
    column.iloc[5] = None
    points = shuffling.points(rows.assign(fewshot=column))
    assert set(points["metric"]) == {shuffling.CURVE, shuffling.DROP}
    assert "top-1 on the validation split" in shuffling.caption(points)
