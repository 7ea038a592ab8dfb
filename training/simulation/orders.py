"""Orders and refunds as rows: who bought, where, when and in which currency, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from features.schema import CHANNELS, FULFILMENT_EVENTS, REFUND_REASONS
from training.simulation.economy import Economy, ad_share
from training.simulation.market import CURRENCIES, Market
from training.simulation.rows import (
    AnyArray,
    Clock,
    Coded,
    Column,
    Rows,
    Times,
    cumulative,
    known_times,
    numbered,
    pick,
    waking_hours,
)
from training.simulation.sellers import MOST_STORES, Traits, store_ids
from training.simulation.trade import CANCEL

FloatArray = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]
IntArray = NDArray[np.int32]

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
"""Codes of the currency in which a marketplace reports: that of most of its buyers."""
_SHARED_BUYER_SHARE: Final = 0.004
"""Orders of buyers who shop at many sellers; ids `B-000000-...` belong to no one seller."""
_FAKE_RING: Final = 12
"""Accounts in a faker's circle."""
_OWN_STORE_SHARE: Final = 0.08
"""Fake orders that the seller places from his own store's account."""
ADS: Final = CHANNELS.index("ads")
LIVESTREAM: Final = CHANNELS.index("livestream")
SEARCH: Final = CHANNELS.index("search")
SEARCH_SHARE: Final = 0.75
"""Share of visitors who are not paid for that search brings; the rest come by the seller's side channel."""
LIVE_SHARE: Final = 0.7
"""Share of a spike day's visits and orders that came for the livestream."""

_TRACKED_SHARE: Final = 0.20
"""Orders whose parcels are tracked."""
_HANDLING_DAYS: Final = 1.1
_LOST_SHARE: Final = 0.008


@dataclass(frozen=True)
class Deals:
    """All orders of a chunk, sorted by seller and day; `rank` numbers the orders of a seller from 0."""

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
        """Codes of the buyers' currencies."""
        codes: IntArray = _CURRENCY_OF[self.country].astype(np.int32)
        return codes


def gather(economy: Economy, traits: Traits, rng: np.random.Generator) -> Deals:
    """Put the days' batches in order, and decide in which store and from where each order came."""
    batches = economy.trade.batches
    day = np.concatenate([np.full(len(batch.seller), batch.day, dtype=np.int32) for batch in batches])
    fake = np.concatenate([np.full(len(batch.seller), batch.fake) for batch in batches])
    seller = np.concatenate([batch.seller for batch in batches])
    order = np.argsort(seller, kind="stable")
    seller, day = seller[order], day[order]
    first = np.searchsorted(seller, np.arange(len(traits)))
    slot = _open_slot(seller, day, traits, rng)
    marketplace = traits.marketplace[seller, slot]
    return Deals(
        seller=seller,
        day=day,
        rank=(np.arange(len(seller)) - first[seller]).astype(np.int32),
        usd=np.concatenate([batch.usd for batch in batches])[order],
        fake=fake[order],
        spike=np.concatenate([batch.spike for batch in batches])[order],
        reason=np.concatenate([batch.reason for batch in batches])[order],
        lag=np.concatenate([batch.lag for batch in batches])[order],
        back=np.concatenate([batch.back for batch in batches])[order],
        slot=slot,
        country=pick(_BUYERS_OF_MARKETPLACE[marketplace], rng.random(len(seller))),
    )


def _open_slot(seller: IntArray, day: IntArray, traits: Traits, rng: np.random.Generator) -> IntArray:
    """Stores by their shares; what a store that is not open yet would sell goes through the first."""
    slot = pick(traits.store_share[seller], rng.random(len(seller)))
    return np.where(traits.store_opened[seller, slot] <= day, slot, 0).astype(np.int32)


@dataclass(frozen=True)
class Setting:
    """What every room that writes rows needs to know of its chunk."""

    traits: Traits
    economy: Economy
    market: Market
    clock: Clock


def order_rows(deals: Deals, setting: Setting, rng: np.random.Generator) -> Rows:
    """The orders as rows of the contract, in the order of `deals`."""
    traits = setting.traits
    number = traits.number[deals.seller]
    at = setting.clock.at(deals.day, _time_of_day(deals, rng))
    amount = deals.usd / setting.market.usd[deals.day, deals.currency]
    columns: dict[str, Column] = {
        "order_id": numbered("O", (number, 6), (deals.rank, 7)),
        "store_id": store_column(deals.seller, deals.slot, traits),
        "buyer_id": _buyers(deals, traits, rng),
        "ordered_at": at,
        "amount": np.maximum(np.round(amount, 2), 0.01),
        "currency": Coded(deals.currency, CURRENCIES),
        "channel": Coded(_channels(deals, setting, rng), CHANNELS),
        "buyer_country": Coded(deals.country, BUYER_COUNTRIES),
        "items": rng.geometric(0.62, len(deals)).astype(np.int32),
        "known_at": known_times(at, rng),
    }
    return Rows("orders", columns)


def store_column(seller: AnyArray, slot: AnyArray, traits: Traits) -> Coded:
    """Store ids of sellers (positions in the chunk) and slots, as words."""
    slots = np.tile(np.arange(MOST_STORES, dtype=np.int32), len(traits))
    words = store_ids(np.repeat(traits.number, MOST_STORES), slots).astype(str)
    return Coded((seller * MOST_STORES + slot).astype(np.int32), tuple(words.tolist()))


