"""The changing state of a chunk of sellers, its daily history, and snapshots."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.rows import FloatArray

GOODS_SHARE: Final = 0.42
"""Cost of goods in a sale."""
NEVER: Final = 10**6
"""A day after the end of every simulation."""


@dataclass
class State:
    """The changing hidden state, one value per seller; at the start of the loop it is as of the day's midnight.

    `fast` and `slow` are moving averages of daily sales over two weeks and six months, in USD; `stock` is goods at
    cost; `stress` rises from 0 to 1 as cash runs short.
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
class DailyHistory:
    """Daily values, days x sellers, in USD or counts.

    `gross` includes fake orders, `sales` does not. `expected` is the demand in orders; `spike` marks days far above the
    expected sales.
    """

    expected: NDArray[np.float32]
    ads: NDArray[np.float32]
    health: NDArray[np.float32]
    stress: NDArray[np.float32]
    spike: NDArray[np.bool_]
    sales: FloatArray
    refunds: FloatArray
    gross: FloatArray
    purchases: FloatArray

    @classmethod
    def blank(cls, days: int, count: int) -> DailyHistory:
        """Return an empty history."""
        expected, ads, health, stress = (np.zeros((days, count), dtype=np.float32) for _ in range(4))
        sales, refunds, gross, purchases = (np.zeros((days, count)) for _ in range(4))
        spike = np.zeros((days, count), dtype=np.bool_)
        return cls(expected, ads, health, stress, spike, sales, refunds, gross, purchases)


@dataclass(frozen=True)
class Snapshot:
    """The changing hidden state of some sellers as of a midnight, one value per seller, without later events.

    `net_sales`, `refunds` and `ads` are USD of the 30 days before, without fake orders; stock and cash as in `State`.
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
        """Return the names of all fields except day and seller."""
        return tuple(field.name for field in fields(Snapshot) if field.name not in {"day", "seller"})

    @classmethod
    def of(cls, day: int, seller: NDArray[np.int64], state: State, history: DailyHistory) -> Snapshot:
        """Return the state of `seller` before the events of `day`."""
        month = slice(max(day - 30, 0), day)
        refunds = history.refunds[month, seller].sum(axis=0)
        return cls(
            day=day,
            seller=seller,
            health=state.health[seller],
            drift=state.health[seller] - history.health[max(day - 90, 0), seller],
            trend=state.trend[seller],
            cash=state.cash[seller],
            stock=state.stock[seller],
            stress=state.stress[seller],
            expected_sales=state.fast[seller],
            usual_sales=state.slow[seller],
            net_sales=history.sales[month, seller].sum(axis=0) - refunds,
            refunds=refunds,
            ads=history.ads[month, seller].sum(axis=0).astype(np.float64),
            receivable=history.sales[max(day - 14, 0) : day, seller].sum(axis=0),
        )
