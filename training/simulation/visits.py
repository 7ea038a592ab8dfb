"""What a store's owner sees besides orders: traffic by channel, and ratings.

Small stores get their traffic report once a week; the row stands at the last day of the week.
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
    Setting,
    paid_share,
    store_column,
)
from training.simulation.rows import AnyArray, Coded, Column, Rows, known_times
from training.simulation.sellers import MOST_STORES

FloatArray = NDArray[np.float64]

_DAILY_FROM: Final = 5.0
"""Orders a day from which a seller's traffic is reported daily, not weekly."""
_WEEK: Final = 7
_CONVERSION: Final = 0.030
"""Orders over visits of the average seller."""
_VISITORS_SHARE: Final = 0.8
_LEAST_COST: Final = 0.01
"""USD of ads below which nothing is billed."""
_CART_SHARE: Final = 0.09
_RATED_SHARE: Final = 0.12


@dataclass(frozen=True)
class _Reports:
    """Stores with one reporting rhythm, and their sums by period: periods x stores."""

    days: int
    seller: NDArray[np.int64]
    slot: NDArray[np.int64]
    share: FloatArray

    def sums(self, values: AnyArray) -> FloatArray:
        """Sum days x sellers over whole periods and give each store its share."""
        periods = len(values) // self.days
        by_period = values[: periods * self.days].reshape(periods, self.days, -1).sum(axis=1)
        shared: FloatArray = by_period[:, self.seller] * self.share
        return shared

    def last_day(self, period: NDArray[np.int64]) -> NDArray[np.int64]:
        """The day at which the report of a period stands."""
        return (period + 1) * self.days - 1


def _reports(setting: Setting) -> tuple[_Reports, _Reports]:
    """The stores that are reported weekly, then daily."""
    traits = setting.traits
    share = np.diff(traits.store_share, prepend=0.0, axis=1)
    seller, slot = np.nonzero(np.arange(MOST_STORES) < traits.stores[:, None])
    daily = traits.size[seller] >= _DAILY_FROM
    weekly, each_day = (
        _Reports(days, seller[which], slot[which], share[seller[which], slot[which]])
        for days, which in ((_WEEK, ~daily), (1, daily))
    )
    return weekly, each_day


def traffic_rows(setting: Setting, rng: np.random.Generator) -> Rows:
    """Visits by store, day and channel, with what the ads cost; channels without visits have no row."""
    weekly, daily = (_traffic(reports, setting, rng) for reports in _reports(setting))
    return weekly.append(daily)


def _traffic(reports: _Reports, setting: Setting, rng: np.random.Generator) -> Rows:
    """One rhythm's rows: expected visits by period, store and channel, then the draw."""
    traits, diary = setting.traits, setting.economy.diary
    came = diary.wanted / (_CONVERSION * np.exp(0.22 * traits.skill + 0.22 * diary.health - 0.3 * diary.stress))
    share = paid_share(ad_share(diary.health, diary.stress, traits.skill) * traits.ad_taste)
    paid, live = reports.sums(came * share), reports.sums(came * diary.spike * LIVE_SHARE)
    free = np.maximum(reports.sums(came) - paid - live, 0)
    means = np.zeros((*paid.shape, len(CHANNELS)))
    means[:, :, ADS], means[:, :, LIVESTREAM] = paid, live
    means[:, :, SEARCH] = free * SEARCH_SHARE
    means[:, np.arange(len(reports.seller)), traits.side_channel[reports.seller]] = free * (1 - SEARCH_SHARE)
    counts = rng.poisson(means)
    cost = np.zeros_like(means)
    cost[:, :, ADS] = reports.sums(diary.ads)
    period, store, channel = np.nonzero((counts > 0) | (cost >= _LEAST_COST))
    visits = counts[period, store, channel]
    day, seller, slot = reports.last_day(period), reports.seller[store], reports.slot[store]
    currency = CURRENCY_OF_MARKETPLACE[traits.marketplace[seller, slot]].astype(np.int32)
    spent = cost[period, store, channel] / setting.market.usd[day, currency]
    columns: dict[str, Column] = {
        "store_id": store_column(seller, slot, traits),
        "day": setting.clock.days(day),
        "channel": Coded(channel.astype(np.int32), CHANNELS),
        "visits": visits.astype(np.int32),
        "visitors": rng.binomial(visits, _VISITORS_SHARE).astype(np.int32),
        "add_to_carts": rng.binomial(visits, _CART_SHARE).astype(np.int32),
        "ad_spend": np.round(spent, 2),
        "currency": Coded(currency, CURRENCIES),
        "known_at": known_times(setting.clock.at(day + 1, np.zeros(len(day))), rng),
    }
    return Rows("traffic", columns)


def rating_rows(setting: Setting, rng: np.random.Generator) -> Rows:
    """Weekly ratings of each store: the weak and the pressed slip, by little."""
    traits, diary = setting.traits, setting.economy.diary
    seller, slot = np.nonzero(np.arange(MOST_STORES) < traits.stores[:, None])
    share = np.diff(traits.store_share, prepend=0.0, axis=1)[seller, slot]
    reports = _Reports(_WEEK, seller, slot, share)
    counts = rng.poisson(reports.sums(diary.wanted * _RATED_SHARE))
    period, store = np.nonzero(counts)
    day, who = reports.last_day(period), seller[store]
    given = counts[period, store]
    mood = 4.35 + 0.12 * traits.skill[who] + 0.14 * diary.health[day, who] - 0.3 * diary.stress[day, who]
    stars = mood + 0.9 / np.sqrt(given) * rng.standard_normal(len(given))
    columns: dict[str, Column] = {
        "store_id": store_column(who, slot[store], traits),
        "day": setting.clock.days(day),
        "ratings": given.astype(np.int32),
        "stars": np.round(np.clip(stars, 1.0, 5.0), 2),
        "known_at": known_times(setting.clock.at(day + 1, np.zeros(len(day))), rng),
    }
    return Rows("ratings", columns)
