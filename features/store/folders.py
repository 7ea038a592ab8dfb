"""Durable files and atomic folders: drafts, fsync, locks, and a manifest whose replacement is the commit."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_DRAFT: Final = ".incoming-"
_READERS: Final = ".readers"

_log = logging.getLogger(__name__)


def sync_file(path: Path) -> None:
    """Wait until the content of a file, or the list of names in a folder, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move_into_place(draft: Path, path: Path) -> None:
    """Replace the file `path` by the file `draft`, durably and in one step: readers see the old file or the new one."""
    sync_file(draft)
    os.replace(draft, path)  # noqa: PTH105 - unlike rename, replace overwrites a file on every system
    sync_file(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Write a small text file, durably and in one step.

    Example: `replace_text(Path("manifest.json"), "{}")`.
    """
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    move_into_place(draft, path)


@contextmanager
def draft_folder(parent: Path, mode: int = 0o700) -> Iterator[Path]:
    """Create a folder under `parent` for unfinished files; delete it at the end unless it was renamed."""
    draft, lock = _locked_draft(parent, mode)
    try:
        yield draft
    finally:
        os.close(lock)
        shutil.rmtree(draft, ignore_errors=True)


def _locked_draft(parent: Path, mode: int) -> tuple[Path, int]:
    """Create a draft that is locked as long as the process lives; return it and the open handle of the lock."""
    while True:
        draft = parent / f"{_DRAFT}{secrets.token_hex(8)}"
        draft.mkdir(mode=mode, parents=True)
        # before the lock, another process may take the draft for an abandoned one and delete it
        with suppress(FileNotFoundError):
            lock = os.open(draft, os.O_RDONLY)
            with suppress(OSError):  # some network drives cannot lock a folder, and there drafts are never deleted
                fcntl.flock(lock, fcntl.LOCK_EX)
            if draft.exists():
                return draft, lock
            os.close(lock)


def delete_abandoned_drafts(parent: Path) -> None:
    """Delete the drafts of killed processes in the folder `parent`; those of running processes are locked."""
    for draft in parent.glob(f"{_DRAFT}*"):
        with suppress(OSError):
            lock = os.open(draft, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(draft)
            finally:
                os.close(lock)


@contextmanager
def file_lock(path: Path, notice: str | None, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a file, which is created if necessary; if another process holds it, log the notice and wait.

    A command prints the notice on standard error, since it configures no log.

    Example: `file_lock(Path("vectors.lock"), "Waiting until the vectors are written.")`.

    Raises:
        BlockingIOError: another process holds the lock, and there is no notice.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    handle = os.open(path, (os.O_RDONLY if shared else os.O_RDWR) | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if notice is None:
                raise
            _log.warning(notice)
            fcntl.flock(handle, kind)
        yield
    finally:
        os.close(handle)


@dataclass(frozen=True)
class AtomicFolder:
    """A folder of immutable entries. Only the entries that `manifest.json` lists count.

    A writer builds an entry in a draft folder. `commit` flushes it, renames it and replaces the manifest. A process
    that is killed before that leaves only a draft or an unlisted entry. If entries can be deleted, readers open them
    within `reading`, and the writer deletes them within `unread`.

    Attributes:
        root: the folder of the manifest and the lock.
        entries: the folder of the entries; `root` or a folder in it.
    """

    root: Path
    entries: Path

    @property
    def manifest(self) -> Path:
        """The file that lists the entries."""
        return self.root / "manifest.json"

    def read(self) -> Any:
        """Return the content of the manifest; raise OSError or ValueError if it cannot be read."""
        return json.loads(self.manifest.read_text(encoding="utf-8"))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Admit one writer at a time; the others wait."""
        self.entries.mkdir(parents=True, exist_ok=True)
        with file_lock(self.root / ".lock", f"Waiting until another process has finished writing to {self.root}."):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the entries from being deleted by other processes until the block ends."""
        notice = f"Waiting until another process has finished deleting from {self.root}."
        with ExitStack() as lock:
            # a reader without write permission has no lock until a writer has created the file
            with suppress(OSError):
                lock.enter_context(file_lock(self.root / _READERS, notice, shared=True))
            yield

    @contextmanager
    def unread(self, *, wait: bool = True) -> Iterator[None]:
        """Wait until no process reads entries, and let none begin until the block ends.

        Raises:
            BlockingIOError: a process reads entries, and `wait` is false.
        """
        notice = f"Waiting until other processes have finished reading {self.root}." if wait else None
        with file_lock(self.root / _READERS, notice):
            yield

    @contextmanager
    def draft(self, mode: int = 0o700) -> Iterator[Path]:
        """Lock the folder, delete the drafts of killed writers, and yield a new draft for one entry."""
        with self.lock():
            for unfinished in self.entries.glob(f"{_DRAFT}*"):
                shutil.rmtree(unfinished)
            with draft_folder(self.entries, mode) as draft:
                yield draft

    def commit(self, draft: Path, name: str, manifest: object) -> None:
        """Make the draft the entry `name`: flush its files, rename it, then replace the manifest."""
        for path in [*(path for path in draft.rglob("*") if path.is_file()), *draft.rglob("*/"), draft]:
            sync_file(path)
        draft.rename(self.entries / name)
        sync_file(self.entries)
        self.replace_manifest(manifest)

    def replace_manifest(self, manifest: object) -> None:
        """Write the manifest as JSON, durably and in one step."""
        replace_text(self.manifest, json.dumps(manifest, indent=2, default=str) + "\n")
