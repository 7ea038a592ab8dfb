"""A seller's own score (self view): one stored score for the current data and model, issued when it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from api.kit.cache import TtlCache
from api.kit.database import transaction
from api.ledger.chain import SELF_CHAIN
from api.ledger.encryption import SellerKey
from api.scores import inputs
from api.scores import repository as scores
from api.scores.inputs import CorrectedVector
from api.scores.issuance import ScoreDraft, record_draft, store_scores
from api.scores.repository import ScoreQuery, StoredScore, open_score
from api.services import Services
from scoring import Assessment
from scoring.freshness import tables_too_old

PURPOSE: Final = "self_view"

_CACHE: Final[TtlCache[StoredScore]] = TtlCache(500)
"""Scores by ID. A stored score never changes."""


@dataclass(frozen=True)
class SelfView:
    """A seller's current own score and the previous one, which a page compares with it."""

    score: StoredScore
    previous: StoredScore | None

    @property
    def assessment(self) -> Assessment:
        """The assessment of the current score."""
        return self.score.assessment

    @property
    def name(self) -> tuple[str, str]:
        """The IDs of both scores, as a cache key."""
        return self.score.id, "" if self.previous is None else self.previous.id


def find_current(services: Services, connection: Connection, seller_id: str, now: datetime) -> SelfView | None:
    """Return the seller's own score if it is valid for the current data and model.

    Raises:
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        DatabaseUnavailable: the database is not available.
    """
    vector = latest_inputs(services, connection, seller_id, now)
    stored = _load_latest(services, connection, seller_id)
    return _view(stored) if _is_current(services, stored, vector, now) else None


def issue_self_view(services: Services, seller_id: str, now: datetime) -> SelfView:
    """Issue the seller's own score for the current data and model, unless a valid one is stored.

    Raises:
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the feature catalogue of the vectors differs from the model's.
        ScoreNotExplained: the contributions do not sum to the score.
        DatabaseUnavailable: the score could not be stored.
    """
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        services.ledger.lock_chain(connection, SELF_CHAIN)
        # read under the locks: another request may have issued the score, and an erasure removes the values
        vector = latest_inputs(services, connection, seller_id, now)
        stored = _load_latest(services, connection, seller_id)
        if _is_current(services, stored, vector, now):
            return _view(stored)
        score = record(services, connection, seller, draft(services, vector), now)
    return _view([score, *stored])


def latest_inputs(services: Services, connection: Connection, seller_id: str, now: datetime) -> CorrectedVector:
    """Return the seller's latest values with corrections; raises as `load_inputs` does."""
    corrections = inputs.corrections_of(connection, seller_id)
    return inputs.load_inputs(services, seller_id, now.date(), corrections)


def draft(services: Services, vector: CorrectedVector, **fields: str) -> ScoreDraft:
    """Score values with the current model; nothing is stored. `fields` are additional fields of the envelope.

    Raises:
        VectorsDoNotFitModel: the feature catalogue of the values differs from the model's.
        ScoreNotExplained: the contributions do not sum to the score.
    """
    bundle = services.champion.bundle
    return ScoreDraft(vector, bundle, inputs.assess_inputs(bundle, [vector])[0], SELF_CHAIN, PURPOSE, fields)


def record(
    services: Services, connection: Connection, seller: SellerKey, score: ScoreDraft, now: datetime
) -> StoredScore:
    """Append a self view to the ledger and its index in a writing transaction of the caller."""
    recorded = record_draft(services, score, seller, services.ledger.lock_chain(connection, SELF_CHAIN), now)
    store_scores(connection, [recorded])
    return recorded.score


def latest_id(connection: Connection, seller_id: str) -> str | None:
    """Return the ID of the seller's latest self view."""
    return next((row.index.id for row in scores.newest(connection, ScoreQuery(SELF_CHAIN, seller_id, None, 1))), None)


def _load_latest(services: Services, connection: Connection, seller_id: str) -> list[StoredScore]:
    """Return the latest two scores of the seller, latest first, without those past retention."""
    rows = scores.newest(connection, ScoreQuery(SELF_CHAIN, seller_id, None, 2))
    readable = [row for row in rows if not row.row.is_dropped]
    return [_CACHE.get(row.index.id, partial(open_score, services.ledger, row)) for row in readable]


def _is_current(services: Services, stored: Sequence[StoredScore], vector: CorrectedVector, now: datetime) -> bool:
    if not stored:
        return False
    latest, bundle = stored[0], services.champion.bundle
    if latest.bundle != bundle.digest or now >= latest.expires_at:
        return False
    requested_on = date.fromisoformat(latest.fields["assessment"]["requested_on"])
    at_issuance = replace(vector, requested_on=requested_on)
    # the same data can become too old
    unchanged = tables_too_old(bundle.sheet, at_issuance.vector) == tables_too_old(bundle.sheet, vector.vector)
    return unchanged and latest.inputs == at_issuance.inputs


def _view(stored: Sequence[StoredScore]) -> SelfView:
    return SelfView(stored[0], stored[1] if len(stored) > 1 else None)
