"""Envelope of a score: the content of its ledger row, the signed response, and the assessment in it.

The response is the envelope, the position in the ledger, and a receipt over both. The ledger stores the envelope
without them, because the head of a row is computed from its content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from api.auth.signing_keys import KeyRing
from api.errors import LedgerDamaged
from api.ledger.chain import Row
from api.ledger.encryption import decrypt, encrypt
from api.ledger.receipts import RECEIPT, attach_payload, detach_payload, join_canonical, split_canonical
from scoring import Assessment
from scoring.canonical import canonical_json


def content(
    bundle: str, envelope: Mapping[str, bytes], inputs: bytes, idempotency_key: Mapping[str, str] | None = None
) -> bytes:
    """Return the content of a ledger row: canonical JSON of the bundle digest, the envelope and the inputs.

    The row of a request with an Idempotency-Key also has the stored form of the key.

    Example: `content("sha256:9b02", {"id": b'"0b8f"'}, b"{}")` is
    `b'{"bundle":"sha256:9b02","envelope":{"id":"0b8f"},"inputs":{}}'`.
    """
    parts = {"bundle": canonical_json(bundle), "envelope": join_canonical(envelope), "inputs": inputs}
    if idempotency_key is not None:
        parts["idempotency_key"] = canonical_json(idempotency_key)
    return join_canonical(parts)


def signed_response(envelope: Mapping[str, bytes], row: Row, ring: KeyRing) -> tuple[bytes, str]:
    """Return the response with its receipt, and the receipt without its payload, which is stored."""
    payload = {**envelope, "ledger": _position(row)}
    receipt = ring.sign(join_canonical(payload), RECEIPT)
    return join_canonical({**payload, "receipt": canonical_json(receipt)}), detach_payload(receipt)


def rebuild_response(stored: Mapping[str, Any], row: Row, receipt: str) -> bytes:
    """Return the original response, from the content of the ledger row and the detached receipt."""
    payload = _payload(stored, row)
    return join_canonical({**payload, "receipt": canonical_json(attach_payload(receipt, join_canonical(payload)))})


def signed_payload(envelope: Mapping[str, bytes], row: Row) -> bytes:
    """Return the payload that the receipt of a score signs."""
    return join_canonical({**envelope, "ledger": _position(row)})


def summarize(body: bytes) -> bytes:
    """Return a score without the points of single features, and without the receipt, which signs the whole score.

    Example: `json.loads(summarize(score.body))["assessment"]["score"]` is 625.
    """
    score = split_canonical(body)
    del score["receipt"]
    assessment = split_canonical(score["assessment"])
    if assessment["explanation"] != b"null":
        explanation = split_canonical(assessment["explanation"])
        del explanation["contributions"]
        assessment["explanation"] = join_canonical(explanation)
    return join_canonical({**score, "assessment": join_canonical(assessment)})


def parse_content(content: bytes) -> dict[str, Any]:
    """Return the content of a score's ledger row: `bundle`, `envelope` and `inputs`."""
    fields: dict[str, Any] = json.loads(content)
    return fields


def _payload(stored: Mapping[str, Any], row: Row) -> dict[str, bytes]:
    return {name: canonical_json(value) for name, value in stored["envelope"].items()} | {"ledger": _position(row)}


def _position(row: Row) -> bytes:
    header = row.header
    return canonical_json({"chain": header.chain, "position": header.position, "head": row.head.hex()})


def seal_receipt(key: bytes, score_id: str, receipt: str) -> bytes:
    """Encrypt a receipt for the index. A plain signature would confirm a guess of the content that it signs."""
    return encrypt(key, receipt.encode("ascii"), _aad(score_id))


def open_receipt(key: bytes, score_id: str, sealed: bytes) -> str:
    """Return the receipt without its payload.

    Raises:
        DecryptionError: the receipt was changed, or belongs to another score.
    """
    return decrypt(key, sealed, _aad(score_id)).decode("ascii")


def _aad(score_id: str) -> bytes:
    return canonical_json(["receipt", score_id])


def parse_assessment(body: bytes) -> Assessment:
    """Return the assessment of a score object, as the typed value that was serialized.

    Example: `serialize_assessment(parse_assessment(score.body))` is a part of the bytes of `score.body`.

    Raises:
        LedgerDamaged: the score object has no valid assessment.
    """
    try:
        assessment: Assessment = _adapter().validate_python(json.loads(body)["assessment"])
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    return assessment


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(Assessment)


EXPIRED: Final = "SellerScore-Expired"
"""The response header that marks an expired score. The signed body does not change."""


def format_milliseconds(moment: datetime) -> str:
    """Return a time in UTC with milliseconds.

    Example:
        >>> format_milliseconds(datetime(2026, 2, 1, 9, 30, tzinfo=UTC))
        '2026-02-01T09:30:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def is_expired(expires_at: str, now: datetime) -> bool:
    """Return whether a score has expired.

    Raises:
        ValueError: `expires_at` is not a time.
    """
    return datetime.fromisoformat(expires_at) <= now


def expiry_header(body: bytes, now: datetime) -> dict[str, str]:
    """Return the response header with `true` if a score has expired, else `false`.

    Raises:
        LedgerDamaged: the score object has no expiry time.
    """
    try:
        return {EXPIRED: str(is_expired(json.loads(body)["expires_at"], now)).lower()}
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
