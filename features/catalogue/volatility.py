"""Sales stability features: variation of daily sales, days with orders, time since the last sale."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import SETTLED, net_sales
from features.expressions import ActiveDays, Expr, LatestDay, PeakDay, Root, Spread, Total


def _variation(days: int) -> Expr:
    # The spread is n^2 times the variance, and the total n times the mean.
    return Root(Spread("gross", days, SETTLED, net="refunded")) / net_sales(days) * if_sold_since(SETTLED + days)


_raises_risk = partial(Feature, sign=1, reason_group="stability")
_lowers_risk = partial(Feature, sign=-1, reason_group="stability")

VOLATILITY: Final = (
    _raises_risk(
        name="daily_sales_variation_90d",
        label="Variation of daily net sales, 90 settled days",
        meaning=(
            "Standard deviation of daily net sales over their mean, 90 settled days, days without sales "
            "included; missing until 120 days after the first order."
        ),
        expression=_variation(90),
        sign_reason="Irregular income makes it harder to pay on the due date.",
    ),
    _raises_risk(
        name="daily_sales_variation_365d",
        label="Variation of daily net sales, 365 settled days",
        meaning=(
            "Standard deviation of daily net sales over their mean, 365 settled days, days without sales "
            "included; missing until 395 days after the first order."
        ),
        expression=_variation(365),
        sign_reason="A full year shows irregular income that one season can hide.",
    ),
    _lowers_risk(
        name="active_day_share_30d",
        label="Days with orders, share of the last 30 days",
        meaning="Share of the last 30 days with at least one order.",
        expression=ActiveDays("orders", 30) / 30,
        sign_reason="A seller with orders on most days of the month is trading today.",
        actionable=True,
        gameable="up",
    ),
    _lowers_risk(
        name="active_day_share_90d",
        label="Days with orders, share of the last 90 days",
        meaning="Share of the last 90 days with at least one order.",
        expression=ActiveDays("orders", 90) / 90,
        sign_reason="Regular orders show a running business.",
        actionable=True,
        gameable="up",
    ),
    _lowers_risk(
        name="active_days_365d",
        label="Days with orders, last 365 days",
        meaning="Number of the last 365 days with at least one order.",
        unit="days",
        expression=ActiveDays("orders", 365) * 1.0,
        sign_reason="Regular orders over a full year show a running business.",
        gameable="up",
    ),
    _raises_risk(
        name="top_day_share_180d",
        label="Best day, share of sales, last 180 days",
        meaning="Gross sales of the best of the last 180 days over all; missing until 180 days after the first order.",
        expression=PeakDay("gross", 180) / Total("gross", 180) * if_sold_since(180),
        sign_reason="Sales concentrated on one day leave little for the instalments of other months.",
    ),
    _raises_risk(
        name="days_since_last_sale",
        label="Days since the last sale",
        meaning="Days since the latest day with sales that were not all cancelled, of the last 365.",
        unit="days",
        expression=LatestDay("gross", 365, net="cancelled") * 1.0,
        sign_reason="A seller who has stopped selling cannot repay from sales.",
        reason_group="recency",
        gameable="down",
    ),
)
