"""Fake orders as accepted rows: placed, paid back, and dressed up with visits, parcels and ratings, as a mix says.

Nothing is drawn at random: places and times are spread evenly, so that a gain is the mix's and not luck's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.fake_orders.habits import Habits
from training.evidence.fake_orders.mixes import BUDGET_SHARE, Mix

if TYPE_CHECKING:
    import pyarrow as pa

_DAY: Final = np.timedelta64(1, "D")
_HOUR: Final = np.timedelta64(1, "h")
_OPENS: Final = 8
_OPEN_HOURS: Final = 12
"""Orders come from 8:00, an hour apart, so that one account's are no rush and all are known before the day ends."""

_SHIPPED_AFTER: Final = 3 * _HOUR
_DELIVERED_AFTER: Final = 8 * _DAY
_STARS: Final = 5.0
_ROUNDING: Final = 1e-9

Columns = dict[str, Any]
"""Arrays by column name."""


@dataclass(frozen=True)
class Fakes:
    """Fake orders of many sellers, a value an order.

    `like` is the place of the true order that it resembles in all but buyer, time and amount; `shown` has its visits,
    visitors and carts, shape (orders, 3).
    """

    order_id: NDArray[Any]
    buyer_id: NDArray[Any]
    at: NDArray[np.datetime64]
    micros: NDArray[np.int64]
    like: NDArray[np.int64]
    shown: NDArray[np.int64]
    refunded: NDArray[np.bool_]

    @property
    def day(self) -> NDArray[np.datetime64]:
        """The day of each order."""
        days: NDArray[np.datetime64] = self.at.astype("datetime64[D]")
        return days


def budget(seller: Habits) -> int:
    """Return the face value of a seller's fake orders, micro-USD."""
    return int(seller.monthly * BUDGET_SHARE)


