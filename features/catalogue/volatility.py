"""Steadiness of sales: how regularly they come, and how long ago the last."""

from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import SETTLED, net_sales
from features.expressions import ActiveDays, Expr, LatestDay, Number, PeakDay, Root, Spread, Total

_ONE: Final = Number(1.0)


def _variation(days: int) -> Expr:
    # The spread is n^2 times the variance, and the total n times the mean.
    return Root(Spread("gross", days, SETTLED, net="refunded")) / net_sales(days) * if_sold_since(SETTLED + days)


VOLATILITY: Final = (
    Feature(
        "daily_sales_variation_90d",
        "Variation of daily sales, 90 days",
        "Standard deviation of daily settled net sales over their mean, 90 days, days without sales included; "
        "missing where the first order is less than 120 days ago.",
        "ratio",
        120,
        _variation(90),
        1,
        "Irregular income misses due dates.",
        "stability",
    ),
    Feature(
        "daily_sales_variation_365d",
        "Variation of daily sales, 12 months",
        "Standard deviation of daily settled net sales over their mean, 365 days, days without sales included; "
        "missing where the first order is less than 395 days ago.",
        "ratio",
        395,
        _variation(365),
        1,
        "A year shows the irregularity that one season hides.",
        "stability",
    ),
    Feature(
        "active_day_share_30d",
        "Days with sales, 30 days",
        "Share of the last 30 days on which at least one order came.",
        "ratio",
        30,
        ActiveDays("orders", 30) / Number(30.0),
        -1,
        "Who sold on most days of the month is in business today.",
        "stability",
        actionable=True,
        bought="up",
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
        bought="up",
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
        bought="up",
    ),
    Feature(
        "top_day_share_180d",
        "Best day's share of sales, 180 days",
        "Gross sales of the best day divided by those of the last 180 days; missing where the first order is less than "
        "180 days ago.",
        "ratio",
        180,
        PeakDay("gross", 180) / Total("gross", 180) * if_sold_since(180),
        1,
        "Half a year that rests on one day leaves little for the instalments of the others.",
        "stability",
    ),
    Feature(
        "days_since_last_sale",
        "Days since the last sale",
        "Days from the latest day with sales that were not all cancelled to the score's date, looking back 365 days.",
        "days",
        365,
        LatestDay("gross", 365, net="cancelled") * _ONE,
        1,
        "A shop that has stopped selling cannot repay from sales.",
        "recency",
        bought="down",
    ),
)
