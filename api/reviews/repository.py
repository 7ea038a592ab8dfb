"""The tables of reviews and of corrected figures; erasing a seller removes their rows, decisions stay on the ledger."""

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
    Row,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from api.kit.database import UtcDateTime, metadata
from api.kit.pagination import PagePosition, after_position
from api.scores.inputs import Correction, corrections

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
    """What is asked: that a figure is wrong, or that a person looks at the score."""

    DISPUTE = "dispute"
    REVIEW = "review"


class ReviewState(StrEnum):
    """How far it has come."""

    OPEN = "open"
    IN_REVIEW = "in_review"
    DECIDED = "decided"


class ReviewOutcome(StrEnum):
    """What was decided: the figure was wrong and is corrected, or what there is stands."""

    CORRECTED = "corrected"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class Review:
    """One thing to be looked at; `feature` is the figure that it is about, `score_id` the score that was shown."""

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
        """How far it has come."""
        if self.decided_at is not None:
            return ReviewState.DECIDED
        return ReviewState.OPEN if self.taken_at is None else ReviewState.IN_REVIEW

    def overdue(self, now: datetime) -> bool:
        """Return whether it should have been decided by now."""
        return self.decided_at is None and now >= self.due_at


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """Which reviews to list; None leaves a condition out. `oldest_first` is the order of the queue."""

    seller_id: str | None
    state: ReviewState | None
    after: PagePosition | None
    limit: int
    oldest_first: bool = False


# built once: making a statement takes longer than running it


_LATEST: Final = (
    select(reviews)
    .where(reviews.c.seller_id == bindparam("seller"))
    .order_by(reviews.c.opened_at.desc(), reviews.c.id.desc())
    .limit(bindparam("most"))
)


def insert_review(connection: Connection, review: Review) -> None:
    """Store a review under its id, which is new."""
    values = {name: getattr(review, name) for name in reviews.c.keys()}  # noqa: SIM118 - names, not columns
    connection.execute(insert(reviews).values(**values))


def select_review(connection: Connection, review_id: str) -> Review | None:
    """Return the review with the id, or None."""
    found = connection.execute(select(reviews).where(reviews.c.id == review_id)).one_or_none()
    return None if found is None else _review(found)


def is_listed(connection: Connection, place: PagePosition) -> bool:
    """Return whether a review stands at a place in the list of all."""
    found = select_review(connection, place.id)
    return found is not None and found.opened_at == place.moment


def undecided(connection: Connection, seller_id: str) -> Sequence[Review]:
    """Return the seller's reviews that wait for a decision."""
    wanted = select(reviews).where(reviews.c.seller_id == seller_id, reviews.c.decided_at.is_(None))
    return [_review(found) for found in connection.execute(wanted.order_by(reviews.c.opened_at))]


def update_review(connection: Connection, review_id: str, **values: Any) -> None:
    """Write what became of a review."""
    connection.execute(update(reviews).where(reviews.c.id == review_id).values(**values))


def latest(connection: Connection, seller_id: str, most: int) -> Sequence[Review]:
    """Return so many of the seller's reviews, latest first."""
    return [_review(found) for found in connection.execute(_LATEST, {"seller": seller_id, "most": most})]


def list_reviews(connection: Connection, wanted: ReviewQuery) -> Sequence[Review]:
    """Return a page of reviews, and one more where there is a next page."""
    conditions = [] if wanted.seller_id is None else [reviews.c.seller_id == wanted.seller_id]
    if wanted.state is not None:
        conditions.append(_STATES[wanted.state])
    if wanted.after is not None:
        conditions.append(after_position(reviews.c.opened_at, reviews.c.id, wanted.after))
    order = [reviews.c.opened_at, reviews.c.id] if wanted.oldest_first else _NEWEST
    query = select(reviews).where(*conditions).order_by(*order).limit(wanted.limit + 1)
    return [_review(found) for found in connection.execute(query)]


def counts(connection: Connection, now: datetime) -> tuple[int, int]:
    """Return how many reviews wait for a decision, and how many of them are overdue."""
    waiting = reviews.c.decided_at.is_(None)
    wanted = select(func.count(), func.count().filter(reviews.c.due_at <= now)).where(waiting)
    total, late = connection.execute(wanted).one()
    return int(total), int(late)


def insert_correction(connection: Connection, correction: Correction) -> None:
    """Store how a figure is to be."""
    values = {name: getattr(correction, name) for name in corrections.c.keys()}  # noqa: SIM118 - names, not columns
    connection.execute(insert(corrections).values(**values))


def delete_reviews(connection: Connection, seller_id: str) -> int:
    """Remove a seller's reviews and corrections, and return how many reviews there were."""
    connection.execute(delete(corrections).where(corrections.c.seller_id == seller_id))
    return connection.execute(delete(reviews).where(reviews.c.seller_id == seller_id)).rowcount


_NEWEST: Final = [reviews.c.opened_at.desc(), reviews.c.id.desc()]


_STATES: Final[dict[ReviewState, ColumnElement[bool]]] = {
    ReviewState.OPEN: reviews.c.decided_at.is_(None) & reviews.c.taken_at.is_(None),
    ReviewState.IN_REVIEW: reviews.c.decided_at.is_(None) & reviews.c.taken_at.is_not(None),
    ReviewState.DECIDED: reviews.c.decided_at.is_not(None),
}


_KIND_AT, _OUTCOME_AT = 2, 12


def _review(found: Row[Any]) -> Review:
    values = list(found)
    values[_KIND_AT] = ReviewKind(values[_KIND_AT])
    values[_OUTCOME_AT] = None if values[_OUTCOME_AT] is None else ReviewOutcome(values[_OUTCOME_AT])
    return Review(*values)
