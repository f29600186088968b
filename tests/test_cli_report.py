"""`mixer-bench report` as a command, and the examples below every verb's help."""

from __future__ import annotations

import re
import shlex

import pytest

from bench.cli import app


def call(capsys, *arguments):
    capsys.readouterr()
    code = app._run([*arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_page_is_written_and_named(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = call(capsys, "report", "published", "--where", "family=mixer")
    assert code == 0 and out == "report.html\n"
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    own = "mixer-bench report published --where family=mixer --out report.html"
    assert own in text and "</html>" in text
    assert "mixer-bench table published --where family=mixer\n" in text
    assert "mixer-bench plot published --where family=mixer" in text
    assert '<span class="untested">untested</span>' in text
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_page_names_what_was_set_aside_and_no_folder_of_its_own(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "torn.parquet").write_text("no")
    page = tmp_path / "elsewhere" / "page.html"
    code, _, err = call(capsys, "report", "rows", "published", "-o", str(page))
    assert code == 0 and "set aside" in err
    text = page.read_text(encoding="utf-8")
    assert re.search("set aside, not on this page: .*torn.parquet", text)
    assert "mixer-bench report rows published --out page.html\n" in text


BAD = [
    (["nowhere"], "nowhere: no such file or folder"),
    (["published", "--where", "familly=vit"], "did you mean 'family'"),
    (["published", "-o", "."], r"\.: is a folder; --out takes a file"),
    (["published", "-o", "file/x.html"], "file/x.html: cannot write: .*--out"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda v: " ".join(v[:3]))
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    code, out, err = call(capsys, "report", *arguments)
    assert code == 2 and re.search(message, err), err
    assert len(err.strip().splitlines()) == 1 and out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_older_page_stays_until_the_new_one_is_complete(capsys, tmp_path):
    page = tmp_path / "old.html"
    page.write_text("old")
    assert call(capsys, "report", "nowhere", "-o", str(page))[0] == 2
    assert page.read_text() == "old"


def test_every_verb_has_one_line_and_examples_that_are_its_own(capsys):
    _, out, _ = call(capsys, "--help")
    verbs = [command.name for command in app.application().registered_commands]
    assert set(app.EXAMPLES) == set(verbs)
    for verb in verbs:
        assert re.search(rf"^  {verb} +\S.*[^.]?\.?$", out, re.MULTILINE)
        _, text, _ = call(capsys, verb, "--help")
        for example in app.EXAMPLES[verb]:
            assert f"\n    {example}" in text, text
            words = shlex.split(example)
            assert words[:2] == ["mixer-bench", verb]
            flags = [word for word in words if word.startswith("-")]
            assert all(flag in text for flag in flags)
