"""Tables 2 and 3 of the paper, cell by cell, and in every format."""

from __future__ import annotations

import csv
import html
import itertools
import json
import re

import pytest

from bench.errors import ResultsError, UserError
from bench.report.markup import FORMATS
from bench.report.tables import paper_table
from bench.results import read_published

TABLE_2 = """\
model | ImNet top-1 | ReaL top-1 | Avg 5 top-1 | VTAB-1k 19 tasks | Throughput img/sec/core | TPUv3 core-days
# Pre-trained on ImageNet-21k (public)
HaloNet | 85.8 | — | — | — | 120 | 0.10k
Mixer-L/16 | 84.15 | 87.86 | 93.91 | 74.95 | 105 | 0.41k
ViT-L/16 | 85.30 | 88.62 | 94.39 | 72.72 | 32 | 0.18k
BiT-R152x4 | 85.39 | — | 94.04 | 70.64 | 26 | 0.94k
# Pre-trained on JFT-300M (proprietary)
NFNet-F4+ | 89.2 | — | — | — | 46 | 1.86k
Mixer-H/14 | 87.94 | 90.18 | 95.71 | 75.33 | 40 | 1.01k
BiT-R152x4 | 87.54 | 90.54 | 95.33 | 76.29 | 26 | 9.90k
ViT-H/14 | 88.55 | 90.72 | 95.97 | 77.63 | 15 | 2.30k
# Pre-trained on unlabelled or weakly labelled data (proprietary)
MPL | 90.0 | 91.12 | — | — | — | 20.48k
ALIGN | 88.64 | — | — | 79.99 | 15 | 14.82k
"""  # noqa: E501

TABLE_3 = """\
model | Image size | Pre-Train Epochs | ImNet top-1 | ReaL top-1 | Avg 5 top-1 | Throughput img/sec/core | TPUv3 core-days
# Pre-trained on ImageNet (with extra regularization)
Mixer-B/16 | 224 | 300 | 76.44 | 82.36 | 88.33 | 1384 | 0.01k(‡)
ViT-B/16 (☎) | 224 | 300 | 79.67 | 84.97 | 90.79 | 861 | 0.02k(‡)
Mixer-L/16 | 224 | 300 | 71.76 | 77.08 | 87.25 | 419 | 0.04k(‡)
ViT-L/16 (☎) | 224 | 300 | 76.11 | 80.93 | 89.66 | 280 | 0.05k(‡)
# Pre-trained on ImageNet-21k (with extra regularization)
Mixer-B/16 | 224 | 300 | 80.64 | 85.80 | 92.50 | 1384 | 0.15k(‡)
ViT-B/16 (☎) | 224 | 300 | 84.59 | 88.93 | 94.16 | 861 | 0.18k(‡)
Mixer-L/16 | 224 | 300 | 82.89 | 87.54 | 93.63 | 419 | 0.41k(‡)
ViT-L/16 (☎) | 224 | 300 | 84.46 | 88.35 | 94.49 | 280 | 0.55k(‡)
Mixer-L/16 | 448 | 300 | 83.91 | 87.75 | 93.86 | 105 | 0.41k(‡)
# Pre-trained on JFT-300M
Mixer-S/32 | 224 | 5 | 68.70 | 75.83 | 87.13 | 11489 | 0.01k
Mixer-B/32 | 224 | 7 | 75.53 | 81.94 | 90.99 | 4208 | 0.05k
Mixer-S/16 | 224 | 5 | 73.83 | 80.60 | 89.50 | 3994 | 0.03k
BiT-R50x1 | 224 | 7 | 73.69 | 81.92 | — | 2159 | 0.08k
Mixer-B/16 | 224 | 7 | 80.00 | 85.56 | 92.60 | 1384 | 0.08k
Mixer-L/32 | 224 | 7 | 80.67 | 85.62 | 93.24 | 1314 | 0.12k
BiT-R152x1 | 224 | 7 | 79.12 | 86.12 | — | 932 | 0.14k
BiT-R50x2 | 224 | 7 | 78.92 | 86.06 | — | 890 | 0.14k
BiT-R152x2 | 224 | 14 | 83.34 | 88.90 | — | 356 | 0.58k
Mixer-L/16 | 224 | 7 | 84.05 | 88.14 | 94.51 | 419 | 0.23k
Mixer-L/16 | 224 | 14 | 84.82 | 88.48 | 94.77 | 419 | 0.45k
ViT-L/16 | 224 | 14 | 85.63 | 89.16 | 95.21 | 280 | 0.65k
Mixer-H/14 | 224 | 14 | 86.32 | 89.14 | 95.49 | 194 | 1.01k
BiT-R200x3 | 224 | 14 | 84.73 | 89.58 | — | 141 | 1.78k
Mixer-L/16 | 448 | 14 | 86.78 | 89.72 | 95.13 | 105 | 0.45k
ViT-H/14 | 224 | 14 | 86.65 | 89.56 | 95.57 | 87 | 2.30k
ViT-L/16 | 512 | 14 | 87.76 | 90.54 | 95.63 | 32 | 0.65k
"""  # noqa: E501

