"""Every format, written out, for a small table with everything that needs escaping."""

from __future__ import annotations

import dataclasses
import json
import re

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
)

GRID = Grid(
    [Column("model", text=True), Column("50 %")],
    [
        Group("A & B", [["Mixer_S|32 <a>", "1,384"], ["ViT", "007"]]),
        Group("", [["x", "—"]]),
    ],
    ["n=2 & more."],
    "key",
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
key,model,50 %
A & B,Mixer_S|32 <a>,"1,384"
A & B,ViT,007
,x,—""",
    "json": """\
{
  "rows": [
    {
      "key": "A & B",
      "model": "Mixer_S|32 <a>",
      "50 %": "1,384"
    },
    {
      "key": "A & B",
      "model": "ViT",
      "50 %": "007"
    },
    {
      "key": "",
      "model": "x",
      "50 %": "—"
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


BEST = Grid(
    [Column("a"), Column("b")], [Group("", [[Best("1,384"), "0.5"]], [["id1", "id2"]])]
)


@pytest.mark.parametrize(
    ("fmt", "cell"),
    [
        ("table", "\n1,384 "),
        ("github", "| **1,384** |"),
        ("latex", r"\textbf{1,384} & \num{0.5} \\"),
        ("html", "<b>1,384</b>"),
        ("csv", '"1,384"'),
        ("json", '"1,384"'),
    ],
)
def test_the_best_cell_is_bold_where_the_format_can(fmt, cell):
    text = render(BEST, fmt)
    assert cell in f" {text} "
    assert fmt in ("github", "latex", "html") or not re.search(r"[*<{]\w*1,384", text)


def test_json_alone_names_the_attempts_behind_a_row():
    (row,) = json.loads(render(BEST, "json"))["rows"]
    assert row["attempt_ids"] == ["id1", "id2"]
    assert not any("id1" in render(BEST, fmt) for fmt in FORMATS if fmt != "json")


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
