"""Rows of orders, refunds and fulfilments, and the chunk context that all row modules share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.schema import CHANNELS, FULFILMENT_EVENTS, REFUND_REASONS
from training.simulation.economy import Economy, ad_share
from training.simulation.market import CURRENCIES, Market
from training.simulation.rows import (
    AnyArray,
    Clock,
    FloatArray,
    Floats,
    IntArray,
    Rows,
    coded,
    column_of,
    cumulative,
    known_times,
    numbered,
    pick,
    waking_hours,
)
from training.simulation.sellers import MOST_STORES, Traits, store_ids
from training.simulation.trade import CANCEL, Batch

BUYER_COUNTRIES: Final = ("US", "CA", "DE", "FR", "GB", "CN", "IN", "VN", "JP")
_CURRENCY_OF: Final = np.array(
    [CURRENCIES.index(code) for code in ("USD", "CAD", "EUR", "EUR", "GBP", "CNY", "INR", "VND", "JPY")]
)
_BUYERS_OF_MARKETPLACE: Final = cumulative(
    (
        (0.88, 0.09, 0.00, 0.00, 0.01, 0.00, 0.00, 0.00, 0.02),
        (0.00, 0.00, 0.58, 0.36, 0.06, 0.00, 0.00, 0.00, 0.00),
        (0.01, 0.01, 0.03, 0.02, 0.93, 0.00, 0.00, 0.00, 0.00),
        (0.00, 0.00, 0.00, 0.00, 0.00, 0.97, 0.00, 0.00, 0.03),
        (0.01, 0.00, 0.00, 0.00, 0.01, 0.00, 0.98, 0.00, 0.00),
        (0.00, 0.00, 0.00, 0.00, 0.00, 0.10, 0.00, 0.86, 0.04),
    )
)
CURRENCY_OF_MARKETPLACE: Final = _CURRENCY_OF[np.array([0, 2, 4, 5, 6, 7])]
"""Currency codes of the marketplaces: the currency of most of their buyers."""
_SHARED_BUYER_SHARE: Final = 0.004
"""Share of orders from buyers of many sellers; their IDs are `B-000000-...`."""
_FAKE_RING: Final = 12
"""Number of buyer accounts of a faker."""
_OWN_STORE_SHARE: Final = 0.08
"""Share of fake orders that the seller places from the store's own account."""
ADS: Final = CHANNELS.index("ads")
LIVESTREAM: Final = CHANNELS.index("livestream")
SEARCH: Final = CHANNELS.index("search")
SEARCH_SHARE: Final = 0.75
"""Share of unpaid visitors from search; the others come through the seller's side channel."""
LIVE_SHARE: Final = 0.7
"""Share of the visits and orders of a spike day that come from the livestream."""

_TRACKED_SHARE: Final = 0.20
"""Share of orders with tracked parcels."""
_HANDLING_DAYS: Final = 1.1
_LOST_SHARE: Final = 0.008


@dataclass(frozen=True)
class Orders:
    """All orders of a chunk, sorted by seller and day; `rank` counts the orders of a seller from 0."""

    seller: IntArray
    day: IntArray
    rank: IntArray
    usd: FloatArray
    fake: NDArray[np.bool_]
    spike: NDArray[np.bool_]
    reason: NDArray[np.int8]
    lag: NDArray[np.int16]
    back: FloatArray
    slot: IntArray
    country: IntArray

    def __len__(self) -> int:
        return len(self.seller)

    @property
    def currency(self) -> IntArray:
        """Currency codes of the buyers."""
        codes: IntArray = _CURRENCY_OF[self.country].astype(np.int32)
        return codes


