"""Writes that survive a power cut: what is acknowledged is on the disk, what is replaced is whole before or after."""

from __future__ import annotations

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_text(path: Path, text: str) -> None:
    """Write a small file durably and in one step: a reader sees the old text or the new one, never a part.

    Example: `replace_text(Path("manifest.json"), "{}")`.
    """
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    sync_file(draft)
    os.replace(draft, path)  # noqa: PTH105 - the name says what happens to a file already there
    sync_file(path.parent)
