"""Make the seller's own score and read it: one for the data and model in force, however often it is looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property, partial
from typing import Any, Final

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
from scoring.freshness import tables_too_old

PURPOSE: Final = "self_view"


_SHOWN: Final = 2


@dataclass(frozen=True)
class OpenedScore:
    """A stored score, and what its object says."""

    score: StoredScore

    @cached_property
    def body(self) -> dict[str, Any]:
        """The score object."""
        found: dict[str, Any] = json.loads(self.score.body)
        return found

    @cached_property
    def expires(self) -> datetime:
        """From when it is not to be relied on."""
        return datetime.fromisoformat(self.body["expires_at"])

    @cached_property
    def requested_on(self) -> date:
        """The day on which it was asked for."""
        return date.fromisoformat(self.body["assessment"]["requested_on"])

    def rests_on(self, figures: CorrectedVector) -> bool:
        """Return whether it was made from these figures, on whatever day."""
        then = replace(figures, requested_on=self.requested_on)
        # what it was last found to rest on is compared first: that takes no writing
        if self.__dict__.get("_figures") == then:
            return True
        same = self.score.inputs == then.inputs
        if same:
            self.__dict__["_figures"] = then
        return same


@dataclass(frozen=True)
class SelfView:
    """A seller's own score, opened, and the one before it."""

    opened: OpenedScore
    earlier: OpenedScore | None

    @property
    def score(self) -> StoredScore:
        """The score as it is stored."""
        return self.opened.score

    @property
    def body(self) -> dict[str, Any]:
        """The score object."""
        return self.opened.body

    @property
    def assessment(self) -> dict[str, Any]:
        """The assessment of the score object."""
        found: dict[str, Any] = self.opened.body["assessment"]
        return found

    @property
    def assessment_before(self) -> dict[str, Any] | None:
        """The assessment of the score before."""
        return None if self.earlier is None else self.earlier.body["assessment"]

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from every other view: the ids of both scores."""
        return self.score.id, "" if self.earlier is None else self.earlier.score.id


_CACHE: Final[TtlCache[OpenedScore]] = TtlCache(500)
"""Scores by their ids: what is stored of one never changes."""


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
        found = find_current(services, connection, seller_id, now)
    return found or issue_self_view(services, seller_id, now)


def find_current(services: Services, connection: Connection, seller_id: str, now: datetime) -> SelfView | None:
    """Return the seller's own score if there is one that is valid for the data and the model in force.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
        DatabaseUnavailable: the database does not answer.
    """
    latest = figures_of(services, connection, seller_id, now)
    known = _find(services, connection, seller_id)
    return _view(known) if _is_current(services, known, latest, now) else None


def issue_self_view(services: Services, seller_id: str, now: datetime) -> SelfView:
    """Return the seller's own score as `current` does, for who found that none stands; made now, or meanwhile.

    Raises:
        As `current`.
    """
    with transaction(services.engine, writes=True) as connection:
        seller = services.ledger.seller(connection, seller_id)
        services.ledger.lock_chain(connection, SELF_CHAIN)
        # once more: of two who look at once the second finds what the first made, and an erasure has removed figures
        latest = figures_of(services, connection, seller_id, now)
        known = _find(services, connection, seller_id)
        if _is_current(services, known, latest, now):
            return _view(known)
        score = record(services, connection, seller, assessed(services, latest), now)
    return _view([OpenedScore(score), *known])


def figures_of(services: Services, connection: Connection, seller_id: str, now: datetime) -> CorrectedVector:
    """Return the seller's latest figures as they are to be scored at a moment.

    Raises:
        SellerUnknown: the latest snapshot does not hold the seller.
        VectorsUnavailable: there is no snapshot, or it cannot be read.
    """
    corrections = inputs.corrections_of(connection, seller_id)
    return inputs.load_inputs(services, seller_id, now.date(), corrections)


def assessed(services: Services, latest: CorrectedVector, **named: str) -> ScoreDraft:
    """Score figures with the model in force; nothing is stored. `named` is what the score's object tells beside.

    Raises:
        VectorsDoNotFitModel: the figures were made by another catalogue than the model's.
        ScoreNotExplained: the model's contributions do not add up.
    """
    bundle = services.champion.bundle
    return ScoreDraft(latest, bundle, inputs.assess_inputs(bundle, [latest])[0], SELF_CHAIN, PURPOSE, named)


def record(
    services: Services, connection: Connection, seller: SellerKey, made: ScoreDraft, now: datetime
) -> StoredScore:
    """Append a self view to the ledger and its index, within the caller's transaction.

    Args:
        services: the parts of the service.
        connection: of a transaction that writes.
        seller: whose score it is.
        made: the score.
        now: the moment.
    """
    score = record_draft(services, made, seller, services.ledger.lock_chain(connection, SELF_CHAIN), now)
    store_scores(connection, [score])
    return score.score


def latest_id(connection: Connection, seller_id: str) -> str | None:
    """Return the id of the seller's latest self view."""
    return next(iter(scores.latest_of(connection, SELF_CHAIN, seller_id, 1)), None)


def _find(services: Services, connection: Connection, seller_id: str) -> list[OpenedScore]:
    ids = scores.latest_of(connection, SELF_CHAIN, seller_id, _SHOWN)
    return [_CACHE.get(each, partial(_open, services, connection, each)) for each in ids]


def _open(services: Services, connection: Connection, score_id: str) -> OpenedScore:
    kept = scores.select_score(connection, SELF_CHAIN, score_id)
    if kept is None:
        raise ScoreUnknown
    return OpenedScore(open_score(services.ledger, kept))


def _is_current(services: Services, known: Sequence[OpenedScore], figures: CorrectedVector, now: datetime) -> bool:
    if not known:
        return False
    latest, bundle = known[0], services.champion.bundle
    if latest.score.bundle != bundle.digest or now >= latest.expires or not latest.rests_on(figures):
        return False
    # the same data may have become too old since
    then = replace(figures, requested_on=latest.requested_on).vector
    return tables_too_old(bundle.sheet, then) == tables_too_old(bundle.sheet, figures.vector)


def _view(known: Sequence[OpenedScore]) -> SelfView:
    return SelfView(known[0], known[1] if len(known) > 1 else None)
