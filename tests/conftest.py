"""For every test: nobody's compile cache, and no terminal's width."""

import os

import pytest

os.environ["MIXER_BENCH_COMPILE_CACHE"] = "off"


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """pytest-xdist tells its workers a width; tables keep to the one that is told."""
    monkeypatch.delenv("COLUMNS", raising=False)
