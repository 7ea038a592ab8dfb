"""The market: calendar with festivals, exchange rates, and shocks that affect many sellers at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from features.festivals import festivals
from training.simulation.config import HISTORY_DAYS, SimulationConfig
from training.simulation.rows import FloatArray, Rows, coded

CURRENCIES: Final = ("USD", "EUR", "GBP", "CNY", "VND", "INR", "CAD", "JPY")
_USD_PER_UNIT: Final = (1.0, 1.09, 1.26, 0.141, 0.0000403, 0.0120, 0.738, 0.0069)
"""Approximate levels of 2022 to 2024; each rate is a random walk around its level."""
_FX_DAILY_SD: Final = 0.003
"""Standard deviation of a day's log move."""
_FX_LEAD_DAYS: Final = 40
"""Number of days before the period for which rates are listed, so that no early row lacks one."""

COUNTRIES: Final = ("CN", "US", "DE", "GB", "IN", "VN")
CATEGORIES: Final = ("fashion", "electronics", "home", "beauty", "toys", "auto")

_WEEKDAY: Final = (1.02, 1.0, 0.98, 0.97, 0.98, 1.0, 1.05)
"""Demand by weekday from Monday."""


@dataclass(frozen=True)
class Shock:
    """A shock to many sellers: first day, length, and its strength by country and category (1 is the average seller).

    `demand` is the log change of orders at the peak; `cost` is the increase of shipping costs as a share of sales.
    """

    first_day: int
    days: int
    demand: float
    cost: float
    countries: tuple[float, ...]
    categories: tuple[float, ...]


def shocks_of(days: int) -> tuple[Shock, ...]:
    """Return the shocks of a period of `days` days; the last one starts inside the out-of-time test.

    Out-of-time loans are those of the 120 days that end a year before the period ends. In a typical shock, orders fall
    by 15% in a quarter and shipping costs rise, not equally for all sellers.
    """
    return (
        Shock(int(days * 0.30), 90, -0.14, 0.01, (1.5, 0.6, 0.8, 0.8, 1.0, 1.4), (1.0, 1.4, 1.2, 0.7, 0.9, 0.9)),
        Shock(int(days * 0.50), 120, -0.04, 0.04, (1.6, 0.5, 0.7, 0.7, 1.1, 1.5), (0.8, 1.0, 1.5, 0.6, 1.2, 1.2)),
        Shock(
            days - HISTORY_DAYS - 90, 90, -0.20, 0.01, (1.3, 1.0, 1.0, 1.0, 0.6, 0.8), (1.4, 1.1, 1.0, 0.8, 1.0, 0.6)
        ),
    )


@dataclass(frozen=True)
class Market:
    """The market conditions, one value per day.

    Attributes:
        season: demand factor of weekday and festival, about 1.
        stock_up: mean `season` over the next six weeks; sellers buy stock for this period.
        spell: shocks x days, from 0 (no effect) to 1 (peak).
        shocks: the shocks, in the order of `spell`.
        usd: days x currencies, USD per unit.
    """

    season: FloatArray
    stock_up: FloatArray
    spell: FloatArray
    shocks: tuple[Shock, ...]
    usd: FloatArray


def build_market(config: SimulationConfig, rng: np.random.Generator) -> Market:
    """Return the market conditions of a simulation."""
    season = _season(config.start, config.days + 42)
    ahead = np.convolve(season, np.full(42, 1 / 42), mode="valid")[: config.days]
    shocks = shocks_of(config.days)
    spell = np.stack([_spell(shock, config.days) for shock in shocks])
    return Market(season[: config.days], ahead, spell, shocks, _exchange_rates(config.days, rng))


def _season(start: date, days: int) -> FloatArray:
    factors = [_WEEKDAY[day.weekday()] * _festival(day) for day in (start + timedelta(days=n) for n in range(days))]
    return np.array(factors) / 1.06


def _festival(day: date) -> float:
    """Return the demand factor of the festivals: 11.11, Black Friday to Cyber Monday, 6.18 and December."""
    _, _, black_friday, _ = festivals(day.year)
    factors = [
        factor
        for first, last, factor in (
            (date(day.year, 11, 11), date(day.year, 11, 11), 2.6),
            (*black_friday, 2.2),
            (date(day.year, 6, 18), date(day.year, 6, 18), 1.9),
            (date(day.year, 6, 10), date(day.year, 6, 17), 1.2),
            (date(day.year, 11, 1), date(day.year, 11, 30), 1.2),
            (date(day.year, 12, 1), date(day.year, 12, 20), 1.25),
        )
        if first <= day <= last
    ]
    return max(factors, default=1.0)


def _spell(shock: Shock, days: int) -> FloatArray:
    """Return the strength of a shock: it rises over 10 days, holds, and fades with a half-life of a month."""
    since = np.arange(days) - shock.first_day
    rise = np.clip(since / 10, 0, 1)
    return rise * np.where(since > shock.days, 0.5 ** ((since - shock.days) / 30), 1.0)


def _exchange_rates(days: int, rng: np.random.Generator) -> FloatArray:
    """Return slowly mean-reverting random walks around the levels; the dollar is 1."""
    moves = rng.normal(0, _FX_DAILY_SD, (days, len(CURRENCIES)))
    moves[:, 0] = 0
    walk = np.zeros_like(moves)
    for day in range(1, days):
        walk[day] = walk[day - 1] * 0.998 + moves[day]
    return np.round(np.array(_USD_PER_UNIT) * np.exp(walk), 10)


def fx_rows(market: Market, start: date) -> Rows:
    """Return the table of rates. A day's rate becomes known at 17:00 of that day."""
    led = np.concatenate([np.repeat(market.usd[:1], _FX_LEAD_DAYS, axis=0), market.usd])
    days = np.datetime64(start, "D") + np.arange(-_FX_LEAD_DAYS, len(market.usd))
    day = np.repeat(days, len(CURRENCIES))
    codes = np.tile(np.arange(len(CURRENCIES), dtype=np.int32), len(days))
    known_at = day.astype("datetime64[us]") + np.timedelta64(17, "h")
    return Rows.of(
        "fx_rates",
        day=day,
        currency=coded(codes, CURRENCIES),
        usd_per_unit=led.ravel(),
        known_at=known_at,
    )
