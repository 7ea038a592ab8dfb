"""Daily facts: what is added up of each row, and by which keys. Data only; `tiles` computes them.

All facts are integers (counts, hours or micro-USD), so that their sums are exact in any order.
"""

from dataclasses import dataclass
from typing import ClassVar, Final


@dataclass(frozen=True)
class Fact:
    """One sum over the rows of a table, by day.

    Facts of `refunds` and `fulfilments` count on the day of their order, if the row names one.

    Attributes:
        name: stable identifier.
        table: the table whose rows are added up.
        adds: the integer column to add up; None counts rows.
        where: a column and its permitted values; other rows are left out.
        own_store: the fact covers related-party orders only; all other facts leave them out, since they are no sales.
    """

    tag: ClassVar[str] = "fact"

    name: str
    table: str
    adds: str | None = None
    where: tuple[str, tuple[str, ...]] | None = None
    own_store: bool = False


QUICK_REFUND_HOURS: Final = 48
"""A refund within these hours of the order comes before goods can arrive."""

LATE_SHIPPING_HOURS: Final = 72
LATE_DELIVERY_HOURS: Final = 21 * 24
"""Cross-border parcels take 7 to 19 days; after three weeks a delivery is late."""

WEEKEND: Final = (5, 6)
"""Saturday and Sunday, counted from Monday as 0."""

LOAN_TABLES: Final = ("loans", "instalments", "payments")
"""The tables of a seller's loans. They have no tiles: `measures.repayment` reads the accepted rows."""

LATE_DAYS: Final = 3
"""Days past due that a bank transfer over a weekend takes; more is late."""

COVERED: Final = (999, 1000)
"""An instalment is paid once payments reach this share of all that fell due up to it; less is rounding."""

TILE_KEYS: Final = {
    "orders": ("buyer_country", "currency"),
    "refunds": ("days_after",),
    "traffic": (),
    "fulfilments": ("hours",),
    "ratings": (),
    "purchases": ("supplier_id",),
}
"""The tables with tiles, and the keys of their tiles in addition to store, day and visibility."""

_RETURNED: Final = ("reason", ("return", "refund"))
_DISPUTED: Final = ("reason", ("dispute", "chargeback"))

FACTS: Final = (
    Fact("orders", "orders"),
    Fact("items", "orders", "items"),
    Fact("gross", "orders", "amount_micros"),
    Fact("own_store_gross", "orders", "amount_micros", own_store=True),
    Fact("livestream_gross", "orders", "amount_micros", ("channel", ("livestream",))),
    Fact("festival_gross", "orders", "amount_micros", ("season", ("festival",))),
    Fact("weekend_gross", "orders", "amount_micros", ("weekpart", ("weekend",))),
    Fact("refunds", "refunds"),
    Fact("refunded", "refunds", "amount_micros"),
    Fact("returned", "refunds", "amount_micros", _RETURNED),
    Fact("livestream_returned", "refunds", "amount_micros", ("come_back", ("livestream",))),
    Fact("cancelled", "refunds", "amount_micros", ("reason", ("cancel",))),
    Fact("disputed", "refunds", "amount_micros", _DISPUTED),
    Fact("disputes", "refunds", None, _DISPUTED),
    Fact("quickly_refunded", "refunds", "amount_micros", ("speed", ("quick",))),
    Fact("dated_returns", "refunds", None, ("dated", ("return",))),
    Fact("return_days", "refunds", "days_after", ("dated", ("return",))),
    Fact("visits", "traffic", "visits"),
    Fact("visitors", "traffic", "visitors"),
    Fact("paid_visits", "traffic", "visits", ("channel", ("ads",))),
    Fact("search_visits", "traffic", "visits", ("channel", ("search",))),
    Fact("carts", "traffic", "add_to_carts"),
    Fact("ad_spend", "traffic", "amount_micros"),
    Fact("shipped", "fulfilments", None, ("event", ("shipped",))),
    Fact("shipping_hours", "fulfilments", "hours", ("event", ("shipped",))),
    Fact("shipped_late", "fulfilments", None, ("pace", ("shipped late",))),
    Fact("delivered", "fulfilments", None, ("event", ("delivered",))),
    Fact("delivery_hours", "fulfilments", "hours", ("event", ("delivered",))),
    Fact("delivered_late", "fulfilments", None, ("pace", ("delivered late",))),
    Fact("lost", "fulfilments", None, ("event", ("lost",))),
    Fact("ratings", "ratings", "ratings"),
    Fact("star_hundredths", "ratings", "star_hundredths"),
    Fact("purchases", "purchases"),
    Fact("purchased", "purchases", "amount_micros"),
)
"""Every fact, in the order of the tiles' columns.

`tiles` adds these columns to those of the contract:

- `season`, `weekpart` of orders: `festival` or `plain`, and `weekend` or `week`, by the day of the order
- `speed` of refunds: `quick` if refunded within QUICK_REFUND_HOURS and not a cancellation, else `usual`
- `come_back` of refunds: the channel of the order if it is a return, else `none`
- `dated` of refunds: `return` if it is a return that names its order, else `none`
- `days_after` of refunds: whole days since the order
- `hours` of fulfilments: whole hours since the order
- `pace` of fulfilments: `shipped late` or `delivered late`, else `ok`
- `star_hundredths` of ratings: hundredths of a star, added up over all ratings
"""

BY_NAME: Final = {fact.name: fact for fact in FACTS}
