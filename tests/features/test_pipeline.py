"""The frame by hand-made examples: one small seller at a time, every number worked out in the test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.catalogue import CATALOGUE, TENURE_AND_RECENCY
from features.pipeline import all_sellers, frame
from tests.oracles.accepted import frame_of, write_accepted
from tests.oracles.market import Market
from tests.oracles.seller_sight import midnight

T = date(2024, 3, 1)
NOON = timedelta(hours=12)
USD = 1_000_000
START = midnight(T) - timedelta(days=500)


class Seller:
    """One seller S of one store A, known long since, and the rows that a test gives him."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: Market = {
            "sellers": [{"seller_id": "S", "onboarded_at": START, "known_at": START}],
            "stores": [{"store_id": "A", "seller_id": "S", "known_at": START}],
            "orders": [],
            "refunds": [],
            "traffic": [],
            "purchases": [],
        }

    def order(self, ago: int, dollars: int = 100, **other: Any) -> str:
        """Add an order of noon `ago` days before T, known at once; return its id."""
        name = f"O{len(self.rows['orders'])}"
        at = other.pop("ordered_at", midnight(T) - timedelta(days=ago) + NOON)
        row = {"order_id": name, "store_id": "A", "buyer_id": "B", "ordered_at": at, "amount_micros": dollars * USD}
        self.rows["orders"].append(row | {"channel": "search", "known_at": at} | other)
        return name

    def refund(self, order_id: str | None, at: datetime, dollars: int, **other: Any) -> None:
        """Add a refund, known at once."""
        name = f"R{len(self.rows['refunds'])}"
        row = {"refund_id": name, "order_id": order_id, "store_id": "A", "amount_micros": dollars * USD}
        self.rows["refunds"].append(row | {"refunded_at": at, "known_at": at, "reason": "return"} | other)

    def at(self, *days: date) -> pd.DataFrame:
        """Return the frame of S as of T, or of the days given."""
        return frame_of(self.rows, [("S", day) for day in days or (T,)], self.folder)

    def now(self) -> dict[str, float]:
        """Return the features as of T."""
        return {str(name): float(value) for name, value in self.at().iloc[0].items()}


@pytest.fixture
def seller(tmp_path: Path) -> Seller:
    return Seller(tmp_path)


def test_a_window_holds_its_first_day_and_not_the_day_before(seller: Seller) -> None:
    seller.order(90)
    seller.order(91)
    found = seller.now()
    assert found["active_day_share_90d"] == 1 / 90
    assert found["active_days_365d"] == 2
    assert found["days_since_last_order"] == 90
    assert found["days_since_first_order"] == 91


def test_an_order_at_the_midnight_itself_is_seen_the_day_after(seller: Seller) -> None:
    seller.order(0, ordered_at=midnight(T))
    seller.order(1, ordered_at=midnight(T) - timedelta(microseconds=1), known_at=midnight(T))
    found = seller.at(T, T + timedelta(days=1))
    assert found["active_days_365d"].to_list() == [1, 2]


def test_what_is_learned_late_counts_from_then_on(seller: Seller) -> None:
    seller.order(200)
    seller.order(10, known_at=midnight(T) + timedelta(microseconds=1))
    assert seller.at(T, T + timedelta(days=1))["days_since_last_order"].to_list() == [200, 11]


def test_settled_sales_lose_what_was_refunded_on_the_day_of_the_order(seller: Seller) -> None:
    sold = seller.order(31, 100)
    seller.order(30, 1000)
    seller.refund(sold, midnight(T) - timedelta(days=2), 40)
    found = seller.now()
    assert found["settled_net_sales_90d"] == 60.0
    assert found["return_rate_90d"] == 0.4


def test_a_refund_of_no_order_counts_on_its_own_day(seller: Seller) -> None:
    seller.order(31, 100)
    seller.refund(None, midnight(T) - timedelta(days=30), 40)
    seller.refund(None, midnight(T) - timedelta(days=31), 10)
    assert seller.now()["settled_net_sales_90d"] == 90.0


def test_a_refund_waits_for_its_order(seller: Seller) -> None:
    seller.order(60, 100)
    late = seller.order(50, 100, known_at=midnight(T) + NOON)
    seller.refund(late, midnight(T) - timedelta(days=45), 100)
    found = seller.at(T, T + timedelta(days=1))
    assert found["settled_net_sales_90d"].to_list() == [100.0, 100.0]
    assert found["return_rate_90d"].to_list() == [0.0, 0.5]


def test_a_quick_refund_is_under_48_hours_and_no_cancel(seller: Seller) -> None:
    day = midnight(T) - timedelta(days=40)
    for delay, reason in ((48 * 3600, "return"), (48 * 3600 - 1, "return"), (60, "cancel"), (60, "dispute")):
        sold = seller.order(40, 100, ordered_at=day)
        seller.refund(sold, day + timedelta(seconds=delay), 100, reason=reason)
    assert seller.now()["quick_refund_share_180d"] == 0.5


def test_what_owners_buy_of_themselves_is_no_sale(seller: Seller) -> None:
    seller.rows["stores"].append({"store_id": "A2", "seller_id": "S", "known_at": START})
    seller.order(40, 100)
    own = [seller.order(ago, 50, buyer_id=buyer) for ago, buyer in ((39, "S"), (38, "A"), (400, "A2"))]
    seller.refund(own[0], midnight(T) - timedelta(days=38), 50)
    found = seller.now()
    assert found["own_store_share_180d"] == 1.0
    assert found["settled_net_sales_90d"] == 100.0
    assert found["orders_per_buyer_180d"] == 1.0
    assert found["days_since_last_order"] == found["days_since_first_order"] == 40


