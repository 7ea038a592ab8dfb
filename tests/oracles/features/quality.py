"""Quality, fulfilment and reputation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from tests.oracles.features.books import DISPUTES, RETURNS, SETTLED, Books, total
from tests.oracles.features.numbers import ONE, Number, Values, at_least, less, lower_median, over, told
from tests.oracles.seller_sight import Entry


def quality(books: Books) -> Values:
    """Return the features of the three families."""
    return {**_returns(books), **_cancellations_and_disputes(books), **_fulfilment(books), **_reputation(books)}


def _returns(books: Books) -> Values:
    returned = {days: books.refund_rate(days, *RETURNS) for days in (30, 90, 180, 365)}
    count = books.if_known(len(books.refunds(180)), "refunds")
    size = over(books.if_known(total(books.refunds(180)), "refunds"), count)
    orders, gross = books.order_count(180, SETTLED), books.gross(180, SETTLED)
    lags = [(entry.row["refunded_at"].date() - entry.day).days for entry in books.refunds(180, *RETURNS) if entry.order]
    return {
        "return_rate_30d": returned[30],
        "return_rate_90d": returned[90],
        "return_rate_365d": returned[365],
        "return_rate_change": less(returned[90], returned[365]),
        "refund_count_rate_180d": over(count, orders),
        "refund_size_180d": over(size, over(gross, orders)),
        "return_lag_180d": _average(lags),
        "median_return_lag_180d": lower_median(lags),
        "returns_after_spikes_180d": less(_busy_return_rate(books), returned[180]),
    }


def _busy_return_rate(books: Books) -> Number:
    sold: Counter[int] = Counter()
    back: Counter[int] = Counter()
    for entry in books.orders(180, SETTLED):
        sold[entry.age] += entry.row["amount_micros"]
    for entry in books.refunds(180, *RETURNS):
        back[entry.age] += entry.row["amount_micros"]
    products = sum(sales * back[age] for age, sales in sold.items())
    squares = books.if_known(sum(sales * sales for sales in sold.values()), "orders")
    return over(books.if_known(products, "refunds"), squares)


def _cancellations_and_disputes(books: Books) -> Values:
    disputes = books.if_known(len(books.refunds(180, *DISPUTES)), "refunds")
    lately = total(entry for entry in books.window("refunds", 30) if entry.row["reason"] == "cancel")
    return {
        "cancel_rate_180d": books.refund_rate(180, "cancel"),
        "recent_cancel_rate": over(books.if_known(lately, "refunds"), over(books.gross(90), Fraction(3))),
        "cancel_rate_change": less(books.refund_rate(90, "cancel"), books.refund_rate(365, "cancel")),
        "dispute_rate_180d": over(disputes, books.order_count(180, SETTLED)),
        "disputed_value_365d": books.refund_rate(365, *DISPUTES),
    }


def _fulfilment(books: Books) -> Values:
    shipped, delivered = _events(books, "shipped", 90, 14), _events(books, "delivered", 180, 45)
    counts = {name: _count(books, name) for name in ("shipped", "delivered", "lost")}
    unmoved = less(less(counts["shipped"], counts["delivered"]), counts["lost"])
    undelivered = less(ONE, over(counts["delivered"], counts["shipped"]))
    return {
        "handling_days_90d": _average_days(shipped),
        "handling_days_change": less(_average_days(shipped), _average_days(_events(books, "shipped", 365, 14))),
        "median_handling_hours_90d": lower_median([whole_hours(entry) for entry in shipped]),
        "late_shipping_share_90d": _late_share(shipped, timedelta(hours=72)),
        "delivery_days_180d": _average_days(delivered),
        "late_delivery_share_180d": _late_share(delivered, timedelta(hours=504)),
        "undelivered_share_180d": at_least(undelivered, Fraction(0)),
        "lost_share_180d": over(counts["lost"], counts["shipped"]),
        "unmoved_parcel_share_180d": at_least(over(unmoved, counts["shipped"]), Fraction(0)),
    }


def whole_hours(entry: Entry) -> int:
    """Return the whole hours from order to event, each cut to its second before, at least 0.

    Example: from 10:00:00.9 to 11:00:00.1 is one hour.
    """
    assert entry.order is not None
    gap = _cut(entry.row["at"]) - _cut(entry.order["ordered_at"])
    return max(gap // timedelta(hours=1), 0)


def _cut(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _events(books: Books, event: str, days: int, lag: int) -> list[Entry]:
    return [entry for entry in books.window("fulfilments", days, lag) if entry.row["event"] == event]


def _count(books: Books, event: str) -> Number:
    return books.if_known(len(_events(books, event, 180, 45)), "orders", "fulfilments")


def _average_days(entries: Iterable[Entry]) -> Number:
    return over(_average([whole_hours(entry) for entry in entries]), Fraction(24))


def _average(values: list[int]) -> Number:
    return over(Fraction(sum(values)), Fraction(len(values)))


def _late_share(entries: list[Entry], limit: timedelta) -> Number:
    late = [entry for entry in entries if entry.order and entry.row["at"] - entry.order["ordered_at"] > limit]
    return over(Fraction(len(late)), Fraction(len(entries)))


def _reputation(books: Books) -> Values:
    given = books.if_known(total(books.window("ratings", 180), "ratings"), "ratings")
    return {
        "rating_90d": _stars(books, 90),
        "rating_change": less(_stars(books, 90), _stars(books, 365)),
        "rating_change_recent": less(_stars(books, 30), _stars(books, 90)),
        "ratings_per_order_180d": over(told(given, given), books.order_count(180)),
    }


def _stars(books: Books, days: int) -> Number:
    those = books.window("ratings", days)
    weighed = sum((entry.row["ratings"] * hundredths(entry.row["stars"]) for entry in those), 0)
    return over(Fraction(weighed, 100), total(those, "ratings"))


def hundredths(stars: float) -> int:
    """Return stars in hundredths, halves up, of the number as it is written.

    Example: 4.335 is 434, though the double next to it lies below.
    """
    return int((Decimal(repr(stars)) * 100).to_integral_value(ROUND_HALF_UP))
