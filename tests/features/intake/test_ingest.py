"""A delivery goes in whole, once, in any order of its rows; or it is refused in a sentence and nothing changes."""

import json
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.errors import DeliveryError, FeaturesError, StoreError
from features.intake import IntakeReport, TableReport, ingest, open_store
from tests.features.intake import spoil
from tests.features.intake.build import (
    AT,
    EPOCH,
    Row,
    accepted,
    order,
    quarantined,
    seller,
    write,
    write_orders,
)

LATER = AT + timedelta(hours=1)


def test_report_reads_back_equal_and_names_what_it_ignored(tmp_path: Path) -> None:
    delivery = write(tmp_path / "it's [odd] *", orders=[order(note="extra")])
    (delivery / "truth").mkdir()
    report = ingest(delivery, tmp_path / "store [x]*")
    assert IntakeReport.from_json(report.to_json()) == report
    assert report.ignored_files == ("truth",)
    assert report.table("orders").ignored_columns == ("note",)


def test_a_report_whose_counts_do_not_add_up_cannot_be_made() -> None:
    with pytest.raises(FeaturesError, match="3 rows were read but 2 have a fate"):
        TableReport("orders", read=3, accepted=1, duplicates=0, quarantined={"amount_negative": 1})


def test_the_same_delivery_twice_changes_nothing(tmp_path: Path) -> None:
    delivery = write(tmp_path / "d")
    first = ingest(delivery, tmp_path / "s")
    before = open_store(tmp_path / "s")
    again = ingest(delivery, tmp_path / "s")
    assert again.already_ingested
    assert again == first.repeated()
    assert open_store(tmp_path / "s") == before


def test_copies_are_dropped_and_of_contents_the_first_known_wins(begun: Path, tmp_path: Path) -> None:
    rows = [order(amount=2.0, known_at=LATER), order(), order(), order(amount=2.0, known_at=LATER), order("O2")]
    orders = ingest(write_orders(tmp_path / "d", *rows), begun).table("orders")
    assert (orders.read, orders.accepted, orders.duplicates, orders.quarantined) == (5, 2, 1, {"key_conflict": 2})
    kept = accepted(open_store(begun), "orders")
    assert [(row["order_id"], row["amount"]) for row in kept] == [("O0", 12.5), ("O1", 12.5), ("O2", 12.5)]


def test_the_stored_row_wins_over_one_known_earlier(begun: Path, tmp_path: Path) -> None:
    early = order("O0", known_at=EPOCH)
    late = write(tmp_path / "late", orders=[early, order("O0"), order("O3", known_at=LATER)])
    report = ingest(late, begun)
    orders = report.table("orders")
    assert (orders.accepted, orders.duplicates, orders.quarantined) == (1, 1, {"key_conflict": 1})
    assert report.table("sellers").duplicates == 1
    assert [row["known_at"] for row in accepted(open_store(begun), "orders")] == [AT, LATER]
    (loser,) = quarantined(begun, report.delivery_id, "orders")
    assert (loser["rule"], loser["known_at"]) == ("key_conflict", "2023-01-01 00:00:00")


def test_a_stored_row_is_a_duplicate_even_where_its_rate_is_gone(begun: Path, tmp_path: Path) -> None:
    terms = {"constant_rate": {"currency": "CNY", "usd_per_unit": 0.145}}
    ingest(write(tmp_path / "a", terms, sellers=[], stores=[], orders=[order(currency="CNY")]), begun)
    again = write_orders(tmp_path / "b", order(currency="CNY"), order("O2", currency="CNY"))
    orders = ingest(again, begun).table("orders")
    assert (orders.duplicates, orders.quarantined) == (1, {"rate_unknown": 1})


def test_a_version_of_a_seller_is_a_row_of_its_own(tmp_path: Path) -> None:
    versions = [seller(), seller(country="VN", known_at=LATER)]
    report = ingest(write(tmp_path / "d", sellers=versions), tmp_path / "s")
    assert report.table("sellers").accepted == 2


def test_empty_text_in_a_column_that_may_be_empty_is_null(tmp_path: Path) -> None:
    refund = {"refund_id": "R1", "order_id": " ", "store_id": "T1", "refunded_at": AT, "amount": 1.0}
    refund |= {"currency": "USD", "reason": "refund", "known_at": AT}
    ingest(write(tmp_path / "d", refunds=[refund]), tmp_path / "s")
    assert accepted(open_store(tmp_path / "s"), "refunds")[0]["order_id"] is None


def test_the_store_says_what_it_covers_and_its_version_follows_the_deliveries(tmp_path: Path) -> None:
    ingest(write(tmp_path / "a", {"covers_through": {"orders": "2024-04-01"}}), tmp_path / "s")
    first = open_store(tmp_path / "s")
    assert first.covers_through["orders"] == date(2024, 4, 1)
    assert first.covers_through["sellers"] == EPOCH.date()
    ingest(write(tmp_path / "b", sellers=[], stores=[], orders=[order("O2")]), tmp_path / "s")
    second = open_store(tmp_path / "s")
    assert second.covers_through["orders"] == date(2024, 4, 1), "a late delivery takes nothing back"
    assert second.version != first.version
    assert [len(pq.read_table(path)) for path in second.files("orders")] == [1, 1]
    assert len(second.files("sellers")) == 1


