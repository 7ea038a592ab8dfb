"""The stored data of a seller: the views of the data page, and the download of everything as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from markupsafe import Markup
from sqlalchemy import Connection

from api.consents import repository as consents
from api.consents.repository import ConsentQuery
from api.errors import LedgerDamaged
from api.kit.database import transaction
from api.reviews import repository as reviews
from api.scores import inputs
from api.scores import repository as scores
from api.scores.repository import open_score
from api.services import Services, ServicesDep
from api.web.charts import SeriesData, bar_chart
from api.web.consent_pages import list_bank_access
from api.web.labels import TABLES
from api.web.routing import SellerPage, SessionRoute
from api.web.translations import N_, Translator
from features.errors import StoreError
from features.profile.profile import MissingReason, ProfileSeries, ProfileTable, SellerProfile
from features.store.profiles import encode
from features.store.vectors import StoredVector
from scoring.canonical import canonical_json
from scoring.sheet import FeatureEntry

SALES: Final = "net_sales"


_MICROS: Final = 1_000_000


@dataclass(frozen=True)
class TableRow:
    """A table: through when it is delivered, and the seller's first and latest record."""

    name: str
    through: str
    since: str
    latest: str
    known: bool


@dataclass(frozen=True)
class Sales:
    """A year of net sales in twelve periods: the chart if there are sales, and a row per period."""

    chart: Markup | None
    rows: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True)
class FigureRow:
    """A figure that the seller can dispute."""

    feature: str
    label: str
    value: str


def table_rows(profile: SellerProfile, translator: Translator) -> tuple[TableRow, ...]:
    """Return the delivered tables in a language."""
    return tuple(_table(table, translator) for table in profile.coverage)


def sales_series(profile: SellerProfile, translator: Translator) -> Sales | None:
    """Return a year of net sales; None if there are no data."""
    series = next(item for item in profile.series if item.series.name == SALES)
    if series.missing is not None:
        return None
    amounts = [None if value is None else value / _MICROS for value in series.values]
    known = [value for value in amounts if value is not None]
    label = translator.translate(
        N_("Your sales after refunds in twelve periods of thirty days, from %(low)s to %(high)s per period."),
        low=translator.money(round(min(known))),
        high=translator.money(round(max(known))),
    )
    data = SeriesData(amounts, [not step.settled for step in profile.steps], None)
    chart = bar_chart(data, label, class_="picture") if max(known) > 0 else None
    return Sales(chart, tuple(_steps(profile, series, translator)))


def feature_rows(
    sheet: Sequence[FeatureEntry], values: Sequence[float | None], translator: Translator
) -> tuple[FigureRow, ...]:
    """Return every figure that the model reads, in the order of the catalogue."""
    return tuple(
        FigureRow(entry.name, translator.translate(entry.label), translator.format_value(value, entry.unit))
        for entry, value in zip(sheet, values, strict=True)
        if entry.scored
    )


def _table(table: ProfileTable, translator: Translator) -> TableRow:
    name = translator.translate(TABLES.get(table.table, table.table))
    through = (
        translator.day(table.covers_through) if table.covers_through else translator.translate(N_("not delivered"))
    )
    if table.first_day is None or table.last_day is None:
        missing = translator.translate(
            N_("not delivered") if table.missing is MissingReason.NOT_DELIVERED else N_("no records of yours")
        )
        return TableRow(name, through, missing, "", known=False)
    return TableRow(name, through, translator.day(table.first_day), translator.day(table.last_day), known=True)


def _steps(profile: SellerProfile, series: ProfileSeries, translator: Translator) -> Iterator[tuple[str, str, bool]]:
    for step, value in zip(profile.steps, series.values, strict=True):
        amount = translator.translate(N_("not known")) if value is None else translator.money(round(value / _MICROS))
        yield f"{translator.day(step.begins)} – {translator.day(step.ends)}", amount, step.settled


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
    return StreamingResponse(
        stream_download(services, seller.subject, datetime.now(UTC)), 200, headers, "application/json"
    )


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
    same_length = len(names) == len(stored.values)
    values = dict(zip(names, stored.values, strict=True)) if same_length else list(stored.values)
    return _to_json(stored.snapshot, values=values)


def _stored_profile(services: Services, seller_id: str) -> bytes:
    try:
        stored = services.vectors.profile(seller_id)
    except StoreError:
        stored = None
    return b"null" if stored is None else encode(stored[1]).encode()


def _consents(connection: Connection, seller_id: str) -> Iterable[Any]:
    return consents.list_consents(connection, ConsentQuery(None, seller_id, None, None, _ALL), datetime.now(UTC))


def _requests(connection: Connection, seller_id: str) -> Iterable[Any]:
    return consents.list_requests(connection, ConsentQuery(None, seller_id, None, None, _ALL), datetime.now(UTC))


def _reviews(connection: Connection, seller_id: str) -> Iterable[Any]:
    return reviews.list_reviews(connection, reviews.ReviewQuery(seller_id, None, None, _ALL))


_SECTIONS: Final[dict[str, Callable[[Services, str], Iterator[bytes]]]] = {
    "scores": _scores,
    "consents": _section(_consents),
    "requests": _section(_requests),
    "views": _section(list_bank_access),
    "reviews": _section(_reviews),
    "corrections": _section(inputs.corrections_of),
    "vectors": _vectors,
}


def _to_json(value: Any, **fields: Any) -> bytes:
    return json.dumps({**asdict(value), **fields}, default=_encode, ensure_ascii=False, separators=(",", ":")).encode()


def _encode(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
