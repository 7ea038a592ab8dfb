"""Twelve-month series of a seller: 12 steps of 30 days before T, the sums stored for each, and the values computed.

Sums are stored as integers; values are computed from them when a profile is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Final

from features.catalogue.semantics import digest_of
from features.facts import BY_NAME, LATE_SHIPPING_HOURS

STEPS: Final = 12
STEP_DAYS: Final = 30
SETTLED_AFTER: Final = 30
"""Days after which most refunds are known; a step that ended later may still lose some of its sales."""

NEW_AFTER: Final = 3
"""Steps without an order after which a buyer counts as new."""

BUYERS, EARLIER = "buyers", "earlier_buyers"
"""Further sums: distinct buyers of a step, and those who also ordered in the NEW_AFTER steps before."""

_CHANGING: Final = frozenset({"refunds", "fulfilments"})
"""Tables whose rows count on their order's day and can arrive later."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One value per step: a sum, less another, over a third.

    Attributes:
        name: stable identifier.
        label: short label for credit officers.
        meaning: one sentence with the exact definition.
        unit: `micro-USD`, `count`, `ratio`, or `stars`, whose sums are hundredths.
        of: the sum.
        less: a sum to subtract.
        over: a sum to divide by; if it is zero, there is no value.
    """

    name: str
    label: str
    meaning: str
    unit: str
    of: str
    less: str | None = None
    over: str | None = None

    @property
    def sums(self) -> tuple[str, ...]:
        """The sums that the series uses."""
        return tuple(name for name in (self.of, self.less, self.over) if name)

    @property
    def tables(self) -> frozenset[str]:
        """The tables without which there is no value."""
        return frozenset(map(table_of, self.sums))

    @property
    def since(self) -> str:
        """The table whose first row of the seller starts the series; later steps without rows count as zero."""
        return next(iter(self.tables - _CHANGING - {"orders"}), "orders")

    @property
    def settles(self) -> bool:
        """Whether later refunds or parcels can still change a step that has ended."""
        return not self.tables.isdisjoint(_CHANGING)


@dataclass(frozen=True)
class Step:
    """Thirty days from midnight `begins` to midnight `ends`; `settled` once most refunds are known."""

    begins: date
    ends: date
    settled: bool


SERIES: Final = (
    Series(
        name="net_sales",
        label="Net sales",
        meaning="Gross sales of the step's orders less all refunds of them known at T.",
        unit="micro-USD",
        of="gross",
        less="refunded",
    ),
    Series(name="gross_sales", label="Gross sales", meaning="Gross sales of the step.", unit="micro-USD", of="gross"),
    Series(name="orders", label="Orders", meaning="Number of orders.", unit="count", of="orders"),
    Series(
        name="average_order",
        label="Average order",
        meaning="Gross sales over the number of orders.",
        unit="micro-USD",
        of="gross",
        over="orders",
    ),
    Series(
        name="return_rate",
        label="Return rate",
        meaning="Value returned or refunded of the step's orders, as known at T, over gross sales.",
        unit="ratio",
        of="returned",
        over="gross",
    ),
    Series(
        name="cancel_rate",
        label="Cancellation rate",
        meaning="Value cancelled of the step's orders, as known at T, over gross sales.",
        unit="ratio",
        of="cancelled",
        over="gross",
    ),
    Series(
        name="dispute_rate",
        label="Dispute rate",
        meaning="Value disputed or charged back of the step's orders, as known at T, over gross sales.",
        unit="ratio",
        of="disputed",
        over="gross",
    ),
    Series(
        name="late_shipping",
        label="Late shipping",
        meaning=f"Share of the step's shipped orders that took more than {LATE_SHIPPING_HOURS} hours to ship.",
        unit="ratio",
        of="shipped_late",
        over="shipped",
    ),
    Series(name="visits", label="Visits", meaning="Visits to the stores.", unit="count", of="visits"),
    Series(
        name="conversion",
        label="Orders per visit",
        meaning="Orders over visits.",
        unit="ratio",
        of="orders",
        over="visits",
    ),
    Series(name="ad_spend", label="Advertising", meaning="Advertising cost.", unit="micro-USD", of="ad_spend"),
    Series(
        name="ad_spend_share",
        label="Advertising over sales",
        meaning="Advertising cost over gross sales.",
        unit="ratio",
        of="ad_spend",
        over="gross",
    ),
    Series(name="buyers", label="Buyers", meaning="Number of distinct buyers.", unit="count", of=BUYERS),
    Series(
        name="new_buyer_share",
        label="New buyers",
        meaning=f"Share of the step's buyers who had not ordered in the {NEW_AFTER * STEP_DAYS} days before it.",
        unit="ratio",
        of=BUYERS,
        less=EARLIER,
        over=BUYERS,
    ),
    Series(
        name="rating",
        label="Average rating",
        meaning="Average stars of the step's ratings, 1 to 5.",
        unit="stars",
        of="star_hundredths",
        over="ratings",
    ),
    Series(
        name="purchases",
        label="Bought from suppliers",
        meaning="Value of purchases from suppliers.",
        unit="micro-USD",
        of="purchased",
    ),
)
"""Every series, in the order of the profile."""


def table_of(name: str) -> str:
    """Return the table of a sum."""
    return "orders" if name in (BUYERS, EARLIER) else BY_NAME[name].table


SUMS: Final = tuple(dict.fromkeys(name for series in SERIES for name in series.sums))
"""The sums of each step, in the order in which they are stored."""


def steps_before(as_of: date) -> tuple[Step, ...]:
    """Return the twelve steps before a midnight, oldest first.

    Example: the last step before 2024-03-30 is [2024-02-29, 2024-03-30), and not settled.
    """
    ends = [as_of - timedelta(days=(STEPS - 1 - step) * STEP_DAYS) for step in range(STEPS)]
    settled = as_of - timedelta(days=SETTLED_AFTER)
    return tuple(Step(end - timedelta(days=STEP_DAYS), end, end <= settled) for end in ends)


def step_value(series: Series, sums: Mapping[str, int | None]) -> int | float | None:
    """Return the value of a step from its sums: an integer unless it is a rate; None if unknown.

    Example: of `Series(of="returned", over="gross", ...)` and sums of 1 and 4 it is 0.25; over 0 it is None.
    """
    of, less, over = (sums[name] if name else 0 for name in (series.of, series.less, series.over))
    if of is None or less is None or over is None:
        return None
    if series.over is None:
        return of - less
    if over <= 0:
        return None
    return (of - less) / (over * 100) if series.unit == "stars" else (of - less) / over


@cache
def digest() -> str:
    """Return the SHA-256 over the definitions of stored steps; sums with another digest are computed again.

    Example: `digest()` is `sha256:…`, 64 hexadecimal digits.
    """
    return digest_of(
        {
            "steps": STEPS,
            "step_days": STEP_DAYS,
            "new_after": NEW_AFTER,
            "sums": [(name, BY_NAME.get(name)) for name in SUMS],
        }
    )
