"""Visible rows of one seller as of one midnight: the time rule, the stores of the seller and the day of each row.

It shares no code with `features`, so that agreement is evidence; it is simple and slow.
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
"""The column with the event time; None for tables of versions, which have only `known_at`."""

LOAN_TABLES = ("loans", "instalments", "payments")

OF_STORES = tuple(name for name in EVENT_TIME if name not in ("sellers", "stores", *LOAN_TABLES))
"""Tables whose rows belong to a store."""

OF_ORDERS = ("refunds", "fulfilments")
"""Tables whose rows count on the day of the order that they name; rows of other tables count on their own day."""


@dataclass(frozen=True)
class Entry:
    """A row assigned to a day, `age` days before T; `order` is the order that it names, if any."""

    day: date
    age: int
    row: Row
    order: Row | None = None


@dataclass(frozen=True)
class Loan:
    """A loan with its due instalments and its payments."""

    row: Row
    instalments: Sequence[Row]
    payments: Sequence[Row]


@dataclass(frozen=True)
class SellerView:
    """Everything visible of one seller as of one midnight: latest versions, loans, and entries by table.

    `known_tables` have a visible row of any seller. `orders` are sales; other orders are `related_party_orders`.
    """

    as_of: date
    known_tables: frozenset[str]
    party: Row | None
    stores: Sequence[Row]
    loans: Sequence[Loan]
    entries: Mapping[str, Sequence[Entry]]


def midnight(day: date) -> datetime:
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


def seller_view(visible_rows: Mapping[str, Sequence[Row]], seller_id: str, as_of: date) -> SellerView:
    """Return the view of one seller from the rows of all sellers that are visible as of T."""
    versions = _latest(visible_rows["stores"], "store_id").values()
    stores = [version for version in versions if version["seller_id"] == seller_id]
    store_ids = {version["store_id"] for version in stores}
    own_rows = {name: [row for row in visible_rows[name] if row["store_id"] in store_ids] for name in OF_STORES}
    entries = _EntryBuilder(as_of, store_ids | {seller_id}, {row["order_id"]: row for row in visible_rows["orders"]})
    orders = [entries.entry(row["ordered_at"], row) for row in own_rows["orders"]]
    return SellerView(
        as_of=as_of,
        known_tables=frozenset(name for name, rows in visible_rows.items() if rows),
        party=_party([row for row in visible_rows["sellers"] if row["seller_id"] == seller_id]),
        stores=stores,
        loans=[_loan(visible_rows, row) for row in visible_rows["loans"] if row["seller_id"] == seller_id],
        entries={
            "orders": [entry for entry in orders if entry.row["buyer_id"] not in entries.related_parties],
            "related_party_orders": [entry for entry in orders if entry.row["buyer_id"] in entries.related_parties],
            **{name: entries.at_order_days(own_rows[name]) for name in OF_ORDERS},
            **{
                name: [entries.entry(row[str(EVENT_TIME[name])], row) for row in own_rows[name]]
                for name in OF_STORES
                if name not in ("orders", *OF_ORDERS)
            },
        },
    )


def _loan(visible_rows: Mapping[str, Sequence[Row]], loan: Row) -> Loan:
    tables = (visible_rows["instalments"], visible_rows["payments"])
    return Loan(loan, *([row for row in table if row["loan_id"] == loan["loan_id"]] for table in tables))


def _party(versions: Sequence[Row]) -> Row | None:
    """Return the latest version of a seller, onboarded on the earliest day of any version."""
    if not versions:
        return None
    latest = max(versions, key=lambda row: row["known_at"])
    return {**latest, "onboarded_at": min(row["onboarded_at"] for row in versions)}


def _latest(versions: Iterable[Row], key: str) -> dict[str, Row]:
    latest: dict[str, Row] = {}
    for row in versions:
        if row[key] not in latest or row["known_at"] > latest[row[key]]["known_at"]:
            latest[row[key]] = row
    return latest


@dataclass(frozen=True)
class _EntryBuilder:
    """Assigns a seller's rows to days; `orders` are the visible orders of all stores."""

    as_of: date
    related_parties: set[str]
    orders: Mapping[str, Row]

    def entry(self, at: date | datetime, row: Row, order: Row | None = None) -> Entry:
        day = at.date() if isinstance(at, datetime) else at
        return Entry(day, (self.as_of - day).days, row, order)

    def at_order_days(self, rows: Iterable[Row]) -> list[Entry]:
        """Assign rows to the day of the order that they name, or to their own day if they name none.

        Exclude rows that name an order that is not visible or that a related party placed.
        """
        entries = []
        for row in rows:
            if row["order_id"] is None:
                entries.append(self.entry(row["refunded_at"], row))
                continue
            order = self.orders.get(row["order_id"])
            if order is not None and order["buyer_id"] not in self.related_parties:
                entries.append(self.entry(order["ordered_at"], row, order))
        return entries
