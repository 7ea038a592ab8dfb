"""A small hostile market: sellers, stores and events placed where window and visibility rules have their edges.

Rows are dicts of the contract's columns that features read, with `amount_micros`; everything follows from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from tests.oracles.seller_sight import midnight

Market = dict[str, list[dict[str, Any]]]

MIDNIGHTS = (date(2023, 12, 31), date(2024, 2, 29), date(2024, 3, 1), date(2024, 5, 29), date(2025, 3, 1))
"""Around a leap day, a turn of the year, and 90 and 366 days apart."""

EDGES = (0, 1, 2, 30, 31, 60, 90, 91, 120, 121, 180, 181, 210, 211, 360, 365, 366, 390, 391, 395, 396)
"""Days before T at which some window opens or closes."""

_CHANNELS = ("search", "ads", "livestream", "direct")
_REASONS = ("return", "refund", "cancel", "dispute", "chargeback")
_REFUND_DELAYS = (0, 1, 47, 48, 49, 24 * 5, 24 * 20, 24 * 100)


@dataclass(frozen=True)
class Shape:
    """What a market looks like.

    Attributes:
        seed: draws everything else.
        sellers: how many.
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
    stores = sorted({row["store_id"] for row in rows["stores"]})
    # some parties sell, some buy, and some who buy become stores later on
    buyers = [*(f"B{number}" for number in range(8)), *rng.sample(sellers, k=min(3, len(sellers)))]
    rows["orders"] = _orders(rng, shape, stores, buyers)
    rows["refunds"] = _refunds(rng, rows["orders"], stores)
    rows["traffic"] = _traffic(rng, shape, stores)
    rows["purchases"] = _purchases(rng, shape, stores)
    for name in shape.absent:
        rows[name] = []
    for those in rows.values():
        rng.shuffle(those)
    return rows


def pairs_of(shape: Shape, midnights: Sequence[date] = MIDNIGHTS) -> list[tuple[str, date]]:
    """Return every seller of a market, and one whom nobody knows, as of each midnight."""
    return [(seller, day) for seller in [*(f"S{n}" for n in range(shape.sellers)), "nobody"] for day in midnights]


def _sellers(rng: random.Random, sellers: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for seller in sellers:
        onboarded = _moment(rng)
        for known in sorted({_known(rng, onboarded) for _ in range(rng.randint(1, 3))}):
            onboarded -= timedelta(days=rng.choice((0, 0, 7)))
            rows.append({"seller_id": seller, "onboarded_at": onboarded, "known_at": known})
    return rows


def _stores(rng: random.Random, sellers: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number in range(len(sellers) + 4):
        owner = sellers[number % len(sellers)]
        first = midnight(MIDNIGHTS[0]) - timedelta(days=rng.randint(1, 700))
        rows.append({"store_id": f"T{number}", "seller_id": owner, "known_at": first})
        later = {_known(rng, _moment(rng)) for _ in range(rng.choice((0, 0, 1, 2)))} - {first}
        rows.extend(
            {"store_id": f"T{number}", "seller_id": rng.choice(sellers), "known_at": known} for known in sorted(later)
        )
    return rows


def _orders(rng: random.Random, shape: Shape, stores: list[str], buyers: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for store in stores:
        own_centre = rng.choice(MIDNIGHTS)
        for _ in range(rng.randint(0, shape.events)):
            at = _moment(rng, own_centre if rng.random() < 0.7 else rng.choice(MIDNIGHTS))
            rows.append(
                {
                    "order_id": f"O{len(rows)}",
                    "store_id": store,
                    "buyer_id": rng.choice(stores) if rng.random() < 0.08 else rng.choice(buyers),
                    "ordered_at": at,
                    "amount_micros": _amount(rng, shape.largest),
                    "channel": rng.choice(_CHANNELS),
                    "known_at": _known(rng, at),
                }
            )
    return rows


def _refunds(rng: random.Random, orders: list[dict[str, Any]], stores: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for order in rng.sample(orders, k=len(orders) // 3):
        delay = timedelta(hours=rng.choice(_REFUND_DELAYS), seconds=rng.choice((-1, 0, 0, 1)))
        at = order["ordered_at"] + max(delay, timedelta())
        named = rng.random()
        rows.append(
            {
                "refund_id": f"R{len(rows)}",
                "order_id": None if named < 0.2 else "never-seen" if named < 0.25 else order["order_id"],
                "store_id": rng.choice(stores) if rng.random() < 0.05 else order["store_id"],
                "refunded_at": at,
                "amount_micros": min(order["amount_micros"], _amount(rng, order["amount_micros"] + 1)),
                "reason": rng.choice(_REASONS),
                "known_at": _known(rng, at),
            }
        )
    return rows


def _traffic(rng: random.Random, shape: Shape, stores: list[str]) -> list[dict[str, Any]]:
    keys = {
        (store, _moment(rng).date(), rng.choice(_CHANNELS))
        for store in stores
        for _ in range(rng.randint(0, shape.events))
    }
    return [
        {
            "store_id": store,
            "day": day,
            "channel": channel,
            "visits": rng.choice((0, rng.randint(1, 10**6))),
            "amount_micros": _amount(rng, shape.largest),
            "known_at": _known(rng, midnight(day)),
        }
        for store, day, channel in sorted(keys)
    ]


def _purchases(rng: random.Random, shape: Shape, stores: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for store in stores:
        for _ in range(rng.randint(0, shape.events // 3)):
            at = _moment(rng)
            rows.append(
                {
                    "purchase_id": f"P{len(rows)}",
                    "store_id": store,
                    "purchased_at": at,
                    "amount_micros": _amount(rng, shape.largest),
                    "known_at": _known(rng, at),
                }
            )
    return rows


def _moment(rng: random.Random, centre: date | None = None) -> datetime:
    # an edge of some window, to the microsecond where it counts, or any time of the years around
    day = midnight(centre or rng.choice(MIDNIGHTS))
    if rng.random() < 0.6:
        day -= timedelta(days=rng.choice(EDGES))
    else:
        day -= timedelta(days=rng.randint(-30, 420))
    return day + rng.choice((timedelta(), timedelta(microseconds=-1), timedelta(seconds=rng.randrange(86400))))


def _known(rng: random.Random, at: datetime) -> datetime:
    # mostly at once, sometimes exactly at a midnight or just after it, sometimes weeks late, rarely beforehand
    late = rng.random()
    next_midnight = midnight(at.date() + timedelta(days=1))
    if late < 0.5:
        return at + timedelta(seconds=rng.randrange(3600))
    if late < 0.65:
        return next_midnight
    if late < 0.75:
        return next_midnight + timedelta(microseconds=1)
    if late < 0.95:
        return at + timedelta(days=rng.randint(1, 60))
    return at - timedelta(days=rng.randint(0, 3))


def _amount(rng: random.Random, largest: int) -> int:
    return rng.choice((0, 1, largest, rng.randint(0, largest), rng.randint(0, largest)))
