"""Strategies of fake orders with budget and cost, the sales patterns that they imitate, and the study's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from training.settings import STRICT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


MICROS: Final = 1_000_000

BUDGET_SHARE: Final = 0.05
"""Face value of all fake orders of a seller, as a share of his monthly sales."""

LEAST_ORDER_USD: Final = 1.0
"""The smallest fake order: cheaper goods hardly exist. No marketplace requires more."""

COMMISSION: Final = 0.08
"""The marketplace's commission on a sale; it is paid back with a refund."""

TASK_FEE_USD: Final = 0.21
"""The fee of a market for fake orders: $46,438 on 219,165 tasks (Xu et al., E-commerce Reputation Manipulation, WWW
2015). The payment to the buyer is not known, so the costs here are a lower bound."""

EXTRAS: Final = ("traffic", "fulfilments", "ratings")
"""Extras that such a market sells with an order: as many visits as a true order has, a tracked parcel, five stars."""

DAYS: Final = 90
"""Days before the midnight whose sales are imitated."""

_MONTH: Final = 30
_SHOWN: Final = ("visits", "visitors", "add_to_carts")


@dataclass(frozen=True)
class FakeOrdersConfig:
    """Settings of the study: the number of sellers to attack. 0 skips the study, and the gate then fails.

    The default finds a weakness within seconds; `make bench` uses 500. Sellers are added until they have `orders`
    true orders of 90 days together, so that large sellers do not slow the study down.
    """

    __pydantic_config__ = STRICT

    sellers: Annotated[int, Field(ge=0, le=10_000)] = 60
    orders: Annotated[int, Field(ge=1)] = 5_000


