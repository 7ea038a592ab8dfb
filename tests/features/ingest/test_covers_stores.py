"""`covers_stores`: the stores for which a delivery's coverage holds, and deliveries that would silence other stores."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from features.errors import DeliveryError
from features.ingest import OperatingStore, erase_rows, ingest, open_store
from features.store.store_coverage import store_coverage
from tests.features.ingest.build import AT, Row, no_rows, order, refund, seller, store, write, write_orders, write_some

NEXT_DAY = AT + timedelta(days=1)
COVERED: dict[str, object] = {"covers_through": {"orders": "2024-03-07"}}
LISTED: dict[str, object] = {"covers_stores": "listed", "covers_through": {"orders": "2024-03-07"}}


def listed_ids(operating: OperatingStore) -> list[tuple[str | None, str | None]]:
    rows = pq.read_table(operating.listed_file(operating.deliveries[-1])).to_pylist()
    return [(row["store_id"], row["seller_id"]) for row in rows]


@pytest.fixture(scope="module")
def three_stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with T1, T2 and T3, each with an order on 5 March; read only."""
    folder = tmp_path_factory.mktemp("three")
    sellers, stores = ([make(f"{kind}{n}") for n in (1, 2, 3)] for kind, make in (("S", seller), ("T", store)))
    stores = [{**each, "seller_id": f"S{number}"} for number, each in enumerate(stores, start=1)]
    orders = [order(f"O{number}", store_id=f"T{number}") for number in (1, 2, 3)]
    terms = {"covers_through": {"orders": "2024-03-06"}}
    ingest(write(folder / "d", terms, sellers=sellers, stores=stores, orders=orders), folder / "store")
    return folder / "store"


def later(number: int = 1) -> Row:
    return order(f"O-later-{number}", store_id=f"T{number}", ordered_at=NEXT_DAY, known_at=NEXT_DAY)


def test_a_careless_delivery_of_one_store_is_refused(three_stores: Path, tmp_path: Path) -> None:
    before = open_store(three_stores)
    with pytest.raises(DeliveryError) as refused:
        ingest(write_some(tmp_path / "d", COVERED, orders=[later()]), three_stores)
    message = str(refused.value)
    assert "makes orders complete through 2024-03-07" in message
    assert "rows of only 1 of the 3 stores with orders in the 1 day before 2024-03-06" in message
    assert "the other 2 count as stores without sales since 2024-03-06" in message
    assert 'set covers_stores to "listed"' in message
    assert '"all" if the others really sold nothing' in message
    assert open_store(three_stores) == before


def test_a_delivery_of_half_of_the_stores_or_of_no_new_day_is_accepted(three_stores: Path, tmp_path: Path) -> None:
    folder = copy(three_stores, tmp_path)
    ingest(write_orders(tmp_path / "late", order("O-late", store_id="T2")), folder)
    ingest(write_some(tmp_path / "two", COVERED, orders=[later(1), later(3)]), folder)
    assert open_store(folder).covers_through["orders"] == date(2024, 3, 7)


def test_all_confirms_that_the_others_sold_nothing(three_stores: Path, tmp_path: Path) -> None:
    folder = copy(three_stores, tmp_path)
    ingest(write_some(tmp_path / "d", {**COVERED, "covers_stores": "all"}, orders=[later()]), folder)
    assert open_store(folder).covers_all_stores
    assert open_store(folder).covers_through["orders"] == date(2024, 3, 7)


def test_a_single_store_may_have_no_sale_but_not_be_silenced_by_another(base_store: Path, tmp_path: Path) -> None:
    no_sale = {"covers_through": {"orders": "2024-03-06"}}
    ingest(write_some(tmp_path / "no-sale", no_sale, sellers=[seller("S3")], **no_rows("orders")), base_store)
    other = {"sellers": [seller("S2")], "stores": [store("T2", seller_id="S2")]}
    with pytest.raises(DeliveryError, match="rows of only 0 of the 1 stores"):
        ingest(
            write_some(tmp_path / "d", {"covers_through": {"orders": "2024-03-08"}}, orders=[later(2)], **other),
            base_store,
        )


def test_listed_coverage_holds_for_the_stores_with_a_row(three_stores: Path, tmp_path: Path) -> None:
    folder = copy(three_stores, tmp_path)
    # a row that was delivered before is a row, and so is one in a table other than orders
    ingest(
        write_some(tmp_path / "d", LISTED, orders=[order("O1", store_id="T1")], refunds=[refund(store_id="T3")]), folder
    )
    operating = open_store(folder)
    assert [each.covers_stores for each in operating.deliveries] == ["all", "listed"]
    assert listed_ids(operating) == [("T1", None), ("T3", None)]
    coverage = store_coverage(operating)
    assert coverage.shared["orders"] == date(2024, 3, 6)
    assert {store: day.date() for store, day in coverage.stores["orders"].items()} == dict.fromkeys(
        ["T1", "T3"], date(2024, 3, 7)
    )
    # every store has its own end now, and is compared with its own past
    terms = {"covers_through": {"orders": "2024-03-08"}}
    with pytest.raises(
        DeliveryError, match="rows of only 0 of the 1 stores with orders in the 2 days before 2024-03-06"
    ):
        ingest(write_some(tmp_path / "e", terms, refunds=[refund("R9", store_id="T1")], **no_rows("orders")), folder)


def test_listed_sellers_are_those_of_loans(three_stores: Path, tmp_path: Path) -> None:
    folder = copy(three_stores, tmp_path)
    loan: Row = {"loan_id": "L1", "seller_id": "S1", "disbursed_at": AT, "principal": 100.0, "currency": "USD"}
    loans = [
        {**loan, "term_days": 90, "known_at": AT},
        {**loan, "loan_id": "L2", "seller_id": "S2"} | {"term_days": 90, "known_at": AT},
    ]
    ingest(write_some(tmp_path / "loans", {"covers_stores": "listed"}, loans=loans), folder)
    assert listed_ids(open_store(folder)) == [(None, "S1"), (None, "S2")]
    due: Row = {"loan_id": "L2", "due_on": AT.date(), "amount": 100.0, "known_at": AT}
    ingest(write_some(tmp_path / "due", {"covers_stores": "listed"}, instalments=[due]), folder)
    assert listed_ids(open_store(folder)) == [(None, "S2")]


def test_an_erased_seller_is_removed_from_the_list_of_stores(three_stores: Path, tmp_path: Path) -> None:
    folder = copy(three_stores, tmp_path)
    ingest(
        write_some(tmp_path / "d", LISTED, orders=[later(1), later(2)], sellers=[seller("S1"), seller("S2")]), folder
    )
    assert ("T1", None) in listed_ids(open_store(folder))
    erase_rows(folder, "S1")
    assert listed_ids(open_store(folder)) == [("T2", None), (None, "S2")]


@pytest.mark.parametrize("value", ["some", ["listed"], True])
def test_an_unknown_value_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(DeliveryError, match=r"covers_stores is .*; allowed are all, listed"):
        ingest(write(tmp_path / "d", {"covers_stores": value}), tmp_path / "s")


def copy(folder: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, tmp_path / "copy"))