def collect_orders(economy: Economy, traits: Traits, rng: np.random.Generator) -> Orders:
    """Return the orders of all days, sorted, with the store and the buyer country of each."""
    batches = economy.trade.batches
    order = np.argsort(column_of(batches, "seller"), kind="stable")
    columns = {field.name: column_of(batches, field.name)[order] for field in fields(Batch)}
    columns["day"] = columns["day"].astype(np.int32)
    seller, day = columns["seller"], columns["day"]
    first = np.searchsorted(seller, np.arange(len(traits)))
    slot = _open_slot(seller, day, traits, rng)
    marketplace = traits.marketplace[seller, slot]
    return Orders(
        **columns,
        rank=(np.arange(len(seller)) - first[seller]).astype(np.int32),
        slot=slot,
        country=pick(_BUYERS_OF_MARKETPLACE[marketplace], rng.random(len(seller))),
    )


def _open_slot(seller: IntArray, day: IntArray, traits: Traits, rng: np.random.Generator) -> IntArray:
    """Return the store of each order, drawn by the stores' shares; the first store replaces one not open yet."""
    slot = pick(traits.store_share[seller], rng.random(len(seller)))
    return np.where(traits.store_opened[seller, slot] <= day, slot, 0).astype(np.int32)


@dataclass(frozen=True)
class ChunkContext:
    """The inputs of every module that creates rows of a chunk."""

    traits: Traits
    economy: Economy
    market: Market
    clock: Clock


