"""Sellers whose data end on different days: each has a vector as of its own latest midnight, without false zeros."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from features.catalogue import CATALOGUE
from features.errors import StoreError
from features.ingest import ingest, open_store
from features.materialize import materialize_vectors, seller_groups
from features.pipeline import compute_frame, frame, latest_sellers
from features.store.vectors import StoredVector, VectorStore
from sellerscore import app
from tests.features.importers.exports import write_rows
from tests.features.importers.test_shopify import order as shop_order
from tests.features.ingest.build import AT, Row, no_rows, order, refund, seller, store, write, write_some
from tests.oracles.accepted_rows import features_named, frame_bytes

EARLY, LATE = date(2024, 3, 8), date(2024, 3, 29)
FEW = features_named("orders_90d", "return_rate_90d")


def delivery(folder: Path, number: int, ends: date, **other: list[Row]) -> Path:
    """Write a delivery of seller S<number> with one store and an order on each day before `ends`."""
    days = [AT + timedelta(days=back) for back in range((ends - AT.date()).days)]
    orders = [order(f"O{number}-{day:%d}", store_id=f"T{number}", ordered_at=day, known_at=day) for day in days]
    terms: dict[str, object] = {"covers_stores": "listed", "covers_through": {"orders": ends.isoformat()}}
    parties = {"sellers": [seller(f"S{number}")], "stores": [store(f"T{number}", seller_id=f"S{number}")]}
    return write(folder, terms, **{**parties, "orders": orders, **other})


@pytest.fixture(scope="module")
def two_shops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with S1, complete through EARLY, and S2, complete through LATE, with refunds; read only."""
    folder = tmp_path_factory.mktemp("two_shops")
    ingest(delivery(folder / "one", 1, EARLY), folder / "store")
    late = [refund("R2", store_id="T2", refunded_at=AT, known_at=AT)]
    terms = {"covers_stores": "listed", "covers_through": dict.fromkeys(("orders", "refunds"), LATE.isoformat())}
    second = delivery(folder / "two", 2, LATE, refunds=late)
    (second / "delivery.json").write_text(json.dumps(terms))
    ingest(second, folder / "store")
    return folder / "store"


def value(vector: StoredVector | None, name: str) -> float | None:
    assert vector is not None
    return vector.values[[feature.name for feature in CATALOGUE].index(name)]


def test_each_seller_has_a_vector_as_of_the_own_latest_midnight(two_shops: Path, tmp_path: Path) -> None:
    operating, vectors = open_store(two_shops), VectorStore(tmp_path / "vectors.db")
    counts = materialize_vectors(operating, vectors)
    assert [(snapshot.as_of, sellers) for snapshot, sellers in counts] == [(LATE, 1), (EARLY, 1)]
    one, two = vectors.latest("S1"), vectors.latest("S2")
    assert one is not None
    assert two is not None
    assert (one.snapshot.as_of, two.snapshot.as_of) == (EARLY, LATE)
    assert (value(one, "orders_90d"), value(two, "orders_90d")) == (3, 24)
    # the table that only the other shop delivered is missing, not zero
    assert one.snapshot.covers_through == {"orders": EARLY}
    assert two.snapshot.covers_through == {"orders": LATE, "refunds": LATE}
    of_refunds = [place for place, feature in enumerate(CATALOGUE) if "refunds" in feature.tables]
    assert {one.values[place] for place in of_refunds} == {None}
    assert {two.values[place] for place in of_refunds} != {None}
    # the vector of a shop is what it is in a folder of its own
    alone = tmp_path / "alone"
    ingest(two_shops.parent / "one", alone)
    materialize_vectors(open_store(alone), VectorStore(tmp_path / "alone.db"))
    by_itself = VectorStore(tmp_path / "alone.db").latest("S1")
    assert by_itself is not None
    assert (one.values, one.snapshot.as_of) == (by_itself.values, by_itself.snapshot.as_of)
    # readers see both groups as one computation, and the newest data first
    assert [each.seller_id for each in vectors.all_latest()] == ["S1", "S2"]
    newest = vectors.newest()
    assert newest is not None
    assert newest.seller_id == "S2"
    profile = vectors.profile("S1")
    assert profile is not None
    assert profile[1].coverage["orders"].last == EARLY - timedelta(days=1)
    assert materialize_vectors(operating, vectors) == counts, "the same data are computed once"


def test_a_frame_refuses_pairs_after_the_data_of_the_seller(two_shops: Path) -> None:
    operating = open_store(two_shops)
    pairs = pd.DataFrame({"seller_id": ["S2", "S1"], "as_of": [LATE, EARLY]})
    assert frame(operating, pairs, FEW)["orders_90d"].tolist() == [24, 3]
    with pytest.raises(StoreError) as refused:
        frame(operating, pairs.assign(as_of=LATE), FEW)
    assert "1 of 2 pairs are as of a date after the data of that seller end" in str(refused.value)
    assert "seller 'S1' as of 2024-03-29, whose stores are covered through 2024-03-08" in str(refused.value)


