"""The moving state of a chunk of sellers, and the diary of what happened on each day."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GOODS_SHARE: Final = 0.42
"""Cost of goods in a sale."""
NEVER: Final = 10**6
"""A day that does not come."""


@dataclass
class State:
    """The moving hidden state, one value a seller; at the top of the loop it is as of the day's midnight.

    `fast` and `slow` are the sales that the seller expects (two weeks' memory) and has grown used to (six months'),
    in USD a day; `stock` is goods at cost; `stress` runs from 0 to 1 as cash falls short.
    """

    health: FloatArray
    trend: FloatArray
    cash: FloatArray
    stock: FloatArray
    fast: FloatArray
    slow: FloatArray
    stress: FloatArray
    broke_days: NDArray[np.int64]
    closed_on: NDArray[np.int64]


@dataclass(frozen=True)
class Diary:
    """What happened, days x sellers, for the rooms that write events: all in USD or counts of a day.

    `gross` includes fake orders, `sales` does not. `wanted` is the orders that visitors came for;
    `spike` marks days far above what the seller expected.
    """

    wanted: NDArray[np.float32]
    ads: NDArray[np.float32]
    health: NDArray[np.float32]
    stress: NDArray[np.float32]
    spike: NDArray[np.bool_]
    sales: FloatArray
    refunds: FloatArray
    gross: FloatArray

    @classmethod
    def blank(cls, days: int, count: int) -> Diary:
        """A diary in which nothing has happened yet."""
        wanted, ads, health, stress = (np.zeros((days, count), dtype=np.float32) for _ in range(4))
        sales, refunds, gross = (np.zeros((days, count)) for _ in range(3))
        spike = np.zeros((days, count), dtype=np.bool_)
        return cls(wanted, ads, health, stress, spike, sales, refunds, gross)


@dataclass(frozen=True)
class Snapshot:
    """The moving hidden state of some sellers as of a midnight, one value a seller; nothing later is in it.

    `net_sales` and `refunds` are true USD of the 30 days before, `ads` the same; stock and cash as in `State`.
    """

    day: int
    seller: NDArray[np.int64]
    health: FloatArray
    drift: FloatArray
    trend: FloatArray
    cash: FloatArray
    stock: FloatArray
    stress: FloatArray
    expected_sales: FloatArray
    usual_sales: FloatArray
    net_sales: FloatArray
    refunds: FloatArray
    ads: FloatArray
    receivable: FloatArray

    @staticmethod
    def moving_names() -> tuple[str, ...]:
        """The names of the state itself, without day and seller."""
        return tuple(field.name for field in fields(Snapshot) if field.name not in {"day", "seller"})

    @classmethod
    def of(cls, day: int, seller: NDArray[np.int64], state: State, diary: Diary) -> Snapshot:
        """Read the state of `seller` before anything of `day` has happened."""
        month = slice(max(day - 30, 0), day)
        refunds = diary.refunds[month, seller].sum(axis=0)
        return cls(
            day=day,
            seller=seller,
            health=state.health[seller],
            drift=state.health[seller] - diary.health[max(day - 90, 0), seller],
            trend=state.trend[seller],
            cash=state.cash[seller],
            stock=state.stock[seller],
            stress=state.stress[seller],
            expected_sales=state.fast[seller],
            usual_sales=state.slow[seller],
            net_sales=diary.sales[month, seller].sum(axis=0) - refunds,
            refunds=refunds,
            ads=diary.ads[month, seller].sum(axis=0).astype(np.float64),
            receivable=diary.sales[max(day - 14, 0) : day, seller].sum(axis=0),
        )
