"""Make a score and read it back. A score is stored, and the storing committed, before anyone sees it."""

import logging
import uuid
from datetime import UTC, datetime, timedelta

from api.database import transaction
from api.errors import (
    ScoreNotExplained,
    ScoreUnknown,
    SellerUnknown,
    VectorsDoNotFitModel,
    VectorsUnavailable,
)
from api.scores import repository
from api.scores.repository import StoredScore
from api.scores.schemas import ScoreRequest
from api.services import Services
from api.vectors import inputs_of, to_vector
from features.errors import StoreError
from features.store import StoredVector, VectorStore
from scoring import Assessment, Bundle, ExplanationError, VectorError, assess
from scoring.canonical import canonical_json

logger = logging.getLogger(__name__)


def create(services: Services, bank_id: str, request: ScoreRequest, now: datetime) -> StoredScore:
    """Score a seller for a bank from the latest vector and store the score.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the vectors were made by another catalogue than the model's.
        ScoreNotExplained: the model's contributions do not add up.
        DatabaseUnavailable: the score could not be stored, so there is none.
    """
    stored = _vector_of(services.vectors, request.seller_id)
    score = _made(services, bank_id, request, stored=stored, now=now)
    with transaction(services.engine) as connection:
        repository.add(connection, score)
    if services.shadow is not None:
        services.shadow.offer(score.id, to_vector(stored))
    return score


def get(services: Services, bank_id: str, score_id: str) -> StoredScore:
    """Return the stored score of a bank.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        score = repository.find(connection, bank_id, score_id)
    if score is None:
        raise ScoreUnknown
    return score


def _made(
    services: Services, bank_id: str, request: ScoreRequest, *, stored: StoredVector, now: datetime
) -> StoredScore:
    assessment = _assess(services.champion.bundle, stored)
    expires = now + timedelta(days=services.settings.score_validity_days)
    envelope = {
        "id": str(uuid.uuid4()),
        "seller_id": request.seller_id,
        "bank_id": bank_id,
        "purpose": str(request.purpose),
        "scored_at": _written(now),
        "expires_at": _written(expires),
    }
    return StoredScore(
        id=envelope["id"],
        bank_id=bank_id,
        seller_id=request.seller_id,
        purpose=envelope["purpose"],
        scored_at=now,
        bundle=services.champion.bundle.digest,
        inputs=inputs_of(stored),
        # canonical JSON nests: the assessment's part of the body is its canonical bytes
        body=canonical_json({**envelope, "assessment": assessment.to_dict()}),
    )


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
