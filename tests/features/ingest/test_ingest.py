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
    seller,
    store,
    write,
    write_orders,
    write_some,
)
from tests.oracles.shapes import examples

LATER = AT + timedelta(hours=1)


def test_the_stored_report_is_equal_and_names_ignored_files_and_columns(begun: Path, tmp_path: Path) -> None:
    delivery = write_some(tmp_path / "it's [odd] *", stores=[store("T2", note="extra")] * 2)
    (delivery / "truth").mkdir()
    folder = begun.rename(tmp_path / "store [x]*")
    report = ingest(delivery, folder)
    assert (report.table("stores").accepted, report.table("stores").duplicates) == (1, 1)
    assert read_report(folder, report.delivery_id) == report
    assert report.ignored_files == ("truth",)
    assert report.table("stores").ignored_columns == ("note",)


def test_counts_that_do_not_add_up_raise() -> None:
    with pytest.raises(FeaturesError, match="3 rows were read but 2 have a status"):
        TableReport("orders", read=3, accepted=1, duplicates=0, quarantined={"amount_negative": 1})


def test_the_same_delivery_twice_changes_nothing(begun: Path, first_delivery_folder: Path) -> None:
    before = open_store(begun)
    first = read_report(begun, before.deliveries[0].delivery_id)
    again = ingest(first_delivery_folder, begun)
    assert again.already_ingested
    assert again == first.as_repeated()
    assert open_store(begun) == before


@dataclass(frozen=True)
class Contested:
    """A store after a delivery with duplicates and conflicts of its own rows and of stored rows."""

    folder: Path
    report: IngestReport

    def orders(self, *ids: str) -> list[Row]:
        """Return the accepted orders with these ids."""
        return [row for row in accepted(open_store(self.folder), "orders") if row["order_id"] in ids]


@pytest.fixture(scope="module")
def contested(first_delivery: Path, tmp_path_factory: pytest.TempPathFactory) -> Contested:
    """All cases in one delivery, since each table takes half a second; read only."""
    folder = tmp_path_factory.mktemp("contested")
    place = Path(shutil.copytree(first_delivery, folder / "store"))
    terms = {"constant_rate": {"currency": "CNY", "usd_per_unit": 0.145}, "covers_through": {"orders": "2024-04-01"}}
    ingest(write_some(folder / "a", terms, orders=[order("R1", currency="CNY")]), place)
    refund = {"refund_id": "F1", "order_id": " ", "store_id": "T1", "refunded_at": AT, "amount": 1.0}
    refund |= {"currency": "USD", "reason": "refund", "known_at": AT}
    columns = ("day", "currency", "usd_per_unit", "known_at")
    delivery = write_some(
        folder / "b",
        sellers=[seller(), seller(country="VN", known_at=LATER)],
        orders=[
            *(order(amount=2.0, known_at=LATER), order(), order(), order(amount=2.0, known_at=LATER), order("O2")),
            *(order("O0", known_at=EPOCH), order("O0"), order("O3", known_at=LATER)),
            *(order("R1", currency="CNY"), order("R2", currency="CNY")),
        ],
        refunds=[refund],
        fx_rates=pa.table({name: pa.array([], pa.string()) for name in columns}),
    )
    return Contested(place, ingest(delivery, place))


def test_copies_are_dropped_and_conflicts_are_quarantined(contested: Contested) -> None:
    orders = contested.report.table("orders")
    # a copy each of O1, O0 and R1; two of O1 that were known later, and one of O0 that came later
    assert (orders.read, orders.accepted, orders.duplicates) == (10, 3, 3)
    assert orders.quarantined == {"key_conflict": 3, "rate_unknown": 1}


def test_the_row_known_first_is_accepted(contested: Contested) -> None:
    assert [(row["amount"], row["known_at"]) for row in contested.orders("O1")] == [(12.5, AT)]
    assert len(contested.orders("O2", "O3")) == 2


def test_the_stored_row_wins_over_one_known_earlier(contested: Contested) -> None:
    assert [row["known_at"] for row in contested.orders("O0")] == [AT]
    losers = quarantined(contested.folder, contested.report.delivery_id, "orders")
    (loser,) = (row for row in losers if row["order_id"] == "O0")
    assert (loser["rule"], loser["known_at"]) == ("key_conflict", "2023-01-01 00:00:00")


