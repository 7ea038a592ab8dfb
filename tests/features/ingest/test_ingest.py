"""A delivery is ingested once, in any order of its rows, or rejected with an error without changing the store."""

import json
import shutil
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.errors import DeliveryError, FeaturesError, StoreError
from features.ingest import IngestReport, TableReport, ingest, open_store, read_report
from tests.features.ingest import damage
from tests.features.ingest.build import (
    AT,
    EPOCH,
    Row,
    accepted,
    order,
    quarantined,
    refund,
    seller,
    store,
    write,
    write_orders,
    write_some,
)
from tests.oracles.shapes import examples

LATER = AT + timedelta(hours=1)


def test_the_stored_report_is_equal_and_names_ignored_files_and_columns(base_store: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "it's [odd] *", stores=[store("T2", note="extra")] * 2)
    (delivery / "truth").mkdir()
    folder = base_store.rename(tmp_path / "store [x]*")
    report = ingest(delivery, folder)
    assert (report.table("stores").accepted, report.table("stores").duplicates) == (1, 1)
    assert read_report(folder, report.delivery_id) == report
    assert report.ignored_files == ("truth",)
    assert report.table("stores").ignored_columns == ("note",)
    with pytest.raises(FeaturesError, match="3 rows were read but 2 have a status"):
        TableReport("orders", read=3, accepted=1, duplicates=0, quarantined={"amount_negative": 1})


def test_the_same_delivery_twice_changes_nothing_even_renamed(
    base_store: Path, first_delivery_folder: Path, tmp_path: Path
) -> None:
    before = open_store(base_store)
    first = read_report(base_store, before.deliveries[0].delivery_id)
    renamed = Path(shutil.copytree(first_delivery_folder, tmp_path / "tuesday"))
    for delivery in (first_delivery_folder, renamed):
        second = ingest(delivery, base_store)
        assert second.already_ingested
        assert second == first.as_repeated()
    assert open_store(base_store) == before
    # the same row in another file is a duplicate
    stores = ingest(write_some(tmp_path / "again", stores=[store("T2"), store()]), base_store).table("stores")
    assert (stores.duplicates, stores.accepted) == (1, 1)


@dataclass(frozen=True)
class Contested:
    """A store after a delivery with duplicates and conflicts of its own rows and of stored rows."""

    folder: Path
    report: IngestReport

    def orders(self, *ids: str) -> list[Row]:
        return [row for row in accepted(open_store(self.folder), "orders") if row["order_id"] in ids]


