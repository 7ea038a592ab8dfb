"""Provenance of a run: the commit of the program and the label table."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from training.errors import LabelError
from training.registry import LabelFile, Provenance
from training.registry.provenance import git_commit, provenance_tags


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "core.hooksPath=/dev/null")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_repository_of_the_program(repository: Path) -> None:
    assert git_commit(repository) is None
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "Add it")
    commit = git(repository, "rev-parse", "HEAD")
    assert git_commit(repository) == (commit, False)
    (repository / "notes.txt").write_text("untracked")
    assert git_commit(repository) == (commit, False)
    (repository / "training" / "__init__.py").write_text("changed = True\n")
    assert git_commit(repository) == (commit, True)


def test_without_a_repository_or_git_there_is_no_commit(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git_commit(tmp_path.parent) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(repository) is None


def test_tags_name_the_label_table_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("seller_id,as_of,bad\n")
    labels = LabelFile.read(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("changed during training")
    assert labels.content == b"seller_id,as_of,bad\n"
    found = provenance_tags(Provenance(labels=labels))["label_table"]
    assert found.startswith("labels.csv, sha256:")
    assert "label_table" not in provenance_tags(Provenance())
    with pytest.raises(LabelError, match="There is no label table at"):
        LabelFile.read(tmp_path / "none.csv")
