"""Make a score and read it back. A score is stored, and the storing committed, before anyone sees it."""

import logging
import uuid
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from api.consents import service as consents
from api.consents.repository import Consent
from api.database import transaction
from api.errors import (
    IdempotencyKeyInFlight,
    ScoreNotExplained,
    ScoreUnknown,
    SellerUnknown,
    VectorsDoNotFitModel,
    VectorsUnavailable,
)
from api.idempotency.keys import Named
from api.ledger.writer import Work
from api.reviews import repository as reviews
from api.reviews.corrected import corrected
from api.reviews.repository import Correction
from api.scores import again
from api.scores.moments import written
from api.scores.schemas import ScoreRequest
from api.scores.stored import StoredScore, find
from api.scores.storing import KeyTaken, Made, Storing
from api.services import Services
from api.vectors import to_vector
from features.errors import StoreError
from features.store import StoredVector, VectorStore
from scoring import Assessment, Bundle, ExplanationError, VectorError, assess

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """A score, and whether it was made before, for the same key."""

    score: StoredScore
    replayed: bool


@dataclass(frozen=True)
class Asked:
    """Who asks for a score, when, and under which Idempotency-Key if any."""

    bank_id: str
    request: ScoreRequest
    now: datetime
    named: Named | None


@dataclass(frozen=True)
class _Grounds:
    """By which consent to score a seller, and with which corrected figures."""

    consent: Consent
    corrections: Sequence[Correction]


def create(services: Services, bank_id: str, request: ScoreRequest, now: datetime, key: str | None = None) -> Answered:
    """Score a seller for a bank from the latest vector and store the score; under a key, once.

    Raises:
        IdempotencyKeyInFlight: another request with the key is being worked on.
        IdempotencyKeyReused: the key stands for another request.
        ScoreErased: the key stands for the score of a seller who was erased.
        ConsentRequired: no consent of the seller for the bank and purpose is in force; looked at before all else, so
            that sellers who do not exist are answered alike.
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the vectors were made by another catalogue than the model's.
        ScoreNotExplained: the model's contributions do not add up.
        LedgerDamaged: what the key stands for is not what was stored.
        DatabaseUnavailable: the score could not be stored, so there is none.
    """
    named = None if key is None else services.idempotency.named(bank_id, key, again.asked(request), now)
    asked = Asked(bank_id, request, now, named)
    with nullcontext() if named is None else services.idempotency.at_work(named):
        begun = _begun(services, asked)
        if isinstance(begun, StoredScore):
            return Answered(begun, replayed=True)
        try:
            return Answered(_made(services, asked, begun), replayed=False)
        except KeyTaken:
            begun = _begun(services, asked)
    if not isinstance(begun, StoredScore):
        raise IdempotencyKeyInFlight
    return Answered(begun, replayed=True)


def get(services: Services, bank_id: str, score_id: str) -> StoredScore:
    """Return the stored score of a bank.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        score = find(connection, services.ledger, bank_id, score_id)
    if score is None:
        raise ScoreUnknown
    return score


def _begun(services: Services, asked: Asked) -> StoredScore | _Grounds:
    """Return what the key stands for, else the grounds on which to score; in one look, since each takes as long."""
    with transaction(services.engine) as connection:
        if asked.named is not None:
            found = again.find(connection, services.ledger, asked.named, asked.now)
            if found is not None:
                return found
        request = asked.request
        consent = consents.require(connection, request.seller_id, asked.bank_id, request.purpose, asked.now)
        return _Grounds(consent, reviews.corrections_of(connection, request.seller_id))


def _made(services: Services, asked: Asked, on: _Grounds) -> StoredScore:
    request, now, bundle = asked.request, asked.now, services.champion.bundle
    figures = corrected(_vector_of(services.vectors, request.seller_id), bundle.sheet.names, on.corrections)
    assessment = _assess(bundle, figures.stored)
    expires = now + timedelta(days=services.settings.score_validity_days)
    envelope = {
        "id": str(uuid.uuid4()),
        "seller_id": request.seller_id,
        "bank_id": asked.bank_id,
        "purpose": str(request.purpose),
        "scored_at": written(now),
        "expires_at": written(expires),
    }
    made = Made(envelope, assessment.canonical_bytes, figures.inputs, bundle.digest, on.consent)
    still_there = partial(_vector_of, services.vectors, request.seller_id)
    storing = Storing(services.ledger, services.receipts, made, still_there, asked.named, now)
    score = services.writer.append(Work(request.seller_id, asked.bank_id, storing))
    services.counted.scored(str(assessment.outcome))
    if services.shadow is not None:
        services.shadow.offer(score.id, figures.vector)
    return score


def _vector_of(vectors: VectorStore, seller_id: str) -> StoredVector:
    try:
        stored = vectors.latest(seller_id)
    except StoreError as error:
        logger.warning("no vectors can be read: %s", error)
        raise VectorsUnavailable from error
    if stored is None:
        raise SellerUnknown
    return stored


def _assess(bundle: Bundle, stored: StoredVector) -> Assessment:
    try:
        return assess(bundle, [to_vector(stored)])[0]
    except VectorError as error:
        logger.warning("vectors of catalogue %s, model of %s", stored.snapshot.catalogue, bundle.sheet.catalogue)
        raise VectorsDoNotFitModel from error
    except ExplanationError as error:
        raise ScoreNotExplained from error
