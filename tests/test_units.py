import math

import pytest

from bench import units


@pytest.mark.parametrize(
    "cores, seconds, expected",
    [
        # big_vision's Mixer-B/16 on ImageNet: 2 h 11 min on 128 TPUv3 cores.
        (128, 2 * 3600 + 11 * 60, 11.644),
        # ... and its ResNet-50: about 32 min on the same slice.
        (128, 32 * 60, 2.844),
        (2, 86_400, 2.0),
    ],
)
def test_core_days(cores, seconds, expected):
    assert units.core_days(cores, seconds) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "value, digits, text",
    [
        (11489, 3, "11,489"),
        (0.00099951, 3, "0.00100"),
        (9.996, 3, "10.0"),
        (-3.14159, 3, "-3.14"),
        (0.0, 3, "0"),
        (math.nan, 3, "—"),
    ],
)
def test_significant(value, digits, text):
    assert units.significant(value, digits) == text
