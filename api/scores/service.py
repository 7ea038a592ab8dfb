"""Make a score and read it back. A score is stored, and the storing committed, before anyone sees it."""

import logging
import uuid
from datetime import UTC, datetime, timedelta

from api.consents import service as consents
from api.consents.repository import Consent
from api.database import transaction
from api.errors import (
    ScoreNotExplained,
    ScoreUnknown,
    SellerUnknown,
    VectorsDoNotFitModel,
    VectorsUnavailable,
)
from api.ledger.service import Draft
from api.reviews import repository as reviews
from api.reviews.corrected import corrected
from api.scores import answer, repository
from api.scores.repository import Indexed
from api.scores.schemas import ScoreRequest
from api.scores.stored import StoredScore, find
from api.services import Services
from api.vectors import to_vector
from features.errors import StoreError
from features.store import StoredVector, VectorStore
from scoring import Assessment, Bundle, ExplanationError, VectorError, assess
from scoring.canonical import canonical_json

logger = logging.getLogger(__name__)


def create(services: Services, bank_id: str, request: ScoreRequest, now: datetime) -> StoredScore:
    """Score a seller for a bank from the latest vector and store the score.

    Raises:
        ConsentRequired: no consent of the seller for the bank and purpose is in force; looked at before all else, so
            that sellers who do not exist are answered alike.
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the vectors were made by another catalogue than the model's.
        ScoreNotExplained: the model's contributions do not add up.
        DatabaseUnavailable: the score could not be stored, so there is none.
    """
    with transaction(services.engine) as connection:
        consent = consents.require(connection, request.seller_id, bank_id, request.purpose, now)
        corrections = reviews.corrections_of(connection, request.seller_id)
    bundle = services.champion.bundle
    figures = corrected(_vector_of(services.vectors, request.seller_id), bundle.sheet.names, corrections)
    assessment = _assess(bundle, figures.stored)
    expires = now + timedelta(days=services.settings.score_validity_days)
    envelope = {
        "id": str(uuid.uuid4()),
        "seller_id": request.seller_id,
        "bank_id": bank_id,
        "purpose": str(request.purpose),
        "scored_at": _written(now),
        "expires_at": _written(expires),
    }
    score = _stored(services, envelope, now, (assessment, figures.inputs, consent))
    if services.shadow is not None:
        services.shadow.offer(score.id, figures.vector)
    return score


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


def _stored(
    services: Services, envelope: dict[str, str], now: datetime, made: tuple[Assessment, bytes, Consent]
) -> StoredScore:
    """Append the score to its bank's chain and to the index in one transaction, committed when this returns."""
    assessment, inputs, consented = made
    bank_id, bundle = envelope["bank_id"], services.champion.bundle.digest
    # canonical JSON nests: the assessment's part of the answer is its canonical bytes
    parts = {name: canonical_json(value) for name, value in envelope.items()}
    parts["assessment"] = assessment.canonical_bytes
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, envelope["seller_id"])
        tip = services.ledger.hold(connection, bank_id)
        # once more, as of this place in the chain: a revocation was committed before, or comes after
        consent = consents.require(connection, envelope["seller_id"], bank_id, envelope["purpose"], now)
        if consent.id != consented.id:
            # an erasure since the vector was read has removed vectors first: nobody comes back by a race
            _vector_of(services.vectors, envelope["seller_id"])
        parts["consent_id"] = canonical_json(consent.id)
        draft = Draft(bank_id, answer.SCORE, answer.content(bundle, parts, inputs), now)
        row = services.ledger.append(connection, seller, draft, tip)
        body, receipt = answer.answered(parts, row, services.receipts)
        index = Indexed(
            id=envelope["id"],
            chain=bank_id,
            position=row.header.position,
            subject=seller.subject,
            purpose=envelope["purpose"],
            scored_at=now,
            bundle=bundle,
            receipt=answer.sealed_receipt(seller.key, envelope["id"], receipt),
        )
        repository.add(connection, index)
    return StoredScore(index.id, bank_id, envelope["seller_id"], index.purpose, now, bundle, inputs, body)


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


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
