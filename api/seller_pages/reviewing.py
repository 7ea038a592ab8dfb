"""The page on which a seller disputes a figure or asks that a person looks, and reads what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Query, Response

from api import errors
from api.reviews import repository, service
from api.reviews.service import LONGEST_STATEMENT, Asked
from api.seller_pages.pages import view_of
from api.seller_pages.rendering import page, to
from api.seller_pages.routes import SessionFirst, SignedIn
from api.seller_pages.wording import DONE, KINDS, OUTCOMES, STATES
from api.seller_pages.words import Words
from api.seller_sessions import service as sessions
from api.services import Wired
from api.ttl_cache import TtlCache
from scoring import Bundle

router = APIRouter(prefix="/seller/reviews", route_class=SessionFirst, include_in_schema=False)

_SHOWN: Final = 50
_LABELS: Final[TtlCache[Mapping[str, str]]] = TtlCache(10)


@router.get("")
def show_reviews(
    seller: SignedIn,
    services: Wired,
    done: Annotated[str, Query(max_length=20)] = "",
    feature: Annotated[str, Query(max_length=100)] = "",
) -> Response:
    """Show a form for what is wrong, and what was asked before."""
    words = seller.viewer.words
    with seller.reading() as connection:
        found = repository.latest(connection, seller.subject, _SHOWN)
    labels = labels_of(services.champion.bundle, words)
    parts = {"found": found, "labels": labels, "chosen": feature, "done": DONE.get(done), "longest": LONGEST_STATEMENT}
    said = {"kinds": KINDS, "states": STATES, "outcomes": OUTCOMES, "now": datetime.now(UTC)}
    return page("reviews.html", seller.viewer, **parts, **said)


def labels_of(bundle: Bundle, words: Words) -> Mapping[str, str]:
    """Return the name of every figure in a language, by the feature."""
    entries = bundle.sheet.entries
    return _LABELS.get((bundle.digest, words.language), lambda: {each.name: words.say(each.label) for each in entries})


@router.post("")
def ask(
    seller: SignedIn,
    services: Wired,
    statement: Annotated[str, Form(max_length=2 * LONGEST_STATEMENT)],
    feature: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Open a dispute of a figure, or of none in particular a review of the score."""
    try:
        view = view_of(seller, services)
    except errors.VectorsUnavailable:
        view = None
    asked = Asked(seller.subject, feature or None, view.score.id if view else None, statement)
    with sessions.acting(services.engine, seller.signed_in) as connection:
        service.ask(connection, services, asked)
    return to("/seller/reviews?done=asked")
