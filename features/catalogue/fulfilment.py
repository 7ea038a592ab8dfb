"""Fulfilment: how fast goods leave and arrive, of orders old enough to have done so."""

from typing import Final

from features.catalogue.definition import Feature
from features.expressions import Expr, Greatest, MedianOf, Number, Total

SHIPPED: Final = 14
"""Days after which an order that is ever shipped has been."""

DELIVERED: Final = 45
"""Days after which a parcel that ever arrives has (shipping takes 7 to 19 days)."""

_DAYS: Final = Number(1 / 24)
_ZERO: Final = Number(0.0)


def _shipping_days(days: int) -> Expr:
    return Total("shipping_hours", days, SHIPPED) / Total("shipped", days, SHIPPED) * _DAYS


FULFILMENT: Final = (
    Feature(
        "handling_days_90d",
        "Handling time, 90 days",
        "Average days from order to shipping, in whole hours, of the shipped orders of 90 days that ended 14 days ago.",
        "days",
        104,
        _shipping_days(90),
        1,
        "Slow handling is stock that is not there or work that is not done.",
        "fulfilment",
        actionable=True,
        bought="down",
    ),
    Feature(
        "handling_days_change",
        "Change of the handling time",
        "Handling time of 90 days less that of 365.",
        "days",
        379,
        _shipping_days(90) - _shipping_days(365),
        1,
        "Orders that wait longer than they used to show a business under strain.",
        "fulfilment",
        actionable=True,
        bought="both",
    ),
    Feature(
        "median_handling_hours_90d",
        "Typical handling time, 90 days",
        "Lower median of whole hours from order to shipping, shipped orders of 90 days that ended 14 days ago.",
        "hours",
        104,
        MedianOf("hours", "shipped", 90, SHIPPED) * Number(1.0),
        1,
        "The typical parcel, not moved by a few that waited for stock.",
        "fulfilment",
        actionable=True,
        bought="down",
    ),
    Feature(
        "late_shipping_share_90d",
        "Late shipping, 90 days",
        "Share of the shipped orders of 90 days that ended 14 days ago that took more than 72 hours to leave.",
        "ratio",
        104,
        Total("shipped_late", 90, SHIPPED) / Total("shipped", 90, SHIPPED),
        1,
        "Late shipping brings cancellations, disputes and penalties.",
        "fulfilment",
        actionable=True,
        bought="down",
    ),
    Feature(
        "delivery_days_180d",
        "Delivery time, 180 days",
        "Average days from order to delivery, in whole hours, delivered orders of 180 days that ended 45 days ago.",
        "days",
        225,
        Total("delivery_hours", 180, DELIVERED) / Total("delivered", 180, DELIVERED) * _DAYS,
        0,
        "Far customers wait longer than near ones.",
        "delivery",
        bought="down",
    ),
    Feature(
        "late_delivery_share_180d",
        "Late delivery, 180 days",
        "Share of the delivered orders of 180 days that ended 45 days ago that took more than 21 days.",
        "ratio",
        225,
        Total("delivered_late", 180, DELIVERED) / Total("delivered", 180, DELIVERED),
        1,
        "Parcels that come late come back.",
        "delivery",
        actionable=True,
        bought="down",
    ),
    Feature(
        "undelivered_share_180d",
        "Parcels not delivered, 180 days",
        "One minus delivered over shipped orders, of 180 days that ended 45 days ago, at least 0.",
        "ratio",
        225,
        Greatest((Number(1.0) - Total("delivered", 180, DELIVERED) / Total("shipped", 180, DELIVERED), _ZERO)),
        1,
        "Parcels that never arrive must be paid back.",
        "delivery",
        actionable=True,
        bought="down",
    ),
    Feature(
        "lost_share_180d",
        "Lost parcels, 180 days",
        "Parcels reported lost over shipped orders, of 180 days that ended 45 days ago.",
        "ratio",
        225,
        Total("lost", 180, DELIVERED) / Total("shipped", 180, DELIVERED),
        1,
        "A lost parcel is lost goods and a refund.",
        "delivery",
        actionable=True,
        bought="down",
    ),
)
