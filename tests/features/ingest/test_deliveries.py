"""Declarations of deliveries, repeated deliveries, and the folder of the store with lost manifests and reports."""

import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import DeliveryError, StoreError
from features.home import state_folder
from features.ingest import IngestReport, ingest, open_store, read_report
from features.quality import write_page
from features.quality.explanations import explain
from features.schema import BY_NAME
from features.store.operating import read_store
from tests.counts import repeat
from tests.features.ingest.build import (
    AT,
    CNY,
    Row,
    accepted,
    no_rows,
    order,
    quarantined,
    refund,
    store,
    write,
    write_orders,
    write_some,
)


def ingest_with_absent(folder: Path, absent: object, **tables: list[Row]) -> IngestReport:
    delivery = write(folder / "d", {"absent": absent, "covers_through": {"orders": "2024-04-01"}}, **tables)
    return ingest(delivery, folder / "s")


def test_a_table_without_a_file_cannot_be_declared_complete(tmp_path: Path) -> None:
    covers = {"covers_through": {"orders": "2024-04-01", "refunds": "2024-04-01"}}
    ingest(write(tmp_path / "a", covers, orders=[order()], refunds=[refund()]), tmp_path / "s")
    before = open_store(tmp_path / "s")
    later = {"covers_through": {"orders": "2024-04-02", "refunds": "2024-04-02"}}
    with pytest.raises(DeliveryError) as refused:
        ingest(write(tmp_path / "b", later, orders=[], refunds=[]), tmp_path / "s")
    assert "covers_through names orders, refunds, but the delivery has no file of orders." in str(refused.value)
    assert "A file without rows means that nothing happened" in str(refused.value)
    assert open_store(tmp_path / "s") == before
    ingest(write(tmp_path / "c", later, orders=[order("O-2")], **no_rows("refunds")), tmp_path / "s")
    assert open_store(tmp_path / "s").covers_through["refunds"] == date(2024, 4, 2)


def test_an_absent_table_has_no_rows_and_the_coverage_of_orders(tmp_path: Path) -> None:
    report = ingest_with_absent(tmp_path, ["buyer_ids", "refunds"], orders=[order(buyer_id=None)])
    assert report.covers_through["refunds"] == date(2024, 4, 1)
    assert report.absent == ("refunds", "buyer_ids")
    assert read_report(tmp_path / "s", report.delivery_id) == report
    held = open_store(tmp_path / "s")
    page = write_page(held, report, "d", tmp_path / "page.html")
    assert "The platform does not have this table, as declared." in page.read_text(encoding="utf-8")
    assert held.deliveries[0].absent == ("refunds", "buyer_ids")
    assert held.has("refunds")
    assert not held.has("traffic")
    assert accepted(held, "refunds") == []
    assert accepted(held, "orders")[0]["buyer_id"] is None
    assert read_store(tmp_path / "s") == held
    # a later delivery of another platform can have the table
    assert ingest(write_some(tmp_path / "later", refunds=[refund()]), tmp_path / "s").table("refunds").accepted == 1


