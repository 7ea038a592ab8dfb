"""How a score is written: what the ledger keeps of it, and the answer that is made of that and of the row's place.

The answer is the envelope, the place in the ledger, and a receipt over both; a head cannot be inside of what it commits
to, so the ledger keeps the envelope without them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from api.keyring import KeyRing
from api.ledger.chain import Row
from api.ledger.sealing import opened, seal
from api.signed import attached, detached, joined
from scoring.canonical import canonical_json

SCORE: Final = "score"
"""The kind of a row that holds a score."""

RECEIPT: Final = "receipt+jws"


def content(bundle: str, envelope: Mapping[str, bytes], inputs: bytes) -> bytes:
    """Return what the ledger keeps: canonical JSON of the bundle's digest, the envelope and the inputs.

    Example: `content("sha256:9b02", {"id": b'"0b8f"'}, b"{}")` is
    `b'{"bundle":"sha256:9b02","envelope":{"id":"0b8f"},"inputs":{}}'`.
    """
    return joined({"bundle": canonical_json(bundle), "envelope": joined(envelope), "inputs": inputs})


def answered(envelope: Mapping[str, bytes], row: Row, ring: KeyRing) -> tuple[bytes, str]:
    """Return the answer with its receipt, and the receipt without its payload, as it is kept."""
    payload = {**envelope, "ledger": _place(row)}
    receipt = ring.sign(joined(payload), RECEIPT)
    return joined({**payload, "receipt": canonical_json(receipt)}), detached(receipt)


def read_again(kept: Mapping[str, Any], row: Row, receipt: str) -> bytes:
    """Return the original response, from the content of the ledger row and the detached receipt."""
    payload = _payload(kept, row)
    return joined({**payload, "receipt": canonical_json(attached(receipt, joined(payload)))})


def signed_payload(kept: Mapping[str, Any], row: Row) -> bytes:
    """Return what the receipt of a score is a signature of."""
    return joined(_payload(kept, row))


def parsed(kept: bytes) -> dict[str, Any]:
    """Return the content of a row of a score: `bundle`, `envelope` and `inputs`."""
    found: dict[str, Any] = json.loads(kept)
    return found


def _payload(kept: Mapping[str, Any], row: Row) -> dict[str, bytes]:
    return {name: canonical_json(value) for name, value in kept["envelope"].items()} | {"ledger": _place(row)}


def _place(row: Row) -> bytes:
    header = row.header
    return canonical_json({"chain": header.chain, "position": header.position, "head": row.head.hex()})


def sealed_receipt(key: bytes, score_id: str, receipt: str) -> bytes:
    """Return a receipt as the index keeps it: a signature would let a guess of what it signs be confirmed."""
    return seal(key, receipt.encode("ascii"), _bound(score_id))


def opened_receipt(key: bytes, score_id: str, sealed: bytes) -> str:
    """Return the receipt without its payload.

    Raises:
        SealBrokenError: it was changed, or is of another score.
    """
    return opened(key, sealed, _bound(score_id)).decode("ascii")


def _bound(score_id: str) -> bytes:
    return canonical_json(["receipt", score_id])
