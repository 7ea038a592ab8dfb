"""Erasure removes all rows of a seller and no others, and later deliveries do not add them again."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import features.materialize
from features.errors import StoreError
from features.ingest import OperatingStore, erase_rows, ingest, open_store, read_report
from features.ingest.erasure import ErasedSellers, read_erased
from features.materialize import materialize_vectors
from features.pipeline import all_sellers, compute_frame
from features.store.profiles import ProfileSet
from features.store.seller_context import SellerContextSet
from features.store.vectors import VectorStore
from tests.counts import repeat
from tests.features.ingest.build import AT, EPOCH, Row, order, refund, seller, store, write, write_orders, write_some
from tests.features.stops import killed, stopped
from tests.oracles.accepted_rows import fold

pytestmark = pytest.mark.slow

GONE, STAYS = "S-gone", "S1"
LATER = AT + timedelta(days=40)


def loan(loan_id: str, seller_id: str) -> Row:
    row: Row = {"loan_id": loan_id, "seller_id": seller_id, "disbursed_at": AT, "principal": 100.0, "currency": "USD"}
    return {**row, "term_days": 90, "known_at": AT}


def instalment(loan_id: str) -> Row:
    return {"loan_id": loan_id, "due_on": date(2024, 4, 5), "amount": 50.0, "known_at": AT}


def world(folder: Path, gone: bool = True) -> Path:
    """Ingest two deliveries of two sellers: S1 with T1 and T2, and with `gone` also S-gone with G1 and G2.

    An order of the unknown store G9 waits in quarantine.
    """
    theirs = lambda *rows: list(rows) if gone else []  # noqa: E731 - short, and used on every line below
    first = write(
        folder / "d1",
        sellers=[seller(), *theirs(seller(GONE))],
        stores=[store(), store("T2"), *theirs(store("G1", seller_id=GONE), store("G2", seller_id=GONE))],
        orders=[
            order("O1"),
            order("O2", store_id="T2"),
            *theirs(order("OG1", store_id="G1"), order("OG2", store_id="G2")),
            *theirs(order("bad", store_id="G1", amount=-1.0)),
        ],
        refunds=[refund("R1"), *theirs(refund("RG", store_id="G1"))],
        loans=[loan("L1", STAYS), *theirs(loan("LG", GONE))],
        instalments=[instalment("L1"), *theirs(instalment("LG"))],
    )
    last = order("O3", ordered_at=LATER, known_at=LATER)
    second = write_orders(folder / "d2", last, order("NG9", store_id="G9"), *theirs(order("OG3", store_id="G2")))
    for delivery in (first, second):
        ingest(delivery, folder / "store")
    return folder / "store"


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store with S-gone and its tiles; read only."""
    folder = tmp_path_factory.mktemp("erasing")
    fold(open_store(world(folder / "with")))
    return folder


@pytest.fixture
def folder(ingested: Path, tmp_path: Path) -> Path:
    shutil.copytree(ingested / "with", tmp_path / "with")
    return tmp_path / "with" / "store"


