"""Quality, fulfilment and reputation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from tests.oracles.features.numbers import ONE, Number, Values, at_least, if_positive, less, lower_median, over
from tests.oracles.features.window_sums import DISPUTES, RETURNS, SETTLED, WindowSums, total
from tests.oracles.seller_view import Entry


def quality(sums: WindowSums) -> Values:
    return {**_returns(sums), **_cancellations_and_disputes(sums), **_fulfilment(sums), **_reputation(sums)}


def _returns(sums: WindowSums) -> Values:
    returned = {days: sums.refund_rate(days, *RETURNS) for days in (30, 90, 180, 365)}
    count = sums.if_known(len(sums.refunds(180)), "refunds")
    size = over(sums.if_known(total(sums.refunds(180)), "refunds"), count)
    orders, gross = sums.order_count(180, SETTLED), sums.gross(180, SETTLED)
    lags = [(entry.row["refunded_at"].date() - entry.day).days for entry in sums.refunds(180, *RETURNS) if entry.order]
    return {
        "return_rate_30d": returned[30],
        "return_rate_90d": returned[90],
        "return_rate_365d": returned[365],
        "return_rate_change": less(returned[90], returned[365]),
        "refund_count_rate_180d": over(count, orders),
        "refund_size_180d": over(size, over(gross, orders)),
        "return_lag_180d": _average(lags),
        "median_return_lag_180d": lower_median(lags),
        "returns_after_spikes_180d": less(_busy_return_rate(sums), returned[180]),
    }


def _busy_return_rate(sums: WindowSums) -> Number:
    sales: Counter[int] = Counter()
    returns: Counter[int] = Counter()
    for entry in sums.orders(180, SETTLED):
        sales[entry.age] += entry.row["amount_micros"]
    for entry in sums.refunds(180, *RETURNS):
        returns[entry.age] += entry.row["amount_micros"]
    products = sum(amount * returns[age] for age, amount in sales.items())
    squares = sums.if_known(sum(amount * amount for amount in sales.values()), "orders")
    return over(sums.if_known(products, "refunds"), squares)


def _cancellations_and_disputes(sums: WindowSums) -> Values:
    disputes = sums.if_known(len(sums.refunds(180, *DISPUTES)), "refunds")
    recent = total(entry for entry in sums.window("refunds", 30) if entry.row["reason"] == "cancel")
    return {
        "cancel_rate_180d": sums.refund_rate(180, "cancel"),
        "recent_cancel_rate": over(sums.if_known(recent, "refunds"), over(sums.gross(90), Fraction(3))),
        "cancel_rate_change": less(sums.refund_rate(90, "cancel"), sums.refund_rate(365, "cancel")),
        "dispute_rate_180d": over(disputes, sums.order_count(180, SETTLED)),
        "disputed_value_365d": sums.refund_rate(365, *DISPUTES),
    }


def _fulfilment(sums: WindowSums) -> Values:
    shipped, delivered = _events(sums, "shipped", 90, 14), _events(sums, "delivered", 180, 45)
    counts = {name: _count(sums, name) for name in ("shipped", "delivered", "lost")}
    unmoved = less(less(counts["shipped"], counts["delivered"]), counts["lost"])
    undelivered = less(ONE, over(counts["delivered"], counts["shipped"]))
    return {
        "handling_days_90d": _average_days(shipped),
        "handling_days_change": less(_average_days(shipped), _average_days(_events(sums, "shipped", 365, 14))),
        "median_handling_hours_90d": lower_median([whole_hours(entry) for entry in shipped]),
        "late_shipping_share_90d": _late_share(shipped, timedelta(hours=72)),
        "delivery_days_180d": _average_days(delivered),
        "late_delivery_share_180d": _late_share(delivered, timedelta(hours=504)),
        "undelivered_share_180d": at_least(undelivered, Fraction(0)),
        "lost_share_180d": over(counts["lost"], counts["shipped"]),
        "unmoved_parcel_share_180d": at_least(over(unmoved, counts["shipped"]), Fraction(0)),
    }


def whole_hours(entry: Entry) -> int:
    """Return the whole hours from order to event, both truncated to seconds; at least 0."""
    assert entry.order is not None
    gap = entry.row["at"].replace(microsecond=0) - entry.order["ordered_at"].replace(microsecond=0)
    return max(gap // timedelta(hours=1), 0)


def _events(sums: WindowSums, event: str, days: int, lag: int) -> list[Entry]:
    return [entry for entry in sums.window("fulfilments", days, lag) if entry.row["event"] == event]


def _count(sums: WindowSums, event: str) -> Number:
    return sums.if_known(len(_events(sums, event, 180, 45)), "orders", "fulfilments")


def _average_days(entries: Iterable[Entry]) -> Number:
    return over(_average([whole_hours(entry) for entry in entries]), Fraction(24))


def _average(values: list[int]) -> Number:
    return over(Fraction(sum(values)), Fraction(len(values)))


def _late_share(entries: list[Entry], limit: timedelta) -> Number:
    late = [entry for entry in entries if entry.order and entry.row["at"] - entry.order["ordered_at"] > limit]
    return over(Fraction(len(late)), Fraction(len(entries)))


def _reputation(sums: WindowSums) -> Values:
    ratings = sums.if_known(total(sums.window("ratings", 180), "ratings"), "ratings")
    return {
        "rating_90d": _stars(sums, 90),
        "rating_change": less(_stars(sums, 90), _stars(sums, 365)),
        "rating_change_recent": less(_stars(sums, 30), _stars(sums, 90)),
        "ratings_per_order_180d": over(if_positive(ratings, ratings), sums.order_count(180)),
    }


def _stars(sums: WindowSums, days: int) -> Number:
    entries = sums.window("ratings", days)
    weighted = sum((entry.row["ratings"] * hundredths(entry.row["stars"]) for entry in entries), 0)
    return over(Fraction(weighted, 100), total(entries, "ratings"))


def hundredths(stars: float) -> int:
    """Return stars in hundredths, halves up, of the number as written: 4.335 is 434."""
    return int((Decimal(repr(stars)) * 100).to_integral_value(ROUND_HALF_UP))
