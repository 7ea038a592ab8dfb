"""Sales trend features: against earlier months, the same season a year earlier, and the best month."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import SETTLED, net_sales
from features.expressions import AgeTotal, Expr, Greatest, Least, Total, at_most

_MONTHS: Final = tuple(net_sales(30, SETTLED + 30 * month) for month in range(12))
_YEAR_BEFORE: Final = SETTLED + 365


def _growth(days: int) -> Expr:
    # Least-squares slope of daily sales on time, times the window's length, over the daily mean.
    n = float(days)
    total, ages = net_sales(days), AgeTotal("gross", days, SETTLED, net="refunded")
    # Each day weighs n + 1 - 2 * (its days before the window's end), which is twice its distance from the middle.
    tilt = total * (n + 1 + 2 * SETTLED) - ages * 2
    return tilt / total * (6 * n / (n * n - 1))


_raises_risk = partial(Feature, sign=1, reason_group="sales_trend")
_lowers_risk = partial(Feature, sign=-1, reason_group="sales_trend")
_either_way = partial(Feature, sign=0, reason_group="sales_trend")

TREND: Final = (
    _lowers_risk(
        name="sales_trend_30d",
        label="Sales trend, 30 settled days",
        meaning="Net sales of 30 settled days divided by those of the 30 days before.",
        expression=net_sales(30) / net_sales(30, SETTLED + 30),
        sign_reason="The latest month is the first to show a change of direction.",
        actionable=True,
        gameable="up",
    ),
    _lowers_risk(
        name="sales_trend_90d",
        label="Sales trend, 90 settled days",
        meaning=(
            "Net sales of 90 settled days over those of the 90 before; missing until 210 days after the first order."
        ),
        expression=net_sales(90) / net_sales(90, SETTLED + 90) * if_sold_since(210),
        sign_reason="Falling sales precede default; growing sales support repayment.",
        actionable=True,
    ),
    _lowers_risk(
        name="sales_trend_180d",
        label="Sales trend, 180 settled days",
        meaning=(
            "Net sales of 180 settled days over those of the 180 before; missing until 390 days after the first order."
        ),
        expression=net_sales(180) / net_sales(180, SETTLED + 180) * if_sold_since(390),
        sign_reason="A longer trend is less noisy and less seasonal.",
        actionable=True,
    ),
    _lowers_risk(
        name="sales_year_on_year",
        label="Sales against the same 90 days a year earlier",
        meaning="Net sales of 90 settled days over those a year earlier; missing until 485 days after the first order.",
        expression=net_sales(90) / net_sales(90, _YEAR_BEFORE) * if_sold_since(485),
        sign_reason="Comparing the same season of two years removes seasonal effects.",
        actionable=True,
    ),
    _lowers_risk(
        name="sales_growth_180d",
        label="Trend-line growth of sales, 180 settled days",
        meaning=(
            "Rise of a least-squares line through 180 settled days of net sales, from end to end, over their "
            "mean; missing until 210 days after the first order."
        ),
        expression=_growth(180) * if_sold_since(210),
        sign_reason="A line through all days shows a direction that the totals of two periods can miss.",
        actionable=True,
    ),
    _either_way(
        name="order_trend_90d",
        label="Order trend, last 90 days",
        meaning="Number of orders of the last 90 days divided by that of the 90 days before.",
        expression=Total("orders", 90) / Total("orders", 90, 90),
        sign_reason="Unsettled orders show a change early, but fake orders can inflate them.",
        gameable="both",
    ),
    _lowers_risk(
        name="recent_sales_hold",
        label="Sales of the last 30 days against usual",
        meaning="Gross sales of the last 30 days over the monthly net sales of 90 settled days, at most 1.",
        expression=at_most(Total("gross", 30) * 3 / net_sales(90), 1),
        sign_reason="A sudden fall is an early sign of distress; a sudden rise can be faked and earns nothing.",
        actionable=True,
        gameable="up",
    ),
    _lowers_risk(
        name="recent_week_hold",
        label="Sales of the last 7 days against usual",
        meaning="Gross sales of the last 7 days, times 90/7, over the net sales of 90 settled days, at most 1.",
        expression=at_most(Total("gross", 7) * (90 / 7) / net_sales(90), 1),
        sign_reason="A week without sales is the first sign that a store has stopped trading.",
        gameable="up",
    ),
    _raises_risk(
        name="drawdown_from_best_month",
        label="Fall from the best of 12 settled months",
        meaning="One minus the net sales of the latest over those of the best of 12 settled months.",
        expression=1 - net_sales(30) / Greatest(_MONTHS),
        sign_reason="Fixed costs are sized for the peak; the deeper the fall, the less of them is covered.",
    ),
    _lowers_risk(
        name="worst_month_share",
        label="Weakest of 12 settled months against the average",
        meaning=(
            "Net sales of the weakest over the average of 12 settled months; missing until 390 days after the "
            "first order."
        ),
        expression=Least(_MONTHS) * 12 / net_sales(360) * if_sold_since(390),
        sign_reason="Instalments also fall due in the weakest month.",
        reason_group="stability",
    ),
)
