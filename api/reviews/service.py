"""Reviews: open, assign and decide. The ledger records a decision together with its reason and the new score."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from api.errors import InvalidRequest, ReviewDecided, ReviewUnknown, TooManyReviews
from api.kit.database import insert_row, transaction
from api.kit.fields import Clock, utc_now
from api.ledger.chain import SELF_CHAIN, EntryKind
from api.ledger.encryption import SellerKey
from api.ledger.store import EntryDraft
from api.reviews import ledger_entries, repository
from api.reviews.corrections import Figure, preview_correction, preview_reversal
from api.reviews.repository import Review, ReviewKind, ReviewOutcome, reviews
from api.scores import self_view
from api.scores.inputs import Correction, corrections
from api.scores.issuance import ScoreDraft
from api.scores.repository import StoredScore
from api.services import Services

DEADLINE: Final = timedelta(days=30)
MOST_OPEN: Final = 10
LONGEST_STATEMENT: Final = 2_000
_REASON: Final = "Give a reason of 1 to {} characters for the seller"


@dataclass(frozen=True)
class ReviewDraft:
    """A review to open: of a figure, or of the whole score if `feature` is None."""

    seller_id: str
    feature: str | None
    score_id: str | None
    statement: str


@dataclass(frozen=True)
class Decision:
    """An operator's decision; for a correction, `feature` and `value` are the corrected figure.

    `confirm_band` is the new band if the correction changes it; `confirm_value` confirms an unusual value.
    """

    outcome: ReviewOutcome
    reason: str
    feature: str | None = None
    value: float | None = None
    confirm_band: str | None = None
    confirm_value: bool = False


def open_review(connection: Connection, services: Services, draft: ReviewDraft, clock: Clock = utc_now) -> Review:
    """Open a review; if the figure is already disputed, return the open dispute.

    Args:
        connection: a writing transaction that has locked the seller's session, so that no review is opened for an
            erased seller.
        services: the services.
        draft: the review to open.
        clock: returns the current time; read under the lock, so that times are in order.

    Raises:
        TooManyReviews: the seller has reached the limit of open reviews.
        InvalidRequest: the figure is unknown, or the statement is empty or too long.
    """
    statement = _require_text(draft.statement, "statement", "Describe the request in 1 to {} characters")
    if draft.feature is not None and draft.feature not in services.champion.bundle.sheet.names:
        raise _not_allowed("feature", f"Unknown figure '{draft.feature}'. Use the name of a feature of the model")
    seller = services.ledger.seller(connection, draft.seller_id)
    # the lock of the chain makes the count of open reviews exact
    services.ledger.lock_chain(connection, SELF_CHAIN)
    now, undecided = clock(), repository.undecided(connection, draft.seller_id)
    same = next((item for item in undecided if draft.feature and item.feature == draft.feature), None)
    if same is not None:
        return same
    if len(undecided) >= MOST_OPEN:
        raise TooManyReviews
    review = Review(
        id=str(uuid.uuid4()),
        seller_id=draft.seller_id,
        kind=ReviewKind.REVIEW if draft.feature is None else ReviewKind.DISPUTE,
        feature=draft.feature,
        score_id=draft.score_id,
        statement=statement,
        opened_at=now,
        due_at=now + DEADLINE,
    )
    insert_row(connection, reviews, review)
    content = ledger_entries.opening_entry(review)
    services.ledger.append(connection, seller, EntryDraft(SELF_CHAIN, EntryKind.REVIEW, content, now))
    return review


def find_review(connection: Connection, review_id: str) -> Review:
    """Return a review.

    Raises:
        ReviewUnknown: there is no review with this ID.
    """
    review = repository.select_review(connection, review_id)
    if review is None:
        raise ReviewUnknown
    return review


def assign(services: Services, review_id: str, by: str, clock: Clock = utc_now) -> Review:
    """Assign a review to an operator, also if another operator has it.

    Raises:
        ReviewUnknown: there is no review with this ID.
        ReviewDecided: the review is already decided.
    """
    with transaction(services.engine, writes=True) as connection:
        seller, review = _lock_undecided(connection, services, review_id)
        now = clock()
        taken_at = review.taken_at or now
        repository.update_review(connection, review.id, taken_at=taken_at, taken_by=by)
        content = ledger_entries.assignment_entry(review, by)
        services.ledger.append(connection, seller, EntryDraft(SELF_CHAIN, EntryKind.REVIEW, content, now))
    return replace(review, taken_at=taken_at, taken_by=by)


def decide_review(services: Services, review_id: str, by: str, decision: Decision, clock: Clock = utc_now) -> Review:
    """Decide a review, and issue a new score if a figure is corrected, in one transaction.

    The current model issues the new score, which refers to the review and to the score that it replaces.

    Raises:
        ReviewUnknown: there is no review with this ID.
        ReviewDecided: the review is already decided.
        InvalidRequest: the reason is missing, or a correction has no known figure or no value in the allowed range.
        CorrectionUnconfirmed: the correction changes the band or has an unusual value, and the decision does not
            confirm it.
        SellerUnknown: there are no data of the seller to correct.
    """
    reason = _require_text(decision.reason, "reason", _REASON)
    with transaction(services.engine, writes=True) as connection:
        seller, review = _lock_undecided(connection, services, review_id)
        now, correction = clock(), None
        if decision.outcome is ReviewOutcome.CORRECTED:
            figure = Figure(review.seller_id, decision.feature or review.feature, decision.value)
            preview = preview_correction(services, connection, figure, now)
            preview.require_range()
            preview.require_usual(confirmed=decision.confirm_value)
            preview.require_band(decision.confirm_band)
            correction = replace(preview.correction, review_id=review.id)
        return _record(services, connection, (seller, review), (by, reason, correction), now)


def reverse_decision(
    services: Services,
    review_id: str,
    by: str,
    reason: str,
    *,
    confirm_band: str | None = None,
    clock: Clock = utc_now,
) -> Review:
    """Restore the delivered value of a figure that a review corrected, and issue a new score, in one transaction.

    A decision is final, so the reversal is a review of its own, which is decided at once and recorded in the ledger.

    Raises:
        ReviewUnknown: there is no review with this ID.
        CorrectionNotActive: the current figures do not use a correction of this review.
        CorrectionUnconfirmed: the reversal changes the band, and `confirm_band` is not the new one.
        InvalidRequest: the reason is missing.
    """
    reason = _require_text(reason, "reason", _REASON)
    with transaction(services.engine, writes=True) as connection:
        seller, reversed_review = _lock(connection, services, review_id)
        now = clock()
        preview = preview_reversal(services, connection, reversed_review.seller_id, review_id, now)
        preview.require_band(confirm_band)
        review = Review(
            id=str(uuid.uuid4()),
            seller_id=reversed_review.seller_id,
            kind=ReviewKind.REVERSAL,
            feature=preview.entry.name,
            score_id=reversed_review.new_score_id,
            statement=f"Reverses the correction of review {review_id}.",
            opened_at=now,
            due_at=now + DEADLINE,
        )
        insert_row(connection, reviews, review)
        correction = replace(preview.correction, review_id=review.id)
        return _record(services, connection, (seller, review), (by, reason, correction), now)


def _record(
    services: Services,
    connection: Connection,
    reviewed: tuple[SellerKey, Review],
    decided: tuple[str, str, Correction | None],
    now: datetime,
) -> Review:
    (seller, review), (by, reason, correction) = reviewed, decided
    outcome = ReviewOutcome.CONFIRMED if correction is None else ReviewOutcome.CORRECTED
    catalogue = services.champion.bundle.sheet.catalogue
    content = ledger_entries.decision_entry(review, by, reason, correction, catalogue)
    services.ledger.append(connection, seller, EntryDraft(SELF_CHAIN, EntryKind.DECISION, content, now))
    score: StoredScore | None = None
    if correction is not None:
        insert_row(connection, corrections, correction)
        draft = _rescore(services, connection, review, now)
        score = self_view.record(services, connection, seller, draft, now)
    values: dict[str, Any] = {
        "taken_at": review.taken_at or now,
        "taken_by": review.taken_by or by,
        "decided_at": now,
        "decided_by": by,
        "outcome": outcome,
        "reason": reason,
        "new_score_id": None if score is None else score.id,
    }
    repository.update_review(connection, review.id, **values)
    return replace(review, **values)


def _lock_undecided(connection: Connection, services: Services, review_id: str) -> tuple[SellerKey, Review]:
    seller, review = _lock(connection, services, review_id)
    if review.decided_at is not None:
        raise ReviewDecided
    return seller, review


def _lock(connection: Connection, services: Services, review_id: str) -> tuple[SellerKey, Review]:
    # the seller's key before the chain, the order of all locks; under the lock a review is decided only once
    seller = services.ledger.seller(connection, find_review(connection, review_id).seller_id)
    services.ledger.lock_chain(connection, SELF_CHAIN)
    return seller, find_review(connection, review_id)


def _rescore(services: Services, connection: Connection, review: Review, now: datetime) -> ScoreDraft:
    before = self_view.latest_id(connection, review.seller_id)
    fields = {"review_id": review.id} | ({} if before is None else {"replaces": before})
    return self_view.draft(services, self_view.latest_inputs(services, connection, review.seller_id, now), **fields)


def _require_text(text: str, field: str, rule: str) -> str:
    # browsers send a line end as two characters but count one; databases reject NUL characters
    text = text.replace("\r\n", "\n").strip()
    if not text or len(text) > LONGEST_STATEMENT or "\0" in text:
        raise _not_allowed(field, rule.format(LONGEST_STATEMENT))
    return text


def _not_allowed(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(invalid=[{"where": f"body/{field}", "rule": "review", "message": message}])