def order_rows(placed: Orders, chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return the orders as rows of the contract, in the order of `placed`."""
    traits = chunk.traits
    number = traits.number[placed.seller]
    at = chunk.clock.at(placed.day, _time_of_day(placed, rng))
    amount = placed.usd / chunk.market.usd[placed.day, placed.currency]
    return Rows.of(
        "orders",
        order_id=numbered("O", (number, 6), (placed.rank, 7)),
        store_id=store_column(placed.seller, placed.slot, traits),
        buyer_id=_buyers(placed, traits, rng),
        ordered_at=at,
        amount=np.maximum(np.round(amount, 2), 0.01),
        currency=coded(placed.currency, CURRENCIES),
        channel=coded(_channels(placed, chunk, rng), CHANNELS),
        buyer_country=coded(placed.country, BUYER_COUNTRIES),
        items=rng.geometric(0.62, len(placed)).astype(np.int32),
        known_at=known_times(at, rng),
    )


def store_column(seller: AnyArray, slot: AnyArray, traits: Traits) -> pa.DictionaryArray:
    """Return store IDs by seller (position in the chunk) and slot."""
    slots = np.tile(np.arange(MOST_STORES, dtype=np.int32), len(traits))
    words = store_ids(np.repeat(traits.number, MOST_STORES), slots).astype(str)
    return coded((seller * MOST_STORES + slot).astype(np.int32), words.tolist())


def _time_of_day(placed: Orders, rng: np.random.Generator) -> FloatArray:
    """Return times of day: waking hours for most orders; livestream and fake orders come within minutes."""
    of_day = waking_hours(rng, len(placed))
    show = (placed.seller * 31 + placed.day * 17) % 15 / 24 + 0.3
    rush = np.flatnonzero(placed.spike | placed.fake)
    minutes = np.where(placed.fake[rush], 40, 8) / 1440
    of_day[rush] = show[rush] + minutes * rng.random(len(rush))
    return of_day


def _buyers(placed: Orders, traits: Traits, rng: np.random.Generator) -> NDArray[np.bytes_]:
    """Return buyer IDs: a new buyer gets the number of the first order; some return; fakers use a few accounts."""
    luck = rng.random((3, len(placed)))
    is_repeat = (luck[0] < traits.loyalty[placed.seller]) & (placed.rank > 0)
    first_order = (luck[1] * placed.rank).astype(np.int32)
    start = np.arange(len(placed)) - placed.rank
    buyer = np.where(is_repeat, first_order, placed.rank)
    buyer = np.where(is_repeat, buyer[start + first_order], buyer)
    buyer = np.where(placed.fake, 9_000_000 + (luck[1] * _FAKE_RING).astype(np.int32), buyer)
    shared = (luck[2] < _SHARED_BUYER_SHARE) & ~placed.fake
    owner = np.where(shared, 0, traits.number[placed.seller] + 1)
    ids = numbered("B", (owner, 6), (np.where(shared, (luck[1] * 5000).astype(np.int32), buyer), 7))
    own = np.flatnonzero(placed.fake & (luck[2] < _OWN_STORE_SHARE))
    ids[own] = store_ids(traits.number[placed.seller[own]], placed.slot[own])
    return ids


def _channels(placed: Orders, chunk: ChunkContext, rng: np.random.Generator) -> IntArray:
    """Return channels: the share of ads rises with ad spend; spikes come from the livestream."""
    traits, history = chunk.traits, chunk.economy.history
    now = (placed.day, placed.seller)
    spent = ad_share(history.health[now], history.stress[now], traits.skill[placed.seller])
    draw = rng.random(len(placed))
    ads = paid_share(spent * traits.ad_taste[placed.seller])
    search = ads + (1 - ads) * SEARCH_SHARE
    channel = np.where(draw < search, SEARCH, traits.side_channel[placed.seller])
    channel = np.where(draw < ads, ADS, channel)
    live = placed.spike & (rng.random(len(placed)) < LIVE_SHARE)
    return np.where(live, LIVESTREAM, channel).astype(np.int32)


def paid_share(ads_over_sales: Floats) -> FloatArray:
    """Return the share of visitors from ads for an ad spend over sales."""
    return np.clip(0.08 + 1.3 * ads_over_sales, 0.05, 0.75)


def refund_rows(placed: Orders, orders: Rows, chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return refunds: later than the order, in its currency, and never more than its amount."""
    refunded = np.flatnonzero(placed.reason >= 0)
    orders = orders.take(refunded)
    ordered_at, amount = orders.array("ordered_at"), orders.array("amount")
    at = chunk.clock.at(placed.day[refunded] + placed.lag[refunded], waking_hours(rng, len(refunded)))
    at = np.where(at <= ordered_at, ordered_at + np.timedelta64(30, "m"), at)
    return Rows.of(
        "refunds",
        refund_id=numbered("R", (chunk.traits.number[placed.seller[refunded]], 6), (placed.rank[refunded], 7)),
        order_id=orders.columns["order_id"],
        store_id=store_column(placed.seller[refunded], placed.slot[refunded], chunk.traits),
        refunded_at=at,
        amount=np.minimum(np.maximum(np.round(amount * placed.back[refunded], 2), 0.01), amount),
        currency=coded(placed.currency[refunded], CURRENCIES),
        reason=coded(placed.reason[refunded].astype(np.int32), REFUND_REASONS),
        known_at=np.maximum(known_times(at, rng), orders.array("known_at")),
    )


def fulfilment_rows(placed: Orders, orders: Rows, chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return events of tracked parcels: shipped after handling (longer if cash is short), then delivered or lost."""
    tracked = np.flatnonzero((rng.random(len(placed)) < _TRACKED_SHARE) & (placed.reason != CANCEL) & ~placed.fake)
    traits, history = chunk.traits, chunk.economy.history
    seller, day = placed.seller[tracked], placed.day[tracked]
    delay = np.exp(0.9 * history.stress[day, seller] - 0.12 * traits.skill[seller] - 0.12 * history.health[day, seller])
    handling = _HANDLING_DAYS * delay * np.exp(0.4 * rng.standard_normal(len(tracked)))
    shipped = orders.array("ordered_at")[tracked] + (handling * 8.64e10).astype("timedelta64[us]")
    transit = rng.uniform(7, 19, len(tracked))
    arrived = shipped + (transit * 8.64e10).astype("timedelta64[us]")
    lost = rng.random(len(tracked)) < _LOST_SHARE
    at = np.concatenate([shipped, arrived])
    twice = np.concatenate([tracked, tracked])
    orders = orders.take(twice)
    event = np.concatenate([np.zeros(len(tracked)), np.where(lost, 2, 1)]).astype(np.int32)
    return Rows.of(
        "fulfilments",
        order_id=orders.columns["order_id"],
        store_id=store_column(placed.seller[twice], placed.slot[twice], traits),
        event=coded(event, FULFILMENT_EVENTS),
        at=at,
        known_at=np.maximum(known_times(at, rng), orders.array("known_at")),
    )
