"""Daily facts: what of each row is added up per seller and day. Data only; `tiles` executes them.

All facts are integers (counts, or micro-USD), so that their sums are exact in any order.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Fact:
    """One thing to add up per day.

    `adds` names an integer column (None counts rows); `where` admits rows whose column holds one of the values.
    `own_store` facts take the orders that owners place with themselves; all others leave them out, for they
    are no sales. A fact of `refunds` falls on the day of the order that it undoes, where that is named.
    """

    name: str
    table: str
    adds: str | None = None
    where: tuple[str, tuple[str, ...]] | None = None
    own_store: bool = False


_RETURNED: Final = ("reason", ("return", "refund"))
_CANCELLED: Final = ("reason", ("cancel",))
_DISPUTED: Final = ("reason", ("dispute", "chargeback"))

FACTS: Final = (
    Fact("orders", "orders"),
    Fact("gross", "orders", "amount_micros"),
    Fact("own_store_gross", "orders", "amount_micros", own_store=True),
    Fact("livestream_gross", "orders", "amount_micros", ("channel", ("livestream",))),
    Fact("refunded", "refunds", "amount_micros"),
    Fact("returned", "refunds", "amount_micros", _RETURNED),
    Fact("cancelled", "refunds", "amount_micros", _CANCELLED),
    Fact("disputes", "refunds", None, _DISPUTED),
    Fact("quickly_refunded", "refunds", "amount_micros", ("speed", ("quick",))),
    Fact("visits", "traffic", "visits"),
    Fact("paid_visits", "traffic", "visits", ("channel", ("ads",))),
    Fact("ad_spend", "traffic", "amount_micros"),
    Fact("purchased", "purchases", "amount_micros"),
)
"""Every fact, in the order of the tiles' columns. `speed` is `quick` where money went back, not as a cancel, within
`QUICK_REFUND_HOURS` of the order: sooner than goods could travel."""

QUICK_REFUND_HOURS: Final = 48

BY_NAME: Final = {fact.name: fact for fact in FACTS}
