"""Make the seller's own score and read it: one for the data and model in force, however often it is looked at."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from sqlalchemy import Connection

from api.database import transaction
from api.errors import ScoreNotExplained, SellerUnknown, VectorsDoNotFitModel, VectorsUnavailable
from api.ledger.service import Draft, Seller
from api.reviews import repository as reviews
from api.reviews.corrected import Corrected, corrected
from api.scores import answer
from api.scores import repository as scores
from api.scores.repository import Indexed
from api.scores.stored import StoredScore, open_kept
from api.services import Services
from features.errors import StoreError
from scoring import Assessment, Bundle, ExplanationError, VectorError, assess
from scoring.canonical import canonical_json

CHAIN: Final = "self"
"""The chain of all self views, and what stands for a bank in them; clients' ids have another form."""

PURPOSE: Final = "self_view"
_SHOWN: Final = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SelfView:
    """A seller's own score as it is stored, opened, and the one before it."""

    score: StoredScore
    before: StoredScore | None = field(default=None)

    @cached_property
    def body(self) -> dict[str, Any]:
        """The score object."""
        found: dict[str, Any] = json.loads(self.score.body)
        return found

    @property
    def assessment(self) -> dict[str, Any]:
        """The assessment of the score object."""
        found: dict[str, Any] = self.body["assessment"]
        return found

    @cached_property
    def assessment_before(self) -> dict[str, Any] | None:
        """The assessment of the score before."""
        if self.before is None:
            return None
        found: dict[str, Any] = json.loads(self.before.body)["assessment"]
        return found


@dataclass(frozen=True)
class Made:
    """What a score is made of: figures, what the bundle says of them, and what the envelope names beside."""

    figures: Corrected
    bundle: Bundle
    assessment: Assessment
    named: Mapping[str, str] = field(default_factory=dict)


def current(services: Services, seller_id: str, now: datetime) -> SelfView:
    """Return the seller's own score for the data and the model in force, made now if there is none that is valid.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the vectors were made by another catalogue than the model's.
        ScoreNotExplained: the model's contributions do not add up.
        DatabaseUnavailable: the score could not be stored, so there is none.
    """
    with transaction(services.engine) as connection:
        figures = figures_of(services, connection, seller_id)
        known = _known(services, connection, seller_id)
    if _stands(services, known, figures, now):
        return SelfView(known[0], known[1] if len(known) > 1 else None)
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        services.ledger.hold(connection, CHAIN)
        # once more: of two who look at once the second finds what the first made, and an erasure has removed figures
        figures = figures_of(services, connection, seller_id)
        known = _known(services, connection, seller_id)
        if _stands(services, known, figures, now):
            return SelfView(known[0], known[1] if len(known) > 1 else None)
        score = record(services, connection, seller, assessed(figures, services.champion.bundle), now)
    return SelfView(score, known[0] if known else None)


def figures_of(services: Services, connection: Connection, seller_id: str) -> Corrected:
    """Return the seller's latest figures as they are to be scored.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
    """
    try:
        stored = services.vectors.latest(seller_id)
    except StoreError as error:
        logger.warning("no vectors can be read: %s", error)
        raise VectorsUnavailable from error
    if stored is None:
        raise SellerUnknown
    return corrected(stored, services.champion.bundle.sheet.names, reviews.corrections_of(connection, seller_id))


def assessed(figures: Corrected, bundle: Bundle) -> Made:
    """Score figures with a bundle; nothing is stored.

    Raises:
        VectorsDoNotFitModel: they were made by another catalogue than the bundle's.
        ScoreNotExplained: the model's contributions do not add up.
    """
    try:
        return Made(figures, bundle, assess(bundle, [figures.vector])[0])
    except VectorError as error:
        raise VectorsDoNotFitModel from error
    except ExplanationError as error:
        raise ScoreNotExplained from error


def record(services: Services, connection: Connection, seller: Seller, made: Made, now: datetime) -> StoredScore:
    """Append a self view to the ledger and its index, within the caller's transaction.

    Args:
        services: the parts of the service.
        connection: of a transaction that writes.
        seller: whose score it is.
        made: the score.
        now: the moment.
    """
    score_id, seller_id = str(uuid.uuid4()), made.figures.stored.seller_id
    expires = now + timedelta(days=services.settings.score_validity_days)
    envelope = {
        "id": score_id,
        "seller_id": seller_id,
        "bank_id": CHAIN,
        "purpose": PURPOSE,
        "scored_at": _written(now),
        "expires_at": _written(expires),
        **made.named,
    }
    parts = {name: canonical_json(value) for name, value in envelope.items()}
    parts["assessment"] = made.assessment.canonical_bytes
    inputs, digest = made.figures.inputs, made.bundle.digest
    row = services.ledger.append(
        connection, seller, Draft(CHAIN, answer.SCORE, answer.content(digest, parts, inputs), now)
    )
    body, receipt = answer.answered(parts, row, services.receipts)
    sealed = answer.sealed_receipt(seller.key, score_id, receipt)
    index = Indexed(score_id, CHAIN, row.header.position, seller.subject, PURPOSE, now, digest, sealed)
    scores.add(connection, index)
    return StoredScore(score_id, CHAIN, seller_id, PURPOSE, now, digest, inputs, body)


def latest_id(connection: Connection, seller_id: str) -> str | None:
    """Return the id of the seller's latest self view."""
    found = scores.latest_of(connection, CHAIN, seller_id, 1)
    return found[0].index.id if found else None


def _known(services: Services, connection: Connection, seller_id: str) -> list[StoredScore]:
    found = scores.latest_of(connection, CHAIN, seller_id, _SHOWN)
    return [open_kept(services.ledger, each) for each in found]


def _stands(services: Services, known: Sequence[StoredScore], figures: Corrected, now: datetime) -> bool:
    if not known:
        return False
    score, bundle = known[0], services.champion.bundle
    expires = datetime.fromisoformat(json.loads(score.body)["expires_at"])
    return score.bundle == bundle.digest and now < expires and score.inputs == figures.inputs


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