def rows(folder: Path) -> Iterator[tuple[str, Row]]:
    for path in sorted(folder.rglob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield f"{path.parent.name}/{path.name}", row


def naming(folder: Path) -> list[tuple[str, Row]]:
    """Return the rows in the folder, of tiles too, that name the seller or one of its stores and loans."""
    ids = {GONE, "G1", "G2", "LG"}
    return [found for found in rows(folder) if ids & {str(value) for value in found[1].values()}]


def counts_agree(folder: Path) -> None:
    held = open_store(folder)
    for each in held.deliveries:
        assert {table: pq.read_metadata(held.files(table, [each])[0]).num_rows for table in each.rows} == dict(
            each.rows
        )


def features_of(store: OperatingStore) -> pd.DataFrame:
    return compute_frame(store, all_sellers(store, date(2024, 5, 1)))


def of_deliveries(found: Iterable[tuple[str, Row]]) -> list[tuple[str, Row]]:
    return [(path, row) for path, row in found if path.split("/")[0] in {"accepted", "quarantined"}]


def test_erasure_removes_all_rows_of_the_seller_and_no_others(folder: Path) -> None:
    before, theirs = of_deliveries(rows(folder)), naming(folder)
    assert {path.split("/")[0] for path, _ in theirs} > {"accepted", "quarantined"}, "tiles name them too"
    assert erase_rows(folder, GONE) == len(of_deliveries(theirs))
    assert naming(folder) == []
    assert not list((folder / "tiles").rglob("*.parquet")), "tiles are deleted"
    counts_agree(folder)
    assert of_deliveries(rows(folder)) == [each for each in before if each not in theirs]
    assert erase_rows(folder, GONE) == 0
    # the list of erased sellers does not reveal their ids
    text = (folder / "erased.json").read_text()
    assert not any(name in text for name in (GONE, '"G1"', '"LG"'))
    assert stat.S_IMODE((folder / "erased.key").stat().st_mode) == 0o600
    erased = read_erased(folder)
    assert [erased.holds("store_id", name) for name in ("G2", "T1", None)] == [True, False, False]


@pytest.mark.soak
def test_an_erased_store_equals_a_store_without_the_seller(folder: Path, tmp_path: Path) -> None:
    never = world(tmp_path / "without", gone=False)
    before = features_of(open_store(folder))
    assert {each for each, _ in before.index} == {STAYS, GONE}
    erase_rows(folder, GONE)
    for table in ("sellers", "stores", "orders", "loans", "instalments"):
        kept = [[pq.read_table(path).to_pylist() for path in open_store(each).files(table)] for each in (folder, never)]
        assert kept[0] == kept[1], table
    after = features_of(open_store(folder))
    pd.testing.assert_frame_equal(after, features_of(open_store(never)))
    pd.testing.assert_frame_equal(after, before.loc[[STAYS]])


def test_later_deliveries_restore_nothing_and_their_counts_add_up(folder: Path, tmp_path: Path) -> None:
    erase_rows(folder, GONE)
    again = [ingest(folder.parent / name, folder) for name in ("d1", "d2")]
    assert all(report.already_ingested for report in again)
    assert {each.table: (each.accepted, each.rejected, each.erased) for each in again[0].tables} == {
        "sellers": (1, 0, 1),
        "stores": (2, 0, 2),
        "orders": (2, 0, 3),
        "refunds": (1, 0, 1),
        "loans": (1, 0, 1),
        "instalments": (1, 0, 1),
    }
    assert naming(folder) == []
    delivery = write(
        tmp_path / "new",
        sellers=[seller(GONE, category="toys")],
        stores=[store("G1", seller_id=GONE), store("G9", seller_id=GONE)],
        orders=[
            order("N1"),
            order("NG1", store_id="G1"),
            order("NG9", store_id="G9"),
            order("NG2", store_id="G2", amount=-1.0),
        ],
        loans=[loan("LG2", GONE)],
        instalments=[instalment("LG2")],
    )
    report = ingest(delivery, folder)
    assert naming(folder) == []
    assert [row for _, row in rows(folder) if {"G9", "LG2"} & {str(value) for value in row.values()}] == []
    orders = report.table("orders")
    assert (orders.read, orders.accepted, orders.erased, orders.quarantined) == (4, 1, 3, {})
    assert [report.table(name).erased for name in ("sellers", "stores", "loans", "instalments")] == [1, 2, 1, 1]
    assert read_report(folder, report.delivery_id) == report
    counts_agree(folder)


def test_waiting_rows_are_removed_once_their_store_is_known(folder: Path, tmp_path: Path) -> None:
    assert [path for path, row in rows(folder) if row.get("store_id") == "G9"] == ["quarantined/orders.parquet"]
    erase_rows(folder, GONE)
    ingest(write_some(tmp_path / "late", stores=[store("G9", seller_id=GONE)]), folder)
    assert [path for path, row in rows(folder) if row.get("store_id") == "G9"] == []
    assert read_erased(folder).swept


def test_a_store_that_changed_hands_keeps_its_rows(folder: Path, tmp_path: Path) -> None:
    sold = store("G1", seller_id=STAYS, known_at=EPOCH + timedelta(days=700))
    ingest(write_some(tmp_path / "sold", stores=[sold]), folder)
    erase_rows(folder, GONE)
    left = {str(row.get("order_id")) for _, row in rows(folder) if row.get("store_id") == "G1"}
    assert left == {"OG1", "bad", "None"}
    assert {row["store_id"] for _, row in naming(folder)} == {"G1"}
    assert all(row.get("seller_id") != GONE for _, row in rows(folder))


def test_a_malformed_line_is_removed_if_it_contains_an_erased_id(folder: Path, tmp_path: Path) -> None:
    delivery = write_orders(tmp_path / "csv")
    (delivery / "orders.parquet").unlink(missing_ok=True)
    names = "order_id,store_id,buyer_id,ordered_at,amount,currency,channel,buyer_country,items,known_at"
    good = "C1,T1,B1,2024-03-05T10:00:00,1.0,USD,ads,US,1,2024-03-05T10:00:00"
    (delivery / "orders.csv").write_text(f"{names}\n{good}\nx,G1,too,few\ny,T1,too,few\n")
    assert ingest(delivery, folder).table("orders").quarantined == {"row_malformed": 2}
    erase_rows(folder, GONE)
    assert [row["row"] for _, row in rows(folder) if row.get("row")] == ["y,T1,too,few"]


def test_vectors_of_a_seller_erased_during_the_computation_are_not_stored(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def erase_during_computation(_: object, pairs: pd.DataFrame) -> pd.DataFrame:
        erase_rows(folder, GONE)
        return pairs.set_index(["seller_id", "as_of"]).assign(feature=1.0)

    monkeypatch.setattr(features.materialize, "compute_frame", erase_during_computation)
    monkeypatch.setattr(features.materialize, "compute_profiles", lambda *_: ProfileSet("", ()))
    monkeypatch.setattr(features.materialize, "compute_context", lambda *_: SellerContextSet({}, ()))
    vectors = VectorStore(tmp_path / "vectors.db")
    materialize_vectors(open_store(folder), vectors)
    assert [each.seller_id for each in vectors.all_latest()] == [STAYS]


@pytest.mark.parametrize("stop", [stopped, pytest.param(killed, marks=pytest.mark.soak)])
def test_the_next_writer_completes_a_stopped_erasure(stop: Callable[..., bool], folder: Path, tmp_path: Path) -> None:
    next_delivery = write_some(tmp_path / "next", stores=[store("T3")])
    every = repeat(7, 1) if stop is stopped else 12
    steps = count(step=every)
    for step in steps:
        copy = Path(shutil.copytree(folder, tmp_path / str(step)))
        if not stop(step, erase_rows, copy, GONE):
            break
        if step == 2 * every:
            ingest(next_delivery, copy)
        else:
            erase_rows(copy, GONE)
        assert naming(copy) == [], step
        assert read_erased(copy).swept
        counts_agree(copy)
    assert next(steps) > 3 * every


def test_an_unreadable_list_stops_ingest(folder: Path, tmp_path: Path) -> None:
    erase_rows(folder, GONE)
    delivery = write_orders(tmp_path / "next", order("N1"))
    (folder / "erased.key").rename(folder / "elsewhere")
    with pytest.raises(StoreError, match="whose rows must not be stored"):
        ingest(delivery, folder)
    (folder / "elsewhere").rename(folder / "erased.key")
    (folder / "erased.json").write_text("{")
    with pytest.raises(StoreError, match="whose rows must not be stored"):
        ingest(delivery, folder)


def test_an_unknown_seller_removes_nothing(folder: Path, tmp_path: Path) -> None:
    before = of_deliveries(rows(folder))
    assert erase_rows(folder, "nobody") == 0
    assert of_deliveries(rows(folder)) == before
    assert erase_rows(tmp_path / "not there", GONE) == 0
    assert not (tmp_path / "not there").exists()


@pytest.mark.repeated
@settings(max_examples=repeat(30, 1_000))
@given(st.text(), st.text(), st.sampled_from(["seller_id", "store_id", "loan_id"]))
def test_an_id_is_erased_in_its_column_only(one: str, other: str, column: str) -> None:
    erased = ErasedSellers(b"key").with_ids(column, [one])
    assert erased.holds(column, one)
    assert erased.holds(column, other) is (one == other)
    assert not any(erased.holds(each, one) for each in {"seller_id", "store_id", "loan_id"} - {column})
