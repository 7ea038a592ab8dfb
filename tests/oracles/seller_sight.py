"""What one midnight shows of one seller, by hand: the one time rule, who holds which store, what belongs to which day.

It shares no code with `features`, so that agreeing with it says something; it is as slow as it is plain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

Row = Mapping[str, Any]
Rows = Mapping[str, Sequence[Row]]

EVENT_TIME = {
    "sellers": None,
    "stores": None,
    "orders": "ordered_at",
    "refunds": "refunded_at",
    "traffic": "day",
    "fulfilments": "at",
    "ratings": "day",
    "purchases": "purchased_at",
    "loans": "disbursed_at",
    "instalments": "due_on",
    "payments": "paid_at",
}
"""The column that the time rule reads; None is a version, whose time is `known_at` alone."""

OF_STORES = ("orders", "refunds", "traffic", "fulfilments", "ratings", "purchases")
"""Tables whose rows are a store's."""


@dataclass(frozen=True)
class Entry:
    """A row that counts on a day, `age` days before T; `order` is the order that it belongs to, if it names one."""

    day: date
    age: int
    row: Row
    order: Row | None = None


@dataclass(frozen=True)
class Loan:
    """A loan, the instalments that fell due of it and the payments made."""

    row: Row
    instalments: Sequence[Row]
    payments: Sequence[Row]


@dataclass(frozen=True)
class Sight:
    """All that one midnight shows of one seller.

    Attributes:
        as_of: T.
        known: the tables of which any seller had a row by then.
        party: the latest version of the seller, None where there is none.
        stores: the latest versions of the stores that the seller holds.
        loans: those paid out to the seller.
        entries: `orders` (sales), `own_orders`, `refunds`, `fulfilments`, `traffic`, `ratings`, `purchases`.
    """

    as_of: date
    known: frozenset[str]
    party: Row | None
    stores: Sequence[Row]
    loans: Sequence[Loan]
    entries: Mapping[str, Sequence[Entry]]


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
    versions = _latest(seen["stores"], "store_id").values()
    stores = [version for version in versions if version["seller_id"] == seller_id]
    held = {version["store_id"] for version in stores}
    theirs = {name: [row for row in seen[name] if row["store_id"] in held] for name in OF_STORES}
    desk = _Desk(as_of, held | {seller_id}, {row["order_id"]: row for row in seen["orders"]})
    orders = [desk.entry(row["ordered_at"], row) for row in theirs["orders"]]
    return Sight(
        as_of=as_of,
        known=frozenset(name for name, those in seen.items() if those),
        party=_latest(seen["sellers"], "seller_id").get(seller_id),
        stores=stores,
        loans=[_loan(seen, row) for row in seen["loans"] if row["seller_id"] == seller_id],
        entries={
            "orders": [entry for entry in orders if entry.row["buyer_id"] not in desk.own_accounts],
            "own_orders": [entry for entry in orders if entry.row["buyer_id"] in desk.own_accounts],
            "refunds": desk.of_their_orders(theirs["refunds"]),
            "fulfilments": desk.of_their_orders(theirs["fulfilments"]),
            "traffic": [desk.entry(row["day"], row) for row in theirs["traffic"]],
            "ratings": [desk.entry(row["day"], row) for row in theirs["ratings"]],
            "purchases": [desk.entry(row["purchased_at"], row) for row in theirs["purchases"]],
        },
    )


def _loan(seen: Mapping[str, Sequence[Row]], loan: Row) -> Loan:
    of = {
        name: [row for row in seen[name] if row["loan_id"] == loan["loan_id"]] for name in ("instalments", "payments")
    }
    return Loan(loan, of["instalments"], of["payments"])


def _latest(versions: Iterable[Row], key: str) -> dict[str, Row]:
    latest: dict[str, Row] = {}
    for row in versions:
        if row[key] not in latest or row["known_at"] > latest[row[key]]["known_at"]:
            latest[row[key]] = row
    return latest


@dataclass(frozen=True)
class _Desk:
    """Where a seller's rows are laid to their days; `orders` are all visible ones, in whosever store."""

    as_of: date
    own_accounts: set[str]
    orders: Mapping[str, Row]

    def entry(self, at: date | datetime, row: Row, order: Row | None = None) -> Entry:
        day = at.date() if isinstance(at, datetime) else at
        return Entry(day, (self.as_of - day).days, row, order)

    def of_their_orders(self, rows: Iterable[Row]) -> list[Entry]:
        """Lay rows to the day of the order that they name; what names no order, to its own.

        What names an order that is not visible, or one from an own account, belongs nowhere.
        """
        entries = []
        for row in rows:
            if row["order_id"] is None:
                entries.append(self.entry(row["refunded_at"], row))
                continue
            order = self.orders.get(row["order_id"])
            if order is not None and order["buyer_id"] not in self.own_accounts:
                entries.append(self.entry(order["ordered_at"], row, order))
        return entries
