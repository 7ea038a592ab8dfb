"""A delivery declares what its platform does not have; a declaration that its rows contradict is refused."""

from datetime import date
from pathlib import Path

import pytest

from features.errors import DeliveryError
from features.ingest import IngestReport, ingest, open_store
from features.quality import write_page
from features.store.operating import read_store
from tests.features.ingest.build import AT, Row, accepted, order, write, write_some

REFUND: Row = {"refund_id": "R1", "order_id": None, "store_id": "T1", "refunded_at": AT, "amount": 1.0}
REFUND |= {"currency": "USD", "reason": "refund", "known_at": AT}


def take(folder: Path, absent: object, **tables: list[Row]) -> IngestReport:
    delivery = write(folder / "d", {"absent": absent, "covers_through": {"orders": "2024-04-01"}}, **tables)
    return ingest(delivery, folder / "s")


def test_a_table_that_is_absent_is_covered_as_far_as_orders_and_holds_no_row(tmp_path: Path) -> None:
    report = take(tmp_path, ["buyer_ids", "refunds"], orders=[order(buyer_id=None), order("O2", buyer_id=None)])
    assert report.covers_through["refunds"] == date(2024, 4, 1)
    store = open_store(tmp_path / "s")
    assert store.deliveries[0].absent == ("refunds", "buyer_ids")
    assert store.has("refunds")
    assert not store.has("traffic")
    assert accepted(store, "refunds") == []
    assert read_store(tmp_path / "s") == store


@pytest.mark.parametrize(
    ("absent", "tables", "words"),
    [
        (["refunds"], {"refunds": [REFUND]}, "has no refunds, but refunds.parquet holds 1 rows; take refunds out"),
        (["buyer_ids"], {}, "has no buyer_ids, but 1 orders have a buyer_id; take buyer_ids out"),
        (["orders"], {}, r"absent is \['orders'\]; expected a list .* out of refunds, buyer_ids"),
        ("refunds", {}, "absent is 'refunds'; expected a list"),
    ],
)
def test_a_contradiction_is_refused(absent: object, tables: dict[str, list[Row]], words: str, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=words):
        take(tmp_path, absent, **tables)
    assert not read_store(tmp_path / "s").deliveries


def test_a_later_delivery_of_another_platform_may_hold_what_the_first_does_not_have(tmp_path: Path) -> None:
    take(tmp_path, ["refunds"])
    later = write_some(tmp_path / "later", refunds=[REFUND])
    assert ingest(later, tmp_path / "s").table("refunds").accepted == 1
    assert open_store(tmp_path / "s").has("refunds")


def test_the_day_on_which_a_table_begins_is_stored_and_the_earliest_counts(tmp_path: Path) -> None:
    for number, day in enumerate(("2024-02-01", "2024-01-10", "2024-03-01")):
        terms = {"begins": {"traffic": day}}
        ingest(write(tmp_path / f"d{number}", terms, orders=[order(f"O{number}")]), tmp_path / "s")
    store = open_store(tmp_path / "s")
    assert store.begins == {"traffic": date(2024, 1, 10)}
    assert read_store(tmp_path / "s") == store


def test_a_guest_is_an_order_without_a_buyer(tmp_path: Path) -> None:
    report = ingest(write(tmp_path / "d", orders=[order(buyer_id=None)]), tmp_path / "s")
    assert report.table("orders").accepted == 1
    assert accepted(open_store(tmp_path / "s"), "orders")[0]["buyer_id"] is None


def test_the_report_and_the_page_name_what_is_absent(tmp_path: Path) -> None:
    report = take(tmp_path, ["refunds"])
    assert report.absent == ("refunds",)
    assert IngestReport.from_json(report.to_json()) == report
    page = write_page(open_store(tmp_path / "s"), report, "d", tmp_path / "page.html")
    assert "The platform has none, as the delivery declares." in page.read_text(encoding="utf-8")
