"""The frame on small examples whose values are computed by hand in each test.

All examples are sellers of one shared store, since building tiles and compiling take far longer than computing. Each
test adds its rows before its `yield` and checks the frame after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.catalogue import CATALOGUE, TENURE_AND_RECENCY
from features.ingest import OperatingStore
from features.pipeline import all_sellers, compute_frame
from tests.oracles.accepted_rows import features_named, frame_from, write_accepted
from tests.oracles.market import Market
from tests.oracles.seller_view import midnight

T = date(2024, 3, 1)
NEXT = T + timedelta(days=1)
NOON = timedelta(hours=12)
USD = 1_000_000
START = midnight(T) - timedelta(days=500)
TABLES = ("sellers", "stores", "orders", "refunds", "traffic", "purchases")


class Seller:
    """A seller with one store and the rows that a test adds; all ids are unique to the seller."""

    def __init__(self, rows: Market, seller_id: str) -> None:
        self.rows, self.id, self.store = rows, seller_id, f"{seller_id}-A"
        self.frame = pd.DataFrame()
        rows["sellers"].append({"seller_id": seller_id, "onboarded_at": START, "known_at": START})
        self.owns(self.store)

    def owns(self, store_id: str, known_at: datetime = START) -> None:
        """Add a version of a store that names the seller as owner."""
        self.rows["stores"].append({"store_id": store_id, "seller_id": self.id, "known_at": known_at})

    def order(self, ago: int, dollars: int = 100, **other: Any) -> str:
        """Add an order at noon `ago` days before T, known at the same time; return its id."""
        name = f"{self.id}-O{len(self.rows['orders'])}"
        at = other.pop("ordered_at", midnight(T) - timedelta(days=ago) + NOON)
        row = {"order_id": name, "store_id": self.store, "buyer_id": f"{self.id}-B", "ordered_at": at}
        row |= {"amount_micros": dollars * USD, "channel": "search", "known_at": at}
        self.rows["orders"].append(row | other)
        return name

    def refund(self, order_id: str | None, at: datetime, dollars: int, **other: Any) -> None:
        """Add a refund, known at the same time."""
        name = f"{self.id}-R{len(self.rows['refunds'])}"
        row = {"refund_id": name, "order_id": order_id, "store_id": self.store, "amount_micros": dollars * USD}
        self.rows["refunds"].append(row | {"refunded_at": at, "known_at": at, "reason": "return"} | other)

    def at(self, *days: date) -> pd.DataFrame:
        """Return the frame as of T, or as of other days."""
        return self.frame.loc[[(self.id, pd.Timestamp(day)) for day in days or (T,)]]

    def now(self) -> dict[str, float]:
        """Return the features as of T."""
        return {str(name): float(value) for name, value in self.at().iloc[0].items()}


Example = Callable[[Seller], Iterator[None]]
EXAMPLES: dict[str, Example] = {}


def example(test: Example) -> Callable[[dict[str, Iterator[None]]], None]:
    """Turn an example into a test; the rows that it adds before its `yield` go into the shared store."""

    def run_checks(examples: dict[str, Iterator[None]]) -> None:
        # removed, since a finished example would pass without a check
        next(examples.pop(test.__name__), None)

    EXAMPLES[test.__name__] = test
    return run_checks


class SharedStore:
    """All examples, each at its `yield`, with the store and the frame of all their sellers."""

    def __init__(self, folder: Path) -> None:
        rows: Market = {name: [] for name in TABLES}
        sellers = {name: Seller(rows, f"S{number}") for number, name in enumerate(EXAMPLES)}
        self.examples = {name: example(sellers[name]) for name, example in EXAMPLES.items()}
        for each in self.examples.values():
            next(each)
        self.store: OperatingStore = write_accepted(rows, folder)
        names = [*dict.fromkeys(row["seller_id"] for row in rows["sellers"]), "nobody"]
        # out of order, and some of them twice
        self.pairs = [(name, day) for day in (NEXT, T, T - timedelta(days=1), T) for name in names]
        self.frame = frame_from(self.store, self.pairs)
        for seller in sellers.values():
            seller.frame = self.frame


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SharedStore:
    return SharedStore(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def examples(shared: SharedStore) -> dict[str, Iterator[None]]:
    return shared.examples


@pytest.fixture
def alone() -> Seller:
    """A seller in a store of its own, for tests that depend on all rows of a table."""
    seller = Seller({name: [] for name in TABLES}, "S")
    seller.order(40)
    return seller


@example
def test_the_last_sale_ignores_cancelled_sales(seller: Seller) -> Iterator[None]:
    gone, half, back = seller.order(5, 40), seller.order(20, 40), seller.order(30, 40)
    seller.refund(gone, midnight(T) - timedelta(days=4), 40, reason="cancel")
    seller.refund(half, midnight(T) - timedelta(days=19), 39, reason="cancel")
    seller.refund(back, midnight(T) - timedelta(days=3), 40)
    yield
    assert seller.now()["days_since_last_sale"] == 20


@example
def test_a_window_includes_its_first_day_and_not_the_day_before(seller: Seller) -> Iterator[None]:
    seller.order(90)
    seller.order(91)
    yield
    found = seller.now()
    assert found["active_day_share_90d"] == 1 / 90
    assert found["active_days_365d"] == 2
    assert found["days_since_last_sale"] == 90
    assert found["days_since_first_order"] == 91


@example
def test_an_order_at_midnight_counts_from_the_next_day(seller: Seller) -> Iterator[None]:
    seller.order(0, ordered_at=midnight(T))
    seller.order(1, ordered_at=midnight(T) - timedelta(microseconds=1), known_at=midnight(T))
    yield
    assert seller.at(T, NEXT)["active_days_365d"].to_list() == [1, 2]


@example
def test_a_late_row_counts_from_the_midnight_after_it_is_known(seller: Seller) -> Iterator[None]:
    seller.order(200)
    seller.order(10, known_at=midnight(T) + timedelta(microseconds=1))
    yield
    assert seller.at(T, NEXT)["days_since_last_sale"].to_list() == [200, 11]


@example
def test_a_refund_reduces_settled_sales_on_the_day_of_its_order(seller: Seller) -> Iterator[None]:
    sold = seller.order(31, 100)
    seller.order(30, 1000)
    seller.refund(sold, midnight(T) - timedelta(days=2), 40)
    yield
    found = seller.now()
    assert found["settled_net_sales_90d"] == 60.0
    assert found["return_rate_90d"] == 0.4


@example
def test_a_refund_without_order_counts_on_its_own_day(seller: Seller) -> Iterator[None]:
    seller.order(31, 100)
    seller.refund(None, midnight(T) - timedelta(days=30), 40)
    seller.refund(None, midnight(T) - timedelta(days=31), 10)
    yield
    assert seller.now()["settled_net_sales_90d"] == 90.0


@example
def test_a_refund_counts_once_its_order_is_visible(seller: Seller) -> Iterator[None]:
    seller.order(60, 100)
    late = seller.order(50, 100, known_at=midnight(T) + NOON)
    seller.refund(late, midnight(T) - timedelta(days=45), 100)
    yield
    found = seller.at(T, NEXT)
    assert found["settled_net_sales_90d"].to_list() == [100.0, 100.0]
    assert found["return_rate_90d"].to_list() == [0.0, 0.5]


@example
def test_a_quick_refund_is_within_48_hours_and_not_a_cancellation(seller: Seller) -> Iterator[None]:
    day = midnight(T) - timedelta(days=40)
    for delay, reason in ((48 * 3600, "return"), (48 * 3600 - 1, "return"), (60, "cancel"), (60, "dispute")):
        sold = seller.order(40, 100, ordered_at=day)
        seller.refund(sold, day + timedelta(seconds=delay), 100, reason=reason)
    yield
    assert seller.now()["quick_refund_share_180d"] == 0.5


@example
def test_related_party_orders_are_no_sales(seller: Seller) -> Iterator[None]:
    second = f"{seller.id}-A2"
    seller.owns(second)
    seller.order(40, 100)
    accounts = ((39, seller.id), (38, seller.store), (400, second))
    own = [seller.order(ago, 50, buyer_id=buyer) for ago, buyer in accounts]
    seller.refund(own[0], midnight(T) - timedelta(days=38), 50)
    yield
    found = seller.now()
    assert found["own_store_share_180d"] == 1.0
    assert found["settled_net_sales_90d"] == 100.0
    assert found["orders_per_buyer_180d"] == 1.0
    assert found["days_since_last_sale"] == found["days_since_first_order"] == 40


@example
def test_a_buyer_becomes_a_related_party_when_the_store_is_known(seller: Seller) -> Iterator[None]:
    buyer = f"{seller.id}-B1"
    seller.order(100, buyer_id=buyer)
    seller.owns(buyer, midnight(T) + NOON)
    yield
    found = seller.at(T, NEXT)
    assert found["days_since_first_order"].iloc[0] == 100
    assert found["days_since_first_order"].isna().to_list() == [False, True]
    assert found["store_count"].to_list() == [1, 2]


@example
def test_the_history_of_a_store_moves_to_its_new_owner(seller: Seller) -> Iterator[None]:
    seller.order(100)
    seller.rows["stores"].append({"store_id": seller.store, "seller_id": "S-buyer", "known_at": midnight(T) + NOON})
    seller.rows["sellers"].append({"seller_id": "S-buyer", "onboarded_at": START, "known_at": START})
    yield
    found = seller.frame.loc[[(name, pd.Timestamp(day)) for name in (seller.id, "S-buyer") for day in (T, NEXT)]]
    assert found["store_count"].to_list() == [1, 0, 0, 1]
    assert found["active_days_365d"].to_list() == [1, 0, 0, 1]


@example
def test_the_latest_known_version_of_a_seller_applies(seller: Seller) -> Iterator[None]:
    other = {"seller_id": seller.id, "onboarded_at": START - timedelta(days=10)}
    seller.rows["sellers"].append(other | {"known_at": midnight(T) + NOON})
    yield
    assert seller.at(T, NEXT)["days_on_platform"].to_list() == [500, 511]


@example
def test_an_empty_window_is_zero(seller: Seller) -> Iterator[None]:
    seller.order(40)
    seller.refund(None, midnight(T) - timedelta(days=499), 1)
    yield
    assert seller.now()["return_rate_90d"] == 0.0


@example
def test_a_rate_with_a_divisor_of_zero_or_less_is_missing(seller: Seller) -> Iterator[None]:
    seller.refund(None, midnight(T) - timedelta(days=40), 10)
    seller.order(1000)
    yield
    found = seller.now()
    assert found["settled_net_sales_90d"] == -10.0
    assert pd.isna(found["return_rate_90d"])
    assert pd.isna(found["recent_sales_hold"])
    assert pd.isna(found["daily_sales_variation_90d"])


@example
def test_equal_daily_sales_have_no_variation(seller: Seller) -> Iterator[None]:
    seller.refund(None, START, 0)
    for ago in range(31, 121):
        seller.order(ago, 333)
    yield
    assert seller.now()["daily_sales_variation_90d"] == pytest.approx(0.0, abs=1e-7)


@example
def test_the_largest_amounts_of_the_contract_stay_exact(seller: Seller) -> Iterator[None]:
    largest = 10**8
    for ago in (31, 32, 120):
        seller.order(ago, largest, buyer_id=f"{seller.id}-B{ago}")
    seller.refund(None, START, 0)
    yield
    found = seller.now()
    assert found["settled_net_sales_90d"] == 3e8
    assert found["buyer_concentration_180d"] == pytest.approx(1 / 3, rel=1e-12)
    assert found["daily_sales_variation_90d"] == pytest.approx(29**0.5, rel=1e-12)


@pytest.mark.slow
def test_an_absent_table_is_missing(alone: Seller, tmp_path: Path) -> None:
    absent = [feature for feature in CATALOGUE if feature.tables - {"orders"}]
    found = frame_from(write_accepted(alone.rows, tmp_path), [(alone.id, T)], catalogue=absent)
    assert found.columns.to_list() == [feature.name for feature in absent]
    assert found.columns[found.notna().any()].to_list() == []


@pytest.mark.slow
def test_a_table_is_missing_before_its_first_visible_row(alone: Seller, tmp_path: Path) -> None:
    rate = features_named("return_rate_90d")
    alone.refund("elsewhere", midnight(T), 1)
    found = frame_from(write_accepted(alone.rows, tmp_path), [(alone.id, T), (alone.id, NEXT)], catalogue=rate)
    assert found["return_rate_90d"].isna().to_list() == [True, False]


def test_an_unknown_seller_has_no_history(shared: SharedStore) -> None:
    found = shared.frame.loc[("nobody", pd.Timestamp(T))]
    assert found["store_count"] == found["active_days_365d"] == 0
    assert found[sorted(TENURE_AND_RECENCY)].isna().all()


def test_a_frame_has_distinct_sorted_rows_of_doubles_in_catalogue_order(shared: SharedStore) -> None:
    found = shared.frame
    assert list(found.columns) == [feature.name for feature in CATALOGUE]
    assert set(found.dtypes.astype(str)) == {"float64"}
    assert found.index.names == ["seller_id", "as_of"]
    assert list(found.index) == [(name, pd.Timestamp(day)) for name, day in sorted(set(shared.pairs))]
    assert len(found) < len(shared.pairs)


@pytest.mark.parametrize("as_of", [pd.to_datetime([T]), pd.to_datetime([T]).as_unit("s")])
def test_midnights_may_be_timestamps_and_the_catalogue_may_be_a_subset(
    shared: SharedStore, as_of: pd.DatetimeIndex
) -> None:
    part = features_named("orders_per_buyer_180d")
    found = compute_frame(shared.store, pd.DataFrame({"seller_id": ["S0"], "as_of": as_of}), part, threads=1)
    assert list(found.index) == [("S0", pd.Timestamp(T))]
    pd.testing.assert_frame_equal(found, shared.frame.loc[[("S0", pd.Timestamp(T))], ["orders_per_buyer_180d"]])


def test_all_sellers_are_those_known_as_of_the_midnight(tmp_path: Path) -> None:
    rows: Market = {name: [] for name in TABLES}
    Seller(rows, "S")
    rows["sellers"].append({"seller_id": "S2", "onboarded_at": START, "known_at": midnight(T) + NOON})
    store = write_accepted(rows, tmp_path)
    assert all_sellers(store, T).to_dict("list") == {"seller_id": ["S"], "as_of": [T]}
    assert sorted(all_sellers(store, NEXT)["seller_id"]) == ["S", "S2"]
