"""Open, take up and decide reviews. A decision, its reason and the score that follows are on the ledger together."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from api.errors import InvalidRequest, ReviewDecided, ReviewUnknown, TooManyReviews
from api.kit.database import transaction
from api.ledger.chain import SELF_CHAIN, EntryKind
from api.ledger.store import EntryDraft
from api.reviews import ledger_entries, repository
from api.reviews.repository import Review, ReviewKind, ReviewOutcome
from api.scores import self_view
from api.scores.inputs import Correction
from api.scores.issuance import ScoreDraft
from api.scores.repository import StoredScore
from api.services import Services

ANSWERED_WITHIN: Final = timedelta(days=30)
MOST_OPEN: Final = 10
LONGEST_STATEMENT: Final = 2_000

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the moment, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class ReviewDraft:
    """What a seller asks to have looked at: a figure, or where there is none the score as a whole."""

    seller_id: str
    feature: str | None
    score_id: str | None
    statement: str


@dataclass(frozen=True)
class Decision:
    """What an operator decides; where it corrects, `feature` is the figure and `value` what it is to be."""

    outcome: ReviewOutcome
    reason: str
    feature: str | None = None
    value: float | None = None


def open_review(connection: Connection, services: Services, asked: ReviewDraft, clock: Clock = utc_now) -> Review:
    """Open a review; a figure that is disputed already is answered with that dispute.

    Args:
        connection: of a transaction that writes; of one that holds the seller's session, where the seller asks, so
            that nothing is asked in the name of one who was erased.
        services: the parts.
        asked: what is to be looked at.
        clock: read once others wait, so that moments are in order.

    Raises:
        TooManyReviews: as many as may be are open.
        InvalidRequest: there is no such figure, or nothing is said.
    """
    statement = _decision_text(asked.statement, "statement", "Say in 1 to {} characters what is to be looked at")
    if asked.feature is not None and asked.feature not in services.champion.bundle.sheet.names:
        raise _not_allowed("feature", "There is no such figure")
    # one after the other, so that they can be counted
    services.ledger.lock_chain(connection, SELF_CHAIN)
    now, waiting = clock(), repository.undecided(connection, asked.seller_id)
    same = next((each for each in waiting if asked.feature and each.feature == asked.feature), None)
    if same is not None:
        return same
    if len(waiting) >= MOST_OPEN:
        raise TooManyReviews
    kind = ReviewKind.REVIEW if asked.feature is None else ReviewKind.DISPUTE
    made = (str(uuid.uuid4()), asked.seller_id, kind, asked.feature, asked.score_id, statement)
    review = Review(*made, now, now + ANSWERED_WITHIN)
    repository.insert_review(connection, review)
    return review


def find_review(connection: Connection, review_id: str) -> Review:
    """Return a review.

    Raises:
        ReviewUnknown: there is none under the id.
    """
    found = repository.select_review(connection, review_id)
    if found is None:
        raise ReviewUnknown
    return found


def assign(services: Services, review_id: str, by: str, clock: Clock = utc_now) -> Review:
    """Take a review up; who takes one up that another has takes it over.

    Raises:
        ReviewUnknown: there is none under the id.
        ReviewDecided: it was decided.
    """
    with transaction(services.engine, writes=True) as connection:
        # the seller before the chain, as everywhere
        services.ledger.seller(connection, find_review(connection, review_id).seller_id)
        services.ledger.lock_chain(connection, SELF_CHAIN)
        review = find_review(connection, review_id)
        if review.decided_at is not None:
            raise ReviewDecided
        taken_at = review.taken_at or clock()
        repository.update_review(connection, review.id, taken_at=taken_at, taken_by=by)
    return replace(review, taken_at=taken_at, taken_by=by)


def decide_review(services: Services, review_id: str, by: str, decision: Decision, clock: Clock = utc_now) -> Review:
    """Decide a review, and where a figure is corrected score the seller anew; recorded all together or not at all.

    The new score is made by the bundle in force, and names the review and the score that it takes the place of.

    Raises:
        ReviewUnknown: there is none under the id.
        ReviewDecided: it was decided already.
        InvalidRequest: there is no reason, no such figure, or no finite value where one is to be corrected.
        SellerUnknown: there are no figures of the seller that could be corrected.
    """
    reason = _decision_text(decision.reason, "reason", "Give the reason in 1 to {} characters; the seller reads it")
    with transaction(services.engine, writes=True) as connection:
        seller_id = find_review(connection, review_id).seller_id
        # the seller before the chain, as everywhere; whoever decides holds the chain, so a decision is made once
        seller = services.ledger.seller(connection, seller_id)
        services.ledger.lock_chain(connection, SELF_CHAIN)
        review = find_review(connection, review_id)
        if review.decided_at is not None:
            raise ReviewDecided
        now = clock()
        correction = _correction(services, connection, review, decision, now)
        content = ledger_entries.decision_entry(review, by, decision.outcome, reason, correction)
        services.ledger.append(connection, seller, EntryDraft(SELF_CHAIN, EntryKind.DECISION, content, now))
        score: StoredScore | None = None
        if correction is not None:
            repository.insert_correction(connection, correction)
            made = _rescore(services, connection, review, now)
            score = self_view.record(services, connection, seller, made, now)
        values: dict[str, Any] = {
            "taken_at": review.taken_at or now,
            "taken_by": review.taken_by or by,
            "decided_at": now,
            "decided_by": by,
            "outcome": decision.outcome,
            "reason": reason,
            "new_score_id": None if score is None else score.id,
        }
        repository.update_review(connection, review.id, **values)
    return replace(review, **values)


def _correction(
    services: Services, connection: Connection, review: Review, decision: Decision, now: datetime
) -> Correction | None:
    if decision.outcome is not ReviewOutcome.CORRECTED:
        return None
    names = services.champion.bundle.sheet.names
    feature = decision.feature or review.feature
    if feature is None or feature not in names:
        raise _not_allowed("feature", "Name the figure that is corrected")
    if decision.value is None or not math.isfinite(decision.value):
        raise _not_allowed("value", "Give what the figure is to be, a finite number")
    stored = self_view.figures_of(services, connection, review.seller_id, now).stored
    found = stored.values[names.index(feature)]
    as_of = stored.snapshot.as_of.isoformat()
    return Correction(review.id, review.seller_id, as_of, feature, found, float(decision.value), now)


def _rescore(services: Services, connection: Connection, review: Review, now: datetime) -> ScoreDraft:
    before = self_view.latest_id(connection, review.seller_id)
    named = {"review_id": review.id} | ({} if before is None else {"replaces": before})
    return self_view.assessed(services, self_view.figures_of(services, connection, review.seller_id, now), **named)


def _decision_text(text: str, field: str, rule: str) -> str:
    # browsers send line ends as two characters and count one; what is no text, no database keeps
    said = text.replace("\r\n", "\n").strip()
    if not said or len(said) > LONGEST_STATEMENT or "\0" in said:
        raise _not_allowed(field, rule.format(LONGEST_STATEMENT))
    return said


def _not_allowed(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(invalid=[{"where": f"body/{field}", "rule": "review", "message": message}])
