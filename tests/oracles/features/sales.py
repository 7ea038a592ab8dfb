"""Level, trend and steadiness of sales."""

from __future__ import annotations

from fractions import Fraction

from tests.oracles.features.numbers import (
    ONE,
    Number,
    Values,
    at_most,
    in_dollars,
    largest,
    less,
    middle,
    of_all,
    over,
    rise,
    variation,
)
from tests.oracles.features.window_sums import SETTLED, WindowSums

YEAR = 365


def sales(sums: WindowSums) -> Values:
    return {**_level(sums), **_trend(sums), **_recent(sums), **_steadiness(sums)}


def average_order(sums: WindowSums, days: int) -> Number:
    return over(sums.gross(days), sums.order_count(days))


def first_order(sums: WindowSums) -> int:
    """Return the age of the first order in days, 0 without orders."""
    return max((entry.age for entry in sums.view.entries["orders"]), default=0)


def sold_since(sums: WindowSums, days: int, value: Number) -> Number:
    """Return the value; missing if the first order is less than this many days old."""
    return value if first_order(sums) >= days else None


def over_monthly_sales(sums: WindowSums) -> Number:
    """Return the gross sales of 30 days over the monthly settled net sales of the 90 days before."""
    return over(sums.gross(30), over(sums.net(90), Fraction(3)))


def _level(sums: WindowSums) -> Values:
    items = sum(entry.row["items"] for entry in sums.orders(180))
    typical = of_all(sums.daily_net(180), lambda values: middle([value for value in values if value > 0]))
    return {
        "settled_net_sales_30d": in_dollars(sums.net(30)),
        "settled_net_sales_90d": in_dollars(sums.net(90)),
        "settled_net_sales_365d": in_dollars(sums.net(365)),
        "orders_90d": sums.order_count(90),
        "average_order_180d": in_dollars(average_order(sums, 180)),
        "average_order_change": over(average_order(sums, 90), average_order(sums, 365)),
        "items_per_order_180d": over(Fraction(items), sums.order_count(180)),
        "typical_day_sales_180d": in_dollars(typical),
    }


def _trend(sums: WindowSums) -> Values:
    week = over(sums.gross(7), Fraction(7, 90))
    months = [sums.net(30, SETTLED + 30 * back) for back in range(12)]
    year = of_all(months, lambda values: sum(values, Fraction()))
    worst = of_all(months, lambda values: 12 * min(values))
    return {
        "sales_trend_30d": over(sums.net(30), sums.net(30, SETTLED + 30)),
        "sales_trend_90d": sold_since(sums, 210, over(sums.net(90), sums.net(90, SETTLED + 90))),
        "sales_trend_180d": sold_since(sums, 390, over(sums.net(180), sums.net(180, SETTLED + 180))),
        "sales_year_on_year": sold_since(sums, 485, over(sums.net(90), sums.net(90, SETTLED + YEAR))),
        "sales_growth_180d": sold_since(sums, 210, of_all(sums.daily_net(180), rise)),
        "order_trend_90d": over(sums.order_count(90), sums.order_count(90, 90)),
        "recent_sales_hold": at_most(over_monthly_sales(sums), ONE),
        "recent_week_hold": at_most(over(week, sums.net(90)), ONE),
        "drawdown_from_best_month": less(ONE, over(months[0], of_all(months, max))),
        "worst_month_share": sold_since(sums, 390, over(worst, year)),
    }


def _recent(sums: WindowSums) -> Values:
    return {
        "fortnight_hold_28d": _hold(sums, 14, 28),
        "month_hold_56d": _hold(sums, 28, 56),
        "weakest_fortnight_56d": _weakest(sums, 14, 4),
        "weakest_fortnight_182d": _weakest(sums, 14, 13),
        "weakest_month_196d": _weakest(sums, 28, 7),
    }


def _hold(sums: WindowSums, days: int, before: int) -> Number:
    per_day = over(sums.net(days, 0), Fraction(days))
    return at_most(over(per_day, over(sums.net(before, days), Fraction(before))), ONE)


def _weakest(sums: WindowSums, length: int, count: int) -> Number:
    """Return the lowest part over the mean part, for the parts that begin on or after the day of the first order."""
    first = first_order(sums)
    if first < 56:
        return None
    parts = [sums.net(length, length * back) for back in range(count) if length * (back + 1) <= first]
    sold_days = Fraction(min(first, length * count))
    per_part = over(over(sums.net(length * count, 0), sold_days), over(ONE, Fraction(length)))
    return over(of_all(parts, min), per_part)


def _steadiness(sums: WindowSums) -> Values:
    by_day = sums.gross_by(lambda entry: entry.day, 180)
    return {
        "daily_sales_variation_90d": sold_since(sums, 120, of_all(sums.daily_net(90), variation)),
        "daily_sales_variation_365d": sold_since(sums, 395, of_all(sums.daily_net(365), variation)),
        "active_day_share_30d": over(_active_days(sums, 30), Fraction(30)),
        "active_day_share_90d": over(_active_days(sums, 90), Fraction(90)),
        "active_days_365d": _active_days(sums, 365),
        "top_day_share_180d": sold_since(sums, 180, over(largest(by_day), sums.gross(180))),
        "days_since_last_sale": sums.last_sale(YEAR),
    }


def _active_days(sums: WindowSums, days: int) -> Number:
    return sums.if_known(len({entry.day for entry in sums.orders(days)}), "orders")
