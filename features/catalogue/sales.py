"""Sales level features: net sales of settled days, orders and order values."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature
from features.expressions import Expr, MedianDay, Total

SETTLED: Final = 30
"""Days after which most refunds of an order are known (shipping takes 7 to 19 days); then its day is settled."""

USD: Final = 1e-6


def net_sales(days: int, lag: int = SETTLED) -> Total:
    """Return gross sales of a window less all refunds of them, in micro-USD."""
    return Total("gross", days, lag, net="refunded")


def settled_share(fact: str, days: int, lag: int = SETTLED) -> Expr:
    """Return a fact over the gross sales of the same settled window."""
    return Total(fact, days, lag) / Total("gross", days, lag)


_lowers_risk = partial(Feature, sign=-1, reason_group="sales_level", unit="USD")
_either_way = partial(Feature, sign=0, reason_group="sales_level")

SALES: Final = (
    _lowers_risk(
        name="settled_net_sales_30d",
        label="Net sales, 30 settled days",
        meaning="Sales less refunds of the orders of 30 settled days.",
        expression=net_sales(30) * USD,
        sign_reason="Instalments are paid from current turnover; this is the latest month whose refunds are known.",
        gameable="up",
    ),
    _lowers_risk(
        name="settled_net_sales_90d",
        label="Net sales, 90 settled days",
        meaning="Sales less refunds of the orders of 90 settled days.",
        expression=net_sales(90) * USD,
        sign_reason="A seller with higher net sales can carry an instalment more easily.",
    ),
    _lowers_risk(
        name="settled_net_sales_365d",
        label="Net sales, 365 settled days",
        meaning="Sales less refunds of the orders of 365 settled days.",
        expression=net_sales(365) * USD,
        sign_reason="A full year shows the size of the business without seasonal effects.",
    ),
    _either_way(
        name="orders_90d",
        label="Orders, last 90 days",
        meaning="Number of orders in the last 90 days.",
        unit="count",
        expression=Total("orders", 90) * 1.0,
        sign_reason="Order counts are cheap to inflate with fake orders.",
        gameable="up",
    ),
    _lowers_risk(
        name="average_order_180d",
        label="Average order value, last 180 days",
        meaning="Gross sales of the last 180 days divided by the number of orders.",
        expression=Total("gross", 180) / Total("orders", 180) * USD,
        sign_reason="Small orders leave little margin after shipping and fees.",
        reason_group="order_size",
        gameable="down",
    ),
    _either_way(
        name="average_order_change",
        label="Average order value, last 90 against 365 days",
        meaning="Average order value of the last 90 days divided by that of the last 365.",
        expression=(Total("gross", 90) / Total("orders", 90)) / (Total("gross", 365) / Total("orders", 365)),
        sign_reason="Lower prices may clear stock or win customers.",
        reason_group="order_size",
        gameable="both",
    ),
    _either_way(
        name="items_per_order_180d",
        label="Items per order, last 180 days",
        meaning="Number of items sold divided by the number of orders in the last 180 days.",
        unit="count",
        expression=Total("items", 180) / Total("orders", 180),
        sign_reason="Basket sizes depend on the trade, not on risk.",
        reason_group="order_size",
        gameable="both",
    ),
    _lowers_risk(
        name="typical_day_sales_180d",
        label="Median daily net sales, 180 settled days",
        meaning="Median daily net sales over those of 180 settled days with net sales above zero.",
        expression=MedianDay("gross", 180, SETTLED, net="refunded") * USD,
        sign_reason="The typical day pays the instalments; a few large days do not move the median.",
        gameable="down",
    ),
)
