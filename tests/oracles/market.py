"""A small hostile market: sellers, stores and events at the edges of windows and of visibility.

Rows are dicts of the contract's columns that features read, with `amount_micros`; one seed determines everything.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.oracles.market_draws import MIDNIGHTS, known_time, moment
from tests.oracles.market_events import COUNTRIES, CURRENCIES, MarketInputs, Table, fulfilments, orders, refunds
from tests.oracles.market_loans import loans
from tests.oracles.market_reports import purchases, ratings, traffic
from tests.oracles.seller_view import midnight

__all__ = ["IDS", "MIDNIGHTS", "Market", "Shape", "market", "pairs_of", "prefixed"]

Market = dict[str, Table]

IDS = (
    "seller_id",
    "store_id",
    "buyer_id",
    "order_id",
    "refund_id",
    "purchase_id",
    "supplier_id",
    "loan_id",
    "payment_id",
)
"""The columns with ids of parties and rows."""

_MARKETPLACES = ("amazon", "ebay", "etsy", "lazada", "shopee", "temu")


@dataclass(frozen=True)
class Shape:
    """Size and content of a market.

    Attributes:
        seed: determines everything else.
        sellers: number of sellers.
        events: orders per store, at most; other tables follow.
        absent: tables without any row.
        largest: upper end of amounts, micro-USD.
    """

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
    rows["orders"] = orders(inputs)
    rows["refunds"] = refunds(inputs, rows["orders"])
    rows["fulfilments"] = fulfilments(inputs, rows["orders"])
    rows["traffic"] = traffic(inputs)
    rows["ratings"] = ratings(inputs)
    rows["purchases"] = purchases(inputs)
    rows |= loans(rng, sellers, shape.events // 15, shape.largest)
    for name in shape.absent:
        rows[name] = []
    for table in rows.values():
        rng.shuffle(table)
    return rows


def prefixed(rows: Market, prefix: str) -> Market:
    """Return the rows with a prefix in all ids, so that several markets can share one store.

    Example: with the prefix `a:`, seller `S0` becomes `a:S0` in every table.
    """
    return {
        table: [
            {name: prefix + value if name in IDS and isinstance(value, str) else value for name, value in row.items()}
            for row in table_rows
        ]
        for table, table_rows in rows.items()
    }


def pairs_of(shape: Shape, midnights: Sequence[date] = MIDNIGHTS) -> list[tuple[str, date]]:
    """Return every seller of a market, and an unknown one, as of each midnight."""
    return [(seller, day) for seller in [*(f"S{n}" for n in range(shape.sellers)), "nobody"] for day in midnights]


def _sellers(rng: random.Random, sellers: list[str]) -> Table:
    rows: Table = []
    for seller in sellers:
        onboarded = moment(rng)
        for at in sorted({known_time(rng, onboarded) for _ in range(rng.randint(1, 3))}):
            onboarded -= timedelta(days=rng.choice((0, 0, 7)))
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
