"""The orders of a hostile market, and their refunds and fulfilments."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from tests.oracles.market_draws import MIDNIGHTS, amount, known_time, moment, near_hours

Table = list[dict[str, Any]]

CHANNELS = ("search", "ads", "livestream", "direct")
COUNTRIES = ("CN", "US", "DE", "BR")
CURRENCIES = ("USD", "CNY", "EUR", "GBP")

_REASONS = ("return", "refund", "cancel", "dispute", "chargeback")
_REFUND_HOURS = (-30, 0, 1, 47, 48, 49, 24 * 5, 24 * 20, 24 * 100)
_EVENT_HOURS = {
    "shipped": (-30, 0, 1, 2, 5, 23, 24, 25, 71, 72, 72, 73, 200),
    "delivered": (-1, 0, 24, 100, 200, 503, 504, 504, 505, 900),
    "lost": (24, 504, 720),
}
_EVENT_CHANCE = {"shipped": 0.7, "delivered": 0.5, "lost": 0.12}


@dataclass(frozen=True)
class MarketInputs:
    """Inputs of every table of a market.

    Attributes:
        rng: random generator.
        events: maximum number of orders per store.
        largest: largest amount in micro-USD.
        owners: the first owner of each store.
        buyers: IDs of buyers.
    """

    rng: random.Random
    events: int
    largest: int
    owners: Mapping[str, str]
    buyers: Sequence[str]

    @property
    def stores(self) -> list[str]:
        """Return the store ids in order."""
        return sorted(self.owners)


def orders(inputs: MarketInputs) -> Table:
    """Return random orders and rushes, including related-party orders."""
    rows = [*_single_orders(inputs), *_rushes(inputs)]
    return [{"order_id": f"O{number}", **row} for number, row in enumerate(rows)]


def _single_orders(inputs: MarketInputs) -> Iterator[dict[str, Any]]:
    rng = inputs.rng
    for store in inputs.stores:
        own_centre = rng.choice(MIDNIGHTS)
        for _ in range(rng.randint(0, inputs.events)):
            buyer = rng.choice(inputs.stores) if rng.random() < 0.08 else rng.choice(inputs.buyers)
            at = moment(rng, own_centre if rng.random() < 0.7 else rng.choice(MIDNIGHTS))
            yield _order(inputs, store, buyer, at)


def _rushes(inputs: MarketInputs) -> Iterator[dict[str, Any]]:
    """Yield orders of one buyer at one owner's stores within an hour, or at the edge of it."""
    rng = inputs.rng
    for owner in sorted(set(inputs.owners.values())):
        stores = [store for store in inputs.stores if inputs.owners[store] == owner]
        for _ in range(rng.randint(0, inputs.events // 12)):
            hour = moment(rng).replace(minute=0, second=0, microsecond=0)
            buyer = rng.choice(inputs.buyers)
            for _ in range(rng.randint(2, 4)):
                offset = timedelta(seconds=rng.choice((0, 0, 1, 1800, 3599, 3600)))
                yield _order(inputs, rng.choice(stores), buyer, hour + offset + _slip(rng))


def _slip(rng: random.Random) -> timedelta:
    return timedelta(microseconds=rng.choice((0, 0, 0, 1, 999_999, -1)))


def _order(inputs: MarketInputs, store: str, buyer: str, at: datetime) -> dict[str, Any]:
    """Return an order; one in eight has no buyer, chosen by store and time so that other draws do not change."""
    rng, is_guest = inputs.rng, crc32(f"{store} {at}".encode()) % 8 == 0
    return {
        "store_id": store,
        "buyer_id": None if is_guest else buyer,
        "ordered_at": at,
        "amount_micros": amount(rng, inputs.largest),
        "currency": rng.choice(CURRENCIES),
        "channel": rng.choice(CHANNELS),
        "buyer_country": rng.choice(COUNTRIES),
        "items": rng.choice((1, 1, 2, 7, 10**6)),
        "known_at": known_time(rng, at),
    }


def refunds(inputs: MarketInputs, sales: Table) -> Table:
    """Return refunds of a third of the orders: full and partial, quick and late, some without a known order."""
    rng, rows = inputs.rng, Table()
    for order in rng.sample(sales, k=len(sales) // 3):
        at = order["ordered_at"] + near_hours(rng, rng.choice(_REFUND_HOURS))
        kind = rng.random()
        rows.append(
            {
                "refund_id": f"R{len(rows)}",
                "order_id": None if kind < 0.2 else "never-seen" if kind < 0.25 else order["order_id"],
                "store_id": rng.choice(inputs.stores) if rng.random() < 0.05 else order["store_id"],
                "refunded_at": at,
                "amount_micros": min(order["amount_micros"], amount(rng, order["amount_micros"] + 1)),
                "currency": order["currency"],
                "reason": rng.choice(_REASONS),
                "known_at": known_time(rng, at),
            }
        )
    return rows


def fulfilments(inputs: MarketInputs, sales: Table) -> Table:
    """Return fulfilment events at the edges of lateness, some before their order and some of an unknown order."""
    rng, rows = inputs.rng, Table()
    unknown = {"order_id": "never-seen", "ordered_at": moment(rng), "store_id": inputs.stores[0]}
    for order in [unknown, *sales]:
        for event, hours in _EVENT_HOURS.items():
            if rng.random() < _EVENT_CHANCE[event]:
                at = order["ordered_at"] + near_hours(rng, rng.choice(hours))
                store = rng.choice(inputs.stores) if rng.random() < 0.05 else order["store_id"]
                row = {"order_id": order["order_id"], "store_id": store, "event": event, "at": at}
                rows.append(row | {"known_at": known_time(rng, at)})
    return rows