def test_a_buyer_who_opens_a_store_later_was_a_buyer_before(seller: Seller) -> None:
    seller.order(100, buyer_id="B1")
    seller.rows["stores"].append({"store_id": "B1", "seller_id": "S", "known_at": midnight(T) + NOON})
    found = seller.at(T, T + timedelta(days=1))
    assert found["days_since_first_order"].iloc[0] == 100
    assert found["days_since_first_order"].isna().to_list() == [False, True]
    assert found["store_count"].to_list() == [1, 2]


def test_history_moves_with_the_store_to_whom_holds_it(seller: Seller) -> None:
    seller.order(100)
    seller.rows["stores"].append({"store_id": "A", "seller_id": "S2", "known_at": midnight(T) + NOON})
    days = (T, T + timedelta(days=1))
    found = frame_of(seller.rows, [(name, day) for name in ("S", "S2") for day in days], seller.folder)
    assert found["store_count"].to_list() == [1, 0, 0, 1]
    assert found["active_days_365d"].to_list() == [1, 0, 0, 1]


def test_the_latest_version_of_a_seller_known_then_holds(seller: Seller) -> None:
    other = {"seller_id": "S", "onboarded_at": START - timedelta(days=10)}
    seller.rows["sellers"].append(other | {"known_at": midnight(T) + NOON})
    assert seller.at(T, T + timedelta(days=1))["days_on_platform"].to_list() == [500, 511]


def test_an_absent_table_is_missing_and_an_empty_window_is_zero(seller: Seller) -> None:
    seller.order(40)
    found = seller.now()
    for feature in CATALOGUE:
        if feature.tables - {"orders"}:
            assert pd.isna(found[feature.name]), feature.name
    seller.refund(None, midnight(T) - timedelta(days=499), 1)
    assert seller.now()["return_rate_90d"] == 0.0


def test_a_table_is_missing_as_of_midnights_before_its_first_row_could_be_seen(seller: Seller) -> None:
    seller.order(40)
    seller.refund("elsewhere", midnight(T), 1)
    found = seller.at(T, T + timedelta(days=1))
    assert found["return_rate_90d"].isna().to_list() == [True, False]


def test_a_rate_of_nothing_is_missing_and_so_is_one_of_less(seller: Seller) -> None:
    seller.refund(None, midnight(T) - timedelta(days=40), 10)
    seller.order(1000)
    found = seller.now()
    assert found["settled_net_sales_90d"] == -10.0
    assert pd.isna(found["return_rate_90d"])
    assert pd.isna(found["recent_sales_hold"])
    assert pd.isna(found["daily_sales_variation_90d"])


def test_the_same_sale_every_day_varies_by_nothing_but_rounding(seller: Seller) -> None:
    seller.refund(None, START, 0)
    for ago in range(31, 121):
        seller.order(ago, 333)
    assert seller.now()["daily_sales_variation_90d"] == pytest.approx(0.0, abs=1e-7)


def test_amounts_at_the_contracts_end_stay_exact(seller: Seller) -> None:
    largest = 10**8
    for ago in (31, 32, 33):
        seller.order(ago, largest, buyer_id=f"B{ago}")
    seller.refund(None, START, 0)
    found = seller.now()
    assert found["settled_net_sales_90d"] == 3e8
    assert found["buyer_concentration_180d"] == pytest.approx(1 / 3, rel=1e-12)
    assert found["daily_sales_variation_90d"] == pytest.approx(29**0.5, rel=1e-12)


def test_a_seller_nobody_knows_is_a_row_of_nothing(seller: Seller) -> None:
    seller.order(40)
    found = frame_of(seller.rows, [("nobody", T)], seller.folder).iloc[0]
    assert found["store_count"] == found["active_days_365d"] == 0
    assert found[sorted(TENURE_AND_RECENCY)].isna().all()


def test_a_frame_is_doubles_in_catalogue_order_sorted_and_without_doubles_of_rows(seller: Seller) -> None:
    days = [T, T - timedelta(days=1), T]
    found = seller.at(*days)
    assert list(found.columns) == [feature.name for feature in CATALOGUE]
    assert set(found.dtypes.astype(str)) == {"float64"}
    assert found.index.names == ["seller_id", "as_of"]
    assert list(found.index) == [("S", pd.Timestamp(day)) for day in sorted(set(days))]


@pytest.mark.parametrize("as_of", [[T], pd.to_datetime([T]), pd.to_datetime([T]).as_unit("s")])
def test_midnights_may_be_dates_or_timestamps(seller: Seller, as_of: Sequence[date]) -> None:
    seller.order(7)
    store: Any = write_accepted(seller.rows, seller.folder)
    pairs = pd.DataFrame({"seller_id": ["S"], "as_of": as_of})
    assert frame(store, pairs, threads=1)["days_since_last_order"].to_list() == [7]


def test_a_part_of_the_catalogue_gives_that_part(seller: Seller) -> None:
    seller.order(7)
    store: Any = write_accepted(seller.rows, seller.folder)
    pairs = pd.DataFrame({"seller_id": ["S"], "as_of": [T]})
    for feature in CATALOGUE:
        if feature.name in {"store_count", "days_on_platform", "days_since_last_order", "orders_per_buyer_180d"}:
            assert list(frame(store, pairs, (feature,), threads=1).columns) == [feature.name]


def test_all_sellers_are_those_known_by_then(seller: Seller) -> None:
    seller.rows["sellers"].append({"seller_id": "S2", "onboarded_at": START, "known_at": midnight(T) + NOON})
    store: Any = write_accepted(seller.rows, seller.folder)
    assert all_sellers(store, T).to_dict("list") == {"seller_id": ["S"], "as_of": [T]}
    assert sorted(all_sellers(store, T + timedelta(days=1))["seller_id"]) == ["S", "S2"]
