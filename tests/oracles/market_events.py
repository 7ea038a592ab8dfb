"""Random draws at the edges of windows and of visibility, and the events of the stores of a hostile market.

All functions draw from the generator in their arguments, so that one seed determines everything.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zlib import crc32

from tests.oracles.seller_view import midnight

MIDNIGHTS = (date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 1), date(2024, 5, 29), date(2025, 3, 1))
"""Around a leap day and a change of year, and 90 and 366 days apart."""

EDGES = (
    *(0, 1, 2, 6, 7, 8, 13, 14, 15, 29, 30, 31, 44, 45, 46, 59, 60, 61, 89, 90, 91, 104, 105, 119, 120, 121, 150, 151),
    *(179, 180, 181, 209, 210, 211, 224, 225, 226, 270, 271, 300, 330, 359, 360, 364, 365, 366, 378, 379, 380),
    *(389, 390, 391, 394, 395, 396, 484, 485, 486),
)
"""Days before T at which a window opens or closes, and the adjacent days."""

FESTIVE = (
    *(date(2023, 6, day) for day in (15, 16, 18, 19)),
    *(date(2023, 11, day) for day in (8, 9, 11, 12, 23, 24, 27, 28)),
    *(date(2023, 12, day) for day in (10, 11, 20, 21)),
    *(date(2024, 11, day) for day in (8, 9, 11, 12, 28, 29)),
    *(date(2024, 12, day) for day in (2, 3, 10, 11, 20, 21)),
)
"""First and last days of festivals, and the adjacent days."""

SLIPS = (timedelta(), timedelta(microseconds=1), timedelta(microseconds=500_000), timedelta(seconds=1))
"""Distances from an edge."""


def moment(rng: random.Random, centre: date | None = None) -> datetime:
    """Return a time near the edge of a window, often within a microsecond, or any time of these years."""
    day = midnight(centre or rng.choice(MIDNIGHTS))
    kind = rng.random()
    if kind < 0.55:
        day -= timedelta(days=rng.choice(EDGES))
    elif kind < 0.65:
        day = midnight(rng.choice(FESTIVE))
    else:
        day -= timedelta(days=rng.randint(-30, 500))
    within = timedelta(seconds=rng.randrange(86400), microseconds=rng.choice((0, 0, 1, 500_000, 999_999)))
    return day + rng.choice((timedelta(), timedelta(microseconds=-1), within))


def known_time(rng: random.Random, at: datetime) -> datetime:
    """Return the `known_at` of a row.

    Mostly soon after the event, sometimes at a midnight or a microsecond later, sometimes weeks late, rarely earlier.
    """
    kind = rng.random()
    next_midnight = midnight(at.date() + timedelta(days=1))
    if kind < 0.5:
        return at + timedelta(seconds=rng.randrange(3600))
    if kind < 0.65:
        return next_midnight
    if kind < 0.75:
        return next_midnight + timedelta(microseconds=1)
    if kind < 0.95:
        return at + timedelta(days=rng.randint(1, 60))
    return at - timedelta(days=rng.randint(0, 3))


def amount(rng: random.Random, largest: int) -> int:
    """Return an amount in micro-USD up to `largest`, often 0, 1 or `largest`."""
    return rng.choice((0, 1, largest, rng.randint(0, largest), rng.randint(0, largest)))


def near_hours(rng: random.Random, hours: float) -> timedelta:
    """Return this many hours, exactly or with a small difference."""
    return timedelta(hours=hours) + rng.choice((-1, 1)) * rng.choice(SLIPS)


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
    """Inputs of every table of a market; `owners` are the first owners of the stores."""

    rng: random.Random
    events: int
    largest: int
    owners: Mapping[str, str]
    buyers: Sequence[str]

    @property
    def stores(self) -> list[str]:
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
                offset, store = timedelta(seconds=rng.choice((0, 0, 1, 1800, 3599, 3600))), rng.choice(stores)
                slip = timedelta(microseconds=rng.choice((0, 0, 0, 1, 999_999, -1)))
                yield _order(inputs, store, buyer, hour + offset + slip)


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


_STARS = (1.0, 5.0, 4.35, 4.335, 4.345, 4.395, 1.005, 2.675, 3.1234567)
"""Values with half hundredths, some of them slightly smaller as a double."""


def traffic(inputs: MarketInputs) -> Table:
    """Return traffic of busy stores and of stores with more orders than visits; columns can contradict each other."""
    rng = inputs.rng
    quiet = set(rng.sample(inputs.stores, k=len(inputs.stores) // 2))
    keys = {
        (store, moment(rng).date(), rng.choice(CHANNELS))
        for store in inputs.stores
        for _ in range(rng.randint(0, inputs.events))
    }
    return [
        {
            "store_id": store,
            "day": day,
            "channel": channel,
            "visits": rng.choice((0, 1, 2)) if store in quiet else _count(rng),
            "visitors": _count(rng),
            "add_to_carts": _count(rng),
            "amount_micros": amount(rng, inputs.largest),
            "currency": rng.choice(CURRENCIES),
            "known_at": known_time(rng, midnight(day)),
        }
        for store, day, channel in sorted(keys)
    ]


def _count(rng: random.Random) -> int:
    return rng.choice((0, 0, rng.randint(1, 9), rng.randint(0, 10**6)))


def ratings(inputs: MarketInputs) -> Table:
    """Return ratings, many with stars that have half hundredths."""
    rng = inputs.rng
    keys = {(store, moment(rng).date()) for store in inputs.stores for _ in range(rng.randint(0, inputs.events // 2))}
    return [
        {
            "store_id": store,
            "day": day,
            "ratings": rng.choice((1, 1, 3, rng.randint(1, 10**4))),
            "stars": rng.choice((*_STARS, rng.uniform(1, 5))),
            "known_at": known_time(rng, midnight(day)),
        }
        for store, day in sorted(keys)
    ]


def purchases(inputs: MarketInputs) -> Table:
    rng = inputs.rng
    rows: Table = []
    for store in inputs.stores:
        for _ in range(rng.randint(0, inputs.events // 3)):
            at = moment(rng)
            rows.append(
                {
                    "purchase_id": f"P{len(rows)}",
                    "store_id": store,
                    "supplier_id": f"U{rng.randrange(5)}",
                    "purchased_at": at,
                    "amount_micros": amount(rng, inputs.largest),
                    "currency": rng.choice(CURRENCIES),
                    "known_at": known_time(rng, at),
                }
            )
    return rows
