"""A small hostile market: sellers, stores and events at the edges of windows and of visibility.

Rows are dicts of the contract's columns that features read, with `amount_micros`; one seed determines everything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.oracles import market_events as events
from tests.oracles.market_events import (
    COUNTRIES,
    CURRENCIES,
    MIDNIGHTS,
    MarketInputs,
    Table,
    amount,
    known_time,
    moment,
)
from tests.oracles.seller_view import midnight

__all__ = ["IDS", "MIDNIGHTS", "Market", "Shape", "market", "pairs_of", "together"]

Market = dict[str, Table]

IDS = ("seller_id", "store_id", "buyer_id", "order_id", "refund_id", "purchase_id", "supplier_id")
IDS += ("loan_id", "payment_id")
"""The columns with ids of parties and rows."""

_MARKETPLACES = ("amazon", "ebay", "etsy", "lazada", "shopee", "temu")


@dataclass(frozen=True)
class Shape:
    """Size and content of a market: at most `events` orders per store, and amounts up to `largest` micro-USD."""

    seed: int
    sellers: int = 10
    events: int = 40
    absent: frozenset[str] = frozenset()
    largest: int = 10**9


def market(shape: Shape) -> Market:
    """Return a market's rows by table; every table of `absent` is an empty list."""
    rng = random.Random(shape.seed)  # noqa: S311 - a test market, nothing secret
    sellers = [f"S{number}" for number in range(shape.sellers)]
    rows: Market = {"sellers": _sellers(rng, sellers), "stores": _stores(rng, sellers)}
    # some sellers are buyers too
    buyers = (*(f"B{number}" for number in range(8)), *rng.sample(sellers, k=min(3, len(sellers))))
    inputs = MarketInputs(rng, shape.events, shape.largest, _first_owners(rows["stores"]), buyers)
    rows["orders"] = events.orders(inputs)
    rows["refunds"] = events.refunds(inputs, rows["orders"])
    rows["fulfilments"] = events.fulfilments(inputs, rows["orders"])
    rows["traffic"] = events.traffic(inputs)
    rows["ratings"] = events.ratings(inputs)
    rows["purchases"] = events.purchases(inputs)
    rows |= loans(rng, sellers, shape.events // 15, shape.largest)
    for name in shape.absent:
        rows[name] = []
    for table in rows.values():
        rng.shuffle(table)
    return rows


def _prefixed(rows: Market, prefix: str) -> Market:
    return {
        table: [
            {name: prefix + value if name in IDS and isinstance(value, str) else value for name, value in row.items()}
            for row in table_rows
        ]
        for table, table_rows in rows.items()
    }


def together(markets: Mapping[str, Market]) -> Market:
    """Return the rows of several markets for one store; ids get the name of their market as a prefix."""
    rows: Market = {}
    for name, one in markets.items():
        for table, table_rows in _prefixed(one, f"{name}:").items():
            rows.setdefault(table, []).extend(table_rows)
    return rows


def pairs_of(shape: Shape, midnights: Sequence[date] = MIDNIGHTS) -> list[tuple[str, date]]:
    """Return every seller of a market, and an unknown one, as of each midnight."""
    return [(seller, day) for seller in [*(f"S{n}" for n in range(shape.sellers)), "nobody"] for day in midnights]


def _sellers(rng: random.Random, sellers: list[str]) -> Table:
    rows: Table = []
    for seller in sellers:
        onboarded = moment(rng)
        for at in sorted({known_time(rng, onboarded) for _ in range(rng.randint(1, 3))}):
            onboarded -= timedelta(days=rng.choice((0, 7, -7)))
            home = {"country": rng.choice(COUNTRIES), "base_currency": rng.choice(CURRENCIES)}
            rows.append({"seller_id": seller, **home, "onboarded_at": onboarded, "known_at": at})
    return rows


def _stores(rng: random.Random, sellers: list[str]) -> Table:
    rows: Table = []
    # one store per seller, and several for some
    for number, owner in enumerate([*sellers, *(sellers[:3] * 2), *(sellers[:1] * 3)]):
        first = midnight(MIDNIGHTS[0]) - timedelta(days=rng.randint(1, 700))
        rows.append(_version(rng, f"T{number}") | {"seller_id": owner, "known_at": first})
        later = {known_time(rng, moment(rng)) for _ in range(rng.choice((0, 0, 1, 2)))} - {first}
        rows.extend(
            _version(rng, f"T{number}") | {"seller_id": rng.choice(sellers), "known_at": at} for at in sorted(later)
        )
    return rows


def _version(rng: random.Random, store: str) -> dict[str, Any]:
    opened = moment(rng) - timedelta(days=rng.choice((0, 100, 2000)))
    return {"store_id": store, "marketplace": rng.choice(_MARKETPLACES), "opened_at": opened}


def _first_owners(versions: Table) -> Mapping[str, str]:
    owners: dict[str, str] = {}
    for row in versions:
        owners.setdefault(row["store_id"], row["seller_id"])
    return owners


_LATE_DAYS = (-9, -1, 0, 0, 0, 1, 2, 3, 4, 5, 20, 91, 400)
"""Days from due to paid."""

_PARTS = (999, 1000, 500, 100, 998, 1500)
"""Thousandths of an instalment that a payment can have; 999 are enough, 998 are not."""


@dataclass(frozen=True)
class _Loan:
    """One random loan with its day and instalments."""

    number: int
    day: date
    due: Sequence[tuple[date, int]]


def loans(rng: random.Random, sellers: Sequence[str], max_loans: int, largest: int) -> dict[str, Table]:
    """Return loans, instalments and payments of sellers, at most `max_loans` loans each.

    `principal` and `amount` assume that each currency equals a dollar; `deliver` converts them.
    """
    rows: dict[str, Table] = {"loans": [], "instalments": [], "payments": []}
    for seller in sellers:
        for _ in range(rng.randint(0, max_loans)):
            loan = _random_loan(rng, len(rows["loans"]), largest)
            rows["loans"].append(_contract(rng, loan, seller, largest))
            rows["instalments"].extend(_instalments(rng, loan))
            rows["payments"].extend(_payments(rng, loan))
    return rows


def _random_loan(rng: random.Random, number: int, largest: int) -> _Loan:
    count = rng.choice((0, 1, 2, 4, 6))
    step = rng.choice((1, 30, 30, 61))
    day = moment(rng).date() - timedelta(days=rng.choice((0, 0, 30, 90, 180, 400)))
    if rng.random() < 0.3:  # the last instalment is due exactly at a midnight, so it is not visible
        day = rng.choice(MIDNIGHTS) - timedelta(days=step * count)
    days = [day + timedelta(days=step * position) for position in range(1, count + 1)]
    return _Loan(number, day, [(due_on, amount(rng, largest)) for due_on in days])


def _contract(rng: random.Random, loan: _Loan, seller: str, largest: int) -> dict[str, Any]:
    at = midnight(loan.day) + timedelta(seconds=rng.choice((0, 1, 40_000, 86_399)))
    micros = amount(rng, largest)
    last = (loan.due[-1][0] - loan.day).days if loan.due else 30
    return {
        "loan_id": f"L{loan.number}",
        "seller_id": seller,
        "disbursed_at": at,
        "principal": micros / 1e6,
        "amount_micros": micros,
        "currency": rng.choice(CURRENCIES),
        "term_days": max(last + rng.choice((0, 0, 0, -1, 1, 60)), 1),
        "known_at": known_time(rng, at),
    }


def _instalments(rng: random.Random, loan: _Loan) -> Iterator[dict[str, Any]]:
    for due_on, micros in loan.due:
        # a plan is known in advance, except a late one
        at = known_time(rng, midnight(due_on)) if rng.random() < 0.2 else midnight(loan.day) + timedelta(hours=12)
        yield _amounts(loan, micros) | {"due_on": due_on, "known_at": at}


def _payments(rng: random.Random, loan: _Loan) -> Iterator[dict[str, Any]]:
    on_time = rng.random() < 0.4
    number = 0
    for due_on, micros in loan.due:
        for part in (1000,) if on_time else rng.choice(((1000,), (500, 500), (rng.choice(_PARTS),), ())):
            days = 0 if on_time else rng.choice(_LATE_DAYS)
            at = midnight(due_on + timedelta(days=days)) + timedelta(seconds=rng.choice((0, 1, 60_000, 86_399)))
            row = {"payment_id": f"Y{loan.number}-{number}", "paid_at": at, "known_at": known_time(rng, at)}
            yield _amounts(loan, -(-micros * part // 1000)) | row
            number += 1
    if not on_time and rng.random() < 0.2:
        at = moment(rng, rng.choice(MIDNIGHTS))
        row = {"payment_id": f"Y{loan.number}-x", "paid_at": at, "known_at": known_time(rng, at)}
        yield _amounts(loan, 10**6) | row


def _amounts(loan: _Loan, micros: int) -> dict[str, Any]:
    accepted = min(micros, 10**14)  # the largest amount that ingest accepts
    return {"loan_id": f"L{loan.number}", "amount": accepted / 1e6, "amount_micros": accepted}
