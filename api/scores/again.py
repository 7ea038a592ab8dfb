"""A request that was sent before, under its Idempotency-Key: the score that it made, as it was answered."""

from __future__ import annotations

import hmac
from datetime import datetime

from sqlalchemy import Connection

from api.errors import IdempotencyKeyReused, LedgerDamaged, ScoreErased
from api.idempotency.keys import Named
from api.idempotency.repository import Used
from api.ledger.sealing import SealBrokenError
from api.ledger.service import Ledger, Seller
from api.scores import repository
from api.scores.schemas import ScoreRequest
from api.scores.stored import StoredScore, open_kept
from scoring.canonical import canonical_json

OPERATION = "createScore"


def asked(request: ScoreRequest) -> tuple[str, bytes]:
    """Return what a key stands for: two bodies that say the same are the same request, however they are written."""
    return OPERATION, canonical_json(request.model_dump(mode="json"))


def used(named: Named, seller: Seller, score_id: str, now: datetime) -> tuple[Named, Used]:
    """Return what is stored so that a key stands from now on for a seller's score."""
    return named, Used(OPERATION, named.mac(seller.key), score_id, now + named.kept_for)


def stored(connection: Connection, ledger: Ledger, named: Named, used: Used) -> StoredScore:
    """Return the score that a key stands for.

    Raises:
        IdempotencyKeyReused: it stands for another request.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
    """
    if used.operation != OPERATION:
        raise IdempotencyKeyReused
    kept = repository.find(connection, named.owner, used.resource_id)
    if kept is None:
        raise LedgerDamaged
    if kept.key is None:
        raise ScoreErased
    try:
        mac = named.mac(ledger.unwrapped(kept.key))
    except SealBrokenError as error:
        raise LedgerDamaged from error
    if not hmac.compare_digest(mac, used.mac):
        raise IdempotencyKeyReused
    return open_kept(ledger, kept)
