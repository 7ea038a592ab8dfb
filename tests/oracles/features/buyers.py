"""Customers, countries and currencies, seasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from fractions import Fraction
from functools import cache

from tests.oracles.features.books import RETURNS, SETTLED, Books, total
from tests.oracles.features.numbers import Number, Values, concentration, less, over, the_most
from tests.oracles.features.sales import sold_since
from tests.oracles.seller_sight import Entry, Row


def buyers(books: Books) -> Values:
    """Return the features of the three families."""
    return {**_customers(books), **_borders(books), **_season(books)}


def _customers(books: Books) -> Values:
    times = Counter(map(_buyer, named(books.orders(180))))
    spent = books.gross_by(_buyer, 180) if times else []  # orders that name no buyer are one buyer's
    now, before = (set(map(_buyer, named(books.orders(90, lag)))) for lag in (0, 90))
    again = Fraction(sum(1 for count in times.values() if count >= 2))
    return {
        "orders_per_buyer_180d": over(books.if_known(times.total(), "orders"), Fraction(len(times))),
        "buyer_concentration_180d": concentration(spent),
        "top_buyer_share_180d": over(the_most(spent), books.gross(180)) if times else None,
        "repeat_buyer_share_180d": over(again, Fraction(len(times))),
        "repeat_sales_share_180d": books.gross_share(lambda entry: times[_buyer(entry)] >= 2, 180) if times else None,
        "new_buyer_share_90d": over(Fraction(len(now - before)), Fraction(len(now))),
        "buyer_trend_90d": over(Fraction(len(now)), Fraction(len(before))),
    }


def _buyer(entry: Entry) -> object:
    return entry.row["buyer_id"]


def named(orders: Iterable[Entry]) -> list[Entry]:
    """Return the orders that name their buyer."""
    return [entry for entry in orders if entry.row["buyer_id"] is not None]


def _borders(books: Books) -> Values:
    by_country = books.gross_by(lambda entry: entry.row["buyer_country"], 180)
    return {
        "country_concentration_180d": concentration(by_country),
        "top_country_share_180d": over(the_most(by_country), books.gross(180)),
        "country_count_180d": _kinds(books, "buyer_country"),
        "home_share_180d": _home_share(books, 180),
        "home_share_change": less(_home_share(books, 90), _home_share(books, 180)),
        "currency_count_180d": _kinds(books, "currency"),
        "foreign_currency_share_180d": _of_known_sellers(
            books, lambda entry: entry.row["currency"] != _own(books, "base_currency"), 180
        ),
    }


def _kinds(books: Books, column: str) -> Number:
    return books.if_known(len({entry.row[column] for entry in books.orders(180)}), "orders")


def _own(books: Books, column: str) -> object:
    """Return the seller's own country or currency; without a version it is none, so that nothing is at home."""
    return None if books.sight.party is None else books.sight.party[column]


def _home_share(books: Books, days: int) -> Number:
    return _of_known_sellers(books, lambda entry: entry.row["buyer_country"] == _own(books, "country"), days)


def _of_known_sellers(books: Books, holds: Callable[[Entry], bool], days: int) -> Number:
    share = books.gross_share(holds, days)
    return None if share is None else books.if_known(share, "sellers")


def _season(books: Books) -> Values:
    returned = total(entry for entry in books.refunds(180, *RETURNS) if entry.order and _live(entry.order))
    best = sorted(books.gross_by(lambda entry: entry.day, 365), reverse=True)[:4]
    now, year = (books.gross_share(lambda entry: _live(entry.row), days) for days in (90, 365))
    sold_live = books.gross_where(lambda entry: _live(entry.row), 180, SETTLED)
    return {
        "livestream_share_180d": books.gross_share(lambda entry: _live(entry.row), 180),
        "livestream_share_change": less(now, year),
        "livestream_return_rate_180d": over(books.if_known(returned, "refunds"), sold_live),
        "top_days_share_365d": sold_since(books, 365, over(Fraction(sum(best)), books.gross(365))),
        "festival_share_365d": books.gross_share(lambda entry: is_festival(entry.day), 365),
        "plain_sales_trend_90d": over(_plain_day(books, 90), _plain_day(books, 90, 90)),
        "weekend_share_180d": books.gross_share(lambda entry: entry.day.isoweekday() in (6, 7), 180),
    }


def _live(order: Row) -> bool:
    return bool(order["channel"] == "livestream")


def _plain_day(books: Books, days: int, lag: int = 0) -> Number:
    """Return the gross sales of the days that are no festival, per such day."""
    plain = sum(1 for day in books.dates(days, lag) if not is_festival(day))
    return over(books.gross_where(lambda entry: not is_festival(entry.day), days, lag), Fraction(plain))


@cache
def is_festival(day: date) -> bool:
    """Return whether a day is a festival day, by the list in docs/features.md.

    Example: 2024-11-28 is the fourth Thursday of its November, so 29 November to 2 December are festival days.
    """
    november = [date(day.year, 11, number) for number in range(1, 31)]
    friday = [each for each in november if each.isoweekday() == 4][3] + timedelta(days=1)
    return (
        date(day.year, 6, 16) <= day <= date(day.year, 6, 18)
        or date(day.year, 11, 9) <= day <= date(day.year, 11, 11)
        or friday <= day <= friday + timedelta(days=3)
        or date(day.year, 12, 11) <= day <= date(day.year, 12, 20)
    )
