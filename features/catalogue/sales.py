"""Level, trend and volatility of sales: settled net sales, once refunds have had time to come."""

from typing import Final

from features.catalogue.definition import Feature
from features.expressions import (
    ActiveDays,
    DaysSinceLast,
    Expr,
    Greatest,
    Least,
    Number,
    PeakDay,
    Root,
    SquareTotal,
    Total,
)

SETTLED: Final = 30
"""Days after which most refunds of an order have come; younger orders are not settled (shipping takes 7 to 19 days)."""

_USD: Final = Number(1e-6)
_ONE: Final = Number(1.0)


def net_sales(days: int, lag: int = SETTLED) -> Total:
    """Orders of the window less all that was refunded of them, in micro-USD."""
    return Total("gross", days, lag, net="refunded")


def _variation(days: int) -> Expr:
    n = Number(float(days))
    mean = net_sales(days) / n
    squares = SquareTotal("gross", days, SETTLED, net="refunded") / n
    return Root(squares - mean * mean) / mean


_BEST_MONTH: Final = Greatest(tuple(net_sales(30, SETTLED + 30 * month) for month in range(12)))

SALES: Final = (
    Feature(
        "settled_net_sales_90d",
        "Settled net sales, 90 days",
        "Sales of the 90 days that ended 30 days ago, less everything refunded of them.",
        "USD",
        120,
        net_sales(90) * _USD,
        -1,
        "Larger turnover that stayed sold carries an instalment more easily.",
        "sales_level",
    ),
    Feature(
        "settled_net_sales_365d",
        "Settled net sales, 12 months",
        "Sales of the 365 days that ended 30 days ago, less everything refunded of them.",
        "USD",
        395,
        net_sales(365) * _USD,
        -1,
        "A full year of turnover shows size without the season.",
        "sales_level",
    ),
    Feature(
        "average_order_180d",
        "Average order value, 180 days",
        "Gross sales of the last 180 days divided by the number of orders.",
        "USD",
        180,
        Total("gross", 180) / Total("orders", 180) * _USD,
        0,
        "Dear and cheap goods can both be good business.",
        "sales_level",
    ),
    Feature(
        "sales_trend_90d",
        "Sales trend, 90 days",
        "Settled net sales of 90 days divided by those of the 90 days before.",
        "ratio",
        210,
        net_sales(90) / net_sales(90, SETTLED + 90),
        -1,
        "Growing sales come before repayment, shrinking ones before default.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "sales_trend_180d",
        "Sales trend, 180 days",
        "Settled net sales of 180 days divided by those of the 180 days before.",
        "ratio",
        390,
        net_sales(180) / net_sales(180, SETTLED + 180),
        -1,
        "The longer trend is less noisy and includes the season.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "recent_sales_hold",
        "Recent sales against usual",
        "Gross sales of the last 30 days over the monthly settled net sales before, at most 1: only a fall counts.",
        "ratio",
        120,
        Least(Total("gross", 30) * Number(3.0) / net_sales(90), _ONE),
        -1,
        "A sudden fall shows distress early; a sudden rise can be bought, so it earns nothing.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "drawdown_from_best_month",
        "Fall from the best month",
        "One minus the latest settled month's net sales over the best month's of the last twelve.",
        "ratio",
        390,
        _ONE - net_sales(30) / _BEST_MONTH,
        1,
        "The further below its own peak, the more of its costs a firm no longer earns.",
        "sales_trend",
    ),
    Feature(
        "daily_sales_variation_90d",
        "Variation of daily sales, 90 days",
        "Standard deviation of daily settled net sales over their mean, 90 days, days without sales included.",
        "ratio",
        120,
        _variation(90),
        1,
        "Irregular income misses due dates.",
        "stability",
    ),
    Feature(
        "active_day_share_90d",
        "Days with sales, 90 days",
        "Share of the last 90 days on which at least one order came.",
        "ratio",
        90,
        ActiveDays("orders", 90) / Number(90.0),
        -1,
        "Regular trading is a running business.",
        "stability",
        actionable=True,
    ),
    Feature(
        "active_days_365d",
        "Days with sales, 12 months",
        "Number of the last 365 days on which at least one order came.",
        "days",
        365,
        ActiveDays("orders", 365) * _ONE,
        -1,
        "Regular trading over a year is a running business.",
        "stability",
    ),
    Feature(
        "top_day_share_180d",
        "Best day's share of sales, 180 days",
        "Gross sales of the best day divided by those of the last 180 days.",
        "ratio",
        180,
        PeakDay("gross", 180) / Total("gross", 180),
        0,
        "Livestreams and festivals make honest spikes; so do fake orders.",
        "stability",
    ),
    Feature(
        "days_since_last_order",
        "Days since the last order",
        "Days from the latest day with an order to the score's date, looking back 365 days.",
        "days",
        365,
        DaysSinceLast("orders", 365) * _ONE,
        1,
        "A shop that has stopped selling cannot repay from sales.",
        "recency",
    ),
    Feature(
        "livestream_share_180d",
        "Livestream share of sales, 180 days",
        "Gross sales through livestreams divided by all gross sales of the last 180 days.",
        "ratio",
        180,
        Total("livestream_gross", 180) / Total("gross", 180),
        0,
        "Livestreams bring both growth and returns.",
        "stability",
    ),
)
