"""Level of sales: settled net sales, once refunds have had time to come."""

from typing import Final

from features.catalogue.definition import Feature
from features.expressions import Expr, MedianDay, Number, Total

SETTLED: Final = 30
"""Days after which most refunds of an order have come; younger orders are not settled (shipping takes 7 to 19 days)."""

USD: Final = Number(1e-6)


def net_sales(days: int, lag: int = SETTLED) -> Total:
    """Orders of the window less all that was refunded of them, in micro-USD."""
    return Total("gross", days, lag, net="refunded")


def settled_share(fact: str, days: int, lag: int = SETTLED) -> Expr:
    """A fact over the gross sales of the same settled window."""
    return Total(fact, days, lag) / Total("gross", days, lag)


SALES: Final = (
    Feature(
        "settled_net_sales_30d",
        "Settled net sales, 30 days",
        "Sales of the 30 days that ended 30 days ago, less everything refunded of them.",
        "USD",
        60,
        net_sales(30) * USD,
        -1,
        "The latest settled month is what instalments would have been paid from.",
        "sales_level",
        bought="up",
    ),
    Feature(
        "settled_net_sales_90d",
        "Settled net sales, 90 days",
        "Sales of the 90 days that ended 30 days ago, less everything refunded of them.",
        "USD",
        120,
        net_sales(90) * USD,
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
        net_sales(365) * USD,
        -1,
        "A full year of turnover shows size without the season.",
        "sales_level",
    ),
    Feature(
        "orders_90d",
        "Orders, 90 days",
        "Number of orders in the last 90 days.",
        "count",
        90,
        Total("orders", 90) * Number(1.0),
        0,
        "Counts of orders are cheap to inflate, so they earn nothing by rule.",
        "sales_level",
        bought="up",
    ),
    Feature(
        "average_order_180d",
        "Average order value, 180 days",
        "Gross sales of the last 180 days divided by the number of orders.",
        "USD",
        180,
        Total("gross", 180) / Total("orders", 180) * USD,
        -1,
        "Small tickets leave little after shipping and fees.",
        "order_size",
        bought="down",
    ),
    Feature(
        "average_order_change",
        "Change of the average order value",
        "Average order value of the last 90 days divided by that of the last 365.",
        "ratio",
        365,
        (Total("gross", 90) / Total("orders", 90)) / (Total("gross", 365) / Total("orders", 365)),
        0,
        "Selling cheaper may clear stock or win customers.",
        "order_size",
        bought="both",
    ),
    Feature(
        "items_per_order_180d",
        "Items per order, 180 days",
        "Number of items sold divided by the number of orders in the last 180 days.",
        "count",
        180,
        Total("items", 180) / Total("orders", 180),
        0,
        "Baskets differ by trade, not by risk.",
        "order_size",
        bought="both",
    ),
    Feature(
        "typical_day_sales_180d",
        "Sales of a typical day, 180 days",
        "Median of daily net sales over those of 180 settled days with more than none.",
        "USD",
        210,
        MedianDay("gross", 180, SETTLED, net="refunded") * USD,
        -1,
        "The typical day carries the instalments; single large days do not move it.",
        "sales_level",
        bought="down",
    ),
)
