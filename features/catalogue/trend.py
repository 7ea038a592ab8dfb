"""Direction of sales: against the months before, the year before, and the best month."""

from typing import Final

from features.catalogue.definition import Feature, if_sold_since
from features.catalogue.sales import SETTLED, net_sales
from features.expressions import AgeTotal, Expr, Greatest, Least, Number, Total

_ONE: Final = Number(1.0)
_MONTHS: Final = tuple(net_sales(30, SETTLED + 30 * month) for month in range(12))
_YEAR_BEFORE: Final = SETTLED + 365


def _growth(days: int) -> Expr:
    # Least-squares slope of daily sales on time, times the window's length, over the daily mean.
    n = float(days)
    total, ages = net_sales(days), AgeTotal("gross", days, SETTLED, net="refunded")
    # Each day weighs n + 1 - 2 * (its days before the window's end), which is twice its distance from the middle.
    tilt = total * Number(n + 1 + 2 * SETTLED) - ages * Number(2.0)
    return tilt / total * Number(6 * n / (n * n - 1))


TREND: Final = (
    Feature(
        "sales_trend_30d",
        "Sales trend, 30 days",
        "Settled net sales of 30 days divided by those of the 30 days before.",
        "ratio",
        90,
        net_sales(30) / net_sales(30, SETTLED + 30),
        -1,
        "The latest month shows a turn first.",
        "sales_trend",
        actionable=True,
        bought="up",
    ),
    Feature(
        "sales_trend_90d",
        "Sales trend, 90 days",
        "Settled net sales of 90 days divided by those of the 90 days before; missing where the first order is less "
        "than 210 days ago.",
        "ratio",
        210,
        net_sales(90) / net_sales(90, SETTLED + 90) * if_sold_since(210),
        -1,
        "Growing sales come before repayment, shrinking ones before default.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "sales_trend_180d",
        "Sales trend, 180 days",
        "Settled net sales of 180 days divided by those of the 180 days before; missing where the first order is less "
        "than 390 days ago.",
        "ratio",
        390,
        net_sales(180) / net_sales(180, SETTLED + 180) * if_sold_since(390),
        -1,
        "The longer trend is less noisy and includes the season.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "sales_year_on_year",
        "Sales against the year before",
        "Settled net sales of 90 days divided by those of the same 90 days one year earlier; missing where the first "
        "order is less than 485 days ago.",
        "ratio",
        485,
        net_sales(90) / net_sales(90, _YEAR_BEFORE) * if_sold_since(485),
        -1,
        "The same season a year ago is the fairest comparison.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "sales_growth_180d",
        "Growth of sales, 180 days",
        "Rise of a least-squares line through 180 settled days of net sales, from end to end, over their mean; missing "
        "where the first order is less than 210 days ago.",
        "ratio",
        210,
        _growth(180) * if_sold_since(210),
        -1,
        "All days together tell a direction that two totals may miss.",
        "sales_trend",
        actionable=True,
    ),
    Feature(
        "order_trend_90d",
        "Trend of orders, 90 days",
        "Number of orders of the last 90 days divided by that of the 90 days before.",
        "ratio",
        180,
        Total("orders", 90) / Total("orders", 90, 90),
        0,
        "Orders not yet settled show a turn early, but can be bought.",
        "sales_trend",
        bought="both",
    ),
    Feature(
        "recent_sales_hold",
        "Recent sales against usual",
        "Gross sales of the last 30 days over the monthly settled net sales before, at most 1: only a fall counts.",
        "ratio",
        120,
        Least((Total("gross", 30) * Number(3.0) / net_sales(90), _ONE)),
        -1,
        "A sudden fall shows distress early; a sudden rise can be bought, so it earns nothing.",
        "sales_trend",
        actionable=True,
        bought="up",
    ),
    Feature(
        "recent_week_hold",
        "Last week against usual",
        "Gross sales of the last 7 days, times 90/7, over the settled net sales of 90 days, at most 1.",
        "ratio",
        120,
        Least((Total("gross", 7) * Number(90 / 7) / net_sales(90), _ONE)),
        -1,
        "A week without sales is the first sign of a shop that stopped.",
        "sales_trend",
        bought="up",
    ),
    Feature(
        "drawdown_from_best_month",
        "Fall from the best month",
        "One minus the latest settled month's net sales over the best month's of the last twelve.",
        "ratio",
        390,
        _ONE - net_sales(30) / Greatest(_MONTHS),
        1,
        "The further below its own peak, the more of its costs a firm no longer earns.",
        "sales_trend",
    ),
    Feature(
        "worst_month_share",
        "Worst month against the average",
        "Net sales of the worst of twelve settled months of 30 days, times twelve, over those of all twelve; missing "
        "where the first order is less than 390 days ago.",
        "ratio",
        390,
        Least(_MONTHS) * Number(12.0) / net_sales(360) * if_sold_since(390),
        -1,
        "An instalment falls due in the worst month too.",
        "stability",
    ),
)
