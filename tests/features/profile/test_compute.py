"""Computation of profiles from deliveries: duplicates, currencies, changed categories, days at the edges of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.ingest import OperatingStore, ingest, open_store
from features.profile.compute import compute_profiles
from features.profile.series import SUMS
from features.store.profiles import StoredProfile
from tests.oracles import profile_oracle
from tests.oracles.accepted_rows import write_accepted
from tests.oracles.deliveries import deliver, rates_of
from tests.oracles.market import MIDNIGHTS, Shape, market, together
from tests.oracles.market_events import CURRENCIES
from tests.oracles.seller_view import midnight, visible
from tests.oracles.trade import T, Trade

pytestmark = pytest.mark.slow


def computed_profiles(store: Any, sellers: list[str], as_of: date) -> dict[str, StoredProfile]:
    index = pd.MultiIndex.from_product([sellers, [pd.Timestamp(as_of)]], names=["seller_id", "as_of"])
    features = pd.DataFrame(1.0, index, [feature.name for feature in CATALOGUE])
    return dict(compute_profiles(store, features).profiles)


def sums_of(profile: StoredProfile) -> dict[str, tuple[int, ...] | None]:
    return dict(zip(SUMS, profile.sums, strict=True))


@pytest.mark.soak
def test_identical_rows_count_once_and_currencies_become_dollars(tmp_path: Path) -> None:
    rows, as_of = market(Shape(seed=2, sellers=6, events=60)), MIDNIGHTS[1]
    rates = rates_of(rows, CURRENCIES)
    store = tmp_path / "store"
    ingest(deliver(rows, rates, tmp_path / "first"), store)
    repeated = {**rows, "orders": [*rows["orders"], *rows["orders"][:5]]}
    again = ingest(deliver(repeated, rates, tmp_path / "again"), store)
    assert again.table("orders").accepted == 0
    assert len({row["currency"] for row in rows["orders"]}) > 2
    sellers = [f"S{number}" for number in range(6)]
    visible_rows = visible(rows, as_of)
    for seller, profile in computed_profiles(open_store(store), sellers, as_of).items():
        for name, expected in profile_oracle.sums(visible_rows, seller, as_of).items():
            found = sums_of(profile)[name]
            assert (found is None) == (expected is None)
            # an amount in its currency and back is right to a micro-dollar an order
            assert all(abs(a - b) <= 60 for a, b in zip(found or (), expected or (), strict=True)), name


def several_versions() -> Trade:
    trade = Trade()
    (party,) = trade.rows["sellers"]
    later = {"category": "toys", "known_at": midnight(T) - timedelta(days=1)}
    too_late = {"category": "never", "known_at": midnight(T) + timedelta(seconds=1)}
    trade.rows["sellers"] = [party | too_late, party | {"category": "home"}, party | later]
    trade.rows["sellers"] += [
        party | {"seller_id": f"P{number}", "category": category}
        for number, category in enumerate(["toys"] * 31 + ["home"] * 31 + ["never"] * 31)
    ]
    return trade


def edges_of_steps() -> Trade:
    trade = Trade()
    for ago in (1, 30, 31, 360, 361):
        trade.order(ago, ago)
    trade.order(0, 1_000)
    trade.order(5, 2_000, known_at=midnight(T) + timedelta(microseconds=1))
    own = trade.order(40, 4_000, buyer_id="A2")
    trade.refund(own, midnight(T) - timedelta(days=39), 4_000)
    trade.refund(trade.order(45, 100), midnight(T) - timedelta(days=2), 30)
    return trade


def buyers_who_return() -> Trade:
    trade = Trade()
    # A2 is a store of the seller
    for buyer, agos in {"a": (10, 20, 40), "b": (15, 120), "c": (15, 121), "d": (5,), "A2": (3, 50)}.items():
        for ago in agos:
            trade.order(ago, 1, buyer_id=buyer)
    return trade


def store_sold() -> Trade:
    trade = Trade()
    trade.order(10, 7)
    (shop, _) = trade.rows["stores"]
    trade.rows["stores"].append(shop | {"seller_id": "other", "known_at": midnight(T) - timedelta(days=3)})
    trade.rows["sellers"].append(trade.rows["sellers"][0] | {"seller_id": "other"})
    return trade


TRADES = (several_versions, edges_of_steps, buyers_who_return, store_sold)


@dataclass(frozen=True)
class Computed:
    """The trades in one store, since each fold takes a second, and the profiles of all their sellers."""

    store: OperatingStore
    profiles: dict[str, StoredProfile]

    def of(self, trade: Callable[[], Trade], seller: str = "S") -> StoredProfile:
        return self.profiles[f"{trade.__name__}:{seller}"]


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Computed:
    rows = together({trade.__name__: trade().rows for trade in TRADES})
    store = write_accepted(rows, tmp_path_factory.mktemp("trades"))
    return Computed(store, computed_profiles(store, sorted({row["seller_id"] for row in rows["sellers"]}), T))


def test_the_category_is_that_of_the_latest_known_version(computed: Computed) -> None:
    peers = computed.of(several_versions).peers
    assert (peers.category, peers.others) == ("toys", 31)


def test_rows_count_in_their_step_unless_they_are_late(computed: Computed) -> None:
    profile = computed.of(edges_of_steps)
    gross, refunded = (sums_of(profile)[name] or () for name in ("gross", "refunded"))
    assert [each // 1_000_000 for each in gross] == [360, *[0] * 9, 131, 31]
    assert [each // 1_000_000 for each in refunded] == [*[0] * 10, 30, 0]
    orders = profile.coverage["orders"]
    # a related-party order is no sale, but a day with rows
    assert orders.days == (1, *[0] * 9, 3, 2)
    assert (orders.first, orders.last) == (T - timedelta(days=361), T - timedelta(days=1))


def test_buyers_are_new_without_an_order_in_the_ninety_days_before(computed: Computed) -> None:
    sums = sums_of(computed.of(buyers_who_return))
    assert (sums["buyers"] or ())[-1] == 4
    assert (sums["earlier_buyers"] or ())[-1] == 2


def test_undelivered_tables_are_unknown_and_delivered_ones_without_rows_zero(tmp_path: Path) -> None:
    trade = Trade()
    trade.rows["ratings"] = []
    trade.rows["traffic"] = [row | {"known_at": midnight(T) + timedelta(days=1)} for row in trade.rows["traffic"]]
    profile = computed_profiles(write_accepted(trade.rows, tmp_path), ["S"], T)["S"]
    assert {name for name, steps in sums_of(profile).items() if steps is None} == (
        {"ratings", "star_hundredths", "visits", "ad_spend"} | {"gross", "orders", "buyers", "earlier_buyers"}
    )
    assert sums_of(profile)["purchased"] == (0,) * 12
    assert profile.coverage == {}


def test_the_days_of_a_store_move_to_its_new_owner(computed: Computed) -> None:
    assert computed_profiles(computed.store, [], T) == {}, "no sellers have no profiles"
    assert (sums_of(computed.of(store_sold))["gross"] or ())[-1] == 0
    assert (sums_of(computed.of(store_sold, "other"))["gross"] or ())[-1] == 7_000_000
