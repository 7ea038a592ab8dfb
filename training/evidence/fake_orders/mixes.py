"""The mixes of fake orders that a clever seller would try against this catalogue, with budget and cost; settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from training.settings import STRICT

MICROS: Final = 1_000_000

BUDGET_SHARE: Final = 0.05
"""Face value of all fake orders of a seller, as a share of his monthly sales."""

LEAST_ORDER_USD: Final = 1.0
"""The smallest fake order: cheaper goods hardly exist, and to the faker's profit no marketplace demands more."""

COMMISSION: Final = 0.08
"""What the marketplace keeps of a sale that stands; of a refunded one it pays its commission back."""

TASK_FEE_USD: Final = 0.21
"""What a market for fake orders earns by one: $46,438 on 219,165 tasks (Xu et al., E-commerce Reputation Manipulation,
WWW 2015). What the buyer is paid is not known, so that costs here are the least they can be."""

BESIDE: Final = ("traffic", "fulfilments", "ratings")
"""What such a market offers with an order: visits as many as a true one needs, a parcel that moves, five stars."""


@dataclass(frozen=True)
class FakeOrdersConfig:
    """How many sellers are let buy; with none, the study is declined, and so is the model by its gate.

    Enough by default to see a hole, and few enough to take seconds; `make bench` takes 500. No more are let buy once
    they have `orders` true orders of 90 days together, so that a marketplace of large sellers takes no longer.
    """

    __pydantic_config__ = STRICT

    sellers: Annotated[int, Field(ge=0, le=10_000)] = 60
    orders: Annotated[int, Field(ge=1)] = 5_000


@dataclass(frozen=True)
class Mix:
    """One way to spend the budget on fake orders.

    Attributes:
        name: what it is, in a few words.
        days: over how many days the orders are spread, evenly.
        ended: how many days before the score's midnight those days ended.
        quiet: only days on which nothing was truly sold are used, where there are any.
        size: an order against the seller's usual one; what is smaller than LEAST_ORDER_USD costs that.
        accounts: from how many strangers' accounts the orders come; 0 is another for each.
        own: share of the orders that come from the account of the seller's own store.
        refunded: share of the orders that is refunded in full.
        refund_after: days from order to refund.
        channel: by which all come; None is as true orders do.
        beside: tables in which more is faked for each order, see BESIDE.
    """

    name: str
    days: int
    ended: int = 0
    quiet: bool = False
    size: float = 1.0
    accounts: int = 0
    own: float = 0.0
    refunded: float = 0.0
    refund_after: int = 0
    channel: str | None = None
    beside: tuple[str, ...] = ()

    def count(self, budget: int, usual: int) -> int:
        """Return how many orders the budget buys, at least one; both in micro-USD.

        Example: $50 buy 10 orders of a tenth of the usual $50, one usual order, or one that is smaller than usual.
        """
        price = max(self.size * usual, LEAST_ORDER_USD * MICROS)
        return max(int(budget // price), 1)

    def cost(self, face_usd: float, orders: int) -> float:
        """Return USD that the seller is poorer by afterwards: commission of what stands, and fees for strangers' work.

        Example: $50 in 10 orders by strangers, half of them refunded, cost $2 and 10 fees.
        """
        return face_usd * COMMISSION * (1.0 - self.refunded) + TASK_FEE_USD * orders * (1.0 - self.own)


_SMALL: Final = 0.05
_LEAST: Final = 0.0

MIXES: Final = (
    # Few orders of the usual size: sales, trends, the last days
    Mix("last week", 7),
    Mix("last month", 30),
    Mix("settled month", 30, 30),
    Mix("settled quarter", 90, 30),
    Mix("one order on the last day", 1, size=float("inf")),
    Mix("last quarter, one loyal account", 90, accounts=1),
    # Own accounts, and money that comes back
    Mix("last month, own store", 30, own=1.0),
    Mix("last month, refunded the next day", 30, refunded=1.0, refund_after=1),
    Mix("settled month, half own store, refunded after 45 days", 30, 30, own=0.5, refunded=1.0, refund_after=45),
    Mix("settled quarter, refunded after 75 days", 90, 30, refunded=1.0, refund_after=75),
    # The same with visits, parcels and ratings; a livestream whose returns are thinned out
    Mix("last month, all faked", 30, beside=BESIDE),
    Mix("settled month, all faked", 30, 30, beside=BESIDE),
    Mix("year, all faked", 365, beside=BESIDE),
    Mix("settled half-year, livestream, all faked", 180, 30, channel="livestream", beside=BESIDE),
    # Many small orders: whatever counts orders, days, visits, parcels or ratings
    Mix("quiet days of a month, small", 30, quiet=True, size=_SMALL),
    Mix("quiet days of a month, small, visits", 30, quiet=True, size=_SMALL, beside=("traffic",)),
    Mix("quiet days of a month, small, all faked", 30, quiet=True, size=_SMALL, beside=BESIDE),
    Mix("quarter, small, parcels", 90, 14, quiet=True, size=_SMALL, beside=("fulfilments",)),
    Mix("quiet days of a quarter, small, ratings", 90, quiet=True, size=_SMALL, beside=("ratings",)),
    Mix("half-year, least, all faked", 180, size=_LEAST, beside=BESIDE),
)
"""Twenty, from the plainest to those that aim at what the catalogue counts rather than weighs in money."""
