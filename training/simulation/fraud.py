"""Fake orders: bought by the seller's own circle to look bigger, without visitors, and soon paid back in part."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.sellers import Traits
from training.simulation.trade import REFUND, Batch

FloatArray = NDArray[np.float64]

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
