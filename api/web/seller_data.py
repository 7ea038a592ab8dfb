"""What we hold of a seller: which tables, how fresh, a year of sales, every figure of the score. Pure.

Everything that is held about a seller, as one JSON object, written piece by piece so that none is too large.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from markupsafe import Markup

from api.consents import repository as consents
from api.consents import repository as requests
from api.errors import LedgerDamaged
from api.kit.database import transaction
from api.reviews import repository as reviews
from api.scores import inputs
from api.scores import repository as scores
from api.scores.repository import open_score
from api.services import Services, ServicesDep
from api.web.charts import columns_picture
from api.web.consent_pages import list_bank_access
from api.web.labels import TABLES
from api.web.routing import SellerPage, SessionRoute
from api.web.translations import N_, Translator
from features.errors import StoreError
from features.picture.picture import Gap, Picture, SeriesShown, TableShown
from features.picture.stored import encoded
from features.store import StoredVector
from scoring.canonical import canonical_json
from scoring.sheet import FeatureEntry

SALES: Final = "net_sales"


_MICROS: Final = 1_000_000


@dataclass(frozen=True)
class TableRow:
    """A table: through when it was delivered, and since when it tells of the seller."""

    name: str
    through: str
    since: str
    latest: str
    known: bool


@dataclass(frozen=True)
class Sales:
    """A year of net sales in twelve steps: the picture, where anything was sold, and a row a step."""

    picture: Markup | None
    rows: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class FigureRow:
    """A figure that may be disputed."""

    feature: str
    label: str
    value: str


def table_rows(picture: Picture, words: Translator) -> tuple[TableRow, ...]:
    """Return the tables as the seller reads them."""
    return tuple(_table(each, words) for each in picture.coverage)


def sales_series(picture: Picture, words: Translator) -> Sales | None:
    """Return a year of net sales, None where there are none to show."""
    shown = next(each for each in picture.series if each.series.name == SALES)
    if shown.gap is not None:
        return None
    amounts = [None if value is None else value / _MICROS for value in shown.values]
    known = [value for value in amounts if value is not None]
    said = words.say(
        N_("Your sales after refunds in twelve steps of thirty days, from %(low)s to %(high)s a step."),
        low=words.money(round(min(known))),
        high=words.money(round(max(known))),
    )
    settled = [step.settled for step in picture.steps]
    drawn = columns_picture(amounts, settled, said) if max(known) > 0 else None
    return Sales(drawn, tuple(_steps(picture, shown, words)))


def feature_rows(
    sheet: Sequence[FeatureEntry], values: Sequence[float | None], words: Translator
) -> tuple[FigureRow, ...]:
    """Return every figure that the model reads, in the order of the catalogue."""
    return tuple(
        FigureRow(entry.name, words.say(entry.label), words.figure(value, entry.unit))
        for entry, value in zip(sheet, values, strict=True)
        if entry.scored
    )


def _table(each: TableShown, words: Translator) -> TableRow:
    name = words.say(TABLES.get(each.table, each.table))
    through = words.day(each.covers_through) if each.covers_through else words.say(N_("not delivered"))
    if each.first_day is None or each.last_day is None:
        nothing = words.say(N_("not delivered") if each.gap is Gap.NOT_DELIVERED else N_("no records of yours"))
        return TableRow(name, through, nothing, "", known=False)
    return TableRow(name, through, words.day(each.first_day), words.day(each.last_day), known=True)


def _steps(picture: Picture, shown: SeriesShown, words: Translator) -> Iterator[tuple[str, str, bool]]:
    for step, value in zip(picture.steps, shown.values, strict=True):
        amount = words.say(N_("not known")) if value is None else words.money(round(value / _MICROS))
        yield f"{words.day(step.begins)} – {words.day(step.ends)}", amount, step.settled


download_router = APIRouter(prefix="/seller/download", route_class=SessionRoute, include_in_schema=False)


_ALL: Final = 1_000_000


@download_router.get("")
def download(seller: SellerPage, services: ServicesDep) -> StreamingResponse:
    """Send all that is held of the seller, and nothing of anybody else's."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="my-business-score.json"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(
        stream_download(services, seller.subject, datetime.now(UTC)), 200, headers, "application/json"
    )


def stream_download(services: Services, seller_id: str, now: datetime) -> Iterator[bytes]:
    """Yield the JSON object in pieces.

    Example: `b"".join(written(services, "S-1", now))` holds `scores`, `consents`, `requests`, `views`, `reviews`,
    `corrections`, `vectors` and `picture`.
    """
    yield b'{"seller_id":' + canonical_json(seller_id) + b',"made_at":' + canonical_json(now.isoformat())
    for name, part in _SECTIONS.items():
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
            kept = scores.select_score(connection, chain, score_id)
        if kept is None or kept.key is None:
            continue
        try:
            score = open_score(services.ledger, kept)
        except LedgerDamaged:
            yield canonical_json({"id": score_id, "damaged": True})
            continue
        yield b'{"inputs":' + score.inputs + b',"score":' + score.body + b"}"


def _consents(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = consents.list_consents(
            connection, consents.ConsentQuery(None, seller_id, None, None, _ALL), datetime.now(UTC)
        )
    yield from map(_plain, found)


def _requests(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = requests.list_requests(
            connection, consents.ConsentQuery(None, seller_id, None, None, _ALL), datetime.now(UTC)
        )
    yield from map(_plain, found)


def _views(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = list_bank_access(connection, seller_id)
    yield from map(_plain, found)


def _reviews(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = reviews.list_reviews(connection, reviews.ReviewQuery(seller_id, None, None, _ALL))
    yield from map(_plain, found)


def _corrections(services: Services, seller_id: str) -> Iterator[bytes]:
    with transaction(services.engine) as connection:
        found = inputs.corrections_of(connection, seller_id)
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
        found = services.vectors.picture(seller_id)
    except StoreError:
        found = None
    return b"null" if found is None else encoded(found[1]).encode()


_SECTIONS: Final[dict[str, Callable[[Services, str], Iterator[bytes]]]] = {
    "scores": _scores,
    "consents": _consents,
    "requests": _requests,
    "views": _views,
    "reviews": _reviews,
    "corrections": _corrections,
    "vectors": _vectors,
}


def _plain(value: Any, **more: Any) -> bytes:
    return json.dumps({**asdict(value), **more}, default=_fields, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
