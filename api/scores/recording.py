"""How a score that was made goes into the ledger and its index: one way for banks' scores and sellers' own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from api.ledger import repository as ledger_rows
from api.ledger.chain import Row, Tip
from api.ledger.service import Draft, Seller, drafted
from api.reviews.corrected import Corrected
from api.scores import answer, repository
from api.scores.moments import written
from api.scores.repository import Indexed
from api.scores.stored import StoredScore
from api.services import Services
from scoring import Assessment, Bundle, serialize_assessment
from scoring.canonical import canonical_json


@dataclass(frozen=True)
class Made:
    """A score that is not stored yet: from which figures, by which bundle, and what it says of them.

    `chain` is the id of the bank, and the name of its chain; `named` is what the score's object tells beside.
    """

    figures: Corrected
    bundle: Bundle
    assessment: Assessment
    chain: str
    purpose: str
    named: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorded:
    """A score as it is to be stored: its row, its place in the index, and what is answered once both are committed."""

    made: Made
    row: Row
    index: Indexed
    score: StoredScore


def recorded(services: Services, made: Made, seller: Seller, tip: Tip, now: datetime) -> Recorded:
    """Return what is to be stored of a score, signed by the keys of these services.

    Args:
        services: the parts.
        made: the score.
        seller: whose score it is, as the ledger knows them.
        tip: where the chain stands.
        now: when it was made.
    """
    score_id, seller_id = str(uuid.uuid4()), made.figures.stored.seller_id
    envelope = {
        "id": score_id,
        "seller_id": seller_id,
        "bank_id": made.chain,
        "purpose": made.purpose,
        "scored_at": written(now),
        "expires_at": written(now + timedelta(days=services.settings.score_validity_days)),
        **made.named,
    }
    # canonical JSON nests: the assessment's part of the answer is its canonical bytes
    parts = {name: canonical_json(value) for name, value in envelope.items()}
    parts["assessment"] = serialize_assessment(made.assessment)
    inputs, digest = made.figures.inputs, made.bundle.digest
    row = drafted(seller, Draft(made.chain, answer.SCORE, answer.content(digest, parts, inputs), now), tip)
    body, receipt = answer.answered(parts, row, services.receipts)
    sealed = answer.sealed_receipt(seller.key, score_id, receipt)
    index = Indexed(score_id, made.chain, row.header.position, seller.subject, made.purpose, now, digest, sealed)
    stored = StoredScore(score_id, made.chain, seller_id, made.purpose, now, digest, inputs, body)
    return Recorded(made, row, index, stored)


def keep(connection: Connection, scores: Sequence[Recorded]) -> None:
    """Store scores whose chains are held, each chain's in order."""
    ledger_rows.append(connection, [each.row for each in scores])
    repository.add(connection, [each.index for each in scores])
