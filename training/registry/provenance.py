"""Provenance of a run: login name, commit of the program, label table, and the time when training began."""

from __future__ import annotations

import getpass
import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from features.regular_files import open_regular
from training.errors import LabelError

_ROOT: Final = Path(__file__).parents[2]
_PACKAGES: Final = ("scoring", "features", "training")
_SECONDS: Final = 10


@dataclass(frozen=True)
class LabelFile:
    """The content of a label table when training began."""

    name: str
    content: bytes = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> LabelFile:
        """Read the file.

        Raises:
            LabelError: the file does not exist, or is not a regular file.
        """
        try:
            with open_regular(path) as file:
                return cls(path.name, file.read())
        except (FileNotFoundError, IsADirectoryError) as error:
            raise LabelError(f"There is no label table at {path}.") from error
        except OSError as error:
            raise LabelError(f"The label table {path} cannot be read ({error.strerror}). Give a CSV file.") from error

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return "sha256:" + hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Provenance:
    """What a run is registered with, in addition to its results.

    Attributes:
        started_at: when training began, in UTC; the run in MLflow then has the duration of the training.
        labels: the label table; None if loans of the store were labelled.
    """

    started_at: datetime | None = None
    labels: LabelFile | None = None


def provenance_tags(provenance: Provenance) -> dict[str, str]:
    """Return the tags of a run: `git_commit`, `label_table`; each only if it is known.

    MLflow shows `mlflow.source.git.commit` as the version of the source.

    Example: `{"git_commit": "6bc0b3a… with uncommitted changes", "label_table": "labels.csv, sha256:9f86…"}`.
    """
    tags = {}
    if (found := git_commit()) is not None:
        commit, is_changed = found
        tags["git_commit"] = f"{commit} with uncommitted changes" if is_changed else commit
        tags["mlflow.source.git.commit"] = commit
    if provenance.labels is not None:
        tags["label_table"] = f"{provenance.labels.name}, {provenance.labels.digest}"
    return tags


def git_commit(root: Path = _ROOT) -> tuple[str, bool] | None:
    """Return the commit of this program, and whether its packages have uncommitted changes.

    None if the program does not run from a git repository, or git is not installed.
    """
    try:
        # a program that is installed inside another repository is not tracked by it
        _git(root, "ls-files", "--error-unmatch", "--", "training/__init__.py")
        commit = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *_PACKAGES)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit, bool(changes)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - fixed arguments
        ["git", *arguments],  # noqa: S607 - git of the user's path
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    return done.stdout.strip()


def login_name() -> str:
    """Return the login name of this process, or `user 1000` if its number has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
