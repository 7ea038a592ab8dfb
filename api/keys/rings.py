"""The two rings of signing keys, each for one use alone: what signs tokens is never published and signs no receipt."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from api.access.tokens import LIFETIME
from api.keyring import KeyRing
from api.settings import Settings


class Use(StrEnum):
    """What the keys of a ring sign."""

    RECEIPTS = "receipts"
    TOKENS = "tokens"


DELAY: Final = timedelta(minutes=10)
"""From publishing a key to signing with it: copies of the public set are kept for five minutes, and services that share
the keys look for new ones about once a minute."""

_OVERLAPS: Final = {Use.RECEIPTS: None, Use.TOKENS: LIFETIME}
"""How long a former key verifies: receipts are kept for years, and no token outlives its minutes."""


def folder_of(settings: Settings, use: Use) -> Path:
    """Return the folder of a ring's keys."""
    return {Use.RECEIPTS: settings.receipt_keys_path, Use.TOKENS: settings.token_keys_path}[use]


def opened(settings: Settings, use: Use) -> KeyRing:
    """Return a ring as of now, making its first key where there is none.

    Raises:
        KeyRingError: the keys cannot be used.
    """
    return KeyRing.open(folder_of(settings, use), overlap=_OVERLAPS[use])


def read(settings: Settings, use: Use) -> KeyRing:
    """Return a ring as of now, as whoever serves looks at it again; no key is made.

    Raises:
        KeyRingError: the keys cannot be used, or there are none.
    """
    return KeyRing.read(folder_of(settings, use), overlap=_OVERLAPS[use])


def standing(use: Use, ring: KeyRing, kid: str, begins: datetime) -> str:
    """Return what a key of a ring does now, in words.

    Example: `signs`, `verifies`, `signs from 2026-02-01 09:40 UTC`, `no longer used`.
    """
    if kid == ring.keys[-1].thumbprint():
        return f"signs {use}"
    if any(kid == key.thumbprint() for key in ring.upcoming):
        return f"signs from {begins:%Y-%m-%d %H:%M} UTC"
    return "verifies" if any(kid == key.thumbprint() for key in ring.keys) else "no longer used"
