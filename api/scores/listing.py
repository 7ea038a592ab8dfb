"""A bank's scores, newest first, page by page.

Pages follow the chain, where rows are only ever added at the tip: what is scored meanwhile moves nothing, and nothing
is told twice or left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from api import cursors
from api.cursors import After
from api.database import transaction
from api.errors import LedgerDamaged, ScoreErased, ScorePastRetention
from api.scores import repository
from api.scores.listing_schemas import ScoreItem, ScorePage, State
from api.scores.moments import is_expired, written
from api.scores.repository import Kept, Listed
from api.scores.stored import envelope_of
from api.services import Services

_UNREADABLE: Final = dict.fromkeys(
    ("seller_id", "expires_at", "expired", "as_of", "outcome", "score", "band", "probability_of_default")
)


def list_scores(
    services: Services, bank_id: str, seller_id: str | None, place: tuple[str | None, int], now: datetime
) -> ScorePage:
    """Return a page of a bank's scores.

    Args:
        services: the parts.
        bank_id: whose scores they are.
        seller_id: of one seller alone, if given; one who is not known has none.
        place: the cursor and how many items at most.
        now: decides which are expired.

    Raises:
        RequestValidationError: the cursor is not one that this bank was given.
        DatabaseUnavailable: the database does not answer.
    """
    cursor, limit = place
    with transaction(services.engine) as connection:
        # a row of this bank's, which no row ever leaves
        before = cursors.given(cursor, lambda on: repository.position_of(connection, bank_id, on.id, on.moment))
        found = repository.newest(connection, Listed(bank_id, seller_id, before, limit + 1))
    kept, following = cursors.page(found, limit, lambda each: After(each.index.scored_at, each.index.id))
    return ScorePage(items=[_item(services, each, now) for each in kept], next_cursor=following)


def _item(services: Services, kept: Kept, now: datetime) -> ScoreItem:
    try:
        envelope = envelope_of(services.ledger, kept)
        return _written_item(kept, **_told(envelope, now), state=State.READABLE)
    except ScorePastRetention:
        return _written_item(kept, **_UNREADABLE, state=State.PAST_RETENTION)
    except ScoreErased:
        return _written_item(kept, **_UNREADABLE, state=State.ERASED)
    except (LedgerDamaged, KeyError, TypeError, ValueError):
        return _written_item(kept, **_UNREADABLE, state=State.DAMAGED)


def _written_item(kept: Kept, **told: Any) -> ScoreItem:
    index = kept.index
    return ScoreItem(id=index.id, purpose=index.purpose, scored_at=written(index.scored_at), **told)


def _told(envelope: dict[str, Any], now: datetime) -> dict[str, Any]:
    assessment, expires = envelope["assessment"], envelope["expires_at"]
    numbers = ("as_of", "outcome", "score", "band", "probability_of_default")
    return {
        "seller_id": envelope["seller_id"],
        "expires_at": expires,
        "expired": is_expired(expires, now),
        **{name: assessment[name] for name in numbers},
    }
