"""Stored scores of a bank: read one, list them in pages, and replay one.

Pages follow the chain, where rows are only added at the tip, so new scores neither move an item nor repeat one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from api.consents import repository as consents
from api.errors import LedgerDamaged, ScoreErased, ScoreNotReplayable, ScorePastRetention, ScoreUnknown
from api.kit import pagination
from api.kit.database import transaction
from api.kit.pagination import PagePosition
from api.models.bundle_store import find_bundle
from api.scores import repository
from api.scores.envelope import format_milliseconds, is_expired
from api.scores.inputs import parse_vector
from api.scores.repository import ScoreQuery, ScoreRow, StoredScore, find_score, open_score, read_envelope
from api.scores.schemas import DifferenceResponse, ScoreItem, ScorePage, ScoreState
from api.services import Services
from scoring import ScoringError, assess, serialize_assessment

_NUMBERS: Final = ("as_of", "outcome", "score", "band", "probability_of_default")
_UNREADABLE: Final = dict.fromkeys(("seller_id", "expires_at", "expired", *_NUMBERS))


def get_score(services: Services, bank_id: str, score_id: str) -> StoredScore:
    """Return a stored score of a bank.

    Raises:
        ScoreUnknown: the bank has no score with this ID.
        ScoreErased: the seller was erased.
        LedgerDamaged: the stored score does not match its commitment.
        DatabaseUnavailable: the database is not available.
    """
    with transaction(services.engine) as connection:
        score = find_score(connection, services.ledger, bank_id, score_id)
    if score is None:
        raise ScoreUnknown
    return score


def list_scores(
    services: Services, bank_id: str, seller_id: str | None, page: tuple[str | None, int], now: datetime
) -> ScorePage:
    """Return a page of a bank's scores, newest first.

    Args:
        services: the services.
        bank_id: the bank.
        seller_id: only scores of this seller; an unknown seller has none.
        page: the cursor and the maximum number of items.
        now: the time that decides whether a score has expired.

    Raises:
        RequestValidationError: the cursor is not a cursor of this bank.
        DatabaseUnavailable: the database is not available.
    """
    cursor, limit = page
    with transaction(services.engine) as connection:
        before = pagination.resolve_cursor(
            cursor, lambda position: repository.position_of(connection, bank_id, position.id, position.moment)
        )
        # a bank has scores only of sellers who gave it a consent; the rows of others must not delay the response
        readable = seller_id is None or consents.has_consented(connection, seller_id, bank_id)
        query = ScoreQuery(bank_id, seller_id, before, limit + 1)
        rows = repository.newest(connection, query) if readable else []
    items, next_cursor = pagination.paginate(rows, limit, lambda row: PagePosition(row.index.scored_at, row.index.id))
    return ScorePage(items=[_list_item(services, row, now) for row in items], next_cursor=next_cursor)


def _list_item(services: Services, row: ScoreRow, now: datetime) -> ScoreItem:
    try:
        state, fields = ScoreState.READABLE, _item_fields(read_envelope(services.ledger, row), now)
    except ScorePastRetention:
        state, fields = ScoreState.PAST_RETENTION, _UNREADABLE
    except ScoreErased:
        state, fields = ScoreState.ERASED, _UNREADABLE
    except (LedgerDamaged, KeyError, TypeError, ValueError):
        state, fields = ScoreState.DAMAGED, _UNREADABLE
    index = row.index
    scored_at = format_milliseconds(index.scored_at)
    return ScoreItem(id=index.id, purpose=index.purpose, scored_at=scored_at, state=state, **fields)


def _item_fields(envelope: dict[str, Any], now: datetime) -> dict[str, Any]:
    assessment, expires_at = envelope["assessment"], envelope["expires_at"]
    return {
        "seller_id": envelope["seller_id"],
        "expires_at": expires_at,
        "expired": is_expired(expires_at, now),
        **{name: assessment[name] for name in _NUMBERS},
    }


def replay_score(services: Services, bank_id: str, score_id: str) -> list[DifferenceResponse]:
    """Recompute a stored score from its inputs and bundle, and return the differences; none if equal to the byte.

    An assessment is a pure function of inputs and bundle, so a difference means that stored data were changed. The
    replay also runs if the content does not match its commitment, to find the changed values.

    Raises:
        ScoreUnknown: the bank has no score with this ID.
        ScoreErased: the seller was erased.
        BundleNotKept: the bundle is missing or damaged.
        ScoreNotReplayable: the bundle cannot score the inputs.
        LedgerDamaged: the stored score cannot be decrypted.
        DatabaseUnavailable: the database is not available.
    """
    with transaction(services.engine) as connection:
        row = repository.select_score(connection, bank_id, score_id)
    if row is None:
        raise ScoreUnknown
    score = open_score(services.ledger, row, committed=False)
    try:
        stored = score.fields["assessment"]
        vector = parse_vector(json.loads(score.inputs))
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    bundle = find_bundle(services.champion, services.settings, score.bundle)
    try:
        replayed = json.loads(serialize_assessment(assess(bundle, [vector])[0]))
    except ScoringError as error:
        raise ScoreNotReplayable from error
    return list(_differences("", stored, replayed))


def _differences(path: str, stored: Any, now: Any) -> Iterator[DifferenceResponse]:
    if isinstance(stored, dict) and isinstance(now, dict) and stored.keys() == now.keys():
        for name in stored:
            yield from _differences(f"{path}/{name}", stored[name], now[name])
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for index, pair in enumerate(zip(stored, now, strict=True)):
            yield from _differences(f"{path}/{index}", *pair)
    # 1, 1.0 and true are equal in Python but have different bytes
    elif json.dumps(stored, sort_keys=True) != json.dumps(now, sort_keys=True):
        yield DifferenceResponse(path=path, stored=stored, now=now)
