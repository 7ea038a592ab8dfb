"""Amounts become integer micro-USD at the latest rate known when the row became visible."""

import shutil
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.engines import duckdb as engine
from features.ingest import ingest, open_store
from features.schema import ConstantRate
from tests.features.ingest.build import Row, accepted, order, write, write_some

DAY = datetime(2024, 3, 5)  # noqa: DTZ001
HOUR = timedelta(hours=1)


def rate(days_before: int, usd_per_unit: float, known_at: datetime | None = None, currency: str = "CNY") -> Row:
    day = DAY - timedelta(days=days_before)
    return {"day": day.date(), "currency": currency, "usd_per_unit": usd_per_unit, "known_at": known_at or day}


def micros(folder: Path) -> dict[object, object]:
    return {row["order_id"]: row["amount_micros"] for row in accepted(open_store(folder), "orders")}


def cny(order_id: str = "O1", **changes: object) -> Row:
    at = DAY + 10 * HOUR
    return order(order_id, **{"currency": "CNY", "amount": 10.0, "ordered_at": at, "known_at": at, **changes})


@pytest.fixture(scope="module")
def converted(first_delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[object, object]:
    """The converted amounts of one delivery, since an ingest takes a second. Each test has a currency of its own."""
    folder = tmp_path_factory.mktemp("money")
    place = Path(shutil.copytree(first_delivery, folder / "store"))
    next_midnight = DAY + timedelta(days=1)
    rates = [
        *(rate(1, 0.1), rate(0, 0.2), rate(-1, 0.3)),
        *(rate(1, 0.1, currency="EUR"), rate(0, 0.2, next_midnight + HOUR, "EUR")),
        *(rate(1, 0.1, currency="GBP"), rate(0, 0.2, next_midnight, "GBP")),
        rate(31, 0.1, currency="JPY"),
    ]
    orders = [
        cny("day"),
        cny("seen before", currency="EUR"),
        cny("seen later", currency="EUR", known_at=next_midnight + 2 * HOUR),
        cny("at midnight", currency="GBP"),
        cny("31 days", currency="JPY"),
        cny("32 days", currency="JPY", ordered_at=next_midnight, known_at=next_midnight),
        *(order(f"P{number}", amount=amount) for number, amount in enumerate(AMOUNTS)),
    ]
    terms = {"covers_through": {"fx_rates": "2024-03-08"}}
    ingest(write_some(folder / "d", terms, orders=orders, fx_rates=rates), place)
    return micros(place)


AMOUNTS = (0.0000005, 0.0000015, 0.01, 33.33, 1e8)


def test_the_latest_rate_known_when_the_row_became_visible_converts(converted: dict[object, object]) -> None:
    assert converted["day"] == 2_000_000, "the rate of the event's day"
    # a rate known late converts only rows visible later
    assert (converted["seen before"], converted["seen later"]) == (1_000_000, 2_000_000)
    assert converted["at midnight"] == 2_000_000, "a rate known at the midnight itself"
    # a rate is used for at most 31 days
    assert converted["31 days"] == 1_000_000
    assert "32 days" not in converted


def test_halves_are_rounded_away_from_zero_and_no_amount_is_lost(converted: dict[object, object]) -> None:
    expected = [int(Decimal(amount * 1.0 * 1_000_000).quantize(Decimal(1), ROUND_HALF_UP)) for amount in AMOUNTS]
    assert [converted[f"P{number}"] for number in range(len(AMOUNTS))] == expected == [1, 2, 10_000, 33_330_000, 10**14]


def test_the_constant_rate_converts_its_currency_on_every_day_and_is_stored_with_its_delivery(
    base_store: Path, tmp_path: Path
) -> None:
    terms: dict[str, object] = {"constant_rate": {"currency": "CNY", "usd_per_unit": 1e6}}
    orders = [cny(amount=12.5), cny("O2", currency="EUR"), cny("large", amount=1e11)]
    report = ingest(write_some(tmp_path / "d", terms, orders=orders, fx_rates=[rate(0, 0.2)]), base_store)
    assert report.table("orders").quarantined == {"amount_too_large": 1, "rate_unknown": 1}
    assert micros(base_store) == {"O0": 12_500_000, "O1": 12_500_000_000_000}
    store = open_store(base_store)
    assert [each.constant_rate for each in store.deliveries] == [None, ConstantRate("CNY", 1e6)]


@pytest.mark.soak
def test_the_number_of_threads_has_no_effect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(7)  # noqa: S311 - test data
    rows = [
        cny(f"O{random.randrange(2500)}", amount=random.randrange(1, 9) / 3, known_at=DAY + random.randrange(60) * HOUR)
        for _ in range(3000)
    ]
    delivery = write(tmp_path / "d", orders=rows, fx_rates=[rate(1, 0.1), rate(0, 0.2, known_at=DAY + 30 * HOUR)])
    pq.write_table(pq.read_table(delivery / "orders.parquet"), delivery / "orders.parquet", row_group_size=200)
    converted = []
    for threads in (1, 4):
        monkeypatch.setattr(
            "features.ingest.ingest_delivery.open_engine", lambda t=threads: engine.open_engine(threads=t)
        )
        report = ingest(delivery, tmp_path / f"s{threads}")
        converted.append((report.tables, accepted(open_store(tmp_path / f"s{threads}"), "orders")))
    assert converted[0] == converted[1]
    assert converted[0][0][-1].quarantined["key_conflict"] > 0


def test_accepted_files_have_the_documented_types(first_delivery: Path) -> None:
    schema = pq.read_schema(open_store(first_delivery).files("orders")[0])
    kinds = {"order_id": pa.string(), "ordered_at": pa.timestamp("us"), "amount": pa.float64(), "items": pa.int64()}
    kinds |= {"amount_micros": pa.int64(), "visible_from": pa.date32()}
    assert {name: schema.field(name).type for name in kinds} == kinds
    assert accepted(open_store(first_delivery), "orders")[0]["visible_from"] == date(2024, 3, 6)
