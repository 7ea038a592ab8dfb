"""The orders of a hostile market, and what follows from them: refunds and fulfilments."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from tests.oracles.market_draws import MIDNIGHTS, amount, beside, known, moment

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
class Ground:
    """What every table of a market is drawn on.

    Attributes:
        rng: draws.
        events: orders per store, at most.
        largest: upper end of amounts, micro-USD.
        owners: the first owner of each store.
        buyers: who orders.
    """

    rng: random.Random
    events: int
    largest: int
    owners: Mapping[str, str]
    buyers: Sequence[str]

    @property
    def stores(self) -> list[str]:
        """The stores in order of name."""
        return sorted(self.owners)


def orders(ground: Ground) -> Table:
    """Return orders at random and in rushes, own-store orders among them."""
    rows = [*_single_orders(ground), *_rushes(ground)]
    return [{"order_id": f"O{number}", **row} for number, row in enumerate(rows)]


def _single_orders(ground: Ground) -> Iterator[dict[str, Any]]:
    rng = ground.rng
    for store in ground.stores:
        own_centre = rng.choice(MIDNIGHTS)
        for _ in range(rng.randint(0, ground.events)):
            buyer = rng.choice(ground.stores) if rng.random() < 0.08 else rng.choice(ground.buyers)
            at = moment(rng, own_centre if rng.random() < 0.7 else rng.choice(MIDNIGHTS))
            yield _order(ground, store, buyer, at)


def _rushes(ground: Ground) -> Iterator[dict[str, Any]]:
    """One buyer, one owner, some stores, one hour of the clock or the edge of one."""
    rng = ground.rng
    for owner in sorted(set(ground.owners.values())):
        stores = [store for store in ground.stores if ground.owners[store] == owner]
        for _ in range(rng.randint(0, ground.events // 12)):
            hour = moment(rng).replace(minute=0, second=0, microsecond=0)
            buyer = rng.choice(ground.buyers)
            for _ in range(rng.randint(2, 4)):
                past = timedelta(seconds=rng.choice((0, 0, 1, 1800, 3599, 3600)))
                yield _order(ground, rng.choice(stores), buyer, hour + past + _slip(rng))


def _slip(rng: random.Random) -> timedelta:
    return timedelta(microseconds=rng.choice((0, 0, 0, 1, 999_999, -1)))


def _order(ground: Ground, store: str, buyer: str, at: datetime) -> dict[str, Any]:
    """Return an order, one of eight a guest's: by its place and time, so that guests change no other draw."""
    rng, guest = ground.rng, crc32(f"{store} {at}".encode()) % 8 == 0
    return {
        "store_id": store,
        "buyer_id": None if guest else buyer,
        "ordered_at": at,
        "amount_micros": amount(rng, ground.largest),
        "currency": rng.choice(CURRENCIES),
        "channel": rng.choice(CHANNELS),
        "buyer_country": rng.choice(COUNTRIES),
        "items": rng.choice((1, 1, 2, 7, 10**6)),
        "known_at": known(rng, at),
    }


def refunds(ground: Ground, sold: Table) -> Table:
    """Return refunds of a third of the orders: whole and partial, quick and late, of no order and of unknown ones."""
    rng, rows = ground.rng, Table()
    for order in rng.sample(sold, k=len(sold) // 3):
        at = order["ordered_at"] + beside(rng, rng.choice(_REFUND_HOURS))
        named = rng.random()
        rows.append(
            {
                "refund_id": f"R{len(rows)}",
                "order_id": None if named < 0.2 else "never-seen" if named < 0.25 else order["order_id"],
                "store_id": rng.choice(ground.stores) if rng.random() < 0.05 else order["store_id"],
                "refunded_at": at,
                "amount_micros": min(order["amount_micros"], amount(rng, order["amount_micros"] + 1)),
                "currency": order["currency"],
                "reason": rng.choice(_REASONS),
                "known_at": known(rng, at),
            }
        )
    return rows


def fulfilments(ground: Ground, sold: Table) -> Table:
    """Return what happened to parcels, on the edges of lateness, some before their order and some of unknown ones."""
    rng, rows = ground.rng, Table()
    stranger = {"order_id": "never-seen", "ordered_at": moment(rng), "store_id": ground.stores[0]}
    for order in [stranger, *sold]:
        for event, hours in _EVENT_HOURS.items():
            if rng.random() < _EVENT_CHANCE[event]:
                at = order["ordered_at"] + beside(rng, rng.choice(hours))
                store = rng.choice(ground.stores) if rng.random() < 0.05 else order["store_id"]
                row = {"order_id": order["order_id"], "store_id": store, "event": event, "at": at}
                rows.append(row | {"known_at": known(rng, at)})
    return rows
