"""The table of reviews. Erasing a seller deletes their rows; decisions stay in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Index,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    select,
    update,
)

from api.kit.database import UtcDateTime, metadata, row_to, write_rows
from api.kit.pagination import PagePosition, after_position
from api.scores.inputs import corrections

reviews = Table(
    "reviews",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("seller_id", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("feature", String(100), nullable=True),
    Column("score_id", String(36), nullable=True),
    Column("statement", Text(), nullable=False),
    Column("opened_at", UtcDateTime(), nullable=False),
    Column("due_at", UtcDateTime(), nullable=False),
    Column("taken_at", UtcDateTime(), nullable=True),
    Column("taken_by", String(60), nullable=True),
    Column("decided_at", UtcDateTime(), nullable=True),
    Column("decided_by", String(60), nullable=True),
    Column("outcome", String(20), nullable=True),
    Column("reason", Text(), nullable=True),
    Column("new_score_id", String(36), nullable=True),
    Index("reviews_seller", "seller_id", "opened_at"),
    Index("reviews_opened", "opened_at", "id"),
)


class ReviewKind(StrEnum):
    """Kind of a review: of a disputed figure, of the whole score, or an operator's reversal of a correction."""

    DISPUTE = "dispute"
    REVIEW = "review"
    REVERSAL = "reversal"


class ReviewState(StrEnum):
    """State of a review."""

    OPEN = "open"
    IN_REVIEW = "in_review"
    DECIDED = "decided"


class ReviewOutcome(StrEnum):
    """Outcome of a decision: a figure was corrected, or nothing changes."""

    CORRECTED = "corrected"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Review:
    """A review; `feature` is the disputed figure, `score_id` the seller's score at that time."""

    id: str
    seller_id: str
    kind: ReviewKind
    feature: str | None
    score_id: str | None
    statement: str
    opened_at: datetime
    due_at: datetime
    taken_at: datetime | None = None
    taken_by: str | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    outcome: ReviewOutcome | None = None
    reason: str | None = None
    new_score_id: str | None = None

    @property
    def state(self) -> ReviewState:
        """The current state."""
        if self.decided_at is not None:
            return ReviewState.DECIDED
        return ReviewState.OPEN if self.taken_at is None else ReviewState.IN_REVIEW

    def overdue(self, now: datetime) -> bool:
        """Return whether the deadline has passed without a decision."""
        return self.decided_at is None and now >= self.due_at


_to_review = row_to(Review)


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """A page of reviews; None is no condition. `oldest_first` is the order of the operators' list."""

    seller_id: str | None
    state: ReviewState | None
    after: PagePosition | None
    limit: int
    oldest_first: bool = False


# built once: building a statement takes longer than running it
_LATEST: Final = (
    select(reviews)
    .where(reviews.c.seller_id == bindparam("seller"))
    .order_by(reviews.c.opened_at.desc(), reviews.c.id.desc())
    .limit(bindparam("most"))
)


def select_review(connection: Connection, review_id: str) -> Review | None:
    """Return the review with the ID, or None."""
    return _to_review(connection.execute(select(reviews).where(reviews.c.id == review_id)).one_or_none())


def find_position(connection: Connection, position: PagePosition) -> PagePosition | None:
    """Return a position if the list has a review there; else None."""
    review = select_review(connection, position.id)
    return position if review is not None and review.opened_at == position.moment else None


def undecided(connection: Connection, seller_id: str) -> Sequence[Review]:
    """Return the seller's reviews without a decision."""
    query = select(reviews).where(reviews.c.seller_id == seller_id, reviews.c.decided_at.is_(None))
    return [_to_review(row) for row in connection.execute(query.order_by(reviews.c.opened_at))]


def update_review(connection: Connection, review_id: str, **values: Any) -> None:
    """Update columns of a review."""
    write_rows(connection, update(reviews).where(reviews.c.id == review_id).values(**values), rows=1)


def latest(connection: Connection, seller_id: str, most: int) -> Sequence[Review]:
    """Return the seller's latest reviews, at most `most`, latest first."""
    return [_to_review(row) for row in connection.execute(_LATEST, {"seller": seller_id, "most": most})]


def list_reviews(connection: Connection, query: ReviewQuery) -> Sequence[Review]:
    """Return a page of reviews, and one more if there is a next page."""
    conditions = [] if query.seller_id is None else [reviews.c.seller_id == query.seller_id]
    if query.state is not None:
        conditions.append(_STATES[query.state])
    if query.after is not None:
        conditions.append(after_position(reviews.c.opened_at, reviews.c.id, query.after))
    order = [reviews.c.opened_at, reviews.c.id] if query.oldest_first else _NEWEST
    statement = select(reviews).where(*conditions).order_by(*order).limit(query.limit + 1)
    return [_to_review(row) for row in connection.execute(statement)]


def counts(connection: Connection, now: datetime) -> tuple[int, int]:
    """Return the number of reviews without a decision, and of overdue ones among them."""
    waiting = reviews.c.decided_at.is_(None)
    query = select(func.count(), func.count().filter(reviews.c.due_at <= now)).where(waiting)
    total, late = connection.execute(query).one()
    return int(total), int(late)


def delete_reviews(connection: Connection, seller_id: str) -> int:
    """Delete a seller's reviews and corrections, and return the number of reviews."""
    connection.execute(delete(corrections).where(corrections.c.seller_id == seller_id))
    return connection.execute(delete(reviews).where(reviews.c.seller_id == seller_id)).rowcount


_NEWEST: Final = [reviews.c.opened_at.desc(), reviews.c.id.desc()]


_STATES: Final[dict[ReviewState, ColumnElement[bool]]] = {
    ReviewState.OPEN: reviews.c.decided_at.is_(None) & reviews.c.taken_at.is_(None),
    ReviewState.IN_REVIEW: reviews.c.decided_at.is_(None) & reviews.c.taken_at.is_not(None),
    ReviewState.DECIDED: reviews.c.decided_at.is_not(None),
}
