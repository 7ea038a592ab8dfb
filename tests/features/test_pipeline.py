"""Features of small trades, worked out by hand: the naive oracle and the pipeline must both give these numbers.

All trades share one store, since building tiles and compiling take far longer than computing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from features.catalogue import CATALOGUE, TENURE_AND_RECENCY
from features.ingest import OperatingStore
from features.pipeline import all_sellers, compute_frame
from tests.oracles.accepted_rows import features_named, frame_from, write_accepted
from tests.oracles.features.buyers import is_festival
from tests.oracles.features.numbers import lower_median, middle, rise, root, variation
from tests.oracles.features.quality import hundredths
from tests.oracles.features_oracle import oracle
from tests.oracles.market import Market, together
from tests.oracles.seller_view import midnight
from tests.oracles.trade import START, TABLES, T, Trade, before

NEXT = T + timedelta(days=1)
TICK = timedelta(microseconds=1)
AFTER = midnight(T) + timedelta(hours=12)
"""A time at which what becomes known is visible as of the day after T, and not as of T."""

Example = Callable[[Trade], Mapping[str, Any]]
EXAMPLES: dict[str, Example] = {}


def example(build: Example) -> Example:
    """Register a trade with its features as of T, or as of T and the day after; None is missing."""
    EXAMPLES[build.__name__.replace("_", " ")] = build
    return build


class SharedStore:
    """A store with all examples as separate sellers, and their frame."""

    def __init__(self, folder: Path) -> None:
        trades = {name: Trade() for name in EXAMPLES}
        self.expected = {name: build(trades[name]) for name, build in EXAMPLES.items()}
        self.trades = trades
        rows = together({name: trade.rows for name, trade in trades.items()})
        self.store: OperatingStore = write_accepted(rows, folder)
        names = [*dict.fromkeys(row["seller_id"] for row in rows["sellers"]), "nobody"]
        # out of order, and some of them twice
        self.pairs = [(name, day) for day in (NEXT, T, T) for name in names]
        self.frame = frame_from(self.store, self.pairs)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SharedStore:
    return SharedStore(tmp_path_factory.mktemp("shared"))


@dataclass(frozen=True)
class OrdersAndRefunds:
    """A trade of orders (days before T, dollars) and refunds (index of the order, days before T, dollars, reason)."""

    orders: Sequence[tuple[int, int]]
    expected: Mapping[str, Any]
    refunds: Sequence[tuple[int | None, int, int, str]] = ()

    def __call__(self, trade: Trade) -> Mapping[str, Any]:
        orders = [trade.order(ago, dollars) for ago, dollars in self.orders]
        for index, ago, dollars, reason in self.refunds:
            trade.refund(None if index is None else orders[index], before(ago), dollars, reason)
        return self.expected


EXAMPLES |= {
    "windows of settled days are side by side": OrdersAndRefunds(
        [(30, 9), (31, 2), (60, 3), (61, 4), (90, 5), (91, 50), (425, 20), (455, 100), (486, 1)],
        {"settled_net_sales_30d": 5.0, "settled_net_sales_90d": 64.0, "sales_trend_30d": 5 / 9}
        | {"recent_sales_hold": 27 / 64, "sales_spike_30d": 0.0, "recent_week_hold": 0.0}
        | {"sales_year_on_year": 64 / 120},
    ),
    "the typical day is the median of days with net sales": OrdersAndRefunds(
        [(40, 10), (41, 30), (42, 50), (42, 50), (43, 7), (29, 999)],
        {"typical_day_sales_180d": 30.0},
        [(4, 2, 7, "return")],
    ),
    "the best and the worst of twelve months": OrdersAndRefunds(
        [(395, 1), *((31 + 30 * month, 10 if month else 4) for month in range(12))],
        {"drawdown_from_best_month": 0.6, "worst_month_share": 48 / 114},
    ),
    "returns after busy days weigh more": OrdersAndRefunds(
        [(40, 300), (41, 100)],
        {"return_lag_180d": 12.0, "median_return_lag_180d": 3.0, "refund_size_180d": (82 / 3) / 200}
        | {"refund_count_rate_180d": 1.5, "dispute_rate_180d": 0.5}
        | {"returns_after_spikes_180d": 9200 / 100_000 - 32 / 400},
        [(0, 37, 30, "return"), (1, 20, 2, "refund"), (1, 20, 50, "dispute")],
    ),
    "the latest weeks are compared with those before": OrdersAndRefunds(
        [(1, 10), (7, 4), (8, 6), (14, 8), (15, 20), (35, 30), (36, 50), (84, 100)],
        {"fortnight_hold_28d": (24 / 14) / (100 / 28), "month_hold_56d": (44 / 28) / (180 / 56)},
        [(None, 2, 4, "return")],
    ),
    "a rise of the latest weeks earns nothing": OrdersAndRefunds(
        [(1, 100), (20, 1), (50, 1)], {"fortnight_hold_28d": 1.0, "month_hold_56d": 1.0}
    ),
    # 70 days since the first order are five fortnights and two whole months
    "the weakest fortnight and month since the first order": OrdersAndRefunds(
        [(14, 10), (28, 50), (42, 5), (56, 60), (70, 70)],
        {"weakest_fortnight_56d": 5 / (125 / 4), "weakest_fortnight_182d": 5 / (195 / 5)}
        | {"weakest_month_196d": 60 / (195 * 28 / 70)},
    ),
    "the weakest fortnight is unknown for two months": OrdersAndRefunds(
        [(1, 10), (8, 10), (55, 10)], {"weakest_fortnight_56d": None}
    ),
    "the last sale ignores cancelled sales": OrdersAndRefunds(
        [(5, 40), (20, 40), (30, 40)],
        {"days_since_last_sale": 20},
        [(0, 4, 40, "cancel"), (1, 19, 39, "cancel"), (2, 3, 40, "return")],
    ),
    "a window includes its first day and not the day before": OrdersAndRefunds(
        [(90, 1), (91, 1)],
        {"days_since_last_sale": 90, "days_since_first_order": 91}
        | {"active_day_share_90d": 1 / 90, "active_days_365d": 2},
    ),
    "a refund reduces settled sales on the day of its order": OrdersAndRefunds(
        [(31, 100), (30, 1000)], {"settled_net_sales_90d": 60.0, "return_rate_90d": 0.4}, [(0, 2, 40, "return")]
    ),
    "a refund without order is settled after thirty days": OrdersAndRefunds(
        [(31, 100)], {"settled_net_sales_90d": 90.0}, [(None, 30, 40, "return"), (None, 31, 10, "return")]
    ),
    "without returns the rate is zero": OrdersAndRefunds([(40, 100)], {"return_rate_90d": 0.0}),
    "a rate with a divisor of zero or less is missing": OrdersAndRefunds(
        [(1000, 1)],
        {"settled_net_sales_90d": -10.0, "return_rate_90d": None}
        | {"recent_sales_hold": None, "daily_sales_variation_90d": None},
        [(None, 40, 10, "return")],
    ),
    "equal daily sales have no variation": OrdersAndRefunds(
        [(ago, 333) for ago in range(31, 121)], {"daily_sales_variation_90d": pytest.approx(0.0, abs=1e-7)}
    ),
}


@example
def late_is_strictly_later_and_hours_are_whole(trade: Trade) -> Mapping[str, Any]:
    hours = timedelta(hours=1)
    late = 72 * hours + timedelta(seconds=1)
    for ago, after in ((15, 72 * hours), (104, late), (20, -3 * hours), (105, 500 * hours)):
        trade.event(trade.order(ago, 1), "shipped", after)
    days = {"handling_days_90d": 2.0, "handling_days_change": 2.0 - (72 + 72 + 0 + 500) / 4 / 24}
    return {**days, "late_shipping_share_90d": 1 / 3, "median_handling_hours_90d": 72.0}


@example
def parcels_are_counted_by_their_last_event(trade: Trade) -> Mapping[str, Any]:
    parcels = [trade.order(50 + number, 1) for number in range(5)]
    for number, parcel in enumerate(parcels):
        trade.event(parcel, "shipped", timedelta(hours=5))
        if number < 2:
            trade.event(parcel, "delivered", timedelta(hours=504, seconds=number))
    trade.event(parcels[2], "lost", timedelta(days=30))
    shares = {"undelivered_share_180d": 0.6, "lost_share_180d": 0.2, "unmoved_parcel_share_180d": 0.4}
    return {**shares, "late_delivery_share_180d": 0.5, "delivery_days_180d": 21.0}


@example
def related_party_orders_are_no_sales_and_have_no_parcels(trade: Trade) -> Mapping[str, Any]:
    trade.order(40, 100)
    own = [trade.order(ago, 50, buyer_id=buyer) for ago, buyer in ((39, "S"), (38, "A"), (400, "A2"))]
    trade.event(own[0], "shipped", timedelta(hours=5))
    trade.refund(own[0], before(38), 50)
    shares = {"own_store_share_180d": 1.0, "settled_net_sales_90d": 100.0, "orders_per_buyer_180d": 1.0}
    return {**shares, "lost_share_180d": None, "days_since_last_sale": 40, "days_since_first_order": 40}


@example
def buyers_are_distinct_over_all_stores(trade: Trade) -> Mapping[str, Any]:
    for ago, dollars, buyer in ((1, 30, "X"), (91, 30, "X"), (2, 20, "Y"), (120, 20, "Z")):
        trade.order(ago, dollars, buyer_id=buyer, store_id="A2" if ago > 90 else "A")
    shares = {"top_buyer_share_180d": 0.6, "repeat_sales_share_180d": 0.6, "repeat_buyer_share_180d": 1 / 3}
    counts = {"orders_per_buyer_180d": 4 / 3, "new_buyer_share_90d": 0.5, "buyer_trend_90d": 1.0}
    return {**shares, **counts, "buyer_concentration_180d": 0.36 + 0.04 + 0.04}


@example
def a_rush_is_three_orders_of_one_buyer_in_one_hour_of_the_clock(trade: Trade) -> Mapping[str, Any]:
    hour = before(9) + timedelta(hours=10)
    for past, store in ((0, "A"), (1800, "A2"), (3599, "A"), (3600, "A")):
        trade.order(9, 1, at=hour + timedelta(seconds=past), store_id=store)
    trade.order(9, 1, at=hour, buyer_id="other")
    return {"rush_order_share_180d": 0.6}


@example
def home_is_the_country_of_the_latest_known_version(trade: Trade) -> Mapping[str, Any]:
    trade.order(10, 30, buyer_country="CN", currency="CNY")
    trade.order(100, 10, buyer_country="DE", currency="EUR")
    moved = {"country": "DE", "base_currency": "EUR", "known_at": AFTER}
    trade.rows["sellers"].append(trade.rows["sellers"][0] | moved)
    shares = {"home_share_180d": (0.75, 0.25), "foreign_currency_share_180d": (0.25, 0.75), "home_share_change": 0.25}
    return {**shares, "country_count_180d": 2.0, "currency_count_180d": 2.0}


@example
def days_of_the_year_and_of_the_week(trade: Trade) -> Mapping[str, Any]:
    trade.order(0, 10, at=midnight(date(2023, 11, 27)))  # the Monday after Black Friday
    trade.order(0, 20, at=midnight(date(2023, 11, 28)))
    trade.order(0, 70, at=midnight(date(2024, 2, 24)))  # a Saturday
    # the first order is less than 365 days ago
    shares = {"festival_share_365d": 0.1, "weekend_share_180d": 0.7, "top_days_share_365d": None}
    # 90 days before 2 December 2023 have 3 days of November 9 to 11, and Black Friday to Monday; later, ten of December
    return {**shares, "plain_sales_trend_90d": (70 / 80) / (20 / 83)}


@example
def cash_is_compared_with_settled_sales(trade: Trade) -> Mapping[str, Any]:
    trade.order(100, 400)
    trade.purchase(10, 60)
    trade.purchase(170, 20, "V")
    trade.visits(5, 50, "ads", dollars=40)
    cash = {"purchases_over_sales_180d": 0.2, "operating_margin_180d": 0.7}
    suppliers = {"supplier_concentration_365d": 0.625, "top_supplier_share_365d": 0.75, "purchase_trend_90d": 3.0}
    return {**cash, **suppliers, "payment_gap_180d": 4000 / 80 - 100, "days_since_last_purchase": 10.0}


@example
def visits_and_their_cost(trade: Trade) -> Mapping[str, Any]:
    for ago in (3, 4, 100):
        trade.order(ago, 50)
    trade.visits(3, 6, dollars=1)
    trade.visits(4, 2, "ads", dollars=3)
    trade.visits(100, 4)
    rates = {"conversion_90d": 0.25, "conversion_trend_90d": 1.0, "paid_visit_share_90d": 0.25}
    costs = {"ad_cost_per_order_90d": 2.0, "cost_per_paid_visit_90d": 2.0, "orders_beyond_visits_30d": 0.05}
    counts = {"visits_per_visitor_90d": 4.0, "orders_per_cart_90d": 1.0, "search_visit_share_90d": 0.75}
    return {**rates, **costs, **counts}


@example
def stars_weigh_by_ratings(trade: Trade) -> Mapping[str, Any]:
    for ago, ratings, stars in ((10, 1, 5.0), (40, 3, 4.335), (300, 4, 1.0)):
        day = T - timedelta(days=ago)
        row = {"store_id": "A", "day": day, "ratings": ratings, "stars": stars, "known_at": midnight(day)}
        trade.rows["ratings"].append(row)
    mean = (5.0 + 3 * 4.34) / 4
    return {"rating_90d": mean, "rating_change_recent": 5.0 - mean}


def four_instalments(trade: Trade) -> None:
    trade.loan(150, 400, 120, 90, 60, 30)
    for ago, dollars in ((120, 100), (86, 99), (85, 1), (56, 150)):
        trade.payment(ago, dollars)
    trade.order(40, 600)


@example
def payments_settle_the_oldest_instalment_first(trade: Trade) -> Mapping[str, Any]:
    four_instalments(trade)
    # the second was five days late, the third four, and the fourth is half paid, 30 days after it fell due
    days = {"average_days_past_due_365d": (0 + 5 + 4 + 30) / 4, "average_days_past_due_90d": (5 + 4 + 30) / 3}
    late = {"late_instalment_share_365d": 0.75, "worst_days_past_due_365d": 30.0}
    return {**days, **late, "loans_repaid": 0.0, "owed_over_monthly_sales": 50 / 200}


@example
def the_last_payment_repays_the_loan(trade: Trade) -> Mapping[str, Any]:
    four_instalments(trade)
    trade.payment(2, 50)
    return {"loans_repaid": 1.0, "owed_over_monthly_sales": 0.0, "worst_days_past_due_365d": 28.0}


def nearly_paid(trade: Trade, *payments: tuple[int, int]) -> None:
    trade.loan(450, 1000, 420)
    for ago, dollars in ((366, 998), *payments):
        trade.payment(ago, dollars)


@example
def more_than_a_thousandth_is_owed(trade: Trade) -> Mapping[str, Any]:
    nearly_paid(trade)
    return {"worst_days_past_due_365d": 420.0}


@example
def a_delay_counts_for_a_year_after_its_end(trade: Trade) -> Mapping[str, Any]:
    nearly_paid(trade, (365, 1))
    return {"worst_days_past_due_365d": 55.0, "average_days_past_due_365d": 0.0}


@example
def a_delay_that_ended_more_than_a_year_ago_does_not_count(trade: Trade) -> Mapping[str, Any]:
    nearly_paid(trade, (365, 1), (367, 1))
    return {"worst_days_past_due_365d": 0.0, "loans_repaid": 1.0}


@example
def without_a_loan_nothing_is_late_and_the_next_loan_does_not_count(trade: Trade) -> Mapping[str, Any]:
    trade.order(40, 600)
    trade.loan(0, 500, -30)
    late = {"worst_days_past_due_365d": 0.0, "late_instalment_share_365d": 0.0}
    return {**late, "loans_repaid": 0.0, "owed_over_monthly_sales": 0.0}


@example
def stores_marketplaces_and_age(_: Trade) -> Mapping[str, Any]:
    ages = {"oldest_store_days": 509.0, "days_on_platform": 500.0}
    return {**ages, "store_count": 2.0, "marketplace_count": 2.0, "nobody/store_count": 0.0}


@example
def an_order_at_midnight_counts_from_the_next_day(trade: Trade) -> Mapping[str, Any]:
    trade.order(0, 1, at=midnight(T))
    trade.order(1, 1, at=midnight(T) - TICK, known_at=midnight(T))
    return {"active_days_365d": (1, 2)}


@example
def a_late_row_counts_from_the_midnight_after_it_is_known(trade: Trade) -> Mapping[str, Any]:
    trade.order(200, 1)
    trade.order(10, 1, known_at=midnight(T) + TICK)
    return {"days_since_last_sale": (200, 11)}


@example
def a_refund_counts_once_its_order_is_visible(trade: Trade) -> Mapping[str, Any]:
    trade.order(60, 100)
    trade.refund(trade.order(50, 100, known_at=AFTER), before(45), 100)
    return {"settled_net_sales_90d": (100.0, 100.0), "return_rate_90d": (0.0, 0.5)}


@example
def a_quick_refund_is_within_48_hours_and_not_a_cancellation(trade: Trade) -> Mapping[str, Any]:
    for delay, reason in ((48 * 3600, "return"), (48 * 3600 - 1, "return"), (60, "cancel"), (60, "dispute")):
        trade.refund(trade.order(40, 100, at=before(40)), before(40) + timedelta(seconds=delay), 100, reason)
    return {"quick_refund_share_180d": 0.5}


@example
def a_buyer_becomes_a_related_party_when_the_store_is_known(trade: Trade) -> Mapping[str, Any]:
    trade.order(100, 1, buyer_id="B1")
    trade.rows["stores"].append(trade.rows["stores"][0] | {"store_id": "B1", "known_at": AFTER})
    return {"days_since_first_order": (100, None), "store_count": (2, 3)}


@example
def the_history_of_a_store_moves_to_its_new_owner(trade: Trade) -> Mapping[str, Any]:
    trade.order(100, 1)
    trade.rows["stores"].append(trade.rows["stores"][0] | {"seller_id": "other", "known_at": AFTER})
    trade.rows["sellers"].append(trade.rows["sellers"][0] | {"seller_id": "other"})
    given = {"store_count": (2, 1), "active_days_365d": (1, 0)}
    return {**given, "other/store_count": (0, 1), "other/active_days_365d": (0, 1)}


@example
def the_latest_known_version_of_a_seller_applies(trade: Trade) -> Mapping[str, Any]:
    earlier = {"onboarded_at": START - timedelta(days=10), "known_at": AFTER}
    trade.rows["sellers"].append(trade.rows["sellers"][0] | earlier)
    return {"days_on_platform": (500, 511)}


@example
def a_younger_store_does_not_make_the_seller_younger(trade: Trade) -> Mapping[str, Any]:
    # the export of a store states the day on which that store began
    later = {"onboarded_at": START + timedelta(days=10), "known_at": START + timedelta(days=10)}
    trade.rows["sellers"].append(trade.rows["sellers"][0] | later)
    return {"days_on_platform": (500, 501)}


@example
def the_largest_amounts_of_the_contract_stay_exact(trade: Trade) -> Mapping[str, Any]:
    for ago in (31, 32, 120):
        trade.order(ago, 10**8, buyer_id=f"B{ago}")
    shares = {"buyer_concentration_180d": 1 / 3, "daily_sales_variation_90d": 29**0.5}
    return {**shares, "settled_net_sales_90d": 3e8}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_oracle_and_the_pipeline_give_the_numbers_worked_out_by_hand(name: str, shared: SharedStore) -> None:
    for key, expected in shared.expected[name].items():
        seller, _, feature = key.rpartition("/")
        for day, value in zip((T, NEXT), expected if isinstance(expected, tuple) else (expected,), strict=False):
            close = pytest.approx(value, rel=1e-9) if isinstance(value, int | float) else value
            assert oracle(shared.trades[name].rows, seller or "S", day)[feature] == close, key
            if seller != "nobody":
                actual = shared.frame.loc[(f"{name}:{seller or 'S'}", pd.Timestamp(day)), feature]
                assert (None if math.isnan(actual) else actual) == close, key


def test_the_arithmetic_of_the_oracle() -> None:
    assert [lower_median(values) for values in ([4, 1, 3, 2], [5, 5, 1])] == [2, 5]
    assert middle([Fraction(1), Fraction(4)]) == Fraction(5, 2)
    assert rise([Fraction(1), Fraction(2), Fraction(3)]) == Fraction(3, 2)
    assert variation([Fraction(1), Fraction(3)]) == Fraction(1, 2)
    assert [float(root(value)) for value in (Fraction(2), Fraction(1, 10**40))] == [2**0.5, 1e-20]
    assert [hundredths(stars) for stars in (4.335, 4.3349, 1.005, 5.0)] == [434, 433, 101, 500]


def test_festivals_by_the_calendar() -> None:
    named = [date(2024, 11, 29), date(2024, 12, 2), date(2023, 11, 24), date(2024, 6, 16), date(2024, 12, 20)]
    assert all(map(is_festival, named))
    assert not any(map(is_festival, [date(2024, 11, 28), date(2024, 12, 3), date(2024, 12, 21), date(2024, 6, 19)]))
    assert sum(is_festival(date(2024, 1, 1) + timedelta(days=day)) for day in range(366)) == 3 + 3 + 4 + 10


def alone(**tables: list[dict[str, Any]]) -> Market:
    """Return the parties and one order of a seller, for tests that depend on all rows of a table."""
    trade = Trade()
    trade.order(40, 100)
    return {**trade.rows, **{name: [] for name in TABLES if name != "orders"}, **tables}


@pytest.mark.slow
def test_features_of_an_absent_table_are_missing(tmp_path: Path) -> None:
    # one feature for each set of tables, since all of them take seconds to compile
    by_tables = {feature.tables: feature.name for feature in CATALOGUE if feature.tables - {"orders"}}
    catalogue = features_named(*by_tables.values())
    found = frame_from(write_accepted(alone(), tmp_path), [("S", T)], catalogue=catalogue)
    assert found.columns.to_list() == [feature.name for feature in catalogue]
    assert found.columns[found.notna().any()].to_list() == []


@pytest.mark.slow
def test_a_table_is_missing_before_its_first_visible_row(tmp_path: Path) -> None:
    trade = Trade()
    trade.refund(None, midnight(T), 1)
    store = write_accepted(alone(refunds=trade.rows["refunds"][1:]), tmp_path)
    found = frame_from(store, [("S", T), ("S", NEXT)], catalogue=features_named("return_rate_90d"))
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


def test_the_catalogue_may_be_a_subset(shared: SharedStore) -> None:
    seller, _ = key = (shared.frame.index[0][0], pd.Timestamp(T))
    pairs = pd.DataFrame({"seller_id": [seller], "as_of": pd.to_datetime([T])})
    found = compute_frame(shared.store, pairs, features_named("orders_per_buyer_180d"), threads=1)
    pd.testing.assert_frame_equal(found, shared.frame.loc[[key], ["orders_per_buyer_180d"]])


def test_all_sellers_are_those_known_as_of_the_midnight(tmp_path: Path) -> None:
    rows = alone()
    rows["sellers"].append(rows["sellers"][0] | {"seller_id": "S2", "known_at": AFTER})
    store = write_accepted(rows, tmp_path)
    assert all_sellers(store, T).to_dict("list") == {"seller_id": ["S"], "as_of": [T]}
    assert sorted(all_sellers(store, NEXT)["seller_id"]) == ["S", "S2"]
