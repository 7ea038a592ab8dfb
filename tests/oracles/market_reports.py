"""Traffic, ratings and purchases of the stores of a hostile market."""

from __future__ import annotations

import random

from tests.oracles.market_draws import amount, known_time, moment
from tests.oracles.market_events import CHANNELS, CURRENCIES, MarketInputs, Table
from tests.oracles.seller_view import midnight

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
    """Return purchases from few suppliers."""
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
