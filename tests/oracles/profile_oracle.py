"""Naive oracle of profiles: sums of twelve steps and days with rows, by loops over rows.

It follows docs/profile.md and shares no code with `features`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tests.oracles.features.quality import hundredths
from tests.oracles.features.window_sums import DISPUTES, RETURNS
from tests.oracles.seller_view import EVENT_TIME, OF_ORDERS, OF_STORES, Entry, Row, SellerView, seller_view


@dataclass(frozen=True)
class Coverage:
    """First and last day with a row, and days with rows by step."""

    first: date
    last: date
    days: tuple[int, ...]


def sums(visible_rows: Mapping[str, Sequence[Row]], seller_id: str, as_of: date) -> dict[str, tuple[int, ...] | None]:
    """Return each sum by step, oldest first; None if the table was not delivered."""
    view = seller_view(visible_rows, seller_id, as_of)
    terms: dict[str, tuple[str, Callable[[Entry], int]]] = {
        "gross": ("orders", lambda e: e.row["amount_micros"]),
        "orders": ("orders", lambda _: 1),
        "refunded": ("refunds", lambda e: e.row["amount_micros"]),
        "returned": ("refunds", lambda e: e.row["amount_micros"] * (e.row["reason"] in RETURNS)),
        "cancelled": ("refunds", lambda e: e.row["amount_micros"] * (e.row["reason"] == "cancel")),
        "disputed": ("refunds", lambda e: e.row["amount_micros"] * (e.row["reason"] in DISPUTES)),
        "shipped": ("fulfilments", lambda e: int(e.row["event"] == "shipped")),
        "shipped_late": ("fulfilments", _shipped_late),
        "visits": ("traffic", lambda e: e.row["visits"]),
        "ad_spend": ("traffic", lambda e: e.row["amount_micros"]),
        "ratings": ("ratings", lambda e: e.row["ratings"]),
        "star_hundredths": ("ratings", lambda e: e.row["ratings"] * hundredths(e.row["stars"])),
        "purchased": ("purchases", lambda e: e.row["amount_micros"]),
    }
    totals = {
        name: tuple(sum(map(value, _in_step(view.entries[table], step))) for step in range(12))
        if table in view.known_tables
        else None
        for name, (table, value) in terms.items()
    }
    orders_known = "orders" in view.known_tables
    return totals | {
        "buyers": tuple(len(_buyers(view, step)) for step in range(12)) if orders_known else None,
        "earlier_buyers": tuple(_returning_buyers(view, step) for step in range(12)) if orders_known else None,
    }


def _shipped_late(entry: Entry) -> int:
    late = entry.order is not None and entry.row["at"] > entry.order["ordered_at"] + timedelta(hours=72)
    return int(entry.row["event"] == "shipped" and late)


def _in_step(entries: Sequence[Entry], step: int) -> list[Entry]:
    """Return the entries of the days 30 * (11 - step) + 1 to 30 * (12 - step) before T."""
    return [entry for entry in entries if 30 * (11 - step) < entry.age <= 30 * (12 - step)]


def _buyers(view: SellerView, step: int) -> set[str]:
    return {entry.row["buyer_id"] for entry in _in_step(view.entries["orders"], step)} - {None}


def _returning_buyers(view: SellerView, step: int) -> int:
    step_end = 30 * (12 - step)
    previous = {e.row["buyer_id"] for e in view.entries["orders"] if step_end < e.age <= step_end + 90}
    return len(_buyers(view, step) & previous)


def coverage(visible_rows: Mapping[str, Sequence[Row]], seller_id: str, as_of: date) -> dict[str, Coverage]:
    """Return the days with rows of each table, including related-party orders; tables without rows are absent."""
    store_ids = {store["store_id"] for store in seller_view(visible_rows, seller_id, as_of).stores}
    orders = {row["order_id"]: row for row in visible_rows["orders"]}
    covered = {}
    for table in OF_STORES:
        rows = [row for row in visible_rows[table] if row["store_id"] in store_ids]
        days = {day for day in (_day(table, row, orders) for row in rows) if day is not None and day < as_of}
        if days:
            ages = [(as_of - day).days for day in days]
            by_step = tuple(sum(30 * (11 - step) < age <= 30 * (12 - step) for age in ages) for step in range(12))
            covered[table] = Coverage(min(days), max(days), by_step)
    return covered


def _day(table: str, row: Row, orders: Mapping[str, Row]) -> date | None:
    if table not in OF_ORDERS:
        at = row[str(EVENT_TIME[table])]
    elif row["order_id"] is None:
        at = row["refunded_at"]
    elif row["order_id"] in orders:
        at = orders[row["order_id"]]["ordered_at"]
    else:
        return None
    return at.date() if isinstance(at, datetime) else at
