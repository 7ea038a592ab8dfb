"""Moments as a score says them, and whether it may still be relied on."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from api.errors import LedgerDamaged

EXPIRED: Final = "SellerScore-Expired"
"""The header that marks an expired score; its body is what was signed and stays as it is."""


def written(moment: datetime) -> str:
    """Return a moment in UTC, to a millisecond.

    Example:
        >>> written(datetime(2026, 2, 1, 9, 30, tzinfo=UTC))
        '2026-02-01T09:30:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_expired(expires_at: str, now: datetime) -> bool:
    """Return whether the moment until which a score may be relied on is over.

    Raises:
        ValueError: it is no moment.
    """
    return datetime.fromisoformat(expires_at) <= now


def expired(body: bytes, now: datetime) -> dict[str, str]:
    """Return the header that says whether an answer is expired.

    Raises:
        LedgerDamaged: it does not say until when it may be relied on.
    """
    try:
        return {EXPIRED: str(is_expired(json.loads(body)["expires_at"], now)).lower()}
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
