"""Rows of traffic by channel and of ratings.

Small stores have weekly traffic rows, dated at the last day of the week.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.schema import CHANNELS
from training.simulation.economy import ad_share
from training.simulation.market import CURRENCIES
from training.simulation.orders import (
    ADS,
    CURRENCY_OF_MARKETPLACE,
    LIVE_SHARE,
    LIVESTREAM,
    SEARCH,
    SEARCH_SHARE,
    ChunkContext,
    paid_share,
    store_column,
)
from training.simulation.rows import AnyArray, FloatArray, Rows, coded, known_times
from training.simulation.sellers import MOST_STORES

_DAILY_FROM: Final = 5.0
"""Orders per day from which a seller has daily instead of weekly traffic rows."""
_WEEK: Final = 7
_CONVERSION: Final = 0.030
"""Orders over visits of the average seller."""
_VISITORS_SHARE: Final = 0.8
_LEAST_COST: Final = 0.01
"""Minimum ad cost in USD."""
_CART_SHARE: Final = 0.09
_RATED_SHARE: Final = 0.12


@dataclass(frozen=True)
class _Reports:
    """Stores with the same reporting interval of `days`."""

    days: int
    seller: NDArray[np.int64]
    slot: NDArray[np.int64]
    share: FloatArray

    def sums(self, values: AnyArray) -> FloatArray:
        """Return sums over whole intervals, divided among the stores: intervals x stores."""
        periods = len(values) // self.days
        by_period = values[: periods * self.days].reshape(periods, self.days, -1).sum(axis=1)
        shared: FloatArray = by_period[:, self.seller] * self.share
        return shared

    def last_day(self, period: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the last day of each interval."""
        return (period + 1) * self.days - 1


def _reports(chunk: ChunkContext) -> tuple[_Reports, _Reports]:
    """Return the stores with weekly rows and those with daily rows."""
    traits = chunk.traits
    share = np.diff(traits.store_share, prepend=0.0, axis=1)
    seller, slot = np.nonzero(np.arange(MOST_STORES) < traits.stores[:, None])
    daily = traits.size[seller] >= _DAILY_FROM
    weekly_stores, daily_stores = (
        _Reports(days, seller[mask], slot[mask], share[seller[mask], slot[mask]])
        for days, mask in ((_WEEK, ~daily), (1, daily))
    )
    return weekly_stores, daily_stores


def traffic_rows(chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return visits and ad costs by store, day and channel; channels without either have no row."""
    weekly, daily = (_traffic(reports, chunk, rng) for reports in _reports(chunk))
    return weekly.append(daily)


def _traffic(reports: _Reports, chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return the rows of one reporting interval, drawn from the expected visits."""
    traits, history = chunk.traits, chunk.economy.history
    quality = np.exp(0.22 * traits.skill + 0.22 * history.health - 0.3 * history.stress)
    visitors = history.expected / (_CONVERSION * quality)
    share = paid_share(ad_share(history.health, history.stress, traits.skill) * traits.ad_taste)
    paid, live = reports.sums(visitors * share), reports.sums(visitors * history.spike * LIVE_SHARE)
    free = np.maximum(reports.sums(visitors) - paid - live, 0)
    means = np.zeros((*paid.shape, len(CHANNELS)))
    means[:, :, ADS], means[:, :, LIVESTREAM] = paid, live
    means[:, :, SEARCH] = free * SEARCH_SHARE
    means[:, np.arange(len(reports.seller)), traits.side_channel[reports.seller]] = free * (1 - SEARCH_SHARE)
    counts = rng.poisson(means)
    cost = np.zeros_like(means)
    cost[:, :, ADS] = reports.sums(history.ads)
    period, store, channel = np.nonzero((counts > 0) | (cost >= _LEAST_COST))
    visits = counts[period, store, channel]
    day, seller, slot = reports.last_day(period), reports.seller[store], reports.slot[store]
    currency = CURRENCY_OF_MARKETPLACE[traits.marketplace[seller, slot]].astype(np.int32)
    spent = cost[period, store, channel] / chunk.market.usd[day, currency]
    return Rows.of(
        "traffic",
        store_id=store_column(seller, slot, traits),
        day=chunk.clock.days(day),
        channel=coded(channel.astype(np.int32), CHANNELS),
        visits=visits.astype(np.int32),
        visitors=rng.binomial(visits, _VISITORS_SHARE).astype(np.int32),
        add_to_carts=rng.binomial(visits, _CART_SHARE).astype(np.int32),
        ad_spend=np.round(spent, 2),
        currency=coded(currency, CURRENCIES),
        known_at=known_times(chunk.clock.at(day + 1, np.zeros(len(day))), rng),
    )


def rating_rows(chunk: ChunkContext, rng: np.random.Generator) -> Rows:
    """Return weekly ratings of each store; low health and high stress lower them slightly."""
    traits, history = chunk.traits, chunk.economy.history
    seller, slot = np.nonzero(np.arange(MOST_STORES) < traits.stores[:, None])
    share = np.diff(traits.store_share, prepend=0.0, axis=1)[seller, slot]
    reports = _Reports(_WEEK, seller, slot, share)
    counts = rng.poisson(reports.sums(history.expected * _RATED_SHARE))
    period, store = np.nonzero(counts)
    day, owner = reports.last_day(period), seller[store]
    ratings = counts[period, store]
    mood = 4.35 + 0.12 * traits.skill[owner] + 0.14 * history.health[day, owner] - 0.3 * history.stress[day, owner]
    stars = mood + 0.9 / np.sqrt(ratings) * rng.standard_normal(len(ratings))
    return Rows.of(
        "ratings",
        store_id=store_column(owner, slot[store], traits),
        day=chunk.clock.days(day),
        ratings=ratings.astype(np.int32),
        stars=np.round(np.clip(stars, 1.0, 5.0), 2),
        known_at=known_times(chunk.clock.at(day + 1, np.zeros(len(day))), rng),
    )
