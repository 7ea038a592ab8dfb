"""What the stores of a hostile market see and do beside orders: traffic, ratings and purchases."""

from __future__ import annotations

import random

from tests.oracles.market_draws import amount, known, moment
from tests.oracles.market_events import CHANNELS, CURRENCIES, Ground, Table
from tests.oracles.seller_sight import midnight

_STARS = (1.0, 5.0, 4.35, 4.335, 4.345, 4.395, 1.005, 2.675, 3.1234567)
"""Hundredths with halves, some of which a double holds a little below."""


def traffic(ground: Ground) -> Table:
    """Return traffic of busy stores and of such as have more orders than visits; the columns need not agree."""
    rng = ground.rng
    quiet = set(rng.sample(ground.stores, k=len(ground.stores) // 2))
    keys = {
        (store, moment(rng).date(), rng.choice(CHANNELS))
        for store in ground.stores
        for _ in range(rng.randint(0, ground.events))
    }
    return [
        {
            "store_id": store,
            "day": day,
            "channel": channel,
            "visits": rng.choice((0, 1, 2)) if store in quiet else _count(rng),
            "visitors": _count(rng),
            "add_to_carts": _count(rng),
            "amount_micros": amount(rng, ground.largest),
            "currency": rng.choice(CURRENCIES),
            "known_at": known(rng, midnight(day)),
        }
        for store, day, channel in sorted(keys)
    ]


def _count(rng: random.Random) -> int:
    return rng.choice((0, 0, rng.randint(1, 9), rng.randint(0, 10**6)))


def ratings(ground: Ground) -> Table:
    """Return ratings whose stars end in halves of hundredths, and others."""
    rng = ground.rng
    keys = {(store, moment(rng).date()) for store in ground.stores for _ in range(rng.randint(0, ground.events // 2))}
    return [
        {
            "store_id": store,
            "day": day,
            "ratings": rng.choice((1, 1, 3, rng.randint(1, 10**4))),
            "stars": rng.choice((*_STARS, rng.uniform(1, 5))),
            "known_at": known(rng, midnight(day)),
        }
        for store, day in sorted(keys)
    ]


def purchases(ground: Ground) -> Table:
    """Return purchases from few suppliers."""
    rng = ground.rng
    rows: Table = []
    for store in ground.stores:
        for _ in range(rng.randint(0, ground.events // 3)):
            at = moment(rng)
            rows.append(
                {
                    "purchase_id": f"P{len(rows)}",
                    "store_id": store,
                    "supplier_id": f"U{rng.randrange(5)}",
                    "purchased_at": at,
                    "amount_micros": amount(rng, ground.largest),
                    "currency": rng.choice(CURRENCIES),
                    "known_at": known(rng, at),
                }
            )
    return rows