def test_a_copy_of_a_stored_row_is_a_duplicate_even_without_a_rate(contested: Contested) -> None:
    assert [row["amount_micros"] for row in contested.orders("R1", "R2")] == [1_812_500]
    aside = quarantined(contested.folder, contested.report.delivery_id, "orders")
    assert [row["order_id"] for row in aside if row["rule"] == "rate_unknown"] == ["R2"]


def test_a_version_of_a_seller_is_a_row_of_its_own(contested: Contested) -> None:
    sellers = contested.report.table("sellers")
    assert (sellers.accepted, sellers.duplicates) == (1, 1)


def test_empty_text_in_a_column_that_may_be_empty_is_null(contested: Contested) -> None:
    assert accepted(open_store(contested.folder), "refunds")[0]["order_id"] is None


def test_an_empty_optional_table_is_no_error(contested: Contested) -> None:
    assert contested.report.table("fx_rates").read == 0


def test_coverage_and_version_of_the_store_follow_the_deliveries(contested: Contested, first_delivery: Path) -> None:
    first, last = open_store(first_delivery), open_store(contested.folder)
    assert first.covers_through["orders"] == AT.date()
    assert last.covers_through["orders"] == date(2024, 4, 1), "a late delivery does not reduce coverage"
    assert (first.covers_through["sellers"], last.covers_through["sellers"]) == (EPOCH.date(), LATER.date())
    assert last.version != first.version
    assert [len(pq.read_table(path)) for path in last.files("orders")] == [1, 1, 3]
    assert [len(pq.read_table(path)) for path in last.files("sellers")] == [1, 1]
    assert len(last.files("stores")) == 1


REJECTED = {
    "no table": (
        lambda d: [damage.delete(d, f"{name}.parquet") for name in ("sellers", "stores", "orders")],
        "no table of",
    ),
    "no orders": (lambda d: damage.delete(d, "orders.parquet"), "has no orders"),
    "no rows": (damage.delete_rows, "has no rows"),
    "csv and parquet": (damage.add_csv, "as Parquet and as CSV"),
    "cut off": (damage.truncate, "cannot be read as parquet"),
    "corrupt": (damage.corrupt, "because no orders were delivered before: orders.parquet cannot be read"),
    "columns": (damage.drop_columns, "lacks amount, items"),
    "column twice": (damage.duplicate_column, "column amount more than once"),
    "utf-16": (damage.write_utf_16, "Save it as UTF-8"),
    "empty csv": (damage.write_empty_csv, "is empty"),
    "a folder": (damage.replace_by_folder, r"orders\.parquet is not a file"),
    "kept name": (damage.add_reserved_column, "which is reserved. Leave the column out"),
    "not json": (lambda d: (d / "delivery.json").write_text("{"), "cannot be read as JSON"),
    "not an object": (lambda d: (d / "delivery.json").write_text("[]"), "expected an object"),
    "unknown term": (lambda d: (d / "delivery.json").write_text('{"cover": 1}'), "'cover' is unknown"),
    "unknown table": (lambda d: (d / "delivery.json").write_text('{"covers_through": {"x": "2024-01-01"}}'), "'x'"),
    "no day": (lambda d: (d / "delivery.json").write_text('{"covers_through": {"orders": 3}}'), "expected a day"),
    "deep json": (lambda d: (d / "delivery.json").write_text("[" * 100_000), "cannot be read as JSON"),
    "covers too much": (lambda d: _covers(d, "2099-01-01"), "orders is '2099-01-01'; expected a day from 1990-01-01"),
    "covers nothing": (lambda d: _covers(d, "1989-12-31"), "expected a day from 1990-01-01 to tomorrow"),
    "endless rate": (lambda d: _rate(d, "CNY", 10**400), "expected a number from"),
    "no rate": (lambda d: _rate(d, "CNY", "much"), "usd_per_unit 'much'"),
    "negative rate": (lambda d: _rate(d, "CNY", -1), "usd_per_unit -1"),
    "no currency": (lambda d: _rate(d, "RMB", 0.1), "currency 'RMB'"),
    "dear dollar": (lambda d: _rate(d, "USD", 2), "for USD; expected 1"),
}


def _covers(delivery: Path, day: str) -> None:
    (delivery / "delivery.json").write_text(json.dumps({"covers_through": {"orders": day}}))


def _rate(delivery: Path, currency: str, rate: object) -> None:
    terms = {"constant_rate": {"currency": currency, "usd_per_unit": rate}}
    (delivery / "delivery.json").write_text(json.dumps(terms))


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
