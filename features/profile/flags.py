"""Integrity questions: raised if a feature exceeds a stated threshold. A question is not a verdict.

Thresholds are conventions, stated with each question, and not fitted to data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One question to the seller, raised if `feature` is greater than `threshold`; `why` explains the threshold."""

    name: str
    feature: str
    threshold: float
    question: str
    why: str


FLAGS: Final = (
    Flag(
        name="own_store_orders",
        feature="own_store_share_180d",
        threshold=0.01,
        question="Why does the seller order from their own stores?",
        why="Testing a store takes one or two orders, not 1% of sales.",
    ),
    Flag(
        name="rushed_orders",
        feature="rush_order_share_180d",
        threshold=0.01,
        question="Who are the buyers that order three times or more within an hour?",
        why="Buyers sometimes forget an item; more than 1% of orders is a pattern.",
    ),
    Flag(
        name="orders_without_visits",
        feature="orders_beyond_visits_30d",
        threshold=0.0,
        question="Why is there more than one order per five visits in the last 30 days?",
        why="No store sustains more than one order in five visits; the feature is the excess.",
    ),
    Flag(
        name="orders_without_visits_half_year",
        feature="orders_beyond_visits_180d",
        threshold=0.0,
        question="Why is there more than one order per five visits over half a year?",
        why="The same limit of one order in five visits, over 180 days.",
    ),
    Flag(
        name="quick_refunds",
        feature="quick_refund_share_180d",
        threshold=0.05,
        question="Why are orders refunded within two days, before the goods can arrive?",
        why="Mistaken orders are cancelled, so that such quick refunds are rare; 5% of sales is a lot.",
    ),
    Flag(
        name="unmoved_parcels",
        feature="unmoved_parcel_share_180d",
        threshold=0.05,
        question="Where are the parcels that were shipped and never arrived?",
        why="45 days suffice across any border. Some events are never reported, but fewer than 5%.",
    ),
    Flag(
        name="sudden_rise",
        feature="sales_spike_30d",
        threshold=0.0,
        question="What made sales of the last month more than double?",
        why="The feature is the excess over twice the usual month; the reason can be a season or the application.",
    ),
)
"""Every question, in the order of the profile."""
