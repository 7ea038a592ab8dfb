"""Integrity features: signs of fake orders, so that they cost points."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature, if_buyers
from features.catalogue.fulfilment import DELIVERED
from features.catalogue.sales import net_sales, settled_share
from features.expressions import BuyerOrders, RushOrders, Total, at_least

CEILING: Final = 0.2
"""Orders per visit that no honest store sustains: one order in five visits."""

_UNMOVED: Final = Total("shipped", 180, DELIVERED) - Total("delivered", 180, DELIVERED) - Total("lost", 180, DELIVERED)

_raises_risk = partial(Feature, sign=1, reason_group="integrity")
_either_way = partial(Feature, sign=0, reason_group="integrity")

INTEGRITY: Final = (
    _raises_risk(
        name="quick_refund_share_180d",
        label="Refunds within 48 hours, share of sales, 180 settled days",
        meaning="Value refunded within 48 hours, except cancellations, over the value of orders, 180 settled days.",
        expression=settled_share("quickly_refunded", 180),
        sign_reason="A refund before the goods can arrive is a mark of fake orders.",
    ),
    _raises_risk(
        name="own_store_share_180d",
        label="Related-party orders, share of sales, last 180 days",
        meaning="Value of orders from related parties (the seller's own accounts) over gross sales, last 180 days.",
        expression=Total("own_store_gross", 180) / Total("gross", 180) * if_buyers(180),
        sign_reason="Orders that sellers place with themselves inflate sales.",
        gameable="up",
    ),
    _raises_risk(
        name="orders_beyond_visits_30d",
        label="Orders beyond one per 5 visits, last 30 days",
        meaning="How far orders per visit of the last 30 days exceed 0.2, at least 0.",
        expression=at_least(Total("orders", 30) / Total("visits", 30) - CEILING, 0),
        sign_reason="Orders without visits do not come from shopping buyers.",
    ),
    _raises_risk(
        name="orders_beyond_visits_180d",
        label="Orders beyond one per 5 visits, last 180 days",
        meaning="How far orders per visit of the last 180 days exceed 0.2, at least 0.",
        expression=at_least(Total("orders", 180) / Total("visits", 180) - CEILING, 0),
        sign_reason="Orders without visits over half a year do not come from shopping buyers.",
    ),
    _raises_risk(
        name="rush_order_share_180d",
        label="Orders at 3 or more per buyer and hour, last 180 days",
        meaning=(
            "Share of orders, of those of 180 days that name a buyer, whose buyer placed 3 or more in one hour (UTC)."
        ),
        expression=RushOrders(180, orders=3) / BuyerOrders(180),
        sign_reason="Three orders an hour from one buyer are a marketplace's own test for fake orders.",
    ),
    _raises_risk(
        name="unmoved_parcel_share_180d",
        label="Shipped parcels without an outcome, 180 days",
        meaning=(
            "Shipped less delivered and lost orders over shipped ones, 180 days that ended 45 days ago, at least 0."
        ),
        expression=at_least(_UNMOVED / Total("shipped", 180, DELIVERED), 0),
        sign_reason="A shipment without a delivery or a loss may be a label without a parcel.",
    ),
    _either_way(
        name="sales_spike_30d",
        label="Sudden rise of sales, last 30 days",
        meaning="Gross sales of the last 30 days over the monthly net sales of 90 settled days, less 2, at least 0.",
        expression=at_least(Total("gross", 30) * 3 / net_sales(90) - 2, 0),
        sign_reason=(
            "A spike before an application can be fake or honest growth; it prompts a question and costs no points."
        ),
    ),
)
