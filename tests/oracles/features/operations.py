"""Traffic and advertising, cash, tenure and breadth, integrity."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from fractions import Fraction

from tests.oracles.features.buyers import with_buyer
from tests.oracles.features.numbers import (
    Number,
    Values,
    at_least,
    at_most,
    concentration,
    if_positive,
    in_dollars,
    largest,
    less,
    over,
)
from tests.oracles.features.sales import YEAR, over_monthly_sales
from tests.oracles.features.window_sums import SETTLED, WindowSums, total
from tests.oracles.seller_view import Entry

ZERO = Fraction(0)


def operations(sums: WindowSums) -> Values:
    return {**_traffic(sums), **_advertising(sums), **_cash(sums), **_tenure(sums), **_integrity(sums)}


def _traffic(sums: WindowSums) -> Values:
    visits, carts = sums.visits(90), sums.visits(90, column="add_to_carts")
    return {
        "visits_90d": if_positive(visits, visits),
        "visit_trend_90d": over(visits, sums.visits(90, 90)),
        "visits_per_visitor_90d": over(visits, sums.visits(90, column="visitors")),
        "search_visit_share_90d": over(sums.visits(90, channel="search"), visits),
        "conversion_90d": _conversion(sums, 90),
        "conversion_trend_90d": over(_conversion(sums, 90), _conversion(sums, 90, 90)),
        "cart_rate_90d": over(carts, visits),
        "orders_per_cart_90d": over(sums.order_count(90), carts),
    }


def _conversion(sums: WindowSums, days: int, lag: int = 0) -> Number:
    return over(sums.order_count(days, lag), sums.visits(days, lag))


def _advertising(sums: WindowSums) -> Values:
    paid = {days: over(sums.visits(days, channel="ads"), sums.visits(days)) for days in (90, YEAR)}
    spent = {days: if_positive(sums.advertising(days), sums.visits(days)) for days in (90, YEAR)}
    share = {days: over(spent[days], sums.gross(days)) for days in (90, YEAR)}
    return {
        "paid_visit_share_90d": paid[90],
        "paid_visit_share_change": less(paid[90], paid[YEAR]),
        "ad_spend_share_90d": share[90],
        "ad_spend_share_change": less(share[90], share[YEAR]),
        "ad_cost_per_order_90d": in_dollars(over(spent[90], sums.order_count(90))),
        "cost_per_paid_visit_90d": in_dollars(over(sums.advertising(90), sums.visits(90, channel="ads"))),
    }


def _cash(sums: WindowSums) -> Values:
    by_supplier: Counter[str] = Counter()
    for entry in sums.window("purchases", YEAR):
        by_supplier[entry.row["supplier_id"]] += entry.row["amount_micros"]
    suppliers = list(by_supplier.values())
    purchased = {days: if_positive(sums.purchased(days), sums.purchased(YEAR)) for days in (90, 180, YEAR)}
    advertised = {days: if_positive(sums.advertising(days), sums.visits(days)) for days in (90, 180)}
    margin = less(less(sums.net(180), purchased[180]), advertised[180])
    shares = {days: over(purchased[days], sums.net(days)) for days in (90, 180, YEAR)}
    refunded = sums.if_known(total(sums.window("refunds", 90)), "refunds")
    trading = less(less(less(sums.gross(90, 14), refunded), purchased[90]), advertised[90])
    return {
        "purchases_over_sales_180d": shares[180],
        "stock_replacement_180d": at_most(shares[180], Fraction(0.6)),
        "purchases_over_sales_change": less(shares[90], shares[YEAR]),
        "purchase_trend_90d": over(sums.purchased(90), sums.purchased(90, 90)),
        "days_since_last_purchase": sums.recency("purchases", YEAR),
        "payment_gap_180d": less(_age(sums, "purchases"), _age(sums, "orders")),
        "supplier_concentration_365d": concentration(suppliers),
        "top_supplier_share_365d": over(largest(suppliers), sums.purchased(YEAR)),
        "operating_margin_180d": over(margin, sums.net(180)),
        "cash_from_trading_90d": over(trading, sums.gross(YEAR)),
    }


def _age(sums: WindowSums, table: str) -> Number:
    """Return the average days from a row's day to T over 180 days, weighted by value."""
    entries = sums.window(table, 180)
    weighted = sum(entry.age * entry.row["amount_micros"] for entry in entries)
    return over(Fraction(weighted), sums.if_known(total(entries), table))


def _tenure(sums: WindowSums) -> Values:
    view = sums.view
    onboarded = None if view.party is None else view.party["onboarded_at"].date()
    opened = min((store["opened_at"].date() for store in view.stores), default=None)
    first = max((entry.age for entry in view.entries["orders"]), default=None)
    return {
        "days_on_platform": None if onboarded is None else Fraction((view.as_of - onboarded).days),
        "days_since_first_order": None if first is None else Fraction(first),
        "oldest_store_days": None if opened is None else Fraction((view.as_of - opened).days),
        "store_count": sums.if_known(len(view.stores)),
        "marketplace_count": sums.if_known(len({store["marketplace"] for store in view.stores})),
    }


def _integrity(sums: WindowSums) -> Values:
    quick = sums.if_known(total(entry for entry in sums.refunds(180) if _is_quick(entry)), "refunds")
    own = sums.if_known(total(sums.window("related_party_orders", 180)), "orders")
    return {
        "quick_refund_share_180d": over(quick, sums.gross(180, SETTLED)),
        "own_store_share_180d": over(own, sums.gross(180)) if with_buyer(sums.orders(180)) else None,
        "orders_beyond_visits_30d": _beyond_visits(sums, 30),
        "orders_beyond_visits_180d": _beyond_visits(sums, 180),
        "rush_order_share_180d": _rush_share(sums),
        "sales_spike_30d": at_least(less(over_monthly_sales(sums), Fraction(2)), ZERO),
    }


def _is_quick(entry: Entry) -> bool:
    if entry.order is None or entry.row["reason"] == "cancel":
        return False
    return bool(entry.row["refunded_at"] - entry.order["ordered_at"] < timedelta(hours=48))


def _beyond_visits(sums: WindowSums, days: int) -> Number:
    return at_least(less(_conversion(sums, days), Fraction(2, 10)), ZERO)


def _rush_share(sums: WindowSums) -> Number:
    """Return the share of orders in an hour in which their buyer placed three or more."""
    hours = [(entry.row["buyer_id"], entry.day, entry.row["ordered_at"].hour) for entry in with_buyer(sums.orders(180))]
    placed = Counter(hours)
    return over(Fraction(sum(1 for hour in hours if placed[hour] >= 3)), sums.if_known(len(hours), "orders"))