GOLDEN = {2: TABLE_2, 3: TABLE_3}


def _golden(number: int) -> tuple[list[str], list[list[str]]]:
    """Titles, and rows led by their group's heading, as written above."""
    first, *lines = GOLDEN[number].splitlines()
    heading, rows = "", []
    for line in lines:
        if line.startswith("# "):
            heading = line[2:]
        else:
            rows.append([heading, *line.split(" | ")])
    return first.split(" | "), rows


@pytest.fixture(scope="module")
def published():
    return read_published()


_FACTS = {
    "ImNet top-1": "top1",
    "ReaL top-1": "real_top1",
    "Avg 5 top-1": "avg5_top1",
    "VTAB-1k 19 tasks": "vtab19",
    "Throughput img/sec/core": "img_per_sec_core",
    "TPUv3 core-days": "core_days",
}


def _as_number(printed: str, name: str) -> float | None:
    """`76.44` as 0.7644, `0.41k(‡)` as 410: what a program reads for a printed cell."""
    if printed == "—":
        return None
    if name == "core_days":
        return 1000 * float(printed.replace("(‡)", "").removesuffix("k"))
    return float(printed) / (1 if name == "img_per_sec_core" else 100)


@pytest.mark.parametrize("number", [2, 3])
def test_json_has_the_number_of_every_printed_cell(published, number):
    titles, rows = _golden(number)
    made = json.loads(paper_table(published, number, "json"))
    assert made["units"]["core_days"] == "core-day"
    for line, (heading, *cells) in zip(made["rows"], rows, strict=True):
        printed = dict(zip(titles, cells, strict=True))
        assert line["group"] == heading
        assert line["printed_model"] == printed["model"].removesuffix(" (☎)")
        assert len(line["attempt_ids"]) == 1
        guessed = line["core_days_kind"] == "extrapolated"
        assert number == 2 or guessed is ("(‡)" in printed["TPUv3 core-days"])
        for title, name in _FACTS.items():
            if title in printed:
                number_ = _as_number(printed[title], name)
                assert line[name] == pytest.approx(number_), (line, name)
                text = printed[title].replace("(‡)", "")
                assert line[f"{name}_printed"] == (None if text == "—" else text)
    ids = {name for line in made["rows"] for name in line["attempt_ids"]}
    assert ids <= set(published["attempt_id"]) and len(ids) == len(rows)


@pytest.mark.parametrize("number", [2, 3])
def test_csv_is_the_same_lines_with_units_in_the_header(published, number):
    found = list(csv.DictReader(paper_table(published, number, "csv").splitlines()))
    rows = json.loads(paper_table(published, number, "json"))["rows"]
    for line, told in zip(found, rows, strict=True):
        assert float(line["core_days (core-day)"]) == told["core_days"]
        assert line["top1"] == str(told["top1"])
        assert line["attempt_ids"].split(";") == told["attempt_ids"]
        assert line["vtab19" if number == 2 else "pretrain_epochs"] is not None