def place(seller: Habits, mix: Mix) -> Fakes:
    """Spend a seller's budget as a mix says, to the last micro-dollar."""
    spent = budget(seller)
    count = mix.count(spent, seller.usual)
    number = np.arange(count)
    account = number % mix.accounts if mix.accounts else number
    stranger = np.array([f"F-{seller.seller_id}-{each}" for each in account], dtype=object)
    micros = np.full(count, spent // count)
    micros[0] += spent - micros.sum()
    return Fakes(
        order_id=np.array([f"F-{seller.seller_id}-{each}" for each in number], dtype=object),
        buyer_id=np.where(_every(count, mix.own), seller.account, stranger),
        at=_times(seller.as_of, _ago(seller, mix, count)),
        micros=micros,
        like=seller.like[number % len(seller.like)],
        shown=np.tile(np.maximum(np.round(seller.shown), 1).astype(np.int64), (count, 1)),
        refunded=_every(count, mix.refunded),
    )


def _ago(seller: Habits, mix: Mix, count: int) -> NDArray[np.int64]:
    """Return for each order how many days before the midnight it is placed."""
    window = np.arange(mix.ended + 1, mix.ended + mix.days + 1)
    quiet = np.setdiff1d(window, seller.busy) if mix.quiet else window
    days = quiet if len(quiet) else window
    return days[((np.arange(count) + 0.5) * len(days) / count).astype(np.int64)]


def _times(as_of: np.datetime64, ago: NDArray[np.int64]) -> NDArray[np.datetime64]:
    hour = _OPENS + np.arange(len(ago)) % _OPEN_HOURS
    times: NDArray[np.datetime64] = np.asarray(as_of.astype("datetime64[us]") - (ago * _DAY - hour * _HOUR))
    return times


def _every(count: int, share: float) -> NDArray[np.bool_]:
    """Return True for a share of the orders, evenly among them: of 4 and a half, the second and the fourth."""
    chosen: NDArray[np.bool_] = np.diff(np.floor(np.arange(count + 1) * share + _ROUNDING)) > 0
    return chosen


def forge(sellers: Sequence[Habits], mix: Mix, rows: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Return the rows that a mix adds for some sellers, by table and in the form of the true ones.

    A table that the true rows lack stays absent: nobody can fake in what the platform does not deliver. A visit or a
    rating is a row of its own beside the store's others of that day, since tiles add them up.
    """
    placed = [place(seller, mix) for seller in sellers]
    fakes = Fakes(**{name: np.concatenate([getattr(each, name) for each in placed]) for name in Fakes.__annotations__})
    orders = _orders(fakes, mix, rows["orders"])
    made = {"orders": orders}
    if fakes.refunded.any():
        made["refunds"] = _refunds(fakes, mix, orders)
    makers = {"traffic": _traffic, "fulfilments": _fulfilments, "ratings": _ratings}
    made |= {name: makers[name](fakes, orders) for name in mix.beside}
    return {name: _table(columns, rows[name]) for name, columns in made.items() if name in rows}


def _orders(fakes: Fakes, mix: Mix, true: pa.Table) -> Columns:
    alike = true.take(fakes.like)
    columns: Columns = {name: alike[name].to_numpy() for name in alike.column_names}
    amount = columns["amount"] * fakes.micros / np.maximum(columns["amount_micros"], 1)
    return {
        **columns,
        "order_id": fakes.order_id,
        "buyer_id": fakes.buyer_id,
        "ordered_at": fakes.at,
        "known_at": fakes.at,
        "amount": np.maximum(np.round(amount, 2), 0.01),
        "amount_micros": fakes.micros,
        "channel": columns["channel"] if mix.channel is None else np.full(len(amount), mix.channel, dtype=object),
        "visible_from": fakes.day + _DAY,
    }


def _refunds(fakes: Fakes, mix: Mix, orders: Columns) -> Columns:
    back = fakes.refunded
    at = fakes.at[back] + mix.refund_after * _DAY
    return {
        **{name: orders[name][back] for name in ("order_id", "store_id", "amount", "currency", "amount_micros")},
        "refund_id": fakes.order_id[back],
        "refunded_at": at,
        "known_at": at,
        "reason": np.full(len(at), "refund", dtype=object),
        "visible_from": at.astype("datetime64[D]") + _DAY,
    }


def _traffic(fakes: Fakes, orders: Columns) -> Columns:
    nothing = np.zeros(len(fakes.at), dtype=np.int64)
    return {
        **_of_day(fakes, orders),
        "channel": np.full(len(nothing), "search", dtype=object),
        **{name: fakes.shown[:, n] for n, name in enumerate(("visits", "visitors", "add_to_carts"))},
        "ad_spend": nothing.astype(np.float64),
        "currency": orders["currency"],
        "amount_micros": nothing,
    }


def _ratings(fakes: Fakes, orders: Columns) -> Columns:
    ones = np.ones(len(fakes.at), dtype=np.int64)
    return {**_of_day(fakes, orders), "ratings": ones, "stars": ones * _STARS}


def _of_day(fakes: Fakes, orders: Columns) -> Columns:
    """What a day's report has in common: it stands at the order's day and is known when that is over."""
    over = fakes.day + _DAY
    return {
        "store_id": orders["store_id"],
        "day": fakes.day,
        "known_at": over.astype("datetime64[us]"),
        "visible_from": over,
    }


def _fulfilments(fakes: Fakes, orders: Columns) -> Columns:
    at = np.concatenate([fakes.at + _SHIPPED_AFTER, fakes.at + _DELIVERED_AFTER])
    return {
        **{name: np.tile(orders[name], 2) for name in ("order_id", "store_id")},
        "event": np.repeat(np.array(["shipped", "delivered"], dtype=object), len(fakes.at)),
        "at": at,
        "known_at": at,
        "visible_from": at.astype("datetime64[D]") + _DAY,
    }


def _table(columns: Columns, true: pa.Table) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: columns[name] for name in true.column_names}).cast(true.schema)