def test_a_seller_ends_with_the_store_that_ends_first(two_shops: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(two_shops, tmp_path / "store")
    middle = date(2024, 3, 15)
    both = delivery(tmp_path / "d", 3, middle, stores=[store("T3", seller_id="S1")], sellers=[seller("S1")])
    ingest(both, folder)
    assert latest(folder) == {"S1": EARLY, "S2": LATE}
    more = delivery(tmp_path / "e", 1, LATE)
    ingest(more, folder)
    assert latest(folder) == {"S1": middle, "S2": LATE}


def latest(folder: Path) -> dict[str, date]:
    found = latest_sellers(open_store(folder))
    return {seller_id: day.date() for seller_id, day in zip(found["seller_id"], found["as_of"], strict=True)}


def test_a_store_that_was_sold_no_longer_ends_the_data_of_its_former_owner(two_shops: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(two_shops, tmp_path / "store")
    sold = store("T1", seller_id="S2", known_at=AT + timedelta(days=20))
    ingest(write(tmp_path / "d", {"covers_stores": "listed"}, sellers=[], stores=[sold], orders=[]), folder)
    # as of LATE, S2 owns T1, which ends early; as of EARLY, S2 does not own it yet
    assert latest(folder) == {"S1": LATE, "S2": EARLY}
    assert frame(open_store(folder), latest_sellers(open_store(folder)), FEW).notna().any().any()


def test_two_shops_are_imported_into_one_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELLERSCORE_HOME", str(tmp_path / "home"))
    for shop, days in (("A", (1, 2, 9)), ("B", (1, 3, 30))):
        rows = [shop_order(f"#10{day:02}", day, "20.00") for day in days]
        export = write_rows(tmp_path / shop / "orders_export_1.csv", rows).parent
        out = str(tmp_path / f"delivery-{shop}")
        run(["import", "shopify", str(export), "--out", out, "--set", f"seller_id={shop}"])
        printed = run(["ingest", out])
        printed_json = run(["ingest", out, "--output", "json"])
    # 20:30 in New York is the next day in UTC, which is complete at its end
    assert "The data of sellers end on different days" in printed
    assert "  2024-04-01: 1 seller\n  2024-03-11: 1 seller" in printed
    vectors = VectorStore(tmp_path / "home" / "vectors.db")
    found = {each.seller_id: (each.snapshot.as_of, value(each, "orders_90d")) for each in vectors.all_latest()}
    assert found == {"A": (date(2024, 3, 11), 3), "B": (date(2024, 4, 1), 3)}
    ends = {"2024-04-01": 1, "2024-03-11": 1}
    ended = {"as_of": "2024-04-01", "sellers_ending_earlier": 1, "sellers_by_as_of": ends}
    assert ended.items() <= json.loads(printed_json).items()
    assert "on different days: of 1 of 2 before 2024-04-01" in printed
    refused = CliRunner().invoke(app, ["features", "frame", "--out", str(tmp_path / "frame")])
    assert refused.exit_code == 2
    assert "end on different days: 2024-04-01 (1), 2024-03-11 (1)" in " ".join(refused.output.replace("│", " ").split())
    assert not (tmp_path / "frame").exists()
    assert json.loads(run(["features", "--output", "json"]))["sellers_by_as_of"] == {"2024-04-01": 1, "2024-03-11": 1}


def run(command: list[str]) -> str:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_coverage_that_is_equal_for_all_stores_gives_the_frame_of_one_store(tmp_path: Path) -> None:
    frames = []
    for value in ("all", "listed"):
        parts = [delivery(tmp_path / value / str(number), number, LATE) for number in (1, 2)]
        for part in parts:
            terms = {"covers_stores": value, "covers_through": {"orders": LATE.isoformat()}}
            (part / "delivery.json").write_text(json.dumps(terms))
            ingest(part, tmp_path / value / "store")
        operating = open_store(tmp_path / value / "store")
        frames.append(frame_bytes(compute_frame(operating, latest_sellers(operating))))
    assert frames[0] == frames[1]


def marketplace(folder: Path, ends: date, terms: dict[str, object]) -> Path:
    """Write a delivery of the marketplace of S2, with an order on the day before `ends`."""
    day = AT.replace(month=ends.month, day=ends.day) - timedelta(days=1)
    sold = order(f"O2-{day:%d}", store_id="T2", ordered_at=day, known_at=day)
    covers = {"covers_through": dict.fromkeys(("orders", "refunds"), ends.isoformat())}
    parties = {"sellers": [seller("S2")], "stores": [store("T2", seller_id="S2")]}
    return write(folder, {**covers, **terms}, orders=[sold], **no_rows("refunds"), **parties)


@pytest.mark.parametrize("terms", [{}, {"covers_stores": "all"}])
def test_a_marketplace_does_not_cover_a_shop_that_it_never_named(tmp_path: Path, terms: dict[str, object]) -> None:
    folder = tmp_path / "store"
    ingest(marketplace(tmp_path / "first", EARLY, terms), folder)
    ingest(delivery(tmp_path / "shop", 1, EARLY), folder)
    # the shop is not named, so it does not count as a shop without sales, and is no reason for a refusal
    ingest(marketplace(tmp_path / "second", LATE, terms), folder)
    assert latest(folder) == {"S1": EARLY, "S2": LATE}
    covers = {group.snapshot.as_of: set(group.snapshot.covers_through) for group in seller_groups(open_store(folder))}
    assert covers == {EARLY: {"orders"}, LATE: {"orders", "refunds"}}


def test_a_marketplace_covers_a_shop_from_the_first_delivery_that_names_it(two_shops: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(two_shops, tmp_path / "store")
    # its row of `stores` is a duplicate of the one that the shop delivered
    ingest(marketplace(tmp_path / "all", LATE, {"covers_stores": "all"}), folder)
    later = LATE + timedelta(days=5)
    covers = {"covers_stores": "all", "covers_through": dict.fromkeys(("orders", "refunds"), later.isoformat())}
    ingest(write_some(tmp_path / "next", covers, **no_rows("orders", "refunds")), folder)
    assert latest(folder) == {"S1": EARLY, "S2": later}
