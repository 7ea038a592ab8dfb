"""A day's deals: the orders that are placed, and which of them will come back, when and why.

Fake orders: bought by the seller's own circle to look bigger, without visitors, and soon paid back in part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.schema import REFUND_REASONS
from training.simulation.sellers import Traits
from training.simulation.state import GOODS_SHARE, State

FloatArray = NDArray[np.float64]


IntArray = NDArray[np.int32]


LONGEST_LAG: Final = 90
"""Days after which an order can no longer come back."""


_RETURN_SHARE: Final = 0.056
"""Orders that come back after delivery, average seller at health 0."""


_CANCEL_SHARE: Final = 0.012


_SPIKE: Final = 2.5
"""A day of this many times the usual orders is a spike: bought on impulse, so more of it comes back."""


RETURN, REFUND, CANCEL, DISPUTE, CHARGEBACK = range(len(REFUND_REASONS))


_REASON_OF_RETURNED: Final = np.cumsum([0.62, 0.22, 0.0, 0.10, 0.06])
"""Why a delivered order is paid back: return, refund, (cancel), dispute, chargeback."""


_PARTIAL_SHARE: Final = 0.6
"""Share of refunds without return that pay back only a part: 20% to 80%."""


_LAG_DAYS: Final = np.array([12.0, 7.0, 1.0, 22.0, 38.0])
"""Typical days from order to refund by reason; goods travel one to three weeks."""


@dataclass(frozen=True)
class Batch:
    """Orders of one day: seller (position in the chunk), amount in USD, and what comes back of them.

    `reason` is -1 where the order stands; `lag` is days until the refund and `back` the share paid back.
    """

    day: int
    seller: IntArray
    usd: FloatArray
    fake: bool
    spike: NDArray[np.bool_]
    reason: NDArray[np.int8]
    lag: NDArray[np.int16]
    back: FloatArray


@dataclass(frozen=True)
class Counter:
    """What a day's buyers meet, one value a seller: orders wanted and served, and the risk of each to come back."""

    wanted: FloatArray
    served: FloatArray
    spike: NDArray[np.bool_]
    cancelled: FloatArray
    returned: FloatArray


def open_counter(wanted: FloatArray, state: State, traits: Traits) -> Counter:
    """Work out what today's buyers will meet.

    Stock for less than three days leaves orders unserved or cancelled; poor skill and health, and bargains bought
    in a spike, come back.
    """
    spike = wanted * traits.price > _SPIKE * state.fast
    served = np.clip(state.stock / (3 * GOODS_SHARE * wanted * traits.price + 1e-9), 0.05, 1)
    returned = _RETURN_SHARE * traits.returns * np.exp(-0.30 * traits.skill - 0.38 * state.health)
    return Counter(
        wanted=wanted * served,
        served=served,
        spike=spike,
        cancelled=_CANCEL_SHARE + 0.15 * state.stress + 0.10 * (1 - served),
        returned=np.minimum(returned * np.where(spike, 1.6, 1.0), 0.5),
    )


@dataclass
class Trade:
    """All orders of a chunk, and the refunds that they will cost (days x sellers, USD)."""

    refund_due: FloatArray
    batches: list[Batch] = field(default_factory=list)

    @classmethod
    def empty(cls, days: int, count: int) -> Trade:
        """No deals yet."""
        return cls(np.zeros((days + LONGEST_LAG + 1, count)))

    def sell(self, day: int, counter: Counter, traits: Traits, rng: np.random.Generator) -> FloatArray:
        """Place the day's true orders and return the sales of each seller, USD."""
        seller = np.repeat(np.arange(len(traits), dtype=np.int32), rng.poisson(counter.wanted))
        spread = traits.price_sd[seller]
        usd: FloatArray = traits.price[seller] * np.exp(spread * rng.standard_normal(len(seller)) - spread**2 / 2)
        usd = np.maximum(usd, 1.0).round(2)
        reason, lag, back = _outcomes(counter.cancelled[seller], counter.returned[seller], rng)
        self.batches.append(Batch(day, seller, usd, False, counter.spike[seller], reason, lag, back))
        gone = np.flatnonzero(reason >= 0)
        np.add.at(self.refund_due, (day + lag[gone], seller[gone]), np.round(usd[gone] * back[gone], 2))
        sales: FloatArray = np.bincount(seller, usd, minlength=len(traits)).astype(np.float64)
        return sales

    def pretend(self, batch: Batch, count: int) -> FloatArray:
        """Take in fake orders, which cost no refund, and return what they pretend to be worth, USD a seller."""
        if len(batch.seller):
            self.batches.append(batch)
        claimed: FloatArray = np.bincount(batch.seller, batch.usd, minlength=count).astype(np.float64)
        return claimed


def _outcomes(
    cancelled: FloatArray, returned: FloatArray, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.int16], FloatArray]:
    """Reason (-1: the order stands), lag in days and share paid back of each order."""
    count = len(cancelled)
    draw = rng.random(count)
    reason = np.full(count, -1, dtype=np.int8)
    lag = np.zeros(count, dtype=np.int16)
    back: FloatArray = np.ones(count)
    gone = np.flatnonzero(draw < cancelled + returned)
    luck = rng.random((3, len(gone)))
    why = np.where(draw[gone] < cancelled[gone], CANCEL, np.searchsorted(_REASON_OF_RETURNED, luck[0]))
    days = _LAG_DAYS[why] * (0.45 + 1.1 * luck[1])
    reason[gone] = why
    lag[gone] = np.minimum(days, LONGEST_LAG)
    back[gone] = np.where((why == REFUND) & (luck[2] < _PARTIAL_SHARE), 0.2 + luck[2], 1.0)
    return reason, lag, back


_BACKGROUND_RATE: Final = 0.08
"""Fake orders per wanted order on a usual day."""


_BURST_RATE: Final = 4.0


_BURST_CHANCE: Final = 0.22
"""Before a loan: a burst on about every fifth day, of this many fake orders per wanted one."""


_PAID_BACK_SHARE: Final = 0.40
"""Share of fake orders that is refunded, within three days."""


def fake_counts(
    wanted: FloatArray, faker: NDArray[np.bool_], dressing_up: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """How many fake orders each seller places today; more while dressing up for a loan."""
    burst = dressing_up & (rng.random(len(wanted)) < _BURST_CHANCE)
    rate = np.where(burst, _BURST_RATE, _BACKGROUND_RATE) * faker
    counts: NDArray[np.int64] = rng.poisson(np.minimum(wanted, 50.0) * rate)
    return counts


def fake_batch(day: int, counts: NDArray[np.int64], traits: Traits, rng: np.random.Generator) -> Batch:
    """The fake orders of a day: round amounts near the seller's usual price."""
    seller = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    size = len(seller)
    usd = np.maximum(np.round(traits.price[seller] * np.exp(rng.normal(0.1, 0.25, size)) / 5), 1) * 5
    paid_back = rng.random(size) < _PAID_BACK_SHARE
    return Batch(
        day=day,
        seller=seller,
        usd=usd,
        fake=True,
        spike=np.zeros(size, dtype=np.bool_),
        reason=np.where(paid_back, REFUND, -1).astype(np.int8),
        lag=rng.integers(1, 4, size).astype(np.int16),
        back=np.ones(size),
    )
