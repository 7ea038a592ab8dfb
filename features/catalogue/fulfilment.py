"""Fulfilment features: time to ship and to deliver, of orders old enough to have arrived."""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature
from features.expressions import Expr, MedianOf, Total, at_least

SHIPPED: Final = 14
"""Days within which orders are shipped, if at all."""

DELIVERED: Final = 45
"""Days within which parcels arrive, if at all (shipping takes 7 to 19 days)."""

_DAYS: Final = 1 / 24


def _shipping_days(days: int) -> Expr:
    return Total("shipping_hours", days, SHIPPED) / Total("shipped", days, SHIPPED) * _DAYS


_raises_risk = partial(Feature, sign=1, reason_group="fulfilment", actionable=True)
_either_way = partial(Feature, sign=0, reason_group="fulfilment")

FULFILMENT: Final = (
    _raises_risk(
        name="handling_days_90d",
        label="Average handling time, 90 days",
        meaning="Average days from order to shipping, in whole hours, orders of 90 days that ended 14 days ago.",
        unit="days",
        expression=_shipping_days(90),
        sign_reason="Slow handling shows missing stock or missing staff.",
        gameable="down",
    ),
    _raises_risk(
        name="handling_days_change",
        label="Handling time, change against 365 days",
        meaning="Average handling time of 90 days less that of 365 days.",
        unit="days",
        expression=_shipping_days(90) - _shipping_days(365),
        sign_reason="Longer waiting times than before show a business under strain.",
        gameable="both",
    ),
    _raises_risk(
        name="median_handling_hours_90d",
        label="Median handling time, 90 days",
        meaning="Lower median of whole hours from order to shipping, shipped orders of 90 days that ended 14 days ago.",
        unit="hours",
        expression=MedianOf("hours", "shipped", 90, SHIPPED) * 1.0,
        sign_reason="A few parcels that waited for stock do not move the median.",
        gameable="down",
    ),
    _raises_risk(
        name="late_shipping_share_90d",
        label="Late shipping, share of shipped orders, 90 days",
        meaning="Share of the shipped orders of 90 days that ended 14 days ago that took more than 72 hours to leave.",
        expression=Total("shipped_late", 90, SHIPPED) / Total("shipped", 90, SHIPPED),
        sign_reason="Late shipping leads to cancellations, disputes and penalties.",
        gameable="down",
    ),
    _either_way(
        name="delivery_days_180d",
        label="Average delivery time, 180 days",
        meaning="Average days from order to delivery, in whole hours, orders of 180 days that ended 45 days ago.",
        unit="days",
        expression=Total("delivery_hours", 180, DELIVERED) / Total("delivered", 180, DELIVERED) * _DAYS,
        sign_reason="Delivery time depends on the distance to the buyers.",
        reason_group="delivery",
        gameable="down",
    ),
    _raises_risk(
        name="late_delivery_share_180d",
        label="Late delivery, share of delivered orders, 180 days",
        meaning="Share of the delivered orders of 180 days that ended 45 days ago that took more than 21 days.",
        expression=Total("delivered_late", 180, DELIVERED) / Total("delivered", 180, DELIVERED),
        sign_reason="Late parcels are returned more often.",
        reason_group="delivery",
        gameable="down",
    ),
    _raises_risk(
        name="undelivered_share_180d",
        label="Undelivered parcels, share of shipped orders, 180 days",
        meaning="One minus delivered over shipped orders, of 180 days that ended 45 days ago, at least 0.",
        expression=at_least(1 - Total("delivered", 180, DELIVERED) / Total("shipped", 180, DELIVERED), 0),
        sign_reason="Parcels that never arrive must be refunded.",
        reason_group="delivery",
        gameable="down",
    ),
    _raises_risk(
        name="lost_share_180d",
        label="Lost parcels, share of shipped orders, 180 days",
        meaning="Parcels reported lost over shipped orders, of 180 days that ended 45 days ago.",
        expression=Total("lost", 180, DELIVERED) / Total("shipped", 180, DELIVERED),
        sign_reason="A lost parcel costs the goods and a refund.",
        reason_group="delivery",
        gameable="down",
    ),
)
