"""Everything that is held about a seller, as one JSON object, written piece by piece so that none is too large."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from api.consents import repository as consents
from api.consents.requests import repository as requests
from api.database import transaction
from api.errors import LedgerDamaged
from api.reviews import repository as reviews
from api.scores import repository as scores
from api.scores.stored import open_kept
from api.seller_pages.agreements import looks_of
from api.seller_pages.routes import SessionFirst, SignedIn
from api.services import Services, Wired
from features.errors import StoreError
from features.store.profiles import encode
from features.store.vectors import StoredVector
from scoring.canonical import canonical_json

router = APIRouter(prefix="/seller/download", route_class=SessionFirst, include_in_schema=False)

_ALL: Final = 1_000_000


@router.get("")
def download(seller: SignedIn, services: Wired) -> StreamingResponse:
    """Send all that is held of the seller, and nothing of anybody else's."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="my-business-score.json"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(written(services, seller.subject, datetime.now(UTC)), 200, headers, "application/json")


def written(services: Services, seller_id: str, now: datetime) -> Iterator[bytes]:
    """Yield the JSON object in pieces.

    Example: `b"".join(written(services, "S-1", now))` holds `scores`, `consents`, `requests`, `views`, `reviews`,
    `corrections`, `vectors` and `picture`.
    """
    yield b'{"seller_id":' + canonical_json(seller_id) + b',"made_at":' + canonical_json(now.isoformat())
    for name, part in _PARTS.items():
        yield b',"' + name.encode() + b'":['
        for number, each in enumerate(part(services, seller_id)):
            yield (b"," if number else b"") + each
        yield b"]"
    yield b',"picture":' + _picture(services, seller_id) + b"}\n"


def _scores(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        places = scores.ids_of(connection, seller_id)
    # one at a time, so that no transaction is open while a slow reader reads
    for chain, score_id in places:
        with transaction(services.engine) as connection:
            kept = scores.find(connection, chain, score_id)
        if kept is None or kept.key is None:
            continue
        try:
            score = open_kept(services.ledger, kept)
        except LedgerDamaged:
            yield canonical_json({"id": score_id, "damaged": True})
            continue
        yield b'{"inputs":' + score.inputs + b',"score":' + score.body + b"}"


def _consents(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = consents.listed(connection, consents.Wanted(None, seller_id, None, None, _ALL), datetime.now(UTC))
    yield from map(_plain, found)


def _requests(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = requests.listed(connection, consents.Wanted(None, seller_id, None, None, _ALL), datetime.now(UTC))
    yield from map(_plain, found)


def _views(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = looks_of(connection, seller_id)
    yield from map(_plain, found)


def _reviews(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = reviews.listed(connection, reviews.Wanted(seller_id, None, None, _ALL))
    yield from map(_plain, found)


def _corrections(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = reviews.corrections_of(connection, seller_id)
    yield from map(_plain, found)


def _vectors(services: Services, seller_id: str) -> Iterator[bytes]:
    names = services.champion.bundle.sheet.names
    try:
        stored = services.vectors.latest(seller_id)
        while stored is not None:
            yield _vector(stored, names)
            stored = services.vectors.earlier(stored)
    except StoreError:
        return


def _vector(stored: StoredVector, names: tuple[str, ...]) -> bytes:
    snapshot = stored.snapshot
    named = dict(zip(names, stored.values, strict=True)) if len(names) == len(stored.values) else list(stored.values)
    return _plain(snapshot, values=named)


def _picture(services: Services, seller_id: str) -> bytes:
    try:
        found = services.vectors.profile(seller_id)
    except StoreError:
        found = None
    return b"null" if found is None else encode(found[1]).encode()


_PARTS: Final[dict[str, Callable[[Services, str], Iterator[bytes]]]] = {
    "scores": _scores,
    "consents": _consents,
    "requests": _requests,
    "views": _views,
    "reviews": _reviews,
    "corrections": _corrections,
    "vectors": _vectors,
}


def _plain(value: Any, **more: Any) -> bytes:
    return json.dumps({**asdict(value), **more}, default=_told, ensure_ascii=False, separators=(",", ":")).encode()


def _told(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
