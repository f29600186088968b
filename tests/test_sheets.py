"""Tables as people save them: what is read, and what is refused instead of guessed."""

from __future__ import annotations

import pytest

from bench import sheets
from bench.errors import ResultsError

PLAIN = "model,rate\na,1\nb,2\n"


def read(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "t.csv"
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode(encoding)
    )
    return sheets.read(path)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        ("sep=;\r\n" + PLAIN.replace(",", ";")).encode(),
        ("\n" + PLAIN.replace("\n", "\n,\n")).encode(),
        PLAIN.replace("a,", '="a", ').encode(),
        PLAIN.replace(",", " , ").encode(),
        PLAIN.replace("1\n", "1,,\n").encode(),
    ],
    ids=[
        *("plain", "mark", "utf-16", "crlf", "semicolon", "tab", "sep="),
        *("empty lines", "text formula", "spaces", "empty cells at the end"),
    ],
)
def test_one_table_in_every_dress(tmp_path, content):
    cells = [dict(line.cells) for line in read(tmp_path, content)]
    assert cells == [{"model": "a", "rate": "1"}, {"model": "b", "rate": "2"}]


def test_an_error_names_the_line_of_the_file(tmp_path):
    lines = read(tmp_path, 'model,note\n"a","two\nlines"\nb,x\n')
    assert [line.where.rpartition(":")[2] for line in lines] == ["3", "4"]
    assert lines[0].cells["note"] == "two\nlines"
    told = read(tmp_path, "sep=;\nmodel;rate\na;1\n")
    assert told[0].where.endswith(":3")


@pytest.mark.parametrize(
    "content, message",
    [
        ("model,rate\n", "holds no rows"),
        ("", "holds no rows"),
        ("model,rate,rate\na,1,2\n", "holds 'rate' twice"),
        ("model,rate\na,1,500\n", r":2: 3 cells under a heading of 2"),
        ("model,rate\na\n", r":2: 1 cells under a heading of 2"),
        ("model,rate\na,=B1*2\n", r":2: '=B1\*2': is a formula"),
        ('model,rate\n"a,1\n', "unexpected end of data"),
        ("modèle,rate\na,1\n".encode("latin-1"), "saved as UTF-8"),
        (PLAIN.encode("utf-16-le"), "saved as UTF-8"),
        (b"PAR1\x15\x04\x15\x00", "saved as UTF-8"),
    ],
    ids=lambda v: str(v)[:24],
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ResultsError, match=message) as found:
        read(tmp_path, content)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    "cell, value",
    [
        ("1500", 1500),
        ("1,500", 1500),
        ("1,013.01", 1013.01),
        ("-2.5e-3", -0.0025),
        (".5", 0.5),
        ("1,5", None),
        ("1,50,000", None),
        ("1.500,5", None),
        ("1_000", None),
        ("1 500", None),
        ("inf", None),
        ("0x10", None),
        ("٣", None),
    ],
)
def test_a_number_is_read_in_one_way_or_not_at_all(cell, value):
    assert sheets.number(cell) == value


@pytest.mark.parametrize("cell", ["1,500", "1,5"])
def test_beside_semicolons_a_comma_may_be_decimal(cell):
    assert sheets.number(cell, commas_group=False) is None


def test_what_says_that_there_is_no_value():
    assert all(map(sheets.missing, ["", " ", "NaN", "N/A", "-", "—", "null"]))
    assert not any(map(sheets.missing, ["0", "none.", "x"]))
