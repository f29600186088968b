"""Every format, written out, for a small table with everything that needs escaping."""

from __future__ import annotations

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from bench.errors import UserError
from bench.report.markup import (
    FORMATS,
    Best,
    Column,
    Grid,
    Group,
    latex,
    markdown,
    render,
    render_all,
)

GRID = Grid(
    [Column("model", text=True), Column("50 %")],
    [
        Group(
            "A & B",
            [["Mixer_S|32 <a>", "1,384"], ["ViT", "007"]],
            [
                {"model": "Mixer_S|32 <a>", "img_per_sec_core": 1384.25, "n": 5.0},
                {"model": "ViT", "img_per_sec_core": np.float64(7), "n": None},
            ],
        ),
        Group(
            "",
            [["x", "—"]],
            [{"model": "x", "top1": float("nan"), "attempt_ids": ["i", "j"]}],
        ),
    ],
    ["n=2 & more."],
)

EXPECTED = {
    "table": """\
model            50 %
--------------  -----
A & B
Mixer_S|32 <a>  1,384
ViT               007
x                   —

n=2 & more.""",
    "github": """\
| model                  |   50 % |
|------------------------|--------|
| **A & B**              |        |
| Mixer\\_S\\|32 &lt;a&gt; |  1,384 |
| ViT                    |    007 |
| x                      |      — |

n=2 & more.""",
    "latex": r"""% needs \usepackage{booktabs,pifont,siunitx}
\begin{tabular}{lr}
\toprule
model & 50 \% \\
\midrule
\multicolumn{2}{l}{\emph{A \& B}} \\
Mixer\_S\textbar{}32 \textless{}a\textgreater{} & \num{1384} \\
ViT & 007 \\
\midrule
x & --- \\
\bottomrule
\end{tabular}

n=2 \& more.""",
    "html": """\
<table>
<thead><tr><th scope="col" style="text-align:left">model</th>\
<th scope="col" style="text-align:right">50 %</th></tr></thead>
<tbody>
<tr><th colspan="2" scope="rowgroup">A &amp; B</th></tr>
<tr><td style="text-align:left">Mixer_S|32 &lt;a&gt;</td>\
<td style="text-align:right">1,384</td></tr>
<tr><td style="text-align:left">ViT</td><td style="text-align:right">007</td></tr>
</tbody>
<tbody>
<tr><td style="text-align:left">x</td><td style="text-align:right">—</td></tr>
</tbody>
</table>
<p>n=2 &amp; more.</p>""",
    "csv": """\
group,model,img_per_sec_core (image/s/core),n,top1,attempt_ids
A & B,Mixer_S|32 <a>,1384.25,5,,
A & B,ViT,7,,,
,x,,,,i;j""",
    "json": """\
{
  "units": {
    "img_per_sec_core": "image/s/core",
    "top1": "1"
  },
  "rows": [
    {
      "group": "A & B",
      "model": "Mixer_S|32 <a>",
      "img_per_sec_core": 1384.25,
      "n": 5,
      "top1": null,
      "attempt_ids": null
    },
    {
      "group": "A & B",
      "model": "ViT",
      "img_per_sec_core": 7,
      "n": null,
      "top1": null,
      "attempt_ids": null
    },
    {
      "group": "",
      "model": "x",
      "img_per_sec_core": null,
      "n": null,
      "top1": null,
      "attempt_ids": [
        "i",
        "j"
      ]
    }
  ],
  "notes": [
    "n=2 & more."
  ]
}""",
}


@pytest.mark.parametrize("fmt", FORMATS)
def test_the_format_is_exactly_this(fmt):
    assert render(GRID, fmt) == EXPECTED[fmt]


BEST = Grid([Column("a"), Column("b")], [Group("", [[Best("1,384"), "0.5"]])])


@pytest.mark.parametrize(
    ("fmt", "cell"),
    [
        ("table", "\n1,384 "),
        ("github", "| **1,384** |"),
        ("latex", r"\textbf{1,384} & \num{0.5} \\"),
        ("html", "<b>1,384</b>"),
    ],
)
def test_the_best_cell_is_bold_where_the_format_can(fmt, cell):
    text = render(BEST, fmt)
    assert cell in f" {text} "
    assert fmt in ("github", "latex", "html") or not re.search(r"[*<{]\w*1,384", text)


@pytest.mark.parametrize("fmt", ["csv", "json"])
def test_two_tables_are_one_document_of_data(fmt):
    other = Grid(
        [], [Group("B", [["1"]], [{"macs": 4, "rate": 2.5}])], units={"rate": "u/s"}
    )
    text = render_all([GRID, other, GRID], fmt)
    if fmt == "json":
        made = json.loads(text)
        rows, units = made["rows"], made["units"]
        assert units["macs"] == "MAC/image" and units["rate"] == "u/s"
        assert made["notes"] == GRID.notes  # once
        assert (rows[3]["macs"], rows[3]["rate"], rows[0]["macs"]) == (4, 2.5, None)
    else:
        first, *rows = csv.reader(text.splitlines())
        assert first[-2:] == ["macs (MAC/image)", "rate (u/s)"]
        assert rows[3] == ["B", "", "", "", "", "", "4", "2.5"]
    assert len(rows) == 7 and len({len(row) for row in rows}) == 1


def test_latex_cites_the_papers():
    cited = dataclasses.replace(BEST, cites=["one", "two"])
    assert render(cited, "latex").endswith(r"Published rows: \cite{one,two}.")
    assert r"\cite" not in render(BEST, "latex")


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("12", r"\num{12}"),
        ("1,234.50", r"\num{1234.50}"),
        ("0.01", r"\num{0.01}"),
        ("007", "007"),
        ("0.01k", "0.01k"),
        ("1.05x", "1.05x"),
        ("12,34", "12,34"),
    ],
)
def test_only_plain_numbers_go_through_siunitx(text, made):
    grid = Grid([Column("a")], [Group("", [[text]])])
    assert f"\n{made} \\\\\n" in render(grid, "latex")


def test_an_unknown_format_is_named():
    with pytest.raises(
        UserError, match=r"unknown table format 'htm'; .* mean 'html'\?"
    ):
        render(GRID, "htm")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"\x{y}", r"\textbackslash{}x\{y\}"),
        ("~^#$", r"\textasciitilde{}\textasciicircum{}\#\$"),
        ("1 ± 2 – 3", r"1 $\pm$ 2 -- 3"),
        ("‡†☎", r"\ddag{}\dag{}\ding{37}"),
    ],
)
def test_latex_specials(text, escaped):
    assert latex(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("a\\b", r"a\\b"), ("`x`", r"\`x\`"), ("[1]\nb", r"\[1\] b"), ("*", r"\*")],
)
def test_markdown_specials(text, escaped):
    assert markdown(text) == escaped