@dataclass(frozen=True)
class Strategy:
    """One way to spend the budget on fake orders.

    Attributes:
        name: a description in a few words.
        days: number of days over which the orders are spread evenly.
        ended: number of days between the last of those days and the score's midnight.
        quiet: True to use only days without true sales, if there are any.
        size: value of an order relative to the seller's average order, at least LEAST_ORDER_USD.
        accounts: number of strangers' accounts that place the orders; 0 is a new account for each order.
        own: share of the orders from the account of the seller's own store.
        refunded: share of the orders that is refunded in full.
        refund_after: days from order to refund.
        channel: of all fake orders; None is that of the true orders.
        extras: tables with additional fake rows for each order, see EXTRAS.
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
    extras: tuple[str, ...] = ()

    def count(self, budget: int, usual: int) -> int:
        """Return the number of orders that the budget pays for, at least one; both amounts in micro-USD.

        Example: with an average order of $50, a budget of $50 pays for 10 orders of size 0.1 or one of size 1.
        """
        price = max(self.size * usual, LEAST_ORDER_USD * MICROS)
        return max(int(budget // price), 1)

    def cost(self, face_usd: float, orders: int) -> float:
        """Return the seller's cost in USD: commission on orders without a refund, and fees for strangers' orders.

        Example: $50 in 10 orders by strangers, half of them refunded, cost $2 and 10 fees.
        """
        return face_usd * COMMISSION * (1.0 - self.refunded) + TASK_FEE_USD * orders * (1.0 - self.own)


_SMALL: Final = 0.05
_LEAST: Final = 0.0

STRATEGIES: Final = (
    # Few orders of average size, against sales and trends
    Strategy("last week", 7),
    Strategy("last month", 30),
    Strategy("settled month", 30, 30),
    Strategy("settled quarter", 90, 30),
    Strategy("one order on the last day", 1, size=float("inf")),
    Strategy("last quarter, one loyal account", 90, accounts=1),
    # Own accounts and refunds
    Strategy("last month, own store", 30, own=1.0),
    Strategy("last month, refunded the next day", 30, refunded=1.0, refund_after=1),
    Strategy("settled month, half own store, refunded after 45 days", 30, 30, own=0.5, refunded=1.0, refund_after=45),
    Strategy("settled quarter, refunded after 75 days", 90, 30, refunded=1.0, refund_after=75),
    # The same with visits, parcels and ratings; a livestream, to reduce its return rate
    Strategy("last month, all faked", 30, extras=EXTRAS),
    Strategy("settled month, all faked", 30, 30, extras=EXTRAS),
    Strategy("year, all faked", 365, extras=EXTRAS),
    Strategy("settled half-year, livestream, all faked", 180, 30, channel="livestream", extras=EXTRAS),
    # Many small orders, against counts of orders, days, visits, parcels or ratings
    Strategy("quiet days of a month, small", 30, quiet=True, size=_SMALL),
    Strategy("quiet days of a month, small, visits", 30, quiet=True, size=_SMALL, extras=("traffic",)),
    Strategy("quiet days of a month, small, all faked", 30, quiet=True, size=_SMALL, extras=EXTRAS),
    Strategy("quarter, small, parcels", 90, 14, quiet=True, size=_SMALL, extras=("fulfilments",)),
    Strategy("quiet days of a quarter, small, ratings", 90, quiet=True, size=_SMALL, extras=("ratings",)),
    Strategy("half-year, least, all faked", 180, size=_LEAST, extras=EXTRAS),
)
"""Twenty strategies, from simple ones to those that target features which count events instead of money."""


@dataclass(frozen=True)
class SalesPattern:
    """The sales of a seller before a midnight.

    Attributes:
        seller_id: the seller.
        as_of: the midnight, datetime64[D].
        monthly: sales of a month, micro-USD.
        like: positions of the seller's orders of the last 90 days in the table of orders.
        busy: the days with sales, as distinct numbers of days before the midnight.
        shown: visits, visitors and carts for each order.
        account: the seller's own account: the store of the latest order.
    """

    seller_id: str
    as_of: np.datetime64
    monthly: int
    like: NDArray[np.int64]
    busy: NDArray[np.int64]
    shown: NDArray[np.float64]
    account: str

    @property
    def usual(self) -> int:
        """The average order, micro-USD."""
        return self.monthly * DAYS // _MONTH // len(self.like)


def sales_patterns(rows: Mapping[str, pa.Table], pairs: pd.DataFrame) -> Iterator[SalesPattern]:
    """Yield the sales pattern of every seller (a row of `pairs`) with sales in the 90 days before the midnight."""
    owner = _owners(rows["stores"])
    sales = _sales(rows["orders"], owner)
    traffic = _traffic_by_seller(rows, owner)
    for seller, as_of in zip(pairs["seller_id"], pairs["as_of"], strict=True):
        pattern = _pattern_of(seller, np.datetime64(as_of, "D"), sales.get(seller), traffic.get(seller))
        if pattern is not None:
            yield pattern


def _pattern_of(
    seller: str, as_of: np.datetime64, sales: pd.DataFrame | None, traffic: pd.DataFrame | None
) -> SalesPattern | None:
    if sales is None:
        return None
    ago = _days_before(as_of, sales["ordered_at"])
    visible = (ago > 0) & (_days_before(as_of, sales["visible_from"]) >= 0)
    recent = sales[visible & (ago <= DAYS)]
    if recent.empty:
        return None
    visits = np.zeros(len(_SHOWN))
    if traffic is not None:
        since = _days_before(as_of, traffic["day"])
        visits = traffic[(since > 0) & (since <= DAYS)][list(_SHOWN)].sum().to_numpy()
    return SalesPattern(
        seller_id=seller,
        as_of=as_of,
        monthly=int(recent["amount_micros"].sum()) * _MONTH // DAYS,
        like=recent["place"].to_numpy(),
        busy=np.unique(ago[visible]),
        shown=visits / len(recent),
        account=str(recent.sort_values("ordered_at")["store_id"].iloc[-1]),
    )


def _owners(stores: pa.Table) -> pd.Series:
    versions: pd.DataFrame = stores.select(["store_id", "seller_id", "known_at"]).to_pandas()
    return versions.sort_values("known_at").drop_duplicates("store_id", keep="last").set_index("store_id")["seller_id"]


def _sales(orders: pa.Table, owner: pd.Series) -> dict[Any, pd.DataFrame]:
    """Return orders by seller, without those that owners placed in their own stores."""
    columns = ["store_id", "buyer_id", "ordered_at", "amount_micros", "visible_from"]
    rows: pd.DataFrame = orders.select(columns).to_pandas(date_as_object=False)
    rows = rows.assign(place=np.arange(len(rows)), seller=rows["store_id"].map(owner))
    own = (rows["buyer_id"] == rows["seller"]) | (rows["buyer_id"].map(owner) == rows["seller"])
    return dict(iter(rows[~own].groupby("seller")))


def _traffic_by_seller(rows: Mapping[str, pa.Table], owner: pd.Series) -> dict[Any, pd.DataFrame]:
    if "traffic" not in rows:
        return {}
    traffic: pd.DataFrame = rows["traffic"].select(["store_id", "day", *_SHOWN]).to_pandas(date_as_object=False)
    return dict(iter(traffic.groupby(traffic["store_id"].map(owner))))


def _days_before(as_of: np.datetime64, times: pd.Series) -> NDArray[np.int64]:
    """Return the number of days from each time to the midnight: 1 is the day before."""
    days: NDArray[np.int64] = (as_of - times.to_numpy().astype("datetime64[D]")).astype(np.int64)
    return days
