"""What one midnight shows of one seller, by hand: the one time rule, who holds which store, what belongs to which day.

It shares no code with `features`, so that agreeing with it says something; it is as slow as it is plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]

EVENT_TIME = {
    "sellers": None,
    "stores": None,
    "orders": "ordered_at",
    "refunds": "refunded_at",
    "traffic": "day",
    "purchases": "purchased_at",
}
"""The column that the time rule reads; None is a version, whose time is `known_at` alone."""


@dataclass(frozen=True)
class Entry:
    """An amount that counts on a day: an order, a refund on the day where it belongs, visits, a purchase."""

    day: date
    row: Row
    quick: bool = False


@dataclass(frozen=True)
class Sight:
    """All that one midnight shows of one seller; `known` are the tables of which any seller had a row by then."""

    as_of: date
    known: frozenset[str]
    stores: int
    onboarded: date | None
    orders: list[Entry]
    own_orders: list[Entry]
    refunds: list[Entry]
    traffic: list[Entry]
    purchases: list[Entry]


def midnight(day: date) -> datetime:
    """Return the start of a day.

    Example: `midnight(date(2024, 2, 29))` is 2024-02-29 00:00:00.
    """
    return datetime.combine(day, time(), UTC).replace(tzinfo=None)


def visible(rows: Rows, as_of: date) -> dict[str, list[Row]]:
    """Return the rows that the time rule admits: event time < T and known_at <= T."""
    return {name: [row for row in rows.get(name, ()) if _admits(name, row, midnight(as_of))] for name in EVENT_TIME}


def _admits(table: str, row: Row, end: datetime) -> bool:
    if row["known_at"] > end:
        return False
    column = EVENT_TIME[table]
    if column is None:
        return True
    event = row[column]
    return bool((event if isinstance(event, datetime) else midnight(event)) < end)


def sight(seen: Mapping[str, Sequence[Row]], seller_id: str, as_of: date) -> Sight:
    """Return what the rows visible as of T, of everyone, show of one seller."""
    held = {
        store for store, version in _latest(seen["stores"], "store_id").items() if version["seller_id"] == seller_id
    }
    version = _latest(seen["sellers"], "seller_id").get(seller_id)
    insiders = held | {seller_id}
    by_id = {row["order_id"]: row for row in seen["orders"]}
    orders = [Entry(row["ordered_at"].date(), row) for row in seen["orders"] if row["store_id"] in held]
    return Sight(
        as_of=as_of,
        known=frozenset(name for name, those in seen.items() if those),
        stores=len(held),
        onboarded=None if version is None else version["onboarded_at"].date(),
        orders=[entry for entry in orders if entry.row["buyer_id"] not in insiders],
        own_orders=[entry for entry in orders if entry.row["buyer_id"] in insiders],
        refunds=[
            entry
            for row in seen["refunds"]
            if row["store_id"] in held and (entry := _refund(row, by_id, insiders)) is not None
        ],
        traffic=[Entry(row["day"], row) for row in seen["traffic"] if row["store_id"] in held],
        purchases=[Entry(row["purchased_at"].date(), row) for row in seen["purchases"] if row["store_id"] in held],
    )


def _latest(versions: Iterable[Row], key: str) -> dict[str, Row]:
    latest: dict[str, Row] = {}
    for row in versions:
        if row[key] not in latest or row["known_at"] > latest[row[key]]["known_at"]:
            latest[row[key]] = row
    return latest


def _refund(row: Row, orders: Mapping[str, Row], insiders: set[str]) -> Entry | None:
    # it undoes its order on the order's day; of an order that is not visible, or is no sale, it undoes nothing
    if row["order_id"] is None:
        return Entry(row["refunded_at"].date(), row)
    order = orders.get(row["order_id"])
    if order is None or order["buyer_id"] in insiders:
        return None
    soon = row["refunded_at"] - order["ordered_at"] < timedelta(hours=48)
    return Entry(order["ordered_at"].date(), row, quick=soon and row["reason"] != "cancel")
