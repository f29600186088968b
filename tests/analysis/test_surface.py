"""The joint surface: a known one comes back, and what is not identified is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.analysis import planes, surface
from bench.cli import app
from bench.errors import ResultsError
from bench.record import table
from bench.results import to_frame, write

MODELS = {  # a name of each size: N and MACs
    "Mixer-Ti/16": (1e5, 1e6),
    "Mixer-S/16": (3e5, 4e6),
    "Mixer-B/16": (1e6, 2e7),
    "Mixer-L/16": (3e6, 9e7),
}
SIZES = [n for n, _ in MODELS.values()]
IMAGES = (100, 300, 1000, 3000, 10_000)
TRUTH = {"E": 0.03, "A": 2.0, "alpha": 0.3, "B": 1.2, "beta": 0.4}


def law(size, data, truth=TRUTH):
    of_size = truth["A"] * size ** -truth["alpha"]
    return truth["E"] + of_size + truth["B"] * data ** -truth["beta"]


def plane(*, noise=0.0, subsets=1, sizes=SIZES, images=IMAGES, seed=0, truth=TRUTH):
    """Runs on a known surface; a subset and a run each move log error by `noise`."""
    rng = np.random.default_rng(seed)
    made = []
    for subset in range(subsets):
        moved = rng.normal(0, noise)
        for size in sizes:
            for data in images:
                error = law(size, data, truth) * np.exp(moved + rng.normal(0, noise))
                made.append((size, data, error, subset, 0))
    columns = [np.array(column) for column in zip(*made, strict=True)]
    return surface.Plane(*columns)


def with_error(one, error):
    return surface.Plane(one.size, one.data, error, one.subset_seed, one.seed)


def test_without_noise_the_parameters_come_back():
    found = surface.fit(plane())
    assert found.refused == "" and found.surface is not None
    assert found.surface.parameters == pytest.approx(TRUTH, rel=1e-4)
    assert found.intervals == {}  # one curve: nothing to draw again
    at = np.array([1e7]), np.array([1e6])
    assert found.surface.error(*at) == pytest.approx(law(*at), rel=1e-4)
    assert [one.side for one in found.held_out] == ["size", "data"]
    for one in found.held_out:
        assert one.surface < 1e-6 < 0.03 < one.regression


def test_one_wild_run_bends_nothing():
    clean = plane(noise=0.01, subsets=2)
    wild = clean.error.copy()
    wild[7] *= 3
    one, two = (surface.fit(p) for p in (clean, with_error(clean, wild)))
    far = np.array([1e7]), np.array([1e5])
    assert two.surface.error(*far) == pytest.approx(one.surface.error(*far), rel=0.05)


def test_the_inner_solution_is_the_least_of_the_loss():
    """Given the exponents, no other E, A, B has less: gradient zero, none negative."""
    one = plane(noise=0.05, subsets=2)
    columns = surface._columns(one.size, one.data, (0.3, 0.4), (1e6, 1e3))
    counts = np.ones(len(one))
    linear, left = surface._projected(one, columns, counts, 0.05)

    def loss(values):
        moved = np.log(columns @ values / one.error)
        return np.sum(surface._rooted(moved, counts, 0.05) ** 2)

    assert (linear > 0).all()
    assert loss(linear) == pytest.approx(
        np.sum(surface._rooted(left, counts, 0.05) ** 2), rel=1e-6
    )
    for number in range(3):
        for step in (0.99, 1.01):
            other = linear.copy()
            other[number] *= step
            assert loss(other) > loss(linear)


def test_a_run_drawn_twice_counts_twice():
    one = plane(noise=0.05)
    twice = np.where(np.arange(len(one)) < 5, 2.0, 1.0)
    again = np.concatenate([np.arange(len(one)), np.arange(5)])
    columns = surface._columns(one.size, one.data, (0.3, 0.4), (1e6, 1e3))
    weighted, _ = surface._projected(one, columns, twice, 0.05)
    listed, _ = surface._projected(
        one.where(again), columns[again], np.ones(len(again)), 0.05
    )
    assert weighted == pytest.approx(listed, rel=1e-6)


REFUSED = [
    (plane(sizes=SIZES[:2]), "2 model sizes, the surface needs 3"),
    (plane(images=IMAGES[:2]), "2 data sizes, the surface needs 3"),
    (
        plane().where(np.isin(np.arange(20), [0, 6, 12, 18])),
        "4 points of size and data, five parameters need 6",
    ),
    (plane(truth={**TRUTH, "A": 0.0}), "with model size"),
    (plane(truth={**TRUTH, "B": 0.0}), "with data size"),
]


@pytest.mark.parametrize("data, reason", REFUSED, ids=lambda v: str(v)[:12])
def test_what_is_not_identified_is_refused(data, reason):
    found = surface.fit(data)
    assert reason in found.refused and found.surface is None and not found.intervals


def test_data_that_grows_with_the_model_identifies_no_exponent():
    pairs = np.array([(s, 1e-3 * s) for s in np.geomspace(1e5, 1e7, 7)])
    seeds = np.zeros(7, int)
    error = law(pairs[:, 0], pairs[:, 1])
    found = surface.fit(surface.Plane(pairs[:, 0], pairs[:, 1], error, seeds, seeds))
    assert found.surface is None
    assert "move together (correlation 1.00)" in found.refused


def test_an_error_that_rises_with_the_model_has_no_part_of_it():
    one = plane(truth={**TRUTH, "A": 0.0})
    found = surface.fit(with_error(one, one.error * (one.size / 1e5) ** 0.1))
    assert "A is 0: the error does not fall with model size" in found.refused


def test_noise_alone_is_refused():
    one = plane(subsets=3)
    noise = np.exp(np.random.default_rng(0).normal(0, 0.1, len(one)))
    assert surface.fit(with_error(one, 0.3 * noise)).refused


def test_a_run_without_error_is_refused():
    error = plane().error
    error[3] = 0
    assert "without any error" in surface.fit(with_error(plane(), error)).refused


def test_fewer_than_three_sizes_are_left_when_the_largest_is_held_out():
    found = surface.fit(plane(sizes=SIZES[:3]))
    of_size, of_data = found.held_out
    assert of_size.surface is None and of_size.regression > 0
    assert of_data.surface < 1e-6


def test_intervals_hold_the_truth():
    found = surface.fit(plane(noise=0.02, subsets=5, seed=1))
    assert set(found.intervals) == set(TRUTH)
    for name, value in found.surface.parameters.items():
        low, high = found.intervals[name]
        assert low < value < high and low <= TRUTH[name] <= high, name


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    held = dict.fromkeys(TRUTH, 0)
    for seed in range(40):
        found = surface.fit(plane(noise=0.02, subsets=5, seed=seed))
        for name, value in TRUTH.items():
            low, high = found.intervals[name]
            held[name] += low <= value <= high
    # Where 90 % hold, fewer than 32 of 40 do so with a chance of 4 %.
    assert all(count >= 32 for count in held.values()), held


# Rows ------------------------------------------------------------------------


def rows(noise=0.02, subsets=5, models=MODELS, **values):
    rng = np.random.default_rng(0)
    return [
        {
            "status": "ok",
            "source": "measured",
            "role": "cell",
            "mode": "pretrain",
            "protocol": 1,
            "framework": "torch",
            "dtype": "float32",
            "model": model,
            "family": "mixer",
            "cell_id": f"{model} {images} {subset}",
            "attempt_id": f"{model} {images} {subset} {sorted(values.items())}",
            "repetition": 0,
            "param_count": int(size),
            "macs": int(macs),
            "images_seen": 64 * images,
            "unique_images": images,
            "data_examples": images,
            "subset_seed": subset,
            "seed": 0,
            "top1": 1 - law(size, images) * np.exp(noise * rng.normal()),
            "pretrain_dataset": "digits",
            "eval_dataset": "digits",
            **values,
        }
        for model, (size, macs) in models.items()
        for subset in range(subsets)
        for images in IMAGES
    ]


def frame(*parts):
    return to_frame(table([row for part in parts for row in part]))


def test_a_surface_is_a_family_with_all_its_sizes_data_and_seeds():
    (grid,) = planes.grids(frame(rows()))
    assert grid.label == "mixer, patch=16, torch" and len(grid.plane) == 100
    assert np.unique(grid.plane.size).tolist() == SIZES
    assert np.unique(grid.plane.data).tolist() == list(IMAGES)


def test_another_setting_patch_or_test_is_another_surface():
    other_patch = [{**row, "model": row["model"][:-2] + "32"} for row in rows()]
    for other in (rows(learning_rate=0.1), rows(eval_split="x"), other_patch):
        found = planes.grids(frame(rows(), other))
        assert [len(one.plane) for one in found] == [100, 100]
        assert len({one.label for one in found}) == 2


def test_asked_groups_never_pool_two_keys():
    both = frame(rows(), rows(learning_rate=0.1))
    assert len(planes.grids(both, group=["family"])) == 1
    with pytest.raises(ResultsError, match="they differ in eval_split"):
        planes.grids(frame(rows(), rows(eval_split="x")), group=["family"])


def test_training_flop_is_six_macs_and_images():
    (grid,) = planes.grids(frame(rows()), size="training_flop")
    assert grid.plane.size.min() == 6 * 1e6 * 64 * 100


def test_the_verb_prints_the_surface_and_refuses(tmp_path, capsys):
    file = tmp_path / "rows.parquet"
    write(table(rows(subsets=1, noise=0.0)), file)
    asked = ["fit", str(file), "--form", "joint"]
    assert app._run([*asked, "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["surfaces"]
    assert {name: found[name] for name in TRUTH} == pytest.approx(TRUTH, rel=1e-3)
    assert found["N"] == "param_count" and found["D"] == "unique_images"
    assert found["held_out_size_error"] < found["held_out_size_error_of_regression"]
    assert app._run(asked) == 0
    shown = capsys.readouterr().out
    assert "L(N, D) = E + A N^-alpha + B D^-beta" in shown and "4 x 5" in shown
    few = tmp_path / "few.parquet"
    write(table(row for row in rows() if row["model"] == "Mixer-S/16"), few)
    assert app._run(["fit", str(few), "--form", "joint"]) == 1
    assert "1 model size, the surface needs 3" in capsys.readouterr().out


@pytest.mark.parametrize(("size", "demo"), [("S", False), ("XS", True)])
def test_one_demo_size_makes_a_demo_surface(size, demo, tmp_path, capsys):
    made = [{**r, "model": r["model"].replace("-S/", f"-{size}/")} for r in rows()]
    assert [one.demo for one in planes.grids(frame(made))] == [demo]
    file = tmp_path / "rows.parquet"
    small = [row for row in made if row["model"] == f"Mixer-{size}/16"]
    write(table(small), file)
    app._run(["fit", str(file), "--form", "joint"])
    assert ("Demo scale: shows that" in capsys.readouterr().out) is demo


BAD = [
    (["--form", "joint,power"], "joint is a surface over two sizes and stands alone"),
    (["--form", "power", "--size", "macs"], "--size: macs: is for --form joint"),
    (["--form", "joint", "--size", "depth"], "--size: unknown column 'depth'"),
    (["--form", "joint", "--x", "macs"], "--x: unknown column 'macs'"),
    (["--form", "joint", "--group", "colour"], "--group: unknown column 'colour'"),
    (["--form", "joint", "--y", "real_top1"], "no finished training row has"),
]


@pytest.mark.parametrize("arguments, message", BAD, ids=lambda v: " ".join(v[1:]))
def test_bad_input_is_one_line(arguments, message, tmp_path, capsys):
    file = tmp_path / "rows.parquet"
    write(table(rows(subsets=1)), file)
    assert app._run(["fit", str(file), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1


def test_an_offset_of_0_has_an_upper_end():
    truth = {**TRUTH, "E": 0.0, "A": 1.0}
    one = plane(noise=0.02, subsets=5, truth=truth, seed=1)
    found = surface.fit(one, draws=20)
    assert found.surface is not None and found.surface.parameters["E"] == 0
    low, high = found.intervals["E"]
    best = surface._solutions(one)[0]
    assert low == 0 and high >= surface._half_widths(one, best)[0] > 0.003
