"""Every feature of the catalogue by hand: loops and fractions, from the meanings and the design alone.

It shares no code with `features`, so that agreeing with it says something; it is as slow as it is plain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from math import sqrt

from tests.oracles.seller_sight import Entry, Rows, Sight, sight, visible

Number = Fraction | None
"""None is missing: unknown, which is not zero."""


def oracle(rows: Rows, seller_id: str, as_of: date) -> dict[str, float | None]:
    """Return every feature of one seller as of the midnight that begins `as_of`.

    Args:
        rows: contract rows by table, amounts in micro-USD as `amount_micros`; times are naive UTC.
        seller_id: whose features.
        as_of: T.
    """
    return features_of(sight(visible(rows, as_of), seller_id, as_of))


def within(sight: Sight, entries: Sequence[Entry], days: int, lag: int = 0) -> list[Entry]:
    """Return the entries of [T - lag - days, T - lag)."""
    end = sight.as_of - timedelta(days=lag)
    return [entry for entry in entries if end - timedelta(days=days) <= entry.day < end]


def total(entries: Iterable[Entry], column: str = "amount_micros") -> Fraction:
    """Return the exact sum of an integer column."""
    return Fraction(sum(int(entry.row[column]) for entry in entries))


def over(value: Number, by: Number) -> Number:
    """Divide: missing where either is missing, or where it would be by zero or less."""
    return None if value is None or by is None or by <= 0 else value / by


def less(value: Number, other: Number) -> Number:
    """Subtract: missing where either is."""
    return None if value is None or other is None else value - other


class Books:
    """The sums that meanings speak of, each missing where a table it rests on was not known."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight

    def orders(self, days: int, lag: int = 0) -> list[Entry]:
        return within(self.sight, self.sight.orders, days, lag)

    def if_known(self, value: Fraction | int, *tables: str) -> Number:
        return Fraction(value) if self.sight.known.issuperset(tables) else None

    def gross(self, days: int, lag: int = 0) -> Number:
        return self.if_known(total(self.orders(days, lag)), "orders")

    def order_count(self, days: int, lag: int = 0) -> Number:
        return self.if_known(len(self.orders(days, lag)), "orders")

    def refunds(self, days: int, *reasons: str) -> list[Entry]:
        """Refunds that belong to the settled window: the days that ended 30 days ago."""
        return [entry for entry in within(self.sight, self.sight.refunds, days, 30) if entry.row["reason"] in reasons]

    def refund_rate(self, days: int, *reasons: str) -> Number:
        return over(self.if_known(total(self.refunds(days, *reasons)), "refunds"), self.gross(days, 30))

    def net(self, days: int, lag: int = 30) -> Number:
        back = total(within(self.sight, self.sight.refunds, days, lag))
        return self.if_known(total(self.orders(days, lag)) - back, "orders", "refunds")

    def visits(self, days: int, lag: int = 0, channel: str | None = None) -> Number:
        seen = within(self.sight, self.sight.traffic, days, lag)
        return self.if_known(
            total((entry for entry in seen if channel in (None, entry.row["channel"])), "visits"), "traffic"
        )

    def ad_share(self, days: int) -> Number:
        spent = total(within(self.sight, self.sight.traffic, days))
        return over(self.if_known(spent, "traffic"), self.gross(days))

    def purchased(self, days: int, lag: int = 0) -> Number:
        return self.if_known(total(within(self.sight, self.sight.purchases, days, lag)), "purchases")

    def spending(self, days: int) -> Mapping[str, int]:
        spent: Counter[str] = Counter()
        for entry in self.orders(days):
            spent[entry.row["buyer_id"]] += entry.row["amount_micros"]
        return spent

    def daily_gross(self, days: int) -> list[int]:
        by_day: Counter[date] = Counter()
        for entry in self.orders(days):
            by_day[entry.day] += entry.row["amount_micros"]
        return list(by_day.values())

    def active_days(self, days: int) -> Number:
        return self.if_known(len({entry.day for entry in self.orders(days)}), "orders")


def features_of(sight: Sight) -> dict[str, float | None]:
    """Return every feature by name."""
    books = Books(sight)
    exact = {**_sales(books), **_quality(books), **_traffic(books), **_tenure(books)}
    values = {name: None if value is None else float(value) for name, value in exact.items()}
    return values | {"daily_sales_variation_90d": _variation(books)}