def test_an_empty_optional_table_is_no_error(tmp_path: Path) -> None:
    columns = ("day", "currency", "usd_per_unit", "known_at")
    empty = pa.table({name: pa.array([], pa.string()) for name in columns})
    assert ingest(write(tmp_path / "d", fx_rates=empty), tmp_path / "s").table("fx_rates").read == 0


REFUSED = {
    "no table": (
        lambda d: [spoil.without(d, f"{name}.parquet") for name in ("sellers", "stores", "orders")],
        "no table of",
    ),
    "no orders": (lambda d: spoil.without(d, "orders.parquet"), "holds no orders"),
    "no rows": (spoil.no_rows, "has no rows"),
    "csv beside": (spoil.csv_beside, "as Parquet and as CSV"),
    "cut off": (spoil.cut, "cannot be read as parquet"),
    "corrupt": (spoil.corrupt, "was not taken, for no orders were delivered before: orders.parquet cannot be read"),
    "columns": (spoil.columns, "lacks amount, items"),
    "column twice": (spoil.twice, "column amount more than once"),
    "utf-16": (spoil.utf_16, "save it as UTF-8"),
    "empty csv": (spoil.empty_csv, "is empty"),
    "not json": (lambda d: (d / "delivery.json").write_text("{"), "cannot be read as JSON"),
    "not an object": (lambda d: (d / "delivery.json").write_text("[]"), "expected an object"),
    "unknown term": (lambda d: (d / "delivery.json").write_text('{"cover": 1}'), "'cover' is not known"),
    "unknown table": (lambda d: (d / "delivery.json").write_text('{"covers_through": {"x": "2024-01-01"}}'), "'x'"),
    "no day": (lambda d: (d / "delivery.json").write_text('{"covers_through": {"orders": 3}}'), "expected a day"),
    "deep json": (lambda d: (d / "delivery.json").write_text("[" * 100_000), "cannot be read as JSON"),
    "covers too much": (lambda d: _covers(d, "2099-01-01"), "orders is '2099-01-01'; expected a day from 1990-01-01"),
    "covers nothing": (lambda d: _covers(d, "1989-12-31"), "expected a day from 1990-01-01 to tomorrow"),
    "endless rate": (lambda d: _rate(d, "CNY", 10**400), "expected a number from"),
    "no rate": (lambda d: _rate(d, "CNY", "much"), "usd_per_unit 'much'"),
    "negative rate": (lambda d: _rate(d, "CNY", -1), "usd_per_unit -1"),
    "no currency": (lambda d: _rate(d, "RMB", 0.1), "currency 'RMB'"),
    "dear dollar": (lambda d: _rate(d, "USD", 2), "a dollar is one dollar"),
}


def _covers(delivery: Path, day: str) -> None:
    (delivery / "delivery.json").write_text(json.dumps({"covers_through": {"orders": day}}))


def _rate(delivery: Path, currency: str, rate: object) -> None:
    terms = {"constant_rate": {"currency": currency, "usd_per_unit": rate}}
    (delivery / "delivery.json").write_text(json.dumps(terms))


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_is_refused_in_a_sentence(case: str, tmp_path: Path) -> None:
    harm, words = REFUSED[case]
    delivery = write(tmp_path / "d")
    harm(delivery)
    with pytest.raises(DeliveryError, match=words) as refusal:
        ingest(delivery, tmp_path / "s")
    assert "\n" not in str(refusal.value)
    assert not list((tmp_path / "s").glob("deliveries/*"))
    with pytest.raises(StoreError, match="ingest a delivery first"):
        open_store(tmp_path / "s")


ORDERS = st.builds(
    order,
    st.sampled_from(["O1", "O2", "O3", ""]),
    amount=st.sampled_from([1.0, 2.0, -1.0]),
    currency=st.sampled_from(["USD", "EUR"]),
    known_at=st.sampled_from([AT, LATER, datetime(1980, 1, 1)]),  # noqa: DTZ001
    store_id=st.sampled_from(["T1", "T9"]),
)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ORDERS, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_counts_add_up_and_order_and_repetition_do_not_matter(
    first_delivery: Path, tmp_path_factory: pytest.TempPathFactory, rows: list[Row], random: Random
) -> None:
    folder = tmp_path_factory.mktemp("any")
    one, two = (Path(shutil.copytree(first_delivery, folder / name)) for name in ("one", "two"))
    orders = ingest(write_orders(folder / "a", *rows), one).table("orders")
    assert orders.read == len(rows) == orders.accepted + orders.duplicates + orders.rejected
    kept = accepted(open_store(one), "orders")
    assert len({row["order_id"] for row in kept}) == len(kept) == orders.accepted + 1
    random.shuffle(rows)
    shuffled = write_orders(folder / "b", *rows)
    ingest(shuffled, two)
    assert accepted(open_store(two), "orders") == kept
    again = ingest(shuffled, one)
    assert again.already_ingested or again.table("orders").accepted == 0
    assert accepted(open_store(one), "orders") == kept
