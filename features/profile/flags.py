"""Questions of integrity: where a feature passes a stated threshold, there is something to ask. Not a verdict.

Thresholds are conventions, stated with each question, and fitted to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Flag:
    """One question.

    Attributes:
        name: stable identifier.
        feature: the feature of the catalogue that it looks at.
        threshold: raised where the value is more than this.
        question: what to ask, in plain words.
        why: why the threshold is where it is.
    """

    name: str
    feature: str
    threshold: float
    question: str
    why: str


FLAGS: Final = (
    Flag(
        "own_store_orders",
        "own_store_share_180d",
        0.01,
        "Why does the seller order from their own stores?",
        "Trying one's own shop takes an order or two, not one in a hundred by value.",
    ),
    Flag(
        "rushed_orders",
        "rush_order_share_180d",
        0.01,
        "Who are the buyers that order three times or more within an hour?",
        "Shoppers forget an item now and then; one order in a hundred in such rushes is a habit.",
    ),
    Flag(
        "orders_without_visits",
        "orders_beyond_visits_30d",
        0.0,
        "How do so many orders come from so few visits, lately?",
        "No shop is seen to keep up more than one order in five visits; the feature counts what exceeds it.",
    ),
    Flag(
        "orders_without_visits_half_year",
        "orders_beyond_visits_180d",
        0.0,
        "How have so many orders come from so few visits over half a year?",
        "The same ceiling of one order in five visits, over 180 days.",
    ),
    Flag(
        "quick_refunds",
        "quick_refund_share_180d",
        0.05,
        "Why does money go back within two days, before goods could travel?",
        "A mistaken order is cancelled; refunds this quick are rare, and a twentieth of sales is many.",
    ),
    Flag(
        "unmoved_parcels",
        "unmoved_parcel_share_180d",
        0.05,
        "Where are the parcels that were shipped and never arrived?",
        "45 days suffice across any border; some events are never reported, one in twenty is more than that.",
    ),
    Flag(
        "sudden_rise",
        "sales_spike_30d",
        0.0,
        "What made sales of the last month more than double?",
        "The feature counts what exceeds twice the usual month: a season may explain it, so may an application.",
    ),
)
"""Every question, the plainest first."""
