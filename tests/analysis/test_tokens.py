"""Linear or quadratic in the tokens: closed forms exactly, measurements with doubt."""

import numpy as np
import pytest

from bench import models
from bench.analysis.tokens import exact, fit
from bench.errors import ResultsError

SIZES = [128 * k for k in range(1, 7)]


def closed_form(name, sizes=SIZES, **options):
    """The polynomial of a model's MACs over image sizes."""
    specs = [
        models.spec_for(
            name, image_size=size, **{key: of(size) for key, of in options.items()}
        )
        for size in sizes
    ]
    return exact([spec.tokens for spec in specs], [spec.macs for spec in specs])


def test_mixer_with_a_fixed_d_s_is_exactly_linear():
    for name in ("Mixer-Ti/16", "Mixer-B/16"):
        found = closed_form(name)
        assert found.c == 0 and found.b > 0 and found.crossover is None


def test_mixer_whose_d_s_grows_with_the_tokens_is_quadratic():
    found = closed_form(
        "Mixer-Ti/16", tokens_mlp_dim=lambda size: 96 * (size // 128) ** 2
    )
    assert found.c == 2 * 12 * 192 * 96 / 64  # 2 L C D_S / S
    assert found.b == 12 * 2 * 192 * 768 + 16 * 16 * 3 * 192


@pytest.mark.parametrize(
    ("name", "blocks", "width"), [("ViT-Ti/16", 12, 192), ("ViT-B/16", 12, 768)]
)
def test_vit_is_quadratic_with_its_crossover_at_six_widths_and_the_stem(
    name, blocks, width
):
    # B/16 needs 4,608 tokens: twice that is 96 patches a side
    found = closed_form(name, sizes=[224, 512, 1024, 1536])
    assert found.c == 2 * blocks * width
    assert found.b == 12 * blocks * width**2 + 16 * 16 * 3 * width
    assert found.crossover == 6 * width + 16 * 16 * 3 / (2 * blocks)
    assert found.at(96**2 + 1) == models.spec_for(name, image_size=1536).macs


def test_a_closed_form_that_is_no_quadratic_is_refused():
    with pytest.raises(ResultsError, match="not on the quadratic"):
        exact([1, 2, 3, 4], [1, 8, 27, 64])
    with pytest.raises(ResultsError, match="at 2 token counts"):
        exact([1, 2, 2], [1, 2, 2])


def noisy(a, b, c, seed=0, noise=0.03):
    rng = np.random.default_rng(seed)
    s = np.repeat([64.0, 256, 576, 1024, 1600, 2304], 2)
    return s, (a + b * s + c * s**2) * rng.normal(1, noise, len(s))


def test_a_clean_quadratic_comes_back():
    s, y = noisy(2.0, 0.06, 6e-5, noise=1e-9)
    found = fit(s, y)
    assert (found.a, found.b, found.c) == pytest.approx((2.0, 0.06, 6e-5), rel=1e-5)
    assert found.crossover == pytest.approx(1000, rel=1e-5)
    assert found.worst < 1e-7 and found.n == 12


def test_the_interval_of_c_covers_as_often_as_it_says():
    truth, hits, stars = 6e-5, 0, 0
    for seed in range(400):
        found = fit(*noisy(2.0, 0.06, truth, seed))
        hits += found.c_low <= truth <= found.c_high
        stars += found.crossover_low <= 1000 <= found.crossover_high
    assert 0.92 <= hits / 400 <= 0.98
    assert 0.92 <= stars / 400 <= 0.98


def test_a_linear_cost_has_no_crossover():
    found = fit(*noisy(2.0, 0.06, 0.0))
    assert found.c_low < 0 < found.c_high
    assert (found.crossover, found.crossover_low) == (None, None)


def test_without_a_spare_point_there_is_no_interval():
    found = fit([1, 2, 3], [1.0, 4.0, 9.0])
    assert found.c == pytest.approx(1) and found.c_low is None
    assert found.crossover is None


def test_two_token_counts_are_no_curve():
    assert fit([1, 2, 2], [1.0, 2.0, 2.1]) is None
