"""How sellers truly sold before a midnight: what fake orders imitate, and where they hide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DAYS: Final = 90
"""Days before the midnight whose sales are imitated."""

_MONTH: Final = 30

_SHOWN: Final = ("visits", "visitors", "add_to_carts")


@dataclass(frozen=True)
class Habits:
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


def habits(rows: Mapping[str, pa.Table], pairs: pd.DataFrame) -> Iterator[Habits]:
    """Yield the habits of every seller with sales in the 90 days before his midnight.

    Args:
        rows: accepted rows by table of all these sellers.
        pairs: `seller_id` and `as_of`, one row a seller.
    """
    owner = _owners(rows["stores"])
    sales = _sales(rows["orders"], owner)
    shown = _shown(rows, owner)
    for seller, as_of in zip(pairs["seller_id"], pairs["as_of"], strict=True):
        found = _of(seller, np.datetime64(as_of, "D"), sales.get(seller), shown.get(seller))
        if found is not None:
            yield found


def _of(seller: str, as_of: np.datetime64, sales: pd.DataFrame | None, shown: pd.DataFrame | None) -> Habits | None:
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
    return Habits(
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


def _shown(rows: Mapping[str, pa.Table], owner: pd.Series) -> dict[Any, pd.DataFrame]:
    if "traffic" not in rows:
        return {}
    traffic: pd.DataFrame = rows["traffic"].select(["store_id", "day", *_SHOWN]).to_pandas(date_as_object=False)
    return dict(iter(traffic.groupby(traffic["store_id"].map(owner))))


def _days_before(as_of: np.datetime64, times: pd.Series) -> NDArray[np.int64]:
    """Return how many days before the midnight lies the day of each time: 1 is the day before."""
    days: NDArray[np.int64] = (as_of - times.to_numpy().astype("datetime64[D]")).astype(np.int64)
    return days