@pytest.mark.parametrize(
    ("absent", "tables", "message"),
    [
        (["refunds"], {"refunds": [refund()]}, "has no refunds, but refunds.parquet has 1 row. Remove refunds from"),
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


def test_the_earliest_declared_begin_of_a_table_is_used(base_store: Path, tmp_path: Path) -> None:
    for day in ("2024-02-01", "2024-01-10", "2024-03-01"):
        ingest(write_some(tmp_path / day, {"begins": {"traffic": day}}, stores=[store(day)]), base_store)
    assert open_store(base_store).begins == {"traffic": date(2024, 1, 10)}
    assert read_store(base_store) == open_store(base_store)


def test_a_row_before_the_declared_begin_of_its_table_is_quarantined(base_store: Path, tmp_path: Path) -> None:
    rows = [order(f"O-{day}", ordered_at=f"2024-03-{day}") for day in ("04", "05", "06")]
    report = ingest(write_some(tmp_path / "d", {"begins": {"orders": "2024-03-05"}}, orders=rows), base_store)
    assert report.table("orders").quarantined == {"ordered_at_before_begins": 1}
    (row,) = quarantined(base_store, report.delivery_id, "orders")
    assert row["order_id"] == "O-04"
    assert explain(BY_NAME["orders"], "ordered_at_before_begins").wrong.startswith("ordered_at is before the day on")
    # nothing is lost: the row is accepted once the declaration is right
    corrected = ingest(write_some(tmp_path / "e", {"begins": {"orders": "2024-03-04"}}, orders=rows), base_store)
    assert (corrected.table("orders").accepted, corrected.table("orders").duplicates) == (1, 2)


def test_origins_name_the_stated_sources_and_count_the_deliveries_without_one(tmp_path: Path) -> None:
    ingest(write(tmp_path / "d", {"source": "  simulated by sellerscore, seed 7 "}), tmp_path / "s")
    assert open_store(tmp_path / "s").origins == ("simulated by sellerscore, seed 7",)
    second = ingest(write_orders(tmp_path / "d2", order("O2")), tmp_path / "s")
    held = open_store(tmp_path / "s")
    assert [delivery.source for delivery in held.deliveries] == ["simulated by sellerscore, seed 7", None]
    assert held.origins[1] == f"operating data of 1 delivery as ingested: {second.delivery_id[:8]}"
    many = tuple(replace(held.deliveries[1], delivery_id=f"{number:064x}"[::-1]) for number in range(9))
    (text,) = replace(held, deliveries=many).origins
    assert text.startswith("operating data of 9 deliveries as ingested: 00000000, 10000000")
    assert text.endswith(" and 4 more")


@pytest.mark.parametrize("source", ["", "  ", 7, ["x"], "two\nlines", "x" * 201])
def test_a_source_that_is_not_one_line_of_text_is_rejected(tmp_path: Path, source: object) -> None:
    delivery = write(tmp_path / "d", {"source": source})
    with pytest.raises(DeliveryError, match=r"source is .*; expected one line of 1 to 200 characters"):
        ingest(delivery, tmp_path / "s")


@pytest.mark.slow
def test_waiting_rows_are_accepted_once_the_missing_rows_have_arrived(base_store: Path, tmp_path: Path) -> None:
    rows = [order("O1"), order("O2", currency="CNY"), order("O3", amount=-1.0), order("O4", store_id="T2")]
    # an older rate is used only once the rates of its day are complete
    rates = [{**CNY, "currency": "EUR"}, {**CNY, "day": AT.date() - timedelta(days=1), "usd_per_unit": 0.5}]
    waiting = write_orders(tmp_path / "w", *rows, order("O5", currency="EUR"), fx_rates=rates)
    first = ingest(waiting, base_store)
    assert first.table("orders").quarantined == {"rate_unknown": 1, "amount_negative": 1, "store_unknown": 1}
    assert ingest(waiting, base_store) == first.as_repeated(), "no new delivery"
    ingest(write_some(tmp_path / "r", fx_rates=[CNY], stores=[store("T2")]), base_store)
    again = ingest(waiting, base_store)
    orders = again.table("orders")
    assert (orders.accepted, orders.duplicates, orders.quarantined) == (2, 2, {"amount_negative": 1})
    assert not again.already_ingested
    assert [row["order_id"] for row in quarantined(base_store, again.delivery_id, "orders")] == ["O3"]
    micros = {row["order_id"]: row["amount_micros"] for row in accepted(open_store(base_store), "orders")}
    assert micros == {"O0": 12_500_000, "O1": 12_500_000, "O2": 1_812_500, "O4": 12_500_000, "O5": 1_812_500}
    before = open_store(base_store)
    assert ingest(waiting, base_store) == again.as_repeated()
    assert open_store(base_store) == before


def test_new_deliveries_without_the_missing_rows_change_nothing(base_store: Path, tmp_path: Path) -> None:
    waiting = write_some(tmp_path / "w", stores=[store("T2", seller_id="S9")])
    first = ingest(waiting, base_store)
    assert first.table("stores").quarantined == {"seller_unknown": 1}
    ingest(write_some(tmp_path / "other", stores=[store("T3")]), base_store)
    before = open_store(base_store)
    assert ingest(waiting, base_store) == first.as_repeated()
    assert open_store(base_store) == before
    assert len(list((base_store / "deliveries").iterdir())) == len(before.deliveries)


def test_a_required_table_without_accepted_rows_need_not_be_repeated(tmp_path: Path) -> None:
    rates: dict[str, list[Row]] = {"sellers": [], "stores": [], "orders": [], "fx_rates": [CNY]}
    with pytest.raises(DeliveryError, match="none were delivered before"):
        ingest(write(tmp_path / "early", None, **rates), tmp_path / "s")
    ingest(write(tmp_path / "w", orders=[order(currency="CNY")]), tmp_path / "s")
    assert open_store(tmp_path / "s").rows("orders") == 0
    assert ingest(write(tmp_path / "r", None, **rates), tmp_path / "s").table("fx_rates").accepted == 1


def test_a_row_known_after_tomorrow_does_not_extend_coverage(base_store: Path, tmp_path: Path) -> None:
    now = datetime.fromisoformat("2024-06-01T08:00:00+08:00")
    tomorrow = datetime(2024, 6, 2)  # noqa: DTZ001 - the contract's times are UTC without a zone
    rows = [store("T2", known_at=tomorrow), store("T3", known_at=tomorrow + timedelta(microseconds=1))]
    report = ingest(write_some(tmp_path / "d", stores=rows), base_store, now=now)
    assert report.table("stores").quarantined == {"known_at_in_future": 1}
    assert open_store(base_store).covers_through["stores"] == tomorrow.date()
    # by default, the time of the ingest is the current time
    report = ingest(write_some(tmp_path / "e", stores=[store("T4", known_at=datetime(2099, 1, 1))]), base_store)  # noqa: DTZ001
    assert report.table("stores").quarantined == {"known_at_in_future": 1}


def test_a_file_that_the_disk_cannot_hold_is_rejected_before_it_is_copied(base_store: Path, tmp_path: Path) -> None:
    delivery = write(tmp_path / "d")
    free = shutil.disk_usage(base_store).free
    with next(delivery.glob("orders.*")).open("w") as file:
        file.truncate(free)
    with pytest.raises(DeliveryError, match="needs about twice that, and the disk of the state folder has"):
        ingest(delivery, base_store)
    assert shutil.disk_usage(base_store).free > free // 2
    assert len(read_store(base_store).deliveries) == 1


def test_a_folder_that_cannot_be_a_store_is_rejected(tmp_path: Path) -> None:
    delivery = write(tmp_path / "d")
    with pytest.raises(DeliveryError, match="is not a folder"):
        ingest(tmp_path / "absent", tmp_path / "s")
    (tmp_path / "file").write_text("")
    for under in (tmp_path / "file", tmp_path / "file" / "operating"):
        with pytest.raises(StoreError, match="is not a folder"):
            ingest(delivery, under)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"deliveries": [{}]}')
    with pytest.raises(StoreError, match="cannot be read as the list"):
        ingest(delivery, tmp_path / "broken")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("pathlib.Path.mkdir", "cannot be written as a store: Permission denied"),
        ("features.ingest.delivery.open_regular", r"orders\.parquet cannot be read: Permission denied"),
    ],
)
def test_missing_permissions_are_named(
    function: str, message: str, base_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    delivery = write_orders(tmp_path / "d", order("O2"))
    # permissions do not bind the superuser, so the test raises the error of the system
    monkeypatch.setattr(function, refuse)
    with pytest.raises((StoreError, DeliveryError), match=message):
        ingest(delivery, base_store)


@pytest.mark.parametrize("content", [None, "", "{}", "[]", "3"])
def test_a_lost_report_is_named_when_its_delivery_is_repeated(
    content: str | None, base_store: Path, first_delivery_folder: Path
) -> None:
    (report,) = base_store.rglob("report.json")
    report.unlink() if content is None else report.write_text(content)
    with pytest.raises(StoreError, match=r"report\.json cannot be read as an ingest report"):
        ingest(first_delivery_folder, base_store)


def test_a_lost_manifest_stops_ingest_and_loses_nothing(base_store: Path, tmp_path: Path) -> None:
    manifest = base_store / "manifest.json"
    saved = manifest.read_bytes()
    manifest.unlink()
    for attempt in (open_store, lambda store: ingest(write_orders(tmp_path / "d", order("O2")), store)):
        with pytest.raises(StoreError, match="Restore it from a backup"):
            attempt(base_store)
    manifest.write_bytes(saved)
    assert len(open_store(base_store).files("orders")) == 1
    assert all(path.is_file() for path in open_store(base_store).files("orders"))


@pytest.mark.repeated
def test_an_older_manifest_orphans_later_deliveries_and_they_can_be_repeated(base_store: Path, tmp_path: Path) -> None:
    older = (base_store / "manifest.json").read_bytes()
    second, third = (write_some(tmp_path / name, stores=[store(name)]) for name in ("T2", "T3"))
    lost = ingest(second, base_store).delivery_id
    rounds = repeat(1, 3)
    for _ in range(rounds):
        (base_store / "manifest.json").write_bytes(older)
        ingest(third, base_store)
        assert not (base_store / "deliveries" / lost).exists()
        ingest(second, base_store)
    orphans = [path.name.split(".")[0] for path in (base_store / "orphaned").iterdir()]
    assert orphans.count(lost) == rounds
    assert all((path / "accepted" / "stores.parquet").is_file() for path in (base_store / "orphaned").iterdir())
    assert open_store(base_store).rows("stores") == 3


def test_unrelated_files_in_the_store_are_kept(base_store: Path, tmp_path: Path) -> None:
    (base_store / "deliveries" / ".DS_Store").write_text("")
    (base_store / "deliveries" / "notes").mkdir()
    shutil.copytree(base_store / "deliveries" / "notes", base_store / "deliveries" / ".incoming-left")
    ingest(write_some(tmp_path / "d", stores=[store("T2")]), base_store)
    names = {path.name for path in (base_store / "deliveries").iterdir()}
    assert {".DS_Store", "notes"} < names
    assert ".incoming-left" not in names


def test_an_empty_home_selects_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", "")
    assert state_folder() == Path.cwd() / "var"
