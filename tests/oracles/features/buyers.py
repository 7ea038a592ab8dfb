"""Buyers, countries and currencies, seasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from fractions import Fraction
from functools import cache

from tests.oracles.features.numbers import Number, Values, concentration, largest, less, over
from tests.oracles.features.sales import sold_since
from tests.oracles.features.window_sums import RETURNS, SETTLED, WindowSums, total
from tests.oracles.seller_view import Entry, Row


def buyers(sums: WindowSums) -> Values:
    return {**_customers(sums), **_borders(sums), **_season(sums)}


def _customers(sums: WindowSums) -> Values:
    times = Counter(map(_buyer, with_buyer(sums.orders(180))))
    spent = sums.gross_by(_buyer, 180) if times else []  # orders without a buyer count as one buyer
    recent, previous = (set(map(_buyer, with_buyer(sums.orders(90, lag)))) for lag in (0, 90))
    repeat = Fraction(sum(1 for count in times.values() if count >= 2))
    return {
        "orders_per_buyer_180d": over(sums.if_known(times.total(), "orders"), Fraction(len(times))),
        "buyer_concentration_180d": concentration(spent),
        "top_buyer_share_180d": over(largest(spent), sums.gross(180)) if times else None,
        "repeat_buyer_share_180d": over(repeat, Fraction(len(times))),
        "repeat_sales_share_180d": sums.gross_share(lambda entry: times[_buyer(entry)] >= 2, 180) if times else None,
        "new_buyer_share_90d": over(Fraction(len(recent - previous)), Fraction(len(recent))),
        "buyer_trend_90d": over(Fraction(len(recent)), Fraction(len(previous))),
    }


def _buyer(entry: Entry) -> object:
    return entry.row["buyer_id"]


def with_buyer(orders: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in orders if entry.row["buyer_id"] is not None]


def _borders(sums: WindowSums) -> Values:
    by_country = sums.gross_by(lambda entry: entry.row["buyer_country"], 180)
    return {
        "country_concentration_180d": concentration(by_country),
        "top_country_share_180d": over(largest(by_country), sums.gross(180)),
        "country_count_180d": _distinct(sums, "buyer_country"),
        "home_share_180d": _home_share(sums, 180),
        "home_share_change": less(_home_share(sums, 90), _home_share(sums, 180)),
        "currency_count_180d": _distinct(sums, "currency"),
        "foreign_currency_share_180d": _of_known_sellers(
            sums, lambda entry: entry.row["currency"] != _own(sums, "base_currency"), 180
        ),
    }


def _distinct(sums: WindowSums, column: str) -> Number:
    return sums.if_known(len({entry.row[column] for entry in sums.orders(180)}), "orders")


def _own(sums: WindowSums, column: str) -> object:
    """Return the seller's country or currency; None without a version, which equals no country or currency."""
    return None if sums.view.party is None else sums.view.party[column]


def _home_share(sums: WindowSums, days: int) -> Number:
    return _of_known_sellers(sums, lambda entry: entry.row["buyer_country"] == _own(sums, "country"), days)


def _of_known_sellers(sums: WindowSums, condition: Callable[[Entry], bool], days: int) -> Number:
    share = sums.gross_share(condition, days)
    return None if share is None else sums.if_known(share, "sellers")


def _season(sums: WindowSums) -> Values:
    returned = total(entry for entry in sums.refunds(180, *RETURNS) if entry.order and _is_livestream(entry.order))
    best = sorted(sums.gross_by(lambda entry: entry.day, 365), reverse=True)[:4]
    quarter, year = (sums.gross_share(lambda entry: _is_livestream(entry.row), days) for days in (90, 365))
    livestream_sales = sums.gross_where(lambda entry: _is_livestream(entry.row), 180, SETTLED)
    return {
        "livestream_share_180d": sums.gross_share(lambda entry: _is_livestream(entry.row), 180),
        "livestream_share_change": less(quarter, year),
        "livestream_return_rate_180d": over(sums.if_known(returned, "refunds"), livestream_sales),
        "top_days_share_365d": sold_since(sums, 365, over(Fraction(sum(best)), sums.gross(365))),
        "festival_share_365d": sums.gross_share(lambda entry: is_festival(entry.day), 365),
        "plain_sales_trend_90d": over(_plain_day(sums, 90), _plain_day(sums, 90, 90)),
        "weekend_share_180d": sums.gross_share(lambda entry: entry.day.isoweekday() in (6, 7), 180),
    }


def _is_livestream(order: Row) -> bool:
    return bool(order["channel"] == "livestream")


def _plain_day(sums: WindowSums, days: int, lag: int = 0) -> Number:
    plain = sum(1 for day in sums.dates(days, lag) if not is_festival(day))
    return over(sums.gross_where(lambda entry: not is_festival(entry.day), days, lag), Fraction(plain))


@cache
def is_festival(day: date) -> bool:
    """Return whether a day is a festival day, by the list in docs/features.md."""
    november = [date(day.year, 11, number) for number in range(1, 31)]
    friday = [candidate for candidate in november if candidate.isoweekday() == 4][3] + timedelta(days=1)
    return (
        date(day.year, 6, 16) <= day <= date(day.year, 6, 18)
        or date(day.year, 11, 9) <= day <= date(day.year, 11, 11)
        or friday <= day <= friday + timedelta(days=3)
        or date(day.year, 12, 11) <= day <= date(day.year, 12, 20)
    )
