"""Every table that the tool writes as LaTeX is set by a real engine."""

from __future__ import annotations

import shutil
import subprocess

import pandas as pd
import pytest
from hostile import attacked, frame, measured

from bench.report import bib
from bench.report.layout import layout_table
from bench.report.tables import comparison_table, failures_table, paper_table
from bench.results import read_published

ENGINE = shutil.which("pdflatex")
pytestmark = pytest.mark.skipif(ENGINE is None, reason="no pdflatex on the PATH")
ODD = "".join(map(chr, range(1, 0x180))) + "机 😀 ™ -- ` [x] * \\\\ %"


def document(tables: list[str], keys: str) -> str:
    body = "\n\n\\newpage\n".join(tables)
    return (
        "\\documentclass{article}\n\\usepackage{booktabs,pifont,siunitx}\n"
        f"\\begin{{document}}\n{body}\n\\bibliographystyle{{plain}}\n"
        f"\\bibliography{{{keys}}}\n\\end{{document}}\n"
    )


def tables() -> list[str]:
    published = read_published()
    odd = frame([measured(0, model=ODD), measured(1, model="[x]", cell_id="x")])
    return [
        *(paper_table(published, number, "latex") for number in (2, 3)),
        comparison_table(published, "latex"),
        comparison_table(published, "latex", mode="train"),
        comparison_table(frame([measured(n) for n in range(12)]), "latex"),
        layout_table(frame([measured(n) for n in range(12)]), "latex"),
        comparison_table(odd, "latex", baseline="[x]"),
        comparison_table(attacked(), "latex"),
        failures_table(attacked(), "latex"),
    ]


def run(command: list[str], folder) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return done.stdout


def test_every_table_compiles_with_its_citations(tmp_path):
    assert ENGINE is not None
    rows: pd.DataFrame = read_published()
    keys = dict.fromkeys([bib.MIXER, *bib.cited(rows)])
    (tmp_path / "refs.bib").write_text(bib.bibtex(keys), encoding="utf-8")
    (tmp_path / "all.tex").write_text(document(tables(), "refs"), encoding="utf-8")
    engine = [ENGINE, "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
    run(engine, tmp_path)
    assert "Warning" not in run(["bibtex", "all"], tmp_path)
    run(engine, tmp_path)
    log = run(engine, tmp_path)
    assert "undefined" not in log and "Missing character" not in log
