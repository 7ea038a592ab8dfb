"""A bank's scores, newest first, page by page.

Pages follow the chain, where rows are only ever added at the tip: what is scored meanwhile moves nothing, and nothing
is told twice or left out.

Replay: a stored score is made again from its stored inputs by the bundle that made it, and compared.

An assessment is a pure function of the two, so any difference says that something stored was changed.

A request that was sent before, under its Idempotency-Key: the score that it made, as it was answered.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from api.errors import (
    IdempotencyKeyReused,
    LedgerDamaged,
    ScoreErased,
    ScoreNotReplayable,
    ScorePastRetention,
    ScoreUnknown,
)
from api.kit import pagination
from api.kit.database import transaction
from api.kit.idempotency import RequestKey, UsedKey
from api.kit.pagination import PagePosition
from api.ledger.encryption import DecryptionError, SellerKey
from api.ledger.store import Ledger
from api.models.bundle_store import find_bundle
from api.scores import repository
from api.scores.envelope import format_optional_timestamp, is_expired, require_format
from api.scores.inputs import parse_vector
from api.scores.repository import ScoreQuery, ScoreRow, StoredScore, envelope_of, find_score, open_score
from api.scores.schemas import ScoreItem, ScorePage, ScoreRequest, ScoreState
from api.services import Services
from scoring import ScoringError, assess, serialize_assessment
from scoring.canonical import canonical_json

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
        before = pagination.resolve_cursor(
            cursor, lambda on: repository.position_of(connection, bank_id, on.id, on.moment)
        )
        found = repository.newest(connection, ScoreQuery(bank_id, seller_id, before, limit + 1))
    kept, following = pagination.paginate(found, limit, lambda each: PagePosition(each.index.scored_at, each.index.id))
    return ScorePage(items=[_list_item(services, each, now) for each in kept], next_cursor=following)


def _list_item(services: Services, kept: ScoreRow, now: datetime) -> ScoreItem:
    try:
        envelope = envelope_of(services.ledger, kept)
        return _format_item(kept, **_fields(envelope, now), state=ScoreState.READABLE)
    except ScorePastRetention:
        return _format_item(kept, **_UNREADABLE, state=ScoreState.PAST_RETENTION)
    except ScoreErased:
        return _format_item(kept, **_UNREADABLE, state=ScoreState.ERASED)
    except (LedgerDamaged, KeyError, TypeError, ValueError):
        return _format_item(kept, **_UNREADABLE, state=ScoreState.DAMAGED)


def _format_item(kept: ScoreRow, **told: Any) -> ScoreItem:
    index = kept.index
    return ScoreItem(id=index.id, purpose=index.purpose, scored_at=format_optional_timestamp(index.scored_at), **told)


def _fields(envelope: dict[str, Any], now: datetime) -> dict[str, Any]:
    assessment, expires = envelope["assessment"], envelope["expires_at"]
    numbers = ("as_of", "outcome", "score", "band", "probability_of_default")
    return {
        "seller_id": envelope["seller_id"],
        "expires_at": expires,
        "expired": is_expired(expires, now),
        **{name: assessment[name] for name in numbers},
    }


@dataclass(frozen=True)
class Difference:
    """One value that is not as stored; `path` is a JSON pointer into the assessment."""

    path: str
    stored: Any
    now: Any


def replay_score(services: Services, bank_id: str, score_id: str) -> list[Difference]:
    """Make a stored score of a bank again and return where it differs; nothing where it is the same to the byte.

    A content that is not what was committed to is replayed all the same, so that what was changed is named.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        BundleNotKept: the bundle that made it is gone or damaged.
        ScoreOfEarlierFormat: it was stored by an earlier version.
        ScoreNotReplayable: the inputs do not meet the bundle.
        LedgerDamaged: what is stored cannot be opened at all.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        kept = repository.select_score(connection, bank_id, score_id)
    if kept is None:
        raise ScoreUnknown
    score = open_score(services.ledger, kept, committed=False)
    try:
        stored = json.loads(score.body)["assessment"]
        # checked first: this version cannot read the bundles of an earlier one
        require_format(stored)
        vector = parse_vector(json.loads(score.inputs))
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerDamaged from error
    bundle = find_bundle(services.champion, services.settings, score.bundle)
    try:
        made = json.loads(serialize_assessment(assess(bundle, [vector])[0]))
    except ScoringError as error:
        raise ScoreNotReplayable from error
    return list(_differences("", stored, made))


def _differences(path: str, stored: Any, now: Any) -> Iterator[Difference]:
    """Yield the leaves that differ, in order."""
    if isinstance(stored, dict) and isinstance(now, dict) and stored.keys() == now.keys():
        for name in stored:
            yield from _differences(f"{path}/{name}", stored[name], now[name])
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for place, (one, other) in enumerate(zip(stored, now, strict=True)):
            yield from _differences(f"{path}/{place}", one, other)
    # 1 and 1.0 and true are equal in Python, and not the same bytes
    elif json.dumps(stored, sort_keys=True) != json.dumps(now, sort_keys=True):
        yield Difference(path, stored, now)


OPERATION = "createScore"


def request_key(request: ScoreRequest) -> tuple[str, bytes]:
    """Return what a key stands for: two bodies that say the same are the same request, however they are written."""
    return OPERATION, canonical_json(request.model_dump(mode="json"))


def stored_score(named: RequestKey, seller: SellerKey, score_id: str, now: datetime) -> tuple[RequestKey, UsedKey]:
    """Return what is stored so that a key stands from now on for a seller's score."""
    return named, UsedKey(OPERATION, named.mac(seller.key), score_id, now + named.kept_for)


def find_idempotent_replay(connection: Connection, ledger: Ledger, named: RequestKey, used: UsedKey) -> StoredScore:
    """Return the score that a key stands for.

    Raises:
        IdempotencyKeyReused: it stands for another request.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
    """
    if used.operation != OPERATION:
        raise IdempotencyKeyReused
    kept = repository.select_score(connection, named.owner, used.resource_id)
    if kept is None:
        raise LedgerDamaged
    if kept.key is None:
        raise ScoreErased
    try:
        mac = named.mac(ledger.unwrapped(kept.key))
    except DecryptionError as error:
        raise LedgerDamaged from error
    if not hmac.compare_digest(mac, used.mac):
        raise IdempotencyKeyReused
    return open_score(ledger, kept)


def get_score(services: Services, bank_id: str, score_id: str) -> StoredScore:
    """Return the stored score of a bank.

    Raises:
        ScoreUnknown: there is none under the id, or it is another bank's.
        ScoreErased: the seller was erased.
        LedgerDamaged: what is stored is not what was.
        DatabaseUnavailable: the database does not answer.
    """
    with transaction(services.engine) as connection:
        score = find_score(connection, services.ledger, bank_id, score_id)
    if score is None:
        raise ScoreUnknown
    return score
