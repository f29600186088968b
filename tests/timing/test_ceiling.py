"""The largest product rate, and when growing stops."""

import pytest

from bench.timing.ceiling import ceiling


class Products:
    """A backend that only multiplies: `rates` by size, on a clock of its own."""

    name = "fake"

    def __init__(self, rates):
        self.rates, self.now = rates, 0.0

    def matmul_rate(self, size, dtype):
        self.now += 4 * size**3 / self.rates[size]
        return self.rates[size]


def run(rates, budget_s):
    backend = Products(rates)
    return ceiling(backend, "float32", budget_s=budget_s, clock=lambda: backend.now)


def test_the_best_size_wins_and_the_method_says_which():
    found = run({1024: 2e12, 2048: 3e12, 4096: 1e12}, budget_s=0.2)
    assert found.flop_per_sec == 3e12
    assert found.method == (
        "fake float32 product of 2048 x 2048; tried 1024, 2048, 4096"
    )


@pytest.mark.parametrize(
    ("rate", "last"), [(1e9, 1024), (2e11, 1024), (1e12, 2048), (1e15, 16384)]
)
def test_a_size_that_would_outlast_the_budget_is_not_tried(rate, last):
    sizes = (1024, 2048, 4096, 8192, 16384)
    found = run(dict.fromkeys(sizes, rate), budget_s=0.1)
    assert found.method.endswith(str(last))
