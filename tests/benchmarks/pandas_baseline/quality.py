"""Quality, fulfilment and reputation."""

from __future__ import annotations

import pandas as pd

from tests.benchmarks.pandas_baseline.seller_view import SETTLED, YEAR, Features, SellerView, if_positive, over

_SHIPPED = 14
_DELIVERED = 45


def of_settled(s: SellerView, column: str, days: int, per: str = "gross") -> pd.Series:
    """Return a total of settled days over the gross sales, or another total, of the same days."""
    return over(s.total(column, days, SETTLED), s.total(per, days, SETTLED))


def quality(s: SellerView) -> Features:
    """Fourteen features of returns, cancellations and disputes."""
    returned = {days: of_settled(s, "returned", days) for days in (30, 90, 180, YEAR)}
    cancelled = {days: of_settled(s, "cancelled", days) for days in (90, 180, YEAR)}
    refunds_per_order = of_settled(s, "refunds", 180, per="orders")
    gross, returns = s.by_day("gross", 180, SETTLED), s.by_day("returned", 180, SETTLED)
    gross = gross.astype("float64")  # products of two amounts in micro-USD exceed 64 bits
    weighted = (gross * returns).sum(axis=1, skipna=False)
    return {
        "return_rate_30d": returned[30],
        "return_rate_90d": returned[90],
        "return_rate_365d": returned[YEAR],
        "return_rate_change": returned[90] - returned[YEAR],
        "refund_count_rate_180d": refunds_per_order,
        "refund_size_180d": over(of_settled(s, "refunded", 180), refunds_per_order),
        "return_lag_180d": of_settled(s, "return_days", 180, per="dated_returns"),
        "median_return_lag_180d": _lower_median(s.window("refunds", ["return_days", "dated_returns"], 180, SETTLED), s),
        "returns_after_spikes_180d": over(weighted, (gross**2).sum(axis=1, skipna=False)) - returned[180],
        "cancel_rate_180d": cancelled[180],
        "recent_cancel_rate": over(s.total("cancelled", 30) * 3, s.total("gross", 90)),
        "cancel_rate_change": cancelled[90] - cancelled[YEAR],
        "dispute_rate_180d": of_settled(s, "disputes", 180, per="orders"),
        "disputed_value_365d": of_settled(s, "disputed", YEAR),
    }


def _lower_median(rows: pd.DataFrame, s: SellerView) -> pd.Series:
    """Return the lower median of the second column by seller, of the rows in which the third is positive."""
    _, column, counts = rows.columns
    values = rows[rows[counts] > 0].groupby("seller")[column]
    return values.quantile(0.5, interpolation="lower").reindex(s.sellers.index)


def fulfilment(s: SellerView) -> Features:
    """Eight features of fulfilment."""
    handling = {
        days: over(s.total("shipping_hours", days, _SHIPPED), s.total("shipped", days, _SHIPPED)) / 24
        for days in (90, YEAR)
    }
    delivered, shipped = s.total("delivered", 180, _DELIVERED), s.total("shipped", 180, _DELIVERED)
    return {
        "handling_days_90d": handling[90],
        "handling_days_change": handling[90] - handling[YEAR],
        "median_handling_hours_90d": _lower_median(s.window("fulfilments", ["hours", "shipped"], 90, _SHIPPED), s),
        "late_shipping_share_90d": over(s.total("shipped_late", 90, _SHIPPED), s.total("shipped", 90, _SHIPPED)),
        "delivery_days_180d": over(s.total("delivery_hours", 180, _DELIVERED), delivered) / 24,
        "late_delivery_share_180d": over(s.total("delivered_late", 180, _DELIVERED), delivered),
        "undelivered_share_180d": (1 - over(delivered, shipped)).clip(lower=0),
        "lost_share_180d": over(s.total("lost", 180, _DELIVERED), shipped),
    }


def unmoved_parcels(s: SellerView) -> pd.Series:
    """Return shipped orders minus delivered and lost ones, over shipped orders; at least 0."""
    shipped, delivered, lost = (s.total(event, 180, _DELIVERED) for event in ("shipped", "delivered", "lost"))
    return over(shipped - delivered - lost, shipped).clip(lower=0)


def reputation(s: SellerView) -> Features:
    """Four features of ratings."""
    ratings = s.total("ratings", 180)
    stars = {days: over(s.total("star_hundredths", days), s.total("ratings", days)) / 100 for days in (30, 90, YEAR)}
    return {
        "rating_90d": stars[90],
        "rating_change": stars[90] - stars[YEAR],
        "rating_change_recent": stars[30] - stars[90],
        "ratings_per_order_180d": over(if_positive(ratings, ratings), s.total("orders", 180)),
    }