def _time_of_day(deals: Deals, rng: np.random.Generator) -> FloatArray:
    """Buyers come in waking hours; a livestream and a brushing ring sell within minutes."""
    of_day = waking_hours(rng, len(deals))
    show = (deals.seller * 31 + deals.day * 17) % 15 / 24 + 0.3
    rush = np.flatnonzero(deals.spike | deals.fake)
    minutes = np.where(deals.fake[rush], 40, 8) / 1440
    of_day[rush] = show[rush] + minutes * rng.random(len(rush))
    return of_day


def _buyers(deals: Deals, traits: Traits, rng: np.random.Generator) -> NDArray[np.bytes_]:
    """New buyers get the number of their first order; the loyal come back; fakers use a small circle."""
    luck = rng.random((3, len(deals)))
    again = (luck[0] < traits.loyalty[deals.seller]) & (deals.rank > 0)
    known = (luck[1] * deals.rank).astype(np.int32)
    start = np.arange(len(deals)) - deals.rank
    buyer = np.where(again, known, deals.rank)
    buyer = np.where(again, buyer[start + known], buyer)
    buyer = np.where(deals.fake, 9_000_000 + (luck[1] * _FAKE_RING).astype(np.int32), buyer)
    shared = (luck[2] < _SHARED_BUYER_SHARE) & ~deals.fake
    circle = np.where(shared, 0, traits.number[deals.seller] + 1)
    ids = numbered("B", (circle, 6), (np.where(shared, (luck[1] * 5000).astype(np.int32), buyer), 7))
    own = np.flatnonzero(deals.fake & (luck[2] < _OWN_STORE_SHARE))
    ids[own] = store_ids(traits.number[deals.seller[own]], deals.slot[own])
    return ids


def _channels(deals: Deals, setting: Setting, rng: np.random.Generator) -> IntArray:
    """Ads bring a share that rises with what is spent on them; a spike comes from the livestream."""
    traits, diary = setting.traits, setting.economy.diary
    now = (deals.day, deals.seller)
    spent = ad_share(diary.health[now], diary.stress[now], traits.skill[deals.seller])
    draw = rng.random(len(deals))
    ads = paid_share(spent * traits.ad_taste[deals.seller])
    search = ads + (1 - ads) * SEARCH_SHARE
    channel = np.where(draw < search, SEARCH, traits.side_channel[deals.seller])
    channel = np.where(draw < ads, ADS, channel)
    live = deals.spike & (rng.random(len(deals)) < LIVE_SHARE)
    return np.where(live, LIVESTREAM, channel).astype(np.int32)


def paid_share(ads_over_sales: Floats) -> FloatArray:
    """Share of visitors who came through ads, given ad spend over sales."""
    return np.clip(0.08 + 1.3 * ads_over_sales, 0.05, 0.75)


def refund_rows(deals: Deals, orders: Rows, setting: Setting, rng: np.random.Generator) -> Rows:
    """What came back: later than its order, in the order's currency, never more than its amount."""
    gone = np.flatnonzero(deals.reason >= 0)
    ordered_at = orders.array("ordered_at")[gone]
    at = setting.clock.at(deals.day[gone] + deals.lag[gone], waking_hours(rng, len(gone)))
    at = np.where(at <= ordered_at, ordered_at + np.timedelta64(30, "m"), at)
    amount = orders.array("amount")[gone]
    columns: dict[str, Column] = {
        "refund_id": numbered("R", (setting.traits.number[deals.seller[gone]], 6), (deals.rank[gone], 7)),
        "order_id": orders.array("order_id")[gone],
        "store_id": store_column(deals.seller[gone], deals.slot[gone], setting.traits),
        "refunded_at": at,
        "amount": np.minimum(np.maximum(np.round(amount * deals.back[gone], 2), 0.01), amount),
        "currency": Coded(deals.currency[gone], CURRENCIES),
        "reason": Coded(deals.reason[gone].astype(np.int32), REFUND_REASONS),
        "known_at": _not_before(orders, gone, known_times(at, rng)),
    }
    return Rows("refunds", columns)


def _not_before(orders: Rows, index: NDArray[np.int64], known_at: Times) -> Times:
    """Nobody learns of what became of an order before the order."""
    return np.maximum(known_at, orders.array("known_at")[index])


def fulfilment_rows(deals: Deals, orders: Rows, setting: Setting, rng: np.random.Generator) -> Rows:
    """Tracked parcels: shipped after handling, which takes longer where cash is short, then delivered or lost."""
    tracked = np.flatnonzero((rng.random(len(deals)) < _TRACKED_SHARE) & (deals.reason != CANCEL) & ~deals.fake)
    traits, diary = setting.traits, setting.economy.diary
    who, day = deals.seller[tracked], deals.day[tracked]
    pressed = np.exp(0.9 * diary.stress[day, who] - 0.12 * traits.skill[who] - 0.12 * diary.health[day, who])
    handling = _HANDLING_DAYS * pressed * np.exp(0.4 * rng.standard_normal(len(tracked)))
    shipped = orders.array("ordered_at")[tracked] + (handling * 8.64e10).astype("timedelta64[us]")
    transit = rng.uniform(7, 19, len(tracked))
    arrived = shipped + (transit * 8.64e10).astype("timedelta64[us]")
    lost = rng.random(len(tracked)) < _LOST_SHARE
    at = np.concatenate([shipped, arrived])
    twice = np.concatenate([tracked, tracked])
    event = np.concatenate([np.zeros(len(tracked)), np.where(lost, 2, 1)]).astype(np.int32)
    columns: dict[str, Column] = {
        "order_id": orders.array("order_id")[twice],
        "store_id": store_column(deals.seller[twice], deals.slot[twice], traits),
        "event": Coded(event, FULFILMENT_EVENTS),
        "at": at,
        "known_at": _not_before(orders, twice, known_times(at, rng)),
    }
    return Rows("fulfilments", columns)
