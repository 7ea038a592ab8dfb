"""Rows that would change a frame as of T the most if they were used: known a microsecond too late, or exactly at T."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from tests.oracles.market import Market

Row = dict[str, Any]

TICK: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1)


def with_invisible_rows(rows: Market, end: datetime) -> Market:
    """Return the market with added rows that are invisible at every midnight up to `end`; no key is used twice."""
    added = {"sellers": _parties, "stores": _takeovers, "orders": _orders, "refunds": _refunds, "traffic": _traffic}
    added |= {"fulfilments": _fulfilments, "ratings": _ratings, "purchases": _purchases}
    added |= {"loans": _loans, "instalments": _instalments, "payments": _payments}
    return {name: [*table, *added[name](rows, end)] for name, table in rows.items()}


def _parties(rows: Market, end: datetime) -> Iterator[Row]:
    # buyers that become sellers, and sellers with an earlier onboarding in another country
    home = {"country": "BR", "base_currency": "BRL", "onboarded_at": end - timedelta(days=3000)}
    names = _buyers(rows) | {row["seller_id"] for row in rows["sellers"]}
    for name in sorted(names):
        yield home | {"seller_id": name, "known_at": end + TICK}


def _takeovers(rows: Market, end: datetime) -> Iterator[Row]:
    # every store changes owner, marketplace and age, and every buyer becomes a store of a seller
    stores = _stores(rows)
    for number, name in enumerate([*stores, *sorted(_buyers(rows) - set(stores))]):
        market = {"marketplace": f"new-{number}", "opened_at": end - timedelta(days=5000)}
        yield market | {"store_id": name, "seller_id": f"S{number % 7}", "known_at": end + 2 * TICK}


def _buyers(rows: Market) -> set[str]:
    return {row["buyer_id"] for row in rows["orders"] if row["buyer_id"] is not None}


def _stores(rows: Market) -> list[str]:
    return sorted({row["store_id"] for row in rows["stores"]})


def _orders(rows: Market, end: datetime) -> Iterator[Row]:
    for number, store in enumerate(_stores(rows)):
        common = {"store_id": store, "buyer_id": "B1", "amount_micros": 10**12, "currency": "JPY", "items": 5}
        common |= {"channel": "livestream", "buyer_country": "JP"}
        early = end - timedelta(days=2000)
        yield common | {"order_id": f"at-T-{number}", "ordered_at": end, "known_at": end - _DAY}
        yield common | {"order_id": f"late-{number}", "ordered_at": end - TICK, "known_at": end + TICK}
        yield common | {"order_id": f"first-{number}", "ordered_at": early, "known_at": end + TICK}
        if number == 0:  # the order that some refunds and fulfilments name, never visible
            yield common | {"order_id": "never-seen", "ordered_at": end - 40 * _DAY, "known_at": end + TICK}
    for number, order in enumerate(rows["orders"]):  # a rush for every order
        if order["ordered_at"] < end:
            for copy in range(2):
                yield order | {"order_id": f"rush-{number}-{copy}", "known_at": end + TICK}


def _refunds(rows: Market, end: datetime) -> Iterator[Row]:
    for order in rows["orders"]:
        common = {"order_id": order["order_id"], "store_id": order["store_id"], "amount_micros": 10**6}
        common |= {"refund_id": f"late-{order['order_id']}", "reason": "dispute", "currency": "JPY"}
        if order["ordered_at"] < end:
            yield common | {"refunded_at": order["ordered_at"], "known_at": end + TICK}
        else:
            yield common | {"order_id": None, "refunded_at": end, "known_at": end}


def _fulfilments(rows: Market, end: datetime) -> Iterator[Row]:
    # the missing events of parcels: some known late, some exactly at T
    existing = {(row["order_id"], row["event"]) for row in rows["fulfilments"]}
    for number, order in enumerate(rows["orders"]):
        for event in ("shipped", "delivered", "lost"):
            if (order["order_id"], event) not in existing:
                common = {"order_id": order["order_id"], "store_id": order["store_id"], "event": event}
                late = {"at": min(order["ordered_at"], end - TICK), "known_at": end + TICK}
                yield common | (late if number % 2 else {"at": end, "known_at": end - _DAY})


def _traffic(rows: Market, end: datetime) -> Iterator[Row]:
    for store in _stores(rows):
        common = {"store_id": store, "channel": "other", "visits": 1000, "visitors": 10, "add_to_carts": 7}
        common |= {"amount_micros": 10**9, "currency": "JPY"}
        yield common | {"day": end.date(), "known_at": end}
        yield common | {"day": end.date() - _DAY, "known_at": end + TICK}


def _ratings(rows: Market, end: datetime) -> Iterator[Row]:
    existing = {(row["store_id"], row["day"]) for row in rows["ratings"]}
    for store in _stores(rows):
        for day, known_at in ((end.date(), end), (end.date() - _DAY, end + TICK)):
            if (store, day) not in existing:
                yield {"store_id": store, "day": day, "ratings": 10**6, "stars": 1.0, "known_at": known_at}


def _purchases(rows: Market, end: datetime) -> Iterator[Row]:
    for store in _stores(rows):
        common = {"store_id": store, "supplier_id": f"new-{store}", "amount_micros": 10**9, "currency": "JPY"}
        yield common | {"purchase_id": f"at-T-{store}", "purchased_at": end, "known_at": end}
        yield common | {"purchase_id": f"late-{store}", "purchased_at": end - TICK, "known_at": end + TICK}


def _loans(rows: Market, end: datetime) -> Iterator[Row]:
    # a loan that begins at T, and one that is known too late
    for seller in sorted({row["seller_id"] for row in rows["sellers"]}):
        common = {"seller_id": seller, "principal": 1.0, "amount_micros": 10**6, "currency": "JPY", "term_days": 1}
        yield common | {"loan_id": f"at-T-{seller}", "disbursed_at": end, "known_at": end - _DAY}
        yield common | {"loan_id": f"late-{seller}", "disbursed_at": end - 90 * _DAY, "known_at": end + TICK}


def _instalments(rows: Market, end: datetime) -> Iterator[Row]:
    # for every loan an instalment due at T, and an overdue one that is known too late
    existing = {(row["loan_id"], row["due_on"]) for row in rows["instalments"]}
    for loan in _loan_ids(rows, end):
        common = {"loan_id": loan, "amount": 1000.0, "amount_micros": 10**9}
        for day, known_at in ((end.date(), end - _DAY), (end.date() - 91 * _DAY, end + TICK)):
            if (loan, day) not in existing:
                yield common | {"due_on": day, "known_at": known_at}


def _payments(rows: Market, end: datetime) -> Iterator[Row]:
    # the full amount of every loan, paid at T or known after T
    for loan in _loan_ids(rows, end):
        common = {"loan_id": loan, "amount": 10**6, "amount_micros": 10**12}
        yield common | {"payment_id": f"at-T-{loan}", "paid_at": end, "known_at": end}
        yield common | {"payment_id": f"late-{loan}", "paid_at": end - 200 * _DAY, "known_at": end + TICK}


def _loan_ids(rows: Market, end: datetime) -> list[str]:
    invisible = [row["loan_id"] for row in _loans(rows, end)] if rows["loans"] else []
    return [*(row["loan_id"] for row in rows["loans"]), *invisible]
