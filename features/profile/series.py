"""Twelve steps of thirty days before T, oldest first: what is added up of each, and the figures made of the sums.

Data, like the catalogue. Sums are stored, whole numbers; figures are made of them when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Final

from features.facts import BY_NAME, LATE_SHIPPING_HOURS
from features.semantics import digest_of

STEPS: Final = 12
STEP_DAYS: Final = 30
SETTLED_AFTER: Final = 30
"""Days that refunds are given to come; a step that ended later may still lose some of its sales."""

NEW_AFTER: Final = 3
"""Steps without an order after which a buyer counts as new."""

BUYERS, EARLIER = "buyers", "earlier_buyers"
"""Distinct buyers of a step, and those of them who had ordered in the NEW_AFTER steps before it: sums beside facts."""


@dataclass(frozen=True)
class Series:
    """One figure of each step: a sum, less another, over a third.

    Attributes:
        name: stable identifier.
        label: what a credit officer reads.
        meaning: one sentence that says what the figure of a step is.
        unit: `micro-USD`, `count`, `ratio`, or `stars`, of which the sums are hundredths.
        of: the sum.
        less: a sum to subtract.
        over: a sum to divide by; where it is zero there is no figure.
        since: the table whose first row of the seller says since when a step without rows means none.
        settles: refunds, or parcels that leave, still move it after the step has ended.
    """

    name: str
    label: str
    meaning: str
    unit: str
    of: str
    less: str | None = None
    over: str | None = None
    since: str = "orders"
    settles: bool = False

    @property
    def sums(self) -> tuple[str, ...]:
        """The sums that it is made of."""
        return tuple(name for name in (self.of, self.less, self.over) if name)

    @property
    def tables(self) -> frozenset[str]:
        """The tables without which there is no figure."""
        return frozenset(map(table_of, self.sums))


@dataclass(frozen=True)
class Step:
    """Thirty days, from the first midnight to the second; `settled` once refunds have had their time."""

    begins: date
    ends: date
    settled: bool


SERIES: Final = (
    Series(
        "net_sales",
        "Net sales",
        "Sales of the step's orders less everything refunded of them by T.",
        "micro-USD",
        "gross",
        less="refunded",
        settles=True,
    ),
    Series("gross_sales", "Gross sales", "Sales of the step's orders.", "micro-USD", "gross"),
    Series("orders", "Orders", "Number of orders.", "count", "orders"),
    Series(
        "average_order", "Average order", "Gross sales over the number of orders.", "micro-USD", "gross", over="orders"
    ),
    Series(
        "return_rate",
        "Return rate",
        "Value returned or refunded of the step's orders by T, over gross sales.",
        "ratio",
        "returned",
        over="gross",
        settles=True,
    ),
    Series(
        "cancel_rate",
        "Cancellation rate",
        "Value cancelled of the step's orders by T, over gross sales.",
        "ratio",
        "cancelled",
        over="gross",
        settles=True,
    ),
    Series(
        "dispute_rate",
        "Dispute rate",
        "Value disputed or charged back of the step's orders by T, over gross sales.",
        "ratio",
        "disputed",
        over="gross",
        settles=True,
    ),
    Series(
        "late_shipping",
        "Late shipping",
        f"Share of the step's shipped orders that took more than {LATE_SHIPPING_HOURS} hours to leave.",
        "ratio",
        "shipped_late",
        over="shipped",
        settles=True,
    ),
    Series("visits", "Visits", "Visits to the stores.", "count", "visits", since="traffic"),
    Series("conversion", "Orders per visit", "Orders over visits.", "ratio", "orders", over="visits", since="traffic"),
    Series("ad_spend", "Advertising", "What advertising cost.", "micro-USD", "ad_spend", since="traffic"),
    Series(
        "ad_spend_share",
        "Advertising over sales",
        "Advertising over gross sales.",
        "ratio",
        "ad_spend",
        over="gross",
        since="traffic",
    ),
    Series("buyers", "Buyers", "Number of distinct buyers.", "count", BUYERS),
    Series(
        "new_buyer_share",
        "New buyers",
        f"Share of the step's buyers who had not ordered in the {NEW_AFTER * STEP_DAYS} days before it.",
        "ratio",
        BUYERS,
        less=EARLIER,
        over=BUYERS,
    ),
    Series(
        "rating",
        "Average rating",
        "Average stars of the step's ratings, 1 to 5.",
        "stars",
        "star_hundredths",
        over="ratings",
        since="ratings",
    ),
    Series(
        "purchases",
        "Bought from suppliers",
        "Value bought from suppliers.",
        "micro-USD",
        "purchased",
        since="purchases",
    ),
)
"""Every series, in the order of the questions: how much, how well it stays sold, found how, bought by whom."""


def table_of(name: str) -> str:
    """Return the table that a sum is of."""
    return "orders" if name in (BUYERS, EARLIER) else BY_NAME[name].table


SUMS: Final = tuple(dict.fromkeys(name for series in SERIES for name in series.sums))
"""What is added up of each step, in the order in which it is stored."""


def steps_before(as_of: date) -> tuple[Step, ...]:
    """Return the twelve steps before a midnight, oldest first.

    Example: the last step before 2024-03-30 is [2024-02-29, 2024-03-30), and not settled.
    """
    ends = [as_of - timedelta(days=(STEPS - 1 - step) * STEP_DAYS) for step in range(STEPS)]
    settled = as_of - timedelta(days=SETTLED_AFTER)
    return tuple(Step(end - timedelta(days=STEP_DAYS), end, end <= settled) for end in ends)


def figure_of(series: Series, sums: Mapping[str, int | None]) -> int | float | None:
    """Return a figure from the sums of one step: whole where it is no rate, None where it is unknown.

    Example: of `Series("r", ..., "ratio", "returned", over="gross")` and 1 over 4 it is 0.25; over 0 it is None.
    """
    if any(sums[name] is None for name in series.sums):
        return None
    of, less, over = ((sums[name] or 0) if name else None for name in (series.of, series.less, series.over))
    value = (of or 0) - (less or 0)
    if over is None:
        return value
    if over <= 0:
        return None
    return value / (over * 100) if series.unit == "stars" else value / over


@cache
def digest() -> str:
    """Return the SHA-256 over what is stored of the steps; sums of another digest are computed again.

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