@pytest.fixture(scope="module")
def contested(first_delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> Contested:
    """All cases in one delivery, since each table takes half a second; read only."""
    folder = tmp_path_factory.mktemp("contested")
    place = Path(shutil.copytree(first_delivery, folder / "store"))
    terms = {"constant_rate": {"currency": "CNY", "usd_per_unit": 0.145}, "covers_through": {"orders": "2024-04-01"}}
    ingest(write_some(folder / "a", terms, orders=[order("R1", currency="CNY")]), place)
    columns = ("day", "currency", "usd_per_unit", "known_at")
    delivery = write_some(
        folder / "b",
        sellers=[seller(), seller(country="VN", known_at=LATER)],
        orders=[
            *(order(amount=2.0, known_at=LATER), order(), order(), order(amount=2.0, known_at=LATER), order("O2")),
            *(order("O0", known_at=EPOCH), order("O0"), order("O3", known_at=LATER)),
            *(order("R1", currency="CNY"), order("R2", currency="CNY")),
        ],
        refunds=[refund(order_id=" ")],
        fx_rates=pa.table({name: pa.array([], pa.string()) for name in columns}),
    )
    return Contested(place, ingest(delivery, place))


def test_copies_are_dropped_and_conflicts_are_quarantined(contested: Contested) -> None:
    orders, sellers = contested.report.table("orders"), contested.report.table("sellers")
    # a copy each of O1, O0 and R1; two of O1 that were known later, and one of O0 that came later
    assert (orders.read, orders.accepted, orders.duplicates) == (10, 3, 3)
    assert orders.quarantined == {"key_conflict": 3, "rate_unknown": 1}
    assert (sellers.accepted, sellers.duplicates) == (1, 1), "a version of a seller is a row of its own"
    assert contested.report.table("fx_rates").read == 0, "an empty optional table is no error"
    assert accepted(open_store(contested.folder), "refunds")[0]["order_id"] is None, "empty text is null"


def test_the_stored_row_wins_and_then_the_row_known_first(contested: Contested) -> None:
    assert [(row["amount"], row["known_at"]) for row in contested.orders("O1")] == [(12.5, AT)]
    assert len(contested.orders("O2", "O3")) == 2
    assert [row["known_at"] for row in contested.orders("O0")] == [AT]
    losers = quarantined(contested.folder, contested.report.delivery_id, "orders")
    (loser,) = (row for row in losers if row["order_id"] == "O0")
    assert (loser["rule"], loser["known_at"]) == ("key_conflict", "2023-01-01 00:00:00")
    # a copy of a stored row is a duplicate even without a rate
    assert [row["amount_micros"] for row in contested.orders("R1", "R2")] == [1_812_500]
    assert [row["order_id"] for row in losers if row["rule"] == "rate_unknown"] == ["R2"]


def test_coverage_and_version_of_the_store_follow_the_deliveries(contested: Contested, first_delivery: Path) -> None:
    first, last = open_store(first_delivery), open_store(contested.folder)
    assert first.covers_through["orders"] == AT.date()
    assert last.covers_through["orders"] == date(2024, 4, 1), "a late delivery does not reduce coverage"
    assert (first.covers_through["sellers"], last.covers_through["sellers"]) == (EPOCH.date(), LATER.date())
    assert last.version != first.version
    assert [len(pq.read_table(path)) for path in last.files("orders")] == [1, 1, 3]
    assert [len(pq.read_table(path)) for path in last.files("sellers")] == [1, 1]
    assert len(last.files("stores")) == 1


def _terms(text: str) -> damage.Damage:
    return lambda delivery: (delivery / "delivery.json").write_text(text)


def _rate(currency: str, rate: object) -> damage.Damage:
    return _terms(json.dumps({"constant_rate": {"currency": currency, "usd_per_unit": rate}}))


def _covers(day: object, table: str = "orders") -> damage.Damage:
    return _terms(json.dumps({"covers_through": {table: day}}))


REJECTED: dict[str, tuple[damage.Damage, str]] = {
    **{case: (harm, message) for case, (harm, message, _) in damage.UNREADABLE.items()},
    "no table": (lambda delivery: [path.unlink() for path in delivery.iterdir()], "no table of"),
    "no orders": (lambda delivery: (delivery / "orders.parquet").unlink(), "has no orders"),
    "no rows": (damage.rewrite(lambda table: table.slice(0, 0)), "has no rows"),
    "corrupt": (damage.corrupt, "because no orders were delivered before: orders.parquet cannot be read"),
    "reserved name": (
        damage.rewrite(lambda table: table.append_column("File_Row_Number", table.column("items"))),
        "which is reserved. Leave the column out",
    ),
    "not json": (_terms("{"), "cannot be read as JSON"),
    "not an object": (_terms("[]"), "expected an object"),
    "repeated name": (
        _terms('{"covers_stores": "all", "covers_stores": "listed"}'),
        "the name 'covers_stores' is repeated. State each name once",
    ),
    "unknown term": (_terms('{"cover": 1}'), "'cover' is unknown"),
    "unknown table": (_covers("2024-01-01", "x"), "'x'"),
    "no day": (_covers(3), "expected a day"),
    "deep json": (_terms("[" * 100_000), "cannot be read as JSON"),
    "covers too much": (_covers("2099-01-01"), "orders is '2099-01-01'; expected a day from 1990-01-01"),
    "covers nothing": (_covers("1989-12-31"), "expected a day from 1990-01-01 to tomorrow"),
    "endless rate": (_rate("CNY", 10**400), "expected a number from"),
    "no rate": (_rate("CNY", "much"), "usd_per_unit 'much'"),
    "negative rate": (_rate("CNY", -1), "usd_per_unit -1"),
    "no currency": (_rate("RMB", 0.1), "currency 'RMB'"),
    "dear dollar": (_rate("USD", 2), "for USD; expected 1"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_an_invalid_delivery_is_rejected_with_one_sentence(case: str, tmp_path: Path) -> None:
    harm, message = REJECTED[case]
    delivery = write(tmp_path / "d")
    harm(delivery)
    with pytest.raises(DeliveryError, match=message) as rejection:
        ingest(delivery, tmp_path / "s")
    assert "\n" not in str(rejection.value)
    assert not list((tmp_path / "s").glob("deliveries/*"))
    with pytest.raises(StoreError, match="Ingest a delivery first"):
        open_store(tmp_path / "s")


ORDERS = st.builds(
    order,
    st.sampled_from(["O1", "O2", "O3", ""]),
    amount=st.sampled_from([1.0, 2.0, -1.0]),
    currency=st.sampled_from(["USD", "EUR"]),
    known_at=st.sampled_from([AT, LATER, datetime(1980, 1, 1)]),  # noqa: DTZ001
    store_id=st.sampled_from(["T1", "T9"]),
)


MIXED = [
    *(order("O1", amount=amount, known_at=at) for amount in (2.0, 1.0, 2.0) for at in (LATER, AT)),
    *(order("O2", store_id="T9"), order("O2"), order("O2"), order("O3", amount=-1.0), order("", currency="EUR")),
]
"""Copies and conflicts of one key, and rows that break rules."""


@pytest.mark.soak
@given(st.lists(ORDERS, min_size=1, max_size=30), st.randoms(use_true_random=False))
@example(MIXED, Random(1))  # noqa: S311 - an order of rows, nothing secret
@examples(40)
def test_counts_add_up_and_order_and_repetition_have_no_effect(
    first_delivery: Path, tmp_path_factory: pytest.TempPathFactory, rows: list[Row], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("any")
    one, two = (Path(shutil.copytree(first_delivery, folder / name)) for name in ("one", "two"))
    orders = ingest(write_orders(folder / "a", *rows), one).table("orders")
    assert orders.read == len(rows) == orders.accepted + orders.duplicates + orders.rejected
    kept = accepted(open_store(one), "orders")
    assert len({row["order_id"] for row in kept}) == len(kept) == orders.accepted + 1
    shuffled = write_orders(folder / "b", *random.sample(rows, len(rows)))
    ingest(shuffled, two)
    assert accepted(open_store(two), "orders") == kept
    again = ingest(shuffled, one)
    assert again.already_ingested or again.table("orders").accepted == 0
    assert accepted(open_store(one), "orders") == kept
