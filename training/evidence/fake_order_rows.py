"""Fake orders as accepted rows: orders, refunds, visits, parcels and ratings of a strategy.

Nothing is random: orders are spread evenly over time, so that a gain comes from the strategy and not from chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from training.evidence.fake_order_strategies import BUDGET_SHARE, SalesPattern, Strategy

if TYPE_CHECKING:
    import pyarrow as pa


_DAY: Final = np.timedelta64(1, "D")
_HOUR: Final = np.timedelta64(1, "h")
_OPENS: Final = 8
_OPEN_HOURS: Final = 12
"""Orders are placed from 8:00, an hour apart, so that one account's do not count as a rush and all are known before the
day ends."""

_SHIPPED_AFTER: Final = 3 * _HOUR
_DELIVERED_AFTER: Final = 8 * _DAY
_STARS: Final = 5.0
_ROUNDING: Final = 1e-9

Columns = dict[str, Any]
"""Arrays by column name."""


def budget(seller: SalesPattern) -> int:
    """Return the face value of a seller's fake orders, micro-USD."""
    return int(seller.monthly * BUDGET_SHARE)


def place_orders(seller: SalesPattern, strategy: Strategy) -> Columns:
    """Spend a seller's whole budget on the orders of a strategy; every array has a value for each order.

    `like` is the position of the true order that a fake one copies, except for buyer, time and amount; `shown` has its
    visits, visitors and carts, shape (orders, 3).
    """
    spent = budget(seller)
    count = strategy.count(spent, seller.usual)
    number = np.arange(count)
    account = number % strategy.accounts if strategy.accounts else number
    stranger = np.array([f"F-{seller.seller_id}-{each}" for each in account], dtype=object)
    micros = np.full(count, spent // count)
    micros[0] += spent - micros.sum()
    return {
        "order_id": np.array([f"F-{seller.seller_id}-{each}" for each in number], dtype=object),
        "buyer_id": np.where(_spread(count, strategy.own), seller.account, stranger),
        "ordered_at": _times(seller.as_of, _days_ago(seller, strategy, count)),
        "amount_micros": micros,
        "like": seller.like[number % len(seller.like)],
        "shown": np.tile(np.maximum(np.round(seller.shown), 1).astype(np.int64), (count, 1)),
        "refunded": _spread(count, strategy.refunded),
    }


def _days_ago(seller: SalesPattern, strategy: Strategy, count: int) -> NDArray[np.int64]:
    window = np.arange(strategy.ended + 1, strategy.ended + strategy.days + 1)
    quiet = np.setdiff1d(window, seller.busy) if strategy.quiet else window
    days = quiet if len(quiet) else window
    return days[((np.arange(count) + 0.5) * len(days) / count).astype(np.int64)]


def _times(as_of: np.datetime64, ago: NDArray[np.int64]) -> NDArray[np.datetime64]:
    hour = _OPENS + np.arange(len(ago)) % _OPEN_HOURS
    times: NDArray[np.datetime64] = np.asarray(as_of.astype("datetime64[us]") - (ago * _DAY - hour * _HOUR))
    return times


def _spread(count: int, share: float) -> NDArray[np.bool_]:
    """Return True for a share of the orders, spread evenly: for half of 4 orders, the second and the fourth."""
    chosen: NDArray[np.bool_] = np.diff(np.floor(np.arange(count + 1) * share + _ROUNDING)) > 0
    return chosen


def generate_rows(
    sellers: Sequence[SalesPattern], strategy: Strategy, rows: Mapping[str, pa.Table]
) -> dict[str, pa.Table]:
    """Return the rows that a strategy adds for some sellers, by table and in the schema of the true ones.

    A table without true rows stays absent, because the platform does not deliver it. A fake visit or rating is a
    separate row of the store's day, because tiles add up all rows of a day.
    """
    placed = [place_orders(seller, strategy) for seller in sellers]
    fakes = {name: np.concatenate([orders[name] for orders in placed]) for name in placed[0]}
    orders = _order_rows(fakes, strategy, rows["orders"])
    added = {"orders": orders}
    if orders["refunded"].any():
        added["refunds"] = _refunds(orders, strategy)
    extras = {"traffic": _traffic, "fulfilments": _fulfilments, "ratings": _ratings}
    added |= {name: extras[name](orders) for name in strategy.extras}
    return {name: _table(columns, rows[name]) for name, columns in added.items() if name in rows}


def _order_rows(fakes: Columns, strategy: Strategy, true: pa.Table) -> Columns:
    originals = true.take(fakes["like"])
    columns = {name: originals[name].to_numpy() for name in originals.column_names}
    amount = columns["amount"] * fakes["amount_micros"] / np.maximum(columns["amount_micros"], 1)
    if strategy.channel is not None:
        columns["channel"] = np.full(len(amount), strategy.channel, dtype=object)
    return {
        **columns,
        **fakes,
        "amount": np.maximum(np.round(amount, 2), 0.01),
        "known_at": fakes["ordered_at"],
        "visible_from": _next_day(fakes["ordered_at"]),
    }


def _next_day(times: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    return np.asarray(times.astype("datetime64[D]") + _DAY, dtype="datetime64[D]")


def _refunds(orders: Columns, strategy: Strategy) -> Columns:
    refunded = orders["refunded"]
    at = orders["ordered_at"][refunded] + strategy.refund_after * _DAY
    return {
        **{name: orders[name][refunded] for name in ("order_id", "store_id", "amount", "currency", "amount_micros")},
        "refund_id": orders["order_id"][refunded],
        "refunded_at": at,
        "known_at": at,
        "reason": np.full(len(at), "refund", dtype=object),
        "visible_from": _next_day(at),
    }


def _traffic(orders: Columns) -> Columns:
    zeros = np.zeros(len(orders["shown"]), dtype=np.int64)
    return {
        **_of_day(orders),
        "channel": np.full(len(zeros), "search", dtype=object),
        **dict(zip(("visits", "visitors", "add_to_carts"), orders["shown"].T, strict=True)),
        "ad_spend": zeros.astype(np.float64),
        "currency": orders["currency"],
        "amount_micros": zeros,
    }


def _ratings(orders: Columns) -> Columns:
    ones = np.ones(len(orders["shown"]), dtype=np.int64)
    return {**_of_day(orders), "ratings": ones, "stars": ones * _STARS}


def _of_day(orders: Columns) -> Columns:
    """Return the columns of a daily row: it belongs to the order's day and is known at the end of the day."""
    end = orders["visible_from"]
    return {
        "store_id": orders["store_id"],
        "day": end - _DAY,
        "known_at": end.astype("datetime64[us]"),
        "visible_from": end,
    }


def _fulfilments(orders: Columns) -> Columns:
    at = np.concatenate([orders["ordered_at"] + _SHIPPED_AFTER, orders["ordered_at"] + _DELIVERED_AFTER])
    return {
        **{name: np.tile(orders[name], 2) for name in ("order_id", "store_id")},
        "event": np.repeat(np.array(["shipped", "delivered"], dtype=object), len(orders["ordered_at"])),
        "at": at,
        "known_at": at,
        "visible_from": _next_day(at),
    }


def _table(columns: Columns, true: pa.Table) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: columns[name] for name in true.column_names}).cast(true.schema)
