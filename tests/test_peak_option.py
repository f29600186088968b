"""`--peak` on the command line: read with its source, refused in one line."""

import pytest

from bench.cli.time import _peak
from bench.errors import StudyError
from bench.specs import Limit


def test_a_peak_has_a_dtype_a_rate_and_a_source():
    text = "bf16=989e12:NVIDIA H100: data sheet"
    assert _peak(text) == ("bfloat16", Limit(989e12, "NVIDIA H100: data sheet"))
    assert _peak("float32=1e12:me")[0] == "float32"


@pytest.mark.parametrize(
    "text",
    [
        "bf16",
        "bf16=989e12",
        "bf16=989e12:",
        "bf16=fast:me",
        "bf16=-1:me",
        "bf16=inf:me",
    ],
)
def test_a_peak_without_a_rate_or_a_source_is_refused(text):
    with pytest.raises(StudyError, match="give dtype=FLOP/s:source"):
        _peak(text)


def test_an_unknown_dtype_is_refused():
    with pytest.raises(StudyError, match="unknown dtype 'fp8'; known: float32"):
        _peak("fp8=1e15:me")
