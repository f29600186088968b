import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data import Dataset, Split, shots
from bench.errors import StudyError
from bench.training import fewshot


def problem(images: int, width: int, classes: int = 3):
    rng = np.random.default_rng([images, width])
    x = rng.standard_normal((images, width))
    return x, rng.standard_normal((images, classes))


@pytest.mark.parametrize(("images", "width"), [(40, 7), (7, 40), (9, 9)])
@pytest.mark.parametrize("l2", [1e-3, 2.0**10])
def test_ridge_is_least_squares_with_the_penalty_as_rows(images, width, l2):
    """|xw - y|^2 + l2 |w|^2 is plain least squares on x over sqrt(l2) I."""
    x, y = problem(images, width)
    stacked = np.vstack([x, np.sqrt(l2) * np.eye(width)])
    expected, *_ = np.linalg.lstsq(
        stacked, np.vstack([y, np.zeros((width, 3))]), rcond=None
    )
    np.testing.assert_allclose(fewshot.ridge(x, y, l2), expected, rtol=1e-9, atol=1e-12)


@given(st.integers(2, 20), st.integers(2, 20))
def test_both_gram_matrices_give_the_same_weights(images, width):
    x, y = problem(images, width)
    primal = fewshot._solve(x.T @ x, x.T @ y, 0.1)
    dual = x.T @ fewshot._solve(x @ x.T, y, 0.1)
    np.testing.assert_allclose(primal, dual, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(fewshot.ridge(x, y, 0.1), primal, rtol=1e-8, atol=1e-10)


def test_features_are_scaled_by_the_supports_statistics():
    support = np.array([[1.0, 5.0], [3.0, 5.0]], dtype=np.float32)
    test = np.array([[2.0, 5.0], [5.0, 6.0]], dtype=np.float32)
    scaled, held_out = fewshot.standardised(support, test)
    one = 1 / (1 + 1e-5)
    np.testing.assert_allclose(scaled, [[-one, 0, 100], [one, 0, 100]], rtol=1e-12)
    np.testing.assert_allclose(held_out, [[0, 0, 100], [3 * one, 1e5, 100]], rtol=1e-9)


@given(st.integers(0, 2**31))
def test_shots_are_balanced_and_nested(seed):
    labels = np.repeat([0, 1, 2], [30, 25, 40])
    fewer = fewshot.draw(labels, 5, seed)
    more = fewshot.draw(labels, 25, seed)
    assert np.bincount(labels[more]).tolist() == [25, 25, 25]
    assert len(set(more.tolist())) == 75
    assert set(fewer.tolist()) < set(more.tolist())


def test_a_class_with_too_few_images_is_refused():
    with pytest.raises(StudyError, match=r"10 shots are not possible; .* 9 images"):
        fewshot.draw(np.repeat([0, 1], [20, 9]), 10, 0)


def target(test_labels: np.ndarray, support_labels: np.ndarray) -> fewshot.Target:
    def split(labels):
        return Split(
            labels=labels, make=lambda picks: np.zeros((len(picks), 1, 1, 3), np.uint8)
        )

    dataset = Dataset(
        name="toy",
        image_size=1,
        classes=int(support_labels.max()) + 1,
        train=split(support_labels),
        val=split(test_labels),
        test=split(test_labels),
        eval_preprocess="none",
    )
    return fewshot.target_of(dataset, 1)


def rows(made: fewshot.Target, support, test, baseline):
    """Features of every training image, of which the drawn ones are probed."""
    picks = made.support.picks
    drawn, tested = (support[picks], picks), (test, made.test.picks)
    return fewshot.rows(made, drawn, tested, baseline)


def test_rows_are_every_shot_and_seed_with_accuracy_over_the_whole_test_split():
    """Separable features: every test image is right but the mislabelled one."""
    labels = np.arange(10) % 2
    wrong = labels.copy()
    wrong[0] = 1
    noise = np.random.default_rng(0).normal(0, 0.01, (60, 1))
    support = (np.arange(60) % 2)[:, None] + noise
    made = target(wrong, np.arange(60) % 2)
    found = rows(made, support, labels[:, None] * 1.0, "random_init")
    assert [(row["shots"], row["seed"]) for row in found] == [
        (shots, seed) for shots in (1, 5, 10, 25) for seed in (0, 1, 2)
    ]
    assert {row["accuracy"] for row in found} == {0.9}
    same = ("dataset", "baseline", "n_test", "chance", "preprocess")
    assert {tuple(row[name] for name in same) for row in found} == {
        ("toy", "random_init", 10, 0.6, "none")
    }


def test_the_whole_protocol_against_a_plain_solution():
    """big_vision's: standardise by the shots, bias 100, targets +-1, l2 of 1024."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((3, 6))
    labels = np.arange(90) % 3
    support = centres[labels] + rng.standard_normal((90, 6))
    test_labels = np.arange(50) % 3
    test = centres[test_labels] + rng.standard_normal((50, 6))
    for row in rows(target(test_labels, labels), support, test, None):
        draws = np.random.default_rng(row["seed"])
        orders = [draws.permutation(np.flatnonzero(labels == one)) for one in range(3)]
        picks = np.concatenate([order[: row["shots"]] for order in orders])
        mean, deviation = support[picks].mean(0), support[picks].std(0) + 1e-5
        x = np.c_[(support[picks] - mean) / deviation, np.full(len(picks), 100.0)]
        y = np.where(labels[picks][:, None] == np.arange(3), 1.0, -1.0)
        solution = np.linalg.solve(x.T @ x + 1024 * np.eye(7), x.T @ y)
        scores = np.c_[(test - mean) / deviation, np.full(50, 100.0)] @ solution
        assert row["accuracy"] == np.mean(scores.argmax(1) == test_labels)


@pytest.mark.parametrize(
    ("labels", "each"),
    [
        (np.arange(300) % 3, [100, 100, 100]),  # few images: all of them
        (np.repeat([0, 1], [5_000, 5_000]), [500, 500]),  # class by class, as folders
        (np.arange(50_000) % 1_000, [50] * 1_000),
        (np.arange(200_000) % 1_000, [65] * 1_000),  # ImageNet: 65,000 in all
    ],
    ids=["small", "sorted", "many classes", "imagenet"],
)
def test_shots_are_drawn_from_the_first_images_of_each_class(labels, each):
    picks = fewshot.support_of(labels)
    assert np.bincount(labels[picks]).tolist() == each
    assert (np.diff(picks) > 0).all()
    for one in (0, 1):
        firsts = np.flatnonzero(labels == one)[: each[one]]
        assert np.intersect1d(picks, firsts).size == each[one]


def test_the_support_of_the_embedded_sets_is_what_it_was():
    assert fewshot.support_of(np.arange(50_000) % 10).tolist() == list(range(1_000))


def test_raw_pixels_are_the_image_in_the_models_range():
    images = np.array([0, 255], dtype=np.uint8).repeat(12).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(
        fewshot.raw_pixels(images), np.repeat([[-1.0], [1.0]], 12, axis=1)
    )


def test_a_large_image_is_averaged_before_it_is_pixels():
    blocks = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(1, 32, 32, 3)
    large = blocks.repeat(7, axis=1).repeat(7, axis=2)
    assert large.shape == (1, 224, 224, 3)
    np.testing.assert_array_equal(fewshot.raw_pixels(large), fewshot.raw_pixels(blocks))


def test_the_curve_has_the_median_of_the_five_shot_draws():
    found = [
        {"dataset": name, "shots": count, "accuracy": accuracy}
        for name, part in (("a", (0.1, 0.9, 0.3)), ("b", (0.4, 0.2, 0.6)))
        for accuracy in part
        for count in (1, 5)
    ]
    for row in found:
        row["accuracy"] += row["shots"] == 1  # other shots do not count
    assert fewshot.curve_points(found) == [
        {"dataset": "a", "accuracy": 0.3},
        {"dataset": "b", "accuracy": 0.4},
    ]


def test_a_part_of_the_test_split_is_stratified_and_always_the_same():
    labels = np.repeat([0, 1], [30, 90])
    picks = shots.tested(labels, 40)
    assert np.bincount(labels[picks]).tolist() == [10, 30]
    assert (np.diff(picks) > 0).all()
    np.testing.assert_array_equal(picks, shots.tested(labels, 40))
    assert shots.tested(labels, None).tolist() == list(range(120))


def test_only_what_some_draw_takes_is_read():
    labels = np.arange(400) % 2
    picks = shots.drawn(labels)
    takes = [set(p.tolist()) for *_, p in shots.episodes(labels)]
    assert set(picks.tolist()) == set().union(*takes) and len(takes) == 12
    assert 50 <= len(picks) <= 150 < len(labels)