def _sales(books: Books) -> dict[str, Number]:
    recent = over(books.gross(30), books.net(90))
    months = [books.net(30, 30 + 30 * back) for back in range(12)]
    known_months = [month for month in months if month is not None]
    best = max(known_months) if len(known_months) == len(months) else None
    livestream = total(entry for entry in books.orders(180) if entry.row["channel"] == "livestream")
    last = max((entry.day for entry in books.orders(365)), default=None)
    return {
        "settled_net_sales_90d": over(books.net(90), Fraction(10**6)),
        "settled_net_sales_365d": over(books.net(365), Fraction(10**6)),
        "average_order_180d": over(over(books.gross(180), books.order_count(180)), Fraction(10**6)),
        "sales_trend_90d": over(books.net(90), books.net(90, 120)),
        "sales_trend_180d": over(books.net(180), books.net(180, 210)),
        "recent_sales_hold": None if recent is None else min(3 * recent, Fraction(1)),
        "drawdown_from_best_month": less(Fraction(1), over(months[0], best)),
        "active_day_share_90d": over(books.active_days(90), Fraction(90)),
        "active_days_365d": books.active_days(365),
        "top_day_share_180d": over(Fraction(max(books.daily_gross(180), default=0)), books.gross(180)),
        "days_since_last_order": None if last is None else Fraction((books.sight.as_of - last).days),
        "livestream_share_180d": over(livestream, books.gross(180)),
    }


def _variation(books: Books) -> float | None:
    net = books.net(90)
    if net is None or net <= 0:
        return None
    daily = [books.net(1, 30 + back) for back in range(90)]
    squares = sum((value * value for value in daily if value is not None), Fraction(0))
    mean = net / 90
    return sqrt((squares / 90 - mean * mean) / (mean * mean))


def _quality(books: Books) -> dict[str, Number]:
    returned = [books.refund_rate(days, "return", "refund") for days in (90, 365)]
    disputes = books.if_known(len(books.refunds(180, "dispute", "chargeback")), "refunds")
    quick = total(entry for entry in within(books.sight, books.sight.refunds, 180, 30) if entry.quick)
    own = total(within(books.sight, books.sight.own_orders, 180))
    times = Counter(entry.row["buyer_id"] for entry in books.orders(180))
    buyers = Fraction(len(times))
    squares = Fraction(sum(spent * spent for spent in books.spending(180).values()))
    return {
        "return_rate_90d": returned[0],
        "return_rate_365d": returned[1],
        "return_rate_change": less(*returned),
        "cancel_rate_180d": books.refund_rate(180, "cancel"),
        "dispute_rate_180d": over(disputes, books.order_count(180, 30)),
        "quick_refund_share_180d": over(books.if_known(quick, "refunds"), books.gross(180, 30)),
        "own_store_share_180d": over(own, books.gross(180)),
        "orders_per_buyer_180d": over(books.order_count(180), buyers),
        "buyer_concentration_180d": over(over(squares, books.gross(180)), books.gross(180)),
        "repeat_buyer_share_180d": over(Fraction(sum(1 for count in times.values() if count >= 2)), buyers),
    }


def _traffic(books: Books) -> dict[str, Number]:
    return {
        "visits_90d": books.visits(90),
        "visit_trend_90d": over(books.visits(90), books.visits(90, 90)),
        "conversion_90d": over(books.order_count(90), books.visits(90)),
        "paid_visit_share_90d": over(books.visits(90, channel="ads"), books.visits(90)),
        "ad_spend_share_90d": books.ad_share(90),
        "ad_spend_share_change": less(books.ad_share(90), books.ad_share(365)),
        "purchases_over_sales_180d": over(books.purchased(180), books.net(180)),
        "purchase_trend_90d": over(books.purchased(90), books.purchased(90, 90)),
    }


def _tenure(books: Books) -> dict[str, Number]:
    sight = books.sight
    first = min((entry.day for entry in sight.orders), default=None)
    return {
        "days_on_platform": None if sight.onboarded is None else Fraction((sight.as_of - sight.onboarded).days),
        "days_since_first_order": None if first is None else Fraction((sight.as_of - first).days),
        "store_count": Fraction(sight.stores),
    }
