"""Allowed values of corrected figures: the range of each figure by its definition, and which changes are unusual."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from scoring.sheet import FeatureEntry

MOST_DAYS: Final = 36_500
_MOST: Final = 1e9
_MULTIPLE: Final = 100.0

UNIT_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "ratio": (0.0, 1.0),
    "pp": (-1.0, 1.0),
    "stars": (1.0, 5.0),
    "days": (0.0, MOST_DAYS),
    "hours": (0.0, 24.0 * MOST_DAYS),
    "count": (0.0, _MOST),
    "USD": (0.0, _MOST),
}

_QUOTIENT: Final = (0.0, _MULTIPLE)
_SIGNED_QUOTIENT: Final = (-_MULTIPLE, _MULTIPLE)
_AT_MOST_ONE: Final = (-_MULTIPLE, 1.0)
_SIGNED_DAYS: Final = (-float(MOST_DAYS), float(MOST_DAYS))
_NET_SALES: Final = (-_MOST, _MOST)

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    # quotients of two amounts or counts, neither of which is a part of the other
    "average_order_change": _QUOTIENT,
    "order_trend_90d": _QUOTIENT,
    "drawdown_from_best_month": _QUOTIENT,
    "daily_sales_variation_90d": _QUOTIENT,
    "daily_sales_variation_365d": _QUOTIENT,
    "refund_count_rate_180d": _QUOTIENT,
    "refund_size_180d": _QUOTIENT,
    "buyer_trend_90d": _QUOTIENT,
    "visit_trend_90d": _QUOTIENT,
    "conversion_90d": _QUOTIENT,
    "conversion_trend_90d": _QUOTIENT,
    "cart_rate_90d": _QUOTIENT,
    "orders_per_cart_90d": _QUOTIENT,
    "ad_spend_share_90d": _QUOTIENT,
    "plain_sales_trend_90d": _QUOTIENT,
    "purchases_over_sales_180d": _QUOTIENT,
    "purchase_trend_90d": _QUOTIENT,
    "owed_over_monthly_sales": _QUOTIENT,
    "ratings_per_order_180d": _QUOTIENT,
    "orders_beyond_visits_30d": _QUOTIENT,
    "orders_beyond_visits_180d": _QUOTIENT,
    "sales_spike_30d": _QUOTIENT,
    "recent_cancel_rate": (0.0, 3.0),
    "stock_replacement_180d": (0.0, 0.6),
    # net sales are negative if refunds exceed sales
    "sales_trend_30d": _SIGNED_QUOTIENT,
    "sales_trend_90d": _SIGNED_QUOTIENT,
    "sales_trend_180d": _SIGNED_QUOTIENT,
    "sales_year_on_year": _SIGNED_QUOTIENT,
    "sales_growth_180d": _SIGNED_QUOTIENT,
    "ad_spend_share_change": _SIGNED_QUOTIENT,
    "purchases_over_sales_change": _SIGNED_QUOTIENT,
    "settled_net_sales_30d": _NET_SALES,
    "settled_net_sales_90d": _NET_SALES,
    "settled_net_sales_365d": _NET_SALES,
    "worst_month_share": _AT_MOST_ONE,
    "fortnight_hold_28d": _AT_MOST_ONE,
    "month_hold_56d": _AT_MOST_ONE,
    "weakest_fortnight_56d": _AT_MOST_ONE,
    "weakest_fortnight_182d": _AT_MOST_ONE,
    "weakest_month_196d": _AT_MOST_ONE,
    "operating_margin_180d": _AT_MOST_ONE,
    "cash_from_trading_90d": _AT_MOST_ONE,
    # differences, and days before or after an order
    "rating_change": (-4.0, 4.0),
    "rating_change_recent": (-4.0, 4.0),
    "return_lag_180d": _SIGNED_DAYS,
    "median_return_lag_180d": _SIGNED_DAYS,
    "handling_days_change": _SIGNED_DAYS,
    "payment_gap_180d": _SIGNED_DAYS,
}
"""The figures whose values are not limited as their unit is: a ratio is a share, from 0 to 1, unless it is here."""

_UNUSUAL_FACTOR: Final = 10


def allowed_range(entry: FeatureEntry, found: float | None) -> tuple[float, float]:
    """Return the lowest and highest allowed value of a figure, in its unit.

    The range follows from the definition of the figure, not from the model. It always includes the delivered value.

    Example: a return rate is from 0 to 1, so that 4 for 4% is refused; a trend of orders is from 0 to 100.
    """
    low, high = RANGES.get(entry.name) or UNIT_RANGES.get(entry.unit, (-_MOST, _MOST))
    if found is None or not math.isfinite(found):
        return low, high
    return min(low, found), max(high, found)


def is_unusual(value: float | None, found: float | None, typical: float | None) -> bool:
    """Return whether a correct value differs so much from the current one that the unit may be mistaken.

    It does if the sign changes, or if the value is more than ten times or less than a tenth of the current one. If the
    current value is missing or 0, the typical value takes its place.

    Example:
        >>> is_unusual(0.4, 0.03, None), is_unusual(0.04, 0.03, None), is_unusual(-0.1, 0.1, None)
        (True, False, True)
    """
    reference = found or typical
    if value is None or not reference:
        return False
    factor = value / reference
    return not 1 <= factor * _UNUSUAL_FACTOR <= _UNUSUAL_FACTOR**2
