"""Integrity: what only looks like a sale. Fake orders are cheap; these features make them cost points."""

from typing import Final

from features.catalogue.definition import Feature, if_buyers
from features.catalogue.fulfilment import DELIVERED
from features.catalogue.sales import net_sales, settled_share
from features.expressions import BuyerOrders, Greatest, Number, RushOrders, Total

CEILING: Final = Number(0.2)
"""Orders per visit that no honest shop is seen to keep up: one visitor in five buys."""

_ZERO: Final = Number(0.0)
_UNMOVED: Final = Total("shipped", 180, DELIVERED) - Total("delivered", 180, DELIVERED) - Total("lost", 180, DELIVERED)

INTEGRITY: Final = (
    Feature(
        "quick_refund_share_180d",
        "Refunds within two days, 180 days",
        "Value refunded within 48 hours, not as a cancellation, over the value of orders, of 180 settled days.",
        "ratio",
        210,
        settled_share("quickly_refunded", 180),
        1,
        "Money that goes back before goods can travel is a mark of fake orders.",
        "integrity",
    ),
    Feature(
        "own_store_share_180d",
        "Related-party orders, 180 days",
        "Value of orders from own accounts over gross sales, last 180 days.",
        "ratio",
        180,
        Total("own_store_gross", 180) / Total("gross", 180) * if_buyers(180),
        1,
        "Whoever buys from himself has something to hide.",
        "integrity",
        bought="up",
    ),
    Feature(
        "orders_beyond_visits_30d",
        "Orders beyond visits, 30 days",
        "How far orders per visit of the last 30 days exceed 0.2, at least 0.",
        "ratio",
        30,
        Greatest((Total("orders", 30) / Total("visits", 30) - CEILING, _ZERO)),
        1,
        "Orders without visits were not found by shopping.",
        "integrity",
    ),
    Feature(
        "orders_beyond_visits_180d",
        "Orders beyond visits, 180 days",
        "How far orders per visit of the last 180 days exceed 0.2, at least 0.",
        "ratio",
        180,
        Greatest((Total("orders", 180) / Total("visits", 180) - CEILING, _ZERO)),
        1,
        "Orders without visits were not found by shopping.",
        "integrity",
    ),
    Feature(
        "rush_order_share_180d",
        "Orders in rushes, 180 days",
        "Share of orders from a buyer who placed at least 3 in that hour (UTC), of those of 180 days that name one.",
        "ratio",
        180,
        RushOrders(180, orders=3) / BuyerOrders(180),
        1,
        "A marketplace's own rule: three orders an hour from one buyer are not shopping.",
        "integrity",
    ),
    Feature(
        "unmoved_parcel_share_180d",
        "Parcels that never moved, 180 days",
        "Shipped orders less delivered and lost ones over shipped, of 180 days that ended 45 days ago, at least 0.",
        "ratio",
        225,
        Greatest(
            (
                (Total("shipped", 180, 45) - Total("delivered", 180, 45) - Total("lost", 180, 45))
                / Total("shipped", 180, 45),
                _ZERO,
            )
        ),
        1,
        "Tracking that never moves may be a label without a parcel.",
        "integrity",
    ),
    Feature(
        "sales_spike_30d",
        "Sudden rise of sales, 30 days",
        "Gross sales of the last 30 days over the monthly settled net sales before, less 2, at least 0.",
        "ratio",
        120,
        Greatest((Total("gross", 30) * Number(3.0) / net_sales(90) - Number(2.0), _ZERO)),
        0,
        "A spike before an application may be bought, or honest growth; it is asked about and costs nobody points.",
        "integrity",
    ),
)
