"""The download of everything that is stored about a seller, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection

from api.consents import repository as consents
from api.consents.repository import ConsentQuery
from api.errors import LedgerDamaged
from api.kit.database import transaction
from api.kit.fields import utc_now
from api.reviews import repository as reviews
from api.reviews.repository import ReviewQuery
from api.scores import inputs
from api.scores import repository as scores
from api.scores.repository import open_score
from api.services import Services, ServicesDep
from api.web.consent_pages import list_bank_access
from api.web.routing import SellerPage, SessionRoute
from features.errors import StoreError
from features.store.profiles import encode
from scoring.canonical import canonical_json

download_router = APIRouter(prefix="/seller/download", route_class=SessionRoute, include_in_schema=False)


_ALL: Final = 1_000_000


@download_router.get("")
def download(seller: SellerPage, services: ServicesDep) -> StreamingResponse:
    """Send all stored data of the seller as a JSON file."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="my-business-score.json"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(stream_download(services, seller.subject, utc_now()), 200, headers, "application/json")


def stream_download(services: Services, seller_id: str, now: datetime) -> Iterator[bytes]:
    """Yield the JSON object in pieces.

    Example: `b"".join(stream_download(services, "S-1", now))` has the fields `seller_id`, `created_at`, `scores`,
    `consents`, `requests`, `views`, `reviews`, `corrections`, `vectors` and `profile`.
    """
    yield b'{"seller_id":' + canonical_json(seller_id) + b',"created_at":' + canonical_json(now.isoformat())
    for name, section in _SECTIONS.items():
        yield b',"' + name.encode() + b'":['
        for number, item in enumerate(section(services, seller_id)):
            yield (b"," if number else b"") + item
        yield b"]"
    yield b',"profile":' + _stored_profile(services, seller_id) + b"}\n"


def _scores(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        ids = scores.ids_of(connection, seller_id)
    # one transaction per score, so that none stays open while a slow client reads
    for chain, score_id in ids:
        with transaction(services.engine) as connection:
            row = scores.select_score(connection, chain, score_id)
        if row is None or row.key is None:
            continue
        try:
            score = open_score(services.ledger, row)
        except LedgerDamaged:
            yield canonical_json({"id": score_id, "damaged": True})
            continue
        yield b'{"inputs":' + score.inputs + b',"score":' + score.body + b"}"


def _section(
    read: Callable[[Connection, str], Iterable[Any]],
) -> Callable[[Services, str], Iterator[bytes]]:
    """Return a section of the download from a function that reads its rows."""

    def section(services: Services, seller_id: str) -> Iterator[bytes]:
        with transaction(services.engine) as connection:
            rows = read(connection, seller_id)
        yield from map(_to_json, rows)

    return section


def _views(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        rows = list_bank_access(services, connection, seller_id)
    yield from map(_to_json, rows)


def _vectors(services: Services, seller_id: str) -> Iterator[bytes]:
    names = services.champion.bundle.sheet.names
    with suppress(StoreError):
        stored = services.vectors.latest(seller_id)
        while stored is not None:
            same_length = len(names) == len(stored.values)
            values = dict(zip(names, stored.values, strict=True)) if same_length else list(stored.values)
            yield _to_json(stored.snapshot, values=values)
            stored = services.vectors.earlier(stored)


def _stored_profile(services: Services, seller_id: str) -> bytes:
    stored = None
    with suppress(StoreError):
        stored = services.vectors.profile(seller_id)
    return b"null" if stored is None else encode(stored[1]).encode()


def _all(seller_id: str) -> ConsentQuery:
    return ConsentQuery(None, seller_id, None, None, _ALL)


_SECTIONS: Final[dict[str, Callable[[Services, str], Iterator[bytes]]]] = {
    "scores": _scores,
    "consents": _section(lambda connection, seller_id: consents.list_consents(connection, _all(seller_id), utc_now())),
    "requests": _section(lambda connection, seller_id: consents.list_requests(connection, _all(seller_id), utc_now())),
    "views": _views,
    "reviews": _section(
        lambda connection, seller_id: reviews.list_reviews(connection, ReviewQuery(seller_id, None, None, _ALL))
    ),
    "corrections": _section(inputs.corrections_of),
    "vectors": _vectors,
}


def _to_json(value: Any, **fields: Any) -> bytes:
    return json.dumps({**asdict(value), **fields}, default=_encode, ensure_ascii=False, separators=(",", ":")).encode()


def _encode(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
