"""Sums over windows; a sum is missing if a table that it needs was not known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from fractions import Fraction

from tests.oracles.features.numbers import Number, over
from tests.oracles.seller_view import Entry, SellerView

RETURNS = ("return", "refund")
DISPUTES = ("dispute", "chargeback")
SETTLED = 30
"""Windows of settled days end this many days before T."""


def total(entries: Iterable[Entry], column: str = "amount_micros") -> Fraction:
    return Fraction(sum(int(entry.row[column]) for entry in entries))


class WindowSums:
    """One seller's sums over windows [T - lag - days, T - lag)."""

    def __init__(self, view: SellerView) -> None:
        self.view = view

    def window(self, table: str, days: int, lag: int = 0) -> list[Entry]:
        return [entry for entry in self.view.entries[table] if lag < entry.age <= lag + days]

    def if_known(self, value: Fraction | int, *tables: str) -> Number:
        """Return the value, or missing if a table was unknown; `stores` is always needed."""
        return Fraction(value) if self.view.known_tables.issuperset({"stores", *tables}) else None

    def dates(self, days: int, lag: int = 0) -> list[date]:
        return [self.view.as_of - timedelta(days=age) for age in range(lag + days, lag, -1)]

    def orders(self, days: int, lag: int = 0) -> list[Entry]:
        return self.window("orders", days, lag)

    def order_count(self, days: int, lag: int = 0) -> Number:
        return self.if_known(len(self.orders(days, lag)), "orders")

    def gross(self, days: int, lag: int = 0) -> Number:
        return self.if_known(total(self.orders(days, lag)), "orders")

    def gross_where(self, condition: Callable[[Entry], bool], days: int, lag: int = 0) -> Number:
        return self.if_known(total(entry for entry in self.orders(days, lag) if condition(entry)), "orders")

    def gross_share(self, condition: Callable[[Entry], bool], days: int) -> Number:
        return over(self.gross_where(condition, days), self.gross(days))

    def gross_by(self, key: Callable[[Entry], object], days: int) -> list[int]:
        """Return the gross sales of each buyer, country or day, as given by `key`."""
        parts: Counter[object] = Counter()
        for entry in self.orders(days):
            parts[key(entry)] += entry.row["amount_micros"]
        return list(parts.values())

    def net(self, days: int, lag: int = SETTLED) -> Number:
        refunded = total(self.window("refunds", days, lag))
        return self.if_known(total(self.orders(days, lag)) - refunded, "orders", "refunds")

    def daily_net(self, days: int) -> Sequence[Number]:
        """Return the net sales of each of the settled days, the earliest first."""
        by_age: Counter[int] = Counter()
        for entry in self.orders(days, SETTLED):
            by_age[entry.age] += entry.row["amount_micros"]
        for entry in self.window("refunds", days, SETTLED):
            by_age[entry.age] -= entry.row["amount_micros"]
        return [self.if_known(by_age[age], "orders", "refunds") for age in range(SETTLED + days, SETTLED, -1)]

    def refunds(self, days: int, *reasons: str) -> list[Entry]:
        """Return the refunds of settled days with one of the reasons, or with any reason if none is named."""
        refunds = self.window("refunds", days, SETTLED)
        return [entry for entry in refunds if not reasons or entry.row["reason"] in reasons]

    def refund_rate(self, days: int, *reasons: str) -> Number:
        return over(self.if_known(total(self.refunds(days, *reasons)), "refunds"), self.gross(days, SETTLED))

    def visits(self, days: int, lag: int = 0, channel: str | None = None, column: str = "visits") -> Number:
        rows = self.window("traffic", days, lag)
        selected = (entry for entry in rows if channel in (None, entry.row["channel"]))
        return self.if_known(total(selected, column), "traffic")

    def advertising(self, days: int) -> Number:
        return self.if_known(total(self.window("traffic", days)), "traffic")

    def purchased(self, days: int, lag: int = 0) -> Number:
        return self.if_known(total(self.window("purchases", days, lag)), "purchases")

    def last_sale(self, days: int) -> Number:
        """Return the days since the latest day with sales that were not all cancelled; missing without one."""
        by_age: Counter[int] = Counter()
        for entry in self.orders(days):
            by_age[entry.age] += entry.row["amount_micros"]
        for entry in self.window("refunds", days):
            by_age[entry.age] -= entry.row["amount_micros"] if entry.row["reason"] == "cancel" else 0
        ages = [age for age, remaining in by_age.items() if remaining > 0]
        return self.if_known(min(ages), "orders", "refunds") if ages else None

    def recency(self, table: str, days: int | None = None) -> Number:
        """Return the days since the latest row of `table` within the window; missing without one."""
        ages = [entry.age for entry in self.view.entries[table] if days is None or entry.age <= days]
        return self.if_known(min(ages), table) if ages else None
