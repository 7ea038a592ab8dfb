"""Traffic and advertising, cash, tenure and breadth, integrity."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from fractions import Fraction

from tests.oracles.features.books import SETTLED, Books, total
from tests.oracles.features.buyers import named
from tests.oracles.features.numbers import (
    Number,
    Values,
    at_least,
    at_most,
    concentration,
    in_dollars,
    less,
    over,
    the_most,
    told,
)
from tests.oracles.features.sales import YEAR, over_monthly_sales
from tests.oracles.seller_sight import Entry

NOTHING = Fraction(0)


def standing(books: Books) -> Values:
    """Return the features of the four families."""
    return {**_traffic(books), **_advertising(books), **_cash(books), **_tenure(books), **_integrity(books)}


def _traffic(books: Books) -> Values:
    visits, carts = books.visits(90), books.visits(90, column="add_to_carts")
    return {
        "visits_90d": told(visits, visits),
        "visit_trend_90d": over(visits, books.visits(90, 90)),
        "visits_per_visitor_90d": over(visits, books.visits(90, column="visitors")),
        "search_visit_share_90d": over(books.visits(90, channel="search"), visits),
        "conversion_90d": _conversion(books, 90),
        "conversion_trend_90d": over(_conversion(books, 90), _conversion(books, 90, 90)),
        "cart_rate_90d": over(carts, visits),
        "orders_per_cart_90d": over(books.order_count(90), carts),
    }


def _conversion(books: Books, days: int, lag: int = 0) -> Number:
    return over(books.order_count(days, lag), books.visits(days, lag))


def _advertising(books: Books) -> Values:
    paid = {days: over(books.visits(days, channel="ads"), books.visits(days)) for days in (90, YEAR)}
    spent = {days: told(books.advertising(days), books.visits(days)) for days in (90, YEAR)}
    share = {days: over(spent[days], books.gross(days)) for days in (90, YEAR)}
    return {
        "paid_visit_share_90d": paid[90],
        "paid_visit_share_change": less(paid[90], paid[YEAR]),
        "ad_spend_share_90d": share[90],
        "ad_spend_share_change": less(share[90], share[YEAR]),
        "ad_cost_per_order_90d": in_dollars(over(spent[90], books.order_count(90))),
        "cost_per_paid_visit_90d": in_dollars(over(books.advertising(90), books.visits(90, channel="ads"))),
    }


def _cash(books: Books) -> Values:
    bought: Counter[str] = Counter()
    for entry in books.window("purchases", YEAR):
        bought[entry.row["supplier_id"]] += entry.row["amount_micros"]
    suppliers = list(bought.values())
    purchased = {days: told(books.purchased(days), books.purchased(YEAR)) for days in (90, 180, YEAR)}
    left = less(less(books.net(180), purchased[180]), told(books.advertising(180), books.visits(180)))
    shares = {days: over(purchased[days], books.net(days)) for days in (90, 180, YEAR)}
    back = books.if_known(total(books.window("refunds", 90)), "refunds")
    trading = less(less(less(books.gross(90, 14), back), purchased[90]), told(books.advertising(90), books.visits(90)))
    return {
        "purchases_over_sales_180d": shares[180],
        "stock_replacement_180d": at_most(shares[180], Fraction(0.6)),
        "purchases_over_sales_change": less(shares[90], shares[YEAR]),
        "purchase_trend_90d": over(books.purchased(90), books.purchased(90, 90)),
        "days_since_last_purchase": books.recency("purchases", YEAR),
        "payment_gap_180d": less(_age(books, "purchases"), _age(books, "orders")),
        "supplier_concentration_365d": concentration(suppliers),
        "top_supplier_share_365d": over(the_most(suppliers), books.purchased(YEAR)),
        "operating_margin_180d": over(left, books.net(180)),
        "cash_from_trading_90d": over(trading, books.gross(YEAR)),
    }


def _age(books: Books, table: str) -> Number:
    """Return the average days from a row's day to T over 180 days, weighed by value."""
    those = books.window(table, 180)
    weighed = sum(entry.age * entry.row["amount_micros"] for entry in those)
    return over(Fraction(weighed), books.if_known(total(those), table))


def _tenure(books: Books) -> Values:
    sight = books.sight
    onboarded = None if sight.party is None else sight.party["onboarded_at"].date()
    opened = min((store["opened_at"].date() for store in sight.stores), default=None)
    first = max((entry.age for entry in sight.entries["orders"]), default=None)
    return {
        "days_on_platform": None if onboarded is None else Fraction((sight.as_of - onboarded).days),
        "days_since_first_order": None if first is None else Fraction(first),
        "oldest_store_days": None if opened is None else Fraction((sight.as_of - opened).days),
        "store_count": books.if_known(len(sight.stores)),
        "marketplace_count": books.if_known(len({store["marketplace"] for store in sight.stores})),
    }


def _integrity(books: Books) -> Values:
    quick = books.if_known(total(entry for entry in books.refunds(180) if _is_quick(entry)), "refunds")
    own = books.if_known(total(books.window("own_orders", 180)), "orders")
    return {
        "quick_refund_share_180d": over(quick, books.gross(180, SETTLED)),
        "own_store_share_180d": over(own, books.gross(180)) if named(books.orders(180)) else None,
        "orders_beyond_visits_30d": _beyond_visits(books, 30),
        "orders_beyond_visits_180d": _beyond_visits(books, 180),
        "rush_order_share_180d": _rush_share(books),
        "sales_spike_30d": at_least(less(over_monthly_sales(books), Fraction(2)), NOTHING),
    }


def _is_quick(entry: Entry) -> bool:
    if entry.order is None or entry.row["reason"] == "cancel":
        return False
    return bool(entry.row["refunded_at"] - entry.order["ordered_at"] < timedelta(hours=48))


def _beyond_visits(books: Books, days: int) -> Number:
    return at_least(less(_conversion(books, days), Fraction(2, 10)), NOTHING)


def _rush_share(books: Books) -> Number:
    """Return the share of orders that stand in an hour in which their buyer placed three or more."""
    hours = [(entry.row["buyer_id"], entry.day, entry.row["ordered_at"].hour) for entry in named(books.orders(180))]
    placed = Counter(hours)
    return over(Fraction(sum(1 for hour in hours if placed[hour] >= 3)), books.if_known(len(hours), "orders"))