@pytest.mark.parametrize("number", [2, 3])
def test_github_has_every_printed_cell(published, number):
    lines = paper_table(published, number, "github").split("\n\n")[0].splitlines()
    found, heading = [], ""
    for line in lines[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("**"):
            heading = cells[0].strip("*")
        else:
            found.append([heading, *cells])
    assert found == _golden(number)[1]


@pytest.mark.parametrize("number", [2, 3])
def test_html_has_every_printed_cell(published, number):
    text = paper_table(published, number, "html")
    cells = [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", text)]
    assert cells == [cell for row in _golden(number)[1] for cell in row[1:]]
    headings = [html.unescape(h) for h in re.findall(r'rowgroup">(.*?)</th>', text)]
    assert headings == list(dict.fromkeys(row[0] for row in _golden(number)[1]))


@pytest.mark.parametrize("number", [2, 3])
def test_the_plain_table_has_every_printed_cell(published, number):
    lines = paper_table(published, number, "table").split("\n\n")[0].splitlines()
    body = list(itertools.dropwhile(lambda line: not line.startswith("--"), lines))[1:]
    headings = {row[0] for row in _golden(number)[1]}
    found = [re.split(r"\s{2,}", line) for line in body if line not in headings]
    assert found == [row[1:] for row in _golden(number)[1]]


def test_latex_of_table_2(published):
    assert paper_table(published, 2, "latex") == LATEX_2


def test_latex_marks_of_table_3(published):
    text = paper_table(published, 3, "latex")
    numbers = (224, 300, "79.67", "84.97", "90.79", 861)
    row = r"ViT-B/16 (\ding{37}) & " + "".join(rf"\num{{{n}}} & " for n in numbers)
    assert row + r"0.02k(\ddag{}) \\" in text
    assert text.count(r"(\ding{37}) &") == 4
    assert text.count(r"k(\ddag{}) \\") == 9
    assert r"\usepackage{booktabs,pifont,siunitx}" in text
    assert text.endswith(r"\cite{tolstikhin2021mixer}.")


LATEX_2 = r"""% needs \usepackage{booktabs,pifont,siunitx}
\begin{tabular}{lrrrrrr}
\toprule
 & ImNet top-1 & ReaL top-1 & Avg 5 top-1 & VTAB-1k 19 tasks & Throughput img/sec/core & TPUv3 core-days \\
\midrule
\multicolumn{7}{l}{\emph{Pre-trained on ImageNet-21k (public)}} \\
HaloNet & \num{85.8} & --- & --- & --- & \num{120} & 0.10k \\
Mixer-L/16 & \num{84.15} & \num{87.86} & \num{93.91} & \num{74.95} & \num{105} & 0.41k \\
ViT-L/16 & \num{85.30} & \num{88.62} & \num{94.39} & \num{72.72} & \num{32} & 0.18k \\
BiT-R152x4 & \num{85.39} & --- & \num{94.04} & \num{70.64} & \num{26} & 0.94k \\
\midrule
\multicolumn{7}{l}{\emph{Pre-trained on JFT-300M (proprietary)}} \\
NFNet-F4+ & \num{89.2} & --- & --- & --- & \num{46} & 1.86k \\
Mixer-H/14 & \num{87.94} & \num{90.18} & \num{95.71} & \num{75.33} & \num{40} & 1.01k \\
BiT-R152x4 & \num{87.54} & \num{90.54} & \num{95.33} & \num{76.29} & \num{26} & 9.90k \\
ViT-H/14 & \num{88.55} & \num{90.72} & \num{95.97} & \num{77.63} & \num{15} & 2.30k \\
\midrule
\multicolumn{7}{l}{\emph{Pre-trained on unlabelled or weakly labelled data (proprietary)}} \\
MPL & \num{90.0} & \num{91.12} & --- & --- & --- & 20.48k \\
ALIGN & \num{88.64} & --- & --- & \num{79.99} & \num{15} & 14.82k \\
\bottomrule
\end{tabular}

Source: Tolstikhin et al. (2021), arXiv:2105.01601v4, Table 2.

Published rows: \cite{tolstikhin2021mixer}."""  # noqa: E501


@pytest.mark.parametrize("fmt", FORMATS)
def test_marks_are_explained_below_table_3(published, fmt):
    text = paper_table(published, 3, fmt)
    assert ("Numbers given to them by the authors of ViT" in text) is (fmt != "csv")


def test_mistakes_are_one_line(published):
    with pytest.raises(UserError, match=r"^unknown paper table 4; known: 2, 3$"):
        paper_table(published, 4)
    with pytest.raises(UserError, match=r"unknown table format 'md'; known: table, "):
        paper_table(published, 2, "md")
    with pytest.raises(UserError, match="no published rows of Table 2"):
        paper_table(published[published["table"] == "timm"], 2)
    with pytest.raises(ResultsError, match="paper table 2 needs the columns printed;"):
        paper_table(read_published(samples=False), 2)
