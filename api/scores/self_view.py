"""A seller's own score (self view): one stored score for the current data and model, issued when it is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from api.errors import ScoreUnknown
from api.kit.cache import TtlCache
from api.kit.database import transaction
from api.ledger.chain import SELF_CHAIN
from api.ledger.encryption import SellerKey
from api.scores import inputs
from api.scores import repository as scores
from api.scores.inputs import CorrectedVector
from api.scores.issuance import ScoreDraft, record_draft, store_scores
from api.scores.repository import StoredScore, open_score
from api.services import Services
from scoring import Assessment
from scoring.freshness import tables_too_old

PURPOSE: Final = "self_view"
_LATEST: Final = 2
"""A page compares the current score with the previous one."""


@dataclass
class OpenedScore:
    """A stored score, and the last input values that were found equal to its inputs."""

    score: StoredScore
    equal_inputs: CorrectedVector | None = None

    @property
    def requested_on(self) -> date:
        """The date of the request."""
        return date.fromisoformat(self.score.fields["assessment"]["requested_on"])

    def has_inputs(self, vector: CorrectedVector) -> bool:
        """Return whether the score was computed from these values, whatever the date of the request."""
        vector = replace(vector, requested_on=self.requested_on)
        # comparing with the last equal values needs no serialization
        if self.equal_inputs == vector:
            return True
        if self.score.inputs != vector.inputs:
            return False
        self.equal_inputs = vector
        return True


@dataclass(frozen=True)
class SelfView:
    """A seller's current own score and the previous one."""

    opened: OpenedScore
    earlier: OpenedScore | None

    @property
    def score(self) -> StoredScore:
        """The current score."""
        return self.opened.score

    @property
    def assessment(self) -> Assessment:
        """The assessment of the current score."""
        return self.score.assessment

    @property
    def previous(self) -> StoredScore | None:
        """The previous score; an earlier version may have stored it."""
        return None if self.earlier is None else self.earlier.score

    @property
    def name(self) -> tuple[str, str]:
        """The IDs of both scores, as a cache key."""
        return self.score.id, "" if self.earlier is None else self.earlier.score.id


_CACHE: Final[TtlCache[OpenedScore]] = TtlCache(500)
"""Scores by ID. A stored score never changes."""


def current(services: Services, seller_id: str, now: datetime) -> SelfView:
    """Return the seller's own score for the current data and model; issue it if there is no valid one.

    Raises:
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        VectorsDoNotFitModel: the feature catalogue of the vectors differs from the model's.
        ScoreNotExplained: the contributions do not sum to the score.
        DatabaseUnavailable: the score could not be stored.
    """
    with transaction(services.engine) as connection:
        view = find_current(services, connection, seller_id, now)
    return view or issue_self_view(services, seller_id, now)


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
    """Issue the seller's own score, unless a concurrent request has issued it; raises as `current` does."""
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        services.ledger.lock_chain(connection, SELF_CHAIN)
        # read under the locks: another request may have issued the score, and an erasure removes the values
        vector = latest_inputs(services, connection, seller_id, now)
        stored = _load_latest(services, connection, seller_id)
        if _is_current(services, stored, vector, now):
            return _view(stored)
        score = record(services, connection, seller, draft(services, vector), now)
    return _view([OpenedScore(score), *stored])


def latest_inputs(services: Services, connection: Connection, seller_id: str, now: datetime) -> CorrectedVector:
    """Return the seller's latest values with corrections.

    Raises:
        SellerUnknown: the latest snapshot does not contain the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
    """
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
    return next(iter(scores.latest_of(connection, SELF_CHAIN, seller_id, 1)), None)


def _load_latest(services: Services, connection: Connection, seller_id: str) -> list[OpenedScore]:
    ids = scores.latest_of(connection, SELF_CHAIN, seller_id, _LATEST)
    return [_CACHE.get(score_id, partial(_open, services, connection, score_id)) for score_id in ids]


def _open(services: Services, connection: Connection, score_id: str) -> OpenedScore:
    row = scores.select_score(connection, SELF_CHAIN, score_id)
    if row is None:
        raise ScoreUnknown
    return OpenedScore(open_score(services.ledger, row))


def _is_current(services: Services, stored: Sequence[OpenedScore], vector: CorrectedVector, now: datetime) -> bool:
    if not stored:
        return False
    latest, bundle = stored[0], services.champion.bundle
    if latest.score.bundle != bundle.digest or now >= latest.score.expires_at or not latest.has_inputs(vector):
        return False
    # the same data can become too old
    at_issuance = replace(vector, requested_on=latest.requested_on).vector
    return tables_too_old(bundle.sheet, at_issuance) == tables_too_old(bundle.sheet, vector.vector)


def _view(stored: Sequence[OpenedScore]) -> SelfView:
    return SelfView(stored[0], stored[1] if len(stored) > 1 else None)
