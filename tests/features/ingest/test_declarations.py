"""Declarations of `delivery.json`: the source of the rows, what the platform does not have, and when a table begins."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from features.errors import DeliveryError
from features.ingest import IngestReport, ingest, open_store, read_report
from features.quality import write_page
from features.store.operating import read_store
from tests.features.ingest.build import Row, accepted, order, refund, write, write_orders, write_some


def ingest_with_absent(folder: Path, absent: object, **tables: list[Row]) -> IngestReport:
    delivery = write(folder / "d", {"absent": absent, "covers_through": {"orders": "2024-04-01"}}, **tables)
    return ingest(delivery, folder / "s")


def test_an_absent_table_has_no_rows_and_the_coverage_of_orders(tmp_path: Path) -> None:
    report = ingest_with_absent(tmp_path, ["buyer_ids", "refunds"], orders=[order(buyer_id=None)])
    assert report.covers_through["refunds"] == date(2024, 4, 1)
    assert report.absent == ("refunds", "buyer_ids")
    assert read_report(tmp_path / "s", report.delivery_id) == report
    store = open_store(tmp_path / "s")
    page = write_page(store, report, "d", tmp_path / "page.html")
    assert "The platform does not have this table, as declared." in page.read_text(encoding="utf-8")
    assert store.deliveries[0].absent == ("refunds", "buyer_ids")
    assert store.has("refunds")
    assert not store.has("traffic")
    assert accepted(store, "refunds") == []
    assert accepted(store, "orders")[0]["buyer_id"] is None
    assert read_store(tmp_path / "s") == store
    # a later delivery of another platform can have the table
    assert ingest(write_some(tmp_path / "later", refunds=[refund()]), tmp_path / "s").table("refunds").accepted == 1


@pytest.mark.parametrize(
    ("absent", "tables", "message"),
    [
        (["refunds"], {"refunds": [refund()]}, "has no refunds, but refunds.parquet has 1 rows. Remove refunds from"),
        (["buyer_ids"], {}, "has no buyer_ids, but 1 orders have a buyer_id. Remove buyer_ids from absent"),
        (["orders"], {}, r"absent is \['orders'\]; expected a list .*: refunds, buyer_ids"),
        ("refunds", {}, "absent is 'refunds'; expected a list"),
    ],
)
def test_a_contradiction_is_rejected(
    absent: object, tables: dict[str, list[Row]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DeliveryError, match=message):
        ingest_with_absent(tmp_path, absent, **tables)
    assert not read_store(tmp_path / "s").deliveries


def test_the_earliest_declared_begin_of_a_table_is_used(tmp_path: Path) -> None:
    for number, day in enumerate(("2024-02-01", "2024-01-10", "2024-03-01")):
        terms = {"begins": {"traffic": day}}
        ingest(write(tmp_path / f"d{number}", terms, orders=[order(f"O{number}")]), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert store.begins == {"traffic": date(2024, 1, 10)}
    assert read_store(tmp_path / "s") == store


def test_origins_name_the_stated_sources_and_count_the_deliveries_without_one(tmp_path: Path) -> None:
    ingest(write(tmp_path / "d", {"source": "  simulated by sellerscore, seed 7 "}), tmp_path / "s")
    assert open_store(tmp_path / "s").origins == ("simulated by sellerscore, seed 7",)
    second = ingest(write_orders(tmp_path / "d2", order("O2")), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert [delivery.source for delivery in store.deliveries] == ["simulated by sellerscore, seed 7", None]
    assert store.origins[1] == f"operating data of 1 delivery as ingested: {second.delivery_id[:8]}"
    many = tuple(replace(store.deliveries[1], delivery_id=f"{number:064x}"[::-1]) for number in range(9))
    (text,) = replace(store, deliveries=many).origins
    assert text.startswith("operating data of 9 deliveries as ingested: 00000000, 10000000")
    assert text.endswith(" and 4 more")


@pytest.mark.parametrize("source", ["", "  ", 7, ["x"], "two\nlines", "x" * 201])
def test_a_source_that_is_not_one_line_of_text_is_rejected(tmp_path: Path, source: object) -> None:
    delivery = write(tmp_path / "d", {"source": source})
    with pytest.raises(DeliveryError, match=r"source is .*; expected one line of 1 to 200 characters"):
        ingest(delivery, tmp_path / "s")
