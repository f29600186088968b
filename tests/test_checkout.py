"""Which code a row is of, in a repository made here."""

import re
import subprocess

import pytest

from bench import checkout
from bench.analysis import select
from bench.errors import ResultsError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package folder that stands in for this one, not in a repository yet."""
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "code.py").write_text("")
    monkeypatch.setattr(checkout, "__file__", str(folder / "checkout.py"))
    return folder


def git(package, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", "-C", str(package.parent), *who, *arguments]
    subprocess.run(command, check=True, capture_output=True)


def committed(package):
    """The repository made, and what is in the package committed."""
    if not (package.parent / ".git").exists():
        git(package, "init")
    git(package, "add", "bench")
    git(package, "commit", "--allow-empty", "-m", "x")
    return checkout.git_state()[0]


def test_git_state_is_that_of_the_code(package):
    assert checkout.git_state() == (None, None)
    sha = committed(package)
    assert re.fullmatch("[0-9a-f]{40}", sha)
    assert checkout.git_state() == (sha, False)
    (package.parent / "notes.txt").write_text("results and notes are not code")
    assert checkout.git_state() == (sha, False)
    (package / "code.py").write_text("changed")
    assert checkout.git_state() == (sha, True)


def test_a_commit_goes_by_any_name_that_git_knows(package):
    assert checkout.commit_of("HEAD") is None
    first, second = committed(package), committed(package)
    git(package, "tag", "v1", first)
    names = {"HEAD": second, "HEAD~1": first, "v1": first, "HEAD~9": None}
    assert {name: checkout.commit_of(name) for name in names} == names
    assert checkout.commit_of("--all") is None


def test_a_condition_on_the_commit_takes_names(package):
    import pandas as pd

    first, second = committed(package), committed(package)
    rows = pd.DataFrame({"git_sha": [first, second, None]})
    kept = select.where(rows, {"git_sha": "HEAD~1"}, "--where")
    assert kept["git_sha"].tolist() == [first]
    with pytest.raises(ResultsError, match="git_sha=v9: is no commit of the checkout"):
        select.conditions(["git_sha=v9"], "--where")
