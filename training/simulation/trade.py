"""Orders of a day and their later refunds, and fake orders.

A faker places fake orders from own accounts to appear larger. They have no visitors, and many are refunded soon.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.schema import REFUND_REASONS
from training.simulation.rows import FloatArray, IntArray
from training.simulation.sellers import Traits
from training.simulation.state import GOODS_SHARE, State

LONGEST_LAG: Final = 90
"""Largest number of days from order to refund."""

_RETURN_SHARE: Final = 0.056
"""Share of orders that are returned after delivery, for the average seller at health 0."""

_CANCEL_SHARE: Final = 0.012
_SPIKE: Final = 2.5
"""A day with this multiple of the expected sales is a spike. Its impulse purchases are returned more often."""


RETURN, REFUND, CANCEL, DISPUTE, CHARGEBACK = range(len(REFUND_REASONS))

_REASON_OF_RETURNED: Final = np.cumsum([0.62, 0.22, 0.0, 0.10, 0.06])
"""Cumulative shares of the reasons for refunds of delivered orders: return, refund, (cancel), dispute, chargeback."""

_PARTIAL_SHARE: Final = 0.6
"""Share of refunds without return that are partial: 20% to 80%."""

_LAG_DAYS: Final = np.array([12.0, 7.0, 1.0, 22.0, 38.0])
"""Typical days from order to refund, by reason; shipping takes one to three weeks."""


@dataclass(frozen=True)
class Batch:
    """Orders of one day: seller (position in the chunk), amount in USD, and refund.

    `reason` is -1 without a refund; `lag` is the number of days until the refund, `back` the share that is refunded.
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
class Demand:
    """Demand of a day, one value per seller: expected orders, spikes, and probabilities of cancel and return."""

    expected: FloatArray
    spike: NDArray[np.bool_]
    cancelled: FloatArray
    returned: FloatArray


def daily_demand(expected: FloatArray, state: State, traits: Traits) -> Demand:
    """Return the demand of a day.

    If the stock lasts for less than three days, orders are not served or are cancelled. Low skill, low health and
    spikes increase returns.
    """
    spike = expected * traits.price > _SPIKE * state.fast
    served = np.clip(state.stock / (3 * GOODS_SHARE * expected * traits.price + 1e-9), 0.05, 1)
    returned = _RETURN_SHARE * traits.returns * np.exp(-0.30 * traits.skill - 0.38 * state.health)
    return Demand(
        expected=expected * served,
        spike=spike,
        cancelled=_CANCEL_SHARE + 0.15 * state.stress + 0.10 * (1 - served),
        returned=np.minimum(returned * np.where(spike, 1.6, 1.0), 0.5),
    )


@dataclass
class Trade:
    """All orders of a chunk, and their refunds (days x sellers, USD)."""

    refund_due: FloatArray
    batches: list[Batch] = field(default_factory=list)

    def sell(self, day: int, demand: Demand, traits: Traits, rng: np.random.Generator) -> FloatArray:
        """Add the real orders of a day and return the sales of each seller in USD."""
        seller = np.repeat(np.arange(len(traits), dtype=np.int32), rng.poisson(demand.expected))
        spread = traits.price_sd[seller]
        usd: FloatArray = traits.price[seller] * np.exp(spread * rng.standard_normal(len(seller)) - spread**2 / 2)
        usd = np.maximum(usd, 1.0).round(2)
        reason, lag, back = _outcomes(demand.cancelled[seller], demand.returned[seller], rng)
        self.batches.append(Batch(day, seller, usd, False, demand.spike[seller], reason, lag, back))
        refunded = np.flatnonzero(reason >= 0)
        due = np.round(usd[refunded] * back[refunded], 2)
        np.add.at(self.refund_due, (day + lag[refunded], seller[refunded]), due)
        sales: FloatArray = np.bincount(seller, usd, minlength=len(traits)).astype(np.float64)
        return sales


def _outcomes(
    cancelled: FloatArray, returned: FloatArray, rng: np.random.Generator
) -> tuple[NDArray[np.int8], NDArray[np.int16], FloatArray]:
    """Return for each order the reason of its refund (-1: none), the lag in days and the share that is refunded."""
    count = len(cancelled)
    draw = rng.random(count)
    reason = np.full(count, -1, dtype=np.int8)
    lag = np.zeros(count, dtype=np.int16)
    back: FloatArray = np.ones(count)
    refunded = np.flatnonzero(draw < cancelled + returned)
    luck = rng.random((3, len(refunded)))
    why = np.where(draw[refunded] < cancelled[refunded], CANCEL, np.searchsorted(_REASON_OF_RETURNED, luck[0]))
    days = _LAG_DAYS[why] * (0.45 + 1.1 * luck[1])
    reason[refunded] = why
    lag[refunded] = np.minimum(days, LONGEST_LAG)
    back[refunded] = np.where((why == REFUND) & (luck[2] < _PARTIAL_SHARE), 0.2 + luck[2], 1.0)
    return reason, lag, back


_BACKGROUND_RATE: Final = 0.08
"""Fake orders per expected order on a normal day."""

_BURST_RATE: Final = 4.0
_BURST_CHANCE: Final = 0.22
"""Before a loan application: probability of a burst of `_BURST_RATE` fake orders per expected order."""

_FAKE_REFUND_SHARE: Final = 0.40
"""Share of fake orders that is refunded, within three days."""


def fake_counts(
    expected: FloatArray, faker: NDArray[np.bool_], before_loan: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return the number of fake orders of each seller today; more before a loan application."""
    burst = before_loan & (rng.random(len(expected)) < _BURST_CHANCE)
    rate = np.where(burst, _BURST_RATE, _BACKGROUND_RATE) * faker
    counts: NDArray[np.int64] = rng.poisson(np.minimum(expected, 50.0) * rate)
    return counts


def fake_batch(day: int, counts: NDArray[np.int64], traits: Traits, rng: np.random.Generator) -> Batch:
    """Return the fake orders of a day, with round amounts near the seller's price. Their refunds cost nothing."""
    seller = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    size = len(seller)
    usd = np.maximum(np.round(traits.price[seller] * np.exp(rng.normal(0.1, 0.25, size)) / 5), 1) * 5
    is_refunded = rng.random(size) < _FAKE_REFUND_SHARE
    return Batch(
        day=day,
        seller=seller,
        usd=usd,
        fake=True,
        spike=np.zeros(size, dtype=np.bool_),
        reason=np.where(is_refunded, REFUND, -1).astype(np.int8),
        lag=rng.integers(1, 4, size).astype(np.int16),
        back=np.ones(size),
    )
