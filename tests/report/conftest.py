"""One large page, made once: it takes seconds."""

from __future__ import annotations

import pytest
from hostile import many

from bench.report import html


@pytest.fixture(scope="session")
def ten_thousand() -> str:
    """The page of 10,000 records."""
    return html.page(many(10_000), ["results"], ["mixer-bench report"], "1.2.3")
