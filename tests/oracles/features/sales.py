"""Level, trend and steadiness of sales."""

from __future__ import annotations

from fractions import Fraction

from tests.oracles.features.books import SETTLED, Books
from tests.oracles.features.numbers import (
    ONE,
    Number,
    Values,
    at_most,
    in_dollars,
    less,
    middle,
    of_all,
    over,
    rise,
    the_most,
    variation,
)

YEAR = 365


def sales(books: Books) -> Values:
    """Return the features of the four families."""
    return {**_level(books), **_trend(books), **_recent(books), **_steadiness(books)}


def average_order(books: Books, days: int) -> Number:
    """Return the average order of the last days, micro-USD."""
    return over(books.gross(days), books.order_count(days))


def first_order(books: Books) -> int:
    """Return how many days ago the first order was, 0 without any."""
    return max((entry.age for entry in books.sight.entries["orders"]), default=0)


def sold_since(books: Books, days: int, value: Number) -> Number:
    """Return the value; missing where the first order is less than so many days ago."""
    return value if first_order(books) >= days else None


def over_monthly_sales(books: Books) -> Number:
    """Return the gross sales of 30 days over the monthly settled net sales of the 90 days before."""
    return over(books.gross(30), over(books.net(90), Fraction(3)))


def _level(books: Books) -> Values:
    items = sum(entry.row["items"] for entry in books.orders(180))
    typical = of_all(books.daily_net(180), lambda values: middle([value for value in values if value > 0]))
    return {
        "settled_net_sales_30d": in_dollars(books.net(30)),
        "settled_net_sales_90d": in_dollars(books.net(90)),
        "settled_net_sales_365d": in_dollars(books.net(365)),
        "orders_90d": books.order_count(90),
        "average_order_180d": in_dollars(average_order(books, 180)),
        "average_order_change": over(average_order(books, 90), average_order(books, 365)),
        "items_per_order_180d": over(Fraction(items), books.order_count(180)),
        "typical_day_sales_180d": in_dollars(typical),
    }


def _trend(books: Books) -> Values:
    week = over(books.gross(7), Fraction(7, 90))
    months = [books.net(30, SETTLED + 30 * back) for back in range(12)]
    year = of_all(months, lambda values: sum(values, Fraction()))
    worst = of_all(months, lambda values: 12 * min(values))
    return {
        "sales_trend_30d": over(books.net(30), books.net(30, SETTLED + 30)),
        "sales_trend_90d": sold_since(books, 210, over(books.net(90), books.net(90, SETTLED + 90))),
        "sales_trend_180d": sold_since(books, 390, over(books.net(180), books.net(180, SETTLED + 180))),
        "sales_year_on_year": sold_since(books, 485, over(books.net(90), books.net(90, SETTLED + YEAR))),
        "sales_growth_180d": sold_since(books, 210, of_all(books.daily_net(180), rise)),
        "order_trend_90d": over(books.order_count(90), books.order_count(90, 90)),
        "recent_sales_hold": at_most(over_monthly_sales(books), ONE),
        "recent_week_hold": at_most(over(week, books.net(90)), ONE),
        "drawdown_from_best_month": less(ONE, over(months[0], of_all(months, max))),
        "worst_month_share": sold_since(books, 390, over(worst, year)),
    }


def _recent(books: Books) -> Values:
    return {
        "fortnight_hold_28d": _hold(books, 14, 28),
        "month_hold_56d": _hold(books, 28, 56),
        "weakest_fortnight_56d": _weakest(books, 14, 4),
        "weakest_fortnight_182d": _weakest(books, 14, 13),
        "weakest_month_196d": _weakest(books, 28, 7),
    }


def _hold(books: Books, days: int, before: int) -> Number:
    per_day = over(books.net(days, 0), Fraction(days))
    return at_most(over(per_day, over(books.net(before, days), Fraction(before))), ONE)


def _weakest(books: Books, length: int, count: int) -> Number:
    """Return the least part over the mean part, of the parts that begin on or after the day of the first order."""
    first = first_order(books)
    if first < 56:
        return None
    parts = [books.net(length, length * back) for back in range(count) if length * (back + 1) <= first]
    sold_days = Fraction(min(first, length * count))
    per_part = over(over(books.net(length * count, 0), sold_days), over(ONE, Fraction(length)))
    return over(of_all(parts, min), per_part)


def _steadiness(books: Books) -> Values:
    by_day = books.gross_by(lambda entry: entry.day, 180)
    return {
        "daily_sales_variation_90d": sold_since(books, 120, of_all(books.daily_net(90), variation)),
        "daily_sales_variation_365d": sold_since(books, 395, of_all(books.daily_net(365), variation)),
        "active_day_share_30d": over(_active_days(books, 30), Fraction(30)),
        "active_day_share_90d": over(_active_days(books, 90), Fraction(90)),
        "active_days_365d": _active_days(books, 365),
        "top_day_share_180d": sold_since(books, 180, over(the_most(by_day), books.gross(180))),
        "days_since_last_sale": books.last_sale(YEAR),
    }


def _active_days(books: Books, days: int) -> Number:
    return books.if_known(len({entry.day for entry in books.orders(days)}), "orders")
