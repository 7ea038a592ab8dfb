"""The mixes of fake orders that a clever seller would try against this catalogue, with budget and cost; settings.

How sellers truly sold before a midnight: what fake orders imitate, and where they hide.
"""

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
"""The smallest fake order: cheaper goods hardly exist, and to the faker's profit no marketplace demands more."""


COMMISSION: Final = 0.08
"""What the marketplace keeps of a sale that stands; of a refunded one it pays its commission back."""


TASK_FEE_USD: Final = 0.21
"""What a market for fake orders earns by one: $46,438 on 219,165 tasks (Xu et al., E-commerce Reputation Manipulation,
WWW 2015). What the buyer is paid is not known, so that costs here are the least they can be."""


EXTRAS: Final = ("traffic", "fulfilments", "ratings")
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
class Strategy:
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


STRATEGIES: Final = (
    # Few orders of the usual size: sales, trends, the last days
    Strategy("last week", 7),
    Strategy("last month", 30),
    Strategy("settled month", 30, 30),
    Strategy("settled quarter", 90, 30),
    Strategy("one order on the last day", 1, size=float("inf")),
    Strategy("last quarter, one loyal account", 90, accounts=1),
    # Own accounts, and money that comes back
    Strategy("last month, own store", 30, own=1.0),
    Strategy("last month, refunded the next day", 30, refunded=1.0, refund_after=1),
    Strategy("settled month, half own store, refunded after 45 days", 30, 30, own=0.5, refunded=1.0, refund_after=45),
    Strategy("settled quarter, refunded after 75 days", 90, 30, refunded=1.0, refund_after=75),
    # The same with visits, parcels and ratings; a livestream whose returns are thinned out
    Strategy("last month, all faked", 30, beside=EXTRAS),
    Strategy("settled month, all faked", 30, 30, beside=EXTRAS),
    Strategy("year, all faked", 365, beside=EXTRAS),
    Strategy("settled half-year, livestream, all faked", 180, 30, channel="livestream", beside=EXTRAS),
    # Many small orders: whatever counts orders, days, visits, parcels or ratings
    Strategy("quiet days of a month, small", 30, quiet=True, size=_SMALL),
    Strategy("quiet days of a month, small, visits", 30, quiet=True, size=_SMALL, beside=("traffic",)),
    Strategy("quiet days of a month, small, all faked", 30, quiet=True, size=_SMALL, beside=EXTRAS),
    Strategy("quarter, small, parcels", 90, 14, quiet=True, size=_SMALL, beside=("fulfilments",)),
    Strategy("quiet days of a quarter, small, ratings", 90, quiet=True, size=_SMALL, beside=("ratings",)),
    Strategy("half-year, least, all faked", 180, size=_LEAST, beside=EXTRAS),
)
"""Twenty, from the plainest to those that aim at what the catalogue counts rather than weighs in money."""


DAYS: Final = 90
"""Days before the midnight whose sales are imitated."""


_MONTH: Final = 30


_SHOWN: Final = ("visits", "visitors", "add_to_carts")


@dataclass(frozen=True)
class SalesPattern:
    """A seller as of a midnight.

    Attributes:
        seller_id: who.
        as_of: the midnight, datetime64[D].
        monthly: sales of a month, micro-USD.
        like: places of his orders of the last 90 days in the table of orders.
        busy: how many days before the midnight he sold something, each once.
        shown: visits, visitors and carts that come with an order.
        account: the account that counts as his own: the store of his latest order.
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
        """His average order, micro-USD."""
        return self.monthly * DAYS // _MONTH // len(self.like)


def sales_patterns(rows: Mapping[str, pa.Table], pairs: pd.DataFrame) -> Iterator[SalesPattern]:
    """Yield the habits of every seller with sales in the 90 days before his midnight.

    Args:
        rows: accepted rows by table of all these sellers.
        pairs: `seller_id` and `as_of`, one row a seller.
    """
    owner = _owners(rows["stores"])
    sales = _sales(rows["orders"], owner)
    shown = _with_traffic(rows, owner)
    for seller, as_of in zip(pairs["seller_id"], pairs["as_of"], strict=True):
        found = _pattern_of(seller, np.datetime64(as_of, "D"), sales.get(seller), shown.get(seller))
        if found is not None:
            yield found


def _pattern_of(
    seller: str, as_of: np.datetime64, sales: pd.DataFrame | None, shown: pd.DataFrame | None
) -> SalesPattern | None:
    if sales is None:
        return None
    ago = _days_before(as_of, sales["ordered_at"])
    seen = (ago > 0) & (_days_before(as_of, sales["visible_from"]) >= 0)
    lately = sales[seen & (ago <= DAYS)]
    if lately.empty:
        return None
    visits = np.zeros(len(_SHOWN))
    if shown is not None:
        since = _days_before(as_of, shown["day"])
        visits = shown[(since > 0) & (since <= DAYS)][list(_SHOWN)].sum().to_numpy()
    return SalesPattern(
        seller_id=seller,
        as_of=as_of,
        monthly=int(lately["amount_micros"].sum()) * _MONTH // DAYS,
        like=lately["place"].to_numpy(),
        busy=np.unique(ago[seen]),
        shown=visits / len(lately),
        account=str(lately.sort_values("ordered_at")["store_id"].iloc[-1]),
    )


def _owners(stores: pa.Table) -> pd.Series:
    """Return, by store, the owner that its latest version names."""
    versions: pd.DataFrame = stores.select(["store_id", "seller_id", "known_at"]).to_pandas()
    return versions.sort_values("known_at").drop_duplicates("store_id", keep="last").set_index("store_id")["seller_id"]


def _sales(orders: pa.Table, owner: pd.Series) -> dict[Any, pd.DataFrame]:
    """Return orders by seller, without those that owners placed with themselves."""
    columns = ["store_id", "buyer_id", "ordered_at", "amount_micros", "visible_from"]
    every: pd.DataFrame = orders.select(columns).to_pandas(date_as_object=False)
    every = every.assign(place=np.arange(len(every)), seller=every["store_id"].map(owner))
    own = (every["buyer_id"] == every["seller"]) | (every["buyer_id"].map(owner) == every["seller"])
    return dict(iter(every[~own].groupby("seller")))


def _with_traffic(rows: Mapping[str, pa.Table], owner: pd.Series) -> dict[Any, pd.DataFrame]:
    if "traffic" not in rows:
        return {}
    traffic: pd.DataFrame = rows["traffic"].select(["store_id", "day", *_SHOWN]).to_pandas(date_as_object=False)
    return dict(iter(traffic.groupby(traffic["store_id"].map(owner))))


def _days_before(as_of: np.datetime64, times: pd.Series) -> NDArray[np.int64]:
    """Return how many days before the midnight lies the day of each time: 1 is the day before."""
    days: NDArray[np.int64] = (as_of - times.to_numpy().astype("datetime64[D]")).astype(np.int64)
    return days
