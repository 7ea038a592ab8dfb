"""How a score is written: what the ledger keeps of it, and the answer that is made of that and of the row's place.

The answer is the envelope, the place in the ledger, and a receipt over both; a head cannot be inside of what it commits
to, so the ledger keeps the envelope without them.

The assessment in a stored score, as the typed value that it was written from.

Moments as a score says them, and whether it may still be relied on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from api.auth.signing_keys import KeyRing
from api.errors import LedgerDamaged, ScoreOfEarlierFormat
from api.ledger.chain import Row
from api.ledger.encryption import decrypt, encrypt
from api.ledger.receipts import RECEIPT, attach_payload, detach_payload, join_canonical
from scoring import Assessment
from scoring.canonical import canonical_json


def content(bundle: str, envelope: Mapping[str, bytes], inputs: bytes) -> bytes:
    """Return what the ledger keeps: canonical JSON of the bundle's digest, the envelope and the inputs.

    Example: `content("sha256:9b02", {"id": b'"0b8f"'}, b"{}")` is
    `b'{"bundle":"sha256:9b02","envelope":{"id":"0b8f"},"inputs":{}}'`.
    """
    return join_canonical({"bundle": canonical_json(bundle), "envelope": join_canonical(envelope), "inputs": inputs})


def signed_response(envelope: Mapping[str, bytes], row: Row, ring: KeyRing) -> tuple[bytes, str]:
    """Return the answer with its receipt, and the receipt without its payload, as it is kept."""
    payload = {**envelope, "ledger": _place(row)}
    receipt = ring.sign(join_canonical(payload), RECEIPT)
    return join_canonical({**payload, "receipt": canonical_json(receipt)}), detach_payload(receipt)


def rebuild_response(kept: Mapping[str, Any], row: Row, receipt: str) -> bytes:
    """Return the original response, from the content of the ledger row and the detached receipt."""
    payload = _payload(kept, row)
    return join_canonical({**payload, "receipt": canonical_json(attach_payload(receipt, join_canonical(payload)))})


def signed_payload(kept: Mapping[str, Any], row: Row) -> bytes:
    """Return what the receipt of a score is a signature of."""
    return join_canonical(_payload(kept, row))


def parse_content(kept: bytes) -> dict[str, Any]:
    """Return the content of a row of a score: `bundle`, `envelope` and `inputs`."""
    found: dict[str, Any] = json.loads(kept)
    return found


def _payload(kept: Mapping[str, Any], row: Row) -> dict[str, bytes]:
    return {name: canonical_json(value) for name, value in kept["envelope"].items()} | {"ledger": _place(row)}


def _place(row: Row) -> bytes:
    header = row.header
    return canonical_json({"chain": header.chain, "position": header.position, "head": row.head.hex()})


def seal_receipt(key: bytes, score_id: str, receipt: str) -> bytes:
    """Return a receipt as the index keeps it: a signature would let a guess of what it signs be confirmed."""
    return encrypt(key, receipt.encode("ascii"), _aad(score_id))


def open_receipt(key: bytes, score_id: str, sealed: bytes) -> str:
    """Return the receipt without its payload.

    Raises:
        SealBrokenError: it was changed, or is of another score.
    """
    return decrypt(key, sealed, _aad(score_id)).decode("ascii")


def _aad(score_id: str) -> bytes:
    return canonical_json(["receipt", score_id])


def parse_assessment(body: bytes) -> Assessment:
    """Return the assessment that a score object holds.

    Example: `serialize_assessment(assessment_of(score.body))` are bytes of `score.body`.

    Raises:
        ScoreOfEarlierFormat: it was stored by an earlier version.
        LedgerDamaged: it holds none.
    """
    try:
        plain = json.loads(body)["assessment"]
        require_format(plain)
        found: Assessment = _adapter().validate_python(plain)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise LedgerDamaged from error
    return found


def require_current(body: bytes) -> None:
    """Check that a score object holds an assessment of this version.

    Raises:
        ScoreOfEarlierFormat: it was stored by an earlier version.
        LedgerDamaged: it holds none.
    """
    try:
        require_format(json.loads(body)["assessment"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error


def require_format(assessment: Mapping[str, Any]) -> None:
    """Check that an assessment has the fields of this version.

    Raises:
        ScoreOfEarlierFormat: it was stored before the date of the request was part of it.
    """
    if "requested_on" not in assessment:
        raise ScoreOfEarlierFormat


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Assessment)


EXPIRED: Final = "SellerScore-Expired"
"""The header that marks an expired score; its body is what was signed and stays as it is."""


def format_optional_timestamp(moment: datetime) -> str:
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


def expiry_header(body: bytes, now: datetime) -> dict[str, str]:
    """Return the header that says whether an answer is expired.

    Raises:
        LedgerDamaged: it does not say until when it may be relied on.
    """
    try:
        return {EXPIRED: str(is_expired(json.loads(body)["expires_at"], now)).lower()}
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
