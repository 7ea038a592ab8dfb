"""The queue, one review, and taking up and deciding it. Pages are made as those of sellers are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response
from sqlalchemy import Connection

from api import errors
from api.reviews import repository, service
from api.reviews.repository import Outcome, State, Wanted
from api.reviews.service import LONGEST_STATEMENT, Decision
from api.self_view import service as self_view
from api.seller_pages.rendering import page, to
from api.seller_pages.reviewing import labels_of
from api.seller_pages.routes import OperatorIn, SessionFirst
from api.seller_pages.wording import DONE, OUTCOMES, QUEUE_KINDS, STATES
from api.services import Services, Wired
from scoring.sheet import FeatureSheet

router = APIRouter(prefix="/operator", route_class=SessionFirst, include_in_schema=False)

_SHOWN: Final = 100
_WORDS: Final = {"kinds": QUEUE_KINDS, "states": STATES, "outcomes": OUTCOMES}


@router.get("")
def show_queue(operator: OperatorIn, done: Annotated[str, Query(max_length=20)] = "") -> Response:
    """Show what waits for a decision, what is due first on top, and what was decided lately."""
    now = datetime.now(UTC)
    with operator.reading() as connection:
        waiting, late = repository.counts(connection, now)
        found = [
            repository.listed(connection, Wanted(None, state, None, _SHOWN, oldest_first=state is not State.DECIDED))
            for state in State
        ]
    queue = sorted([*found[0], *found[1]], key=lambda each: each.due_at)
    parts = {"queue": queue, "decided": found[2], "waiting": waiting, "late": late, "done": DONE.get(done), "now": now}
    return page("queue.html", operator.viewer, **parts, **_WORDS)


@router.get("/reviews/{review_id}")
def show_review(
    operator: OperatorIn, services: Wired, review_id: UUID, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show one review, the figure that it is about, and a form to decide it."""
    words, sheet = operator.viewer.words, services.champion.bundle.sheet
    with operator.reading() as connection:
        review = service.find(connection, str(review_id))
        values = _values(services, connection, review.seller_id)
    labels = labels_of(services.champion.bundle, words)
    unit = next((each.unit for each in sheet.entries if each.name == review.feature), "")
    parts = {
        "review": review,
        "labels": labels,
        "values": {name: words.figure(value, _unit(sheet, name)) for name, value in values.items()},
        "raw": values.get(review.feature or ""),
        "unit": unit,
        "done": DONE.get(done),
        "now": datetime.now(UTC),
        "longest": LONGEST_STATEMENT,
    }
    return page("review.html", operator.viewer, **parts, **_WORDS)


@router.post("/reviews/{review_id}/take")
def take(operator: OperatorIn, services: Wired, review_id: UUID) -> Response:
    """Take a review up."""
    service.take(services, str(review_id), operator.subject)
    return to(f"/operator/reviews/{review_id}?done=taken")


@router.post("/reviews/{review_id}/decide")
def decide(
    operator: OperatorIn,
    services: Wired,
    review_id: UUID,
    outcome: Annotated[Outcome, Form()],
    reason: Annotated[str, Form(max_length=2 * LONGEST_STATEMENT)],
    *,
    feature: Annotated[str, Form(max_length=100)] = "",
    value: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Decide a review."""
    wanted = _number(value) if outcome is Outcome.CORRECTED else None
    service.decide(services, str(review_id), operator.subject, Decision(outcome, reason, feature or None, wanted))
    return to("/operator?done=decided")


def _values(services: Services, connection: Connection, seller_id: str) -> dict[str, float | None]:
    names = services.champion.bundle.sheet.names
    try:
        values = self_view.figures_of(services, connection, seller_id, datetime.now(UTC)).stored.values
    except (errors.SellerUnknown, errors.VectorsUnavailable):
        return {}
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}


def _unit(sheet: FeatureSheet, name: str) -> str:
    return next(each.unit for each in sheet.entries if each.name == name)


def _number(text: str) -> float | None:
    try:
        return float(text.strip())
    except ValueError:
        return None
