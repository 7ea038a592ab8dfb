"""The lives of a chunk of sellers, day by day: health moves demand, demand moves cash, and cash decides what is paid.

Everything is in USD and vectorised over sellers; nothing here knows what a feature or a label is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.lending import LoanBook
from training.simulation.market import Market
from training.simulation.sellers import Traits, base_rates
from training.simulation.state import GOODS_SHARE, NEVER, Diary, State
from training.simulation.trade import Trade, fake_batch, open_counter

FloatArray = NDArray[np.float64]
Floats = NDArray[np.floating[Any]]

_PAYOUT_DAYS: Final = 14
"""Days until the marketplace pays out a sale."""
FIXED_SHARE: Final = 0.115
"""Rent, wages and tools, as a share of the sales that the seller has grown used to."""
_STOCK_DAYS: Final = 35
_PURCHASE_EVERY: Final = 10
_RESERVE_DAYS: Final = 6
"""Days of outgoings that a seller keeps before buying stock or paying an instalment."""
_AD_SHARE: Final = 0.085
"""Ad spend over sales of the average seller; DOMAIN.md: traffic cost is the main complaint beside cash flow."""
_MOST_ADS: Final = 0.45

_HEALTH_DAYS: Final = 130.0
_HEALTH_SD: Final = 0.85
"""Health wanders about its mean with this memory (days) and spread."""
_GROWTH_PER_DAY: Final = 0.0038
"""Log growth of demand a day at health 1, before it is pulled back."""
_TREND_DAYS: Final = 260.0
_TREND_NOISE: Final = 0.012
_JOLTS_PER_YEAR: Final = 0.40
"""Frozen accounts, lost containers, suppliers who vanish: nobody sees them coming."""
_BANS_PER_YEAR: Final = 0.03
_FAKE_COMMISSION: Final = 0.08
"""What a fake order costs, as a share of its amount; it brings nothing."""
_BROKE_DAYS: Final = 30
"""Days without cash after which the owner gives up."""
_FADE_DAYS: Final = 15.0


@dataclass(frozen=True)
class Economy:
    """All that a chunk of sellers did: the diary, the deals, and the state at the end."""

    diary: Diary
    trade: Trade
    loans: LoanBook
    purchases: tuple[NDArray[np.int32], NDArray[np.int32], FloatArray]
    final: State


@dataclass(frozen=True)
class World:
    """What stands still or comes from outside: who the sellers are, and the market that they share."""

    traits: Traits
    market: Market


def run_economy(traits: Traits, market: Market, rng: np.random.Generator) -> Economy:
    """Live through every day of the market."""
    days, count, world = len(market.season), len(traits), World(traits, market)
    state = _beginning(traits, rng)
    diary = Diary.blank(days, count)
    trade, loans = Trade.empty(days, count), LoanBook.empty(traits, base_rates(traits, market))
    purchases: list[tuple[int, NDArray[np.int64], FloatArray]] = []
    for day in range(days):
        active = (traits.joined <= day) & (state.closed_on > day - 8 * _FADE_DAYS)
        # Loans first: the truth beside a loan is the state at midnight, before the day's own luck.
        state.cash += loans.lend(day, state, diary, active & (state.closed_on == NEVER), rng)
        _drift(state, traits, active, rng)
        _banish(day, state, active, rng)
        wanted = _demand(day, state, world, rng) * active
        fakes = loans.fake_orders(day, wanted, rng)
        counter = open_counter(wanted, state, traits)
        diary.spike[day] = counter.spike
        diary.sales[day] = trade.sell(day, counter, traits, rng)
        diary.gross[day] = diary.sales[day] + trade.pretend(fake_batch(day, fakes, traits, rng), count)
        _note(diary, day, state, wanted, trade)
        _settle(day, state, world, diary, active)
        state.cash -= _FAKE_COMMISSION * fakes * traits.price
        bought = _purchase(day, state, world, active)
        purchases.append((day, np.flatnonzero(bought), bought[bought > 0]))
        state.cash -= loans.collect(day, np.maximum(state.cash - _RESERVE_DAYS * 0.5 * state.slow, 0))
        _end_of_day(day, state, traits, loans.owed_usd(), active)
    return Economy(diary, trade, loans, _joined_purchases(purchases), state)


def _beginning(traits: Traits, rng: np.random.Generator) -> State:
    count = len(traits)
    trend = np.where(traits.joined < 0, rng.normal(0, 0.35, count), -0.5)
    base = traits.size * traits.price * np.exp(trend)
    return State(
        health=traits.health_mean + _HEALTH_SD * rng.standard_normal(count),
        trend=trend,
        cash=(traits.capital + _PAYOUT_DAYS) * base,
        stock=GOODS_SHARE * _STOCK_DAYS * base,
        fast=base.copy(),
        slow=base.copy(),
        stress=np.zeros(count),
        broke_days=np.zeros(count, dtype=np.int64),
        closed_on=np.full(count, NEVER, dtype=np.int64),
    )


def _drift(state: State, traits: Traits, active: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Health wanders; demand grows with it and is pulled back to size; rarely a jolt strikes."""
    luck = rng.standard_normal((2, len(traits)))
    pull = (traits.health_mean - state.health) / _HEALTH_DAYS
    state.health += pull + _HEALTH_SD * np.sqrt(2 / _HEALTH_DAYS) * luck[0]
    growth = _GROWTH_PER_DAY * state.health - state.trend / _TREND_DAYS + _TREND_NOISE * luck[1]
    state.trend += growth * active
    struck = np.flatnonzero((rng.random(len(traits)) < _JOLTS_PER_YEAR / 365) & active)
    if len(struck):
        state.trend[struck] -= rng.uniform(0.1, 0.7, len(struck))
        state.cash[struck] -= rng.uniform(5, 30, len(struck)) * state.slow[struck]


def _banish(day: int, state: State, active: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Rarely an account is closed overnight, however healthy: stock and cash are lost."""
    banned = active & (state.closed_on > day) & (rng.random(len(active)) < _BANS_PER_YEAR / 365)
    state.closed_on = np.where(banned, day, state.closed_on)
    state.cash = np.where(banned, 0.0, state.cash)
    state.stock = np.where(banned, 0.0, state.stock)


def _demand(day: int, state: State, world: World, rng: np.random.Generator) -> FloatArray:
    """Expected orders of the day: size, trend, season, shocks, livestream, noise, and the fading of a closed shop."""
    traits, market = world.traits, world.market
    hit = np.array([shock.demand for shock in market.shocks]) * market.spell[:, day]
    noise = rng.normal(0, 0.12, len(traits))
    wanted = traits.size * market.season[day] * np.exp(state.trend + traits.exposure @ hit + noise)
    live = np.flatnonzero(rng.random(len(traits)) < traits.livestream)
    wanted[live] *= 3 + 4 * rng.pareto(2.2, len(live))
    faded: FloatArray = wanted * np.exp(-np.maximum(day - state.closed_on, 0) / _FADE_DAYS)
    return faded


def ad_share(health: Floats, stress: Floats, skill: FloatArray) -> FloatArray:
    """Ad spend over sales: the weak and the pressed buy the demand that does not come by itself."""
    share: FloatArray = _AD_SHARE * np.exp(-0.40 * health - 0.20 * skill) * (1 + 1.5 * stress)
    return np.minimum(share, _MOST_ADS)


def _note(diary: Diary, day: int, state: State, wanted: FloatArray, trade: Trade) -> None:
    diary.wanted[day] = wanted
    diary.health[day] = state.health
    diary.stress[day] = state.stress
    diary.refunds[day] = trade.refund_due[day]


def _settle(day: int, state: State, world: World, diary: Diary, active: NDArray[np.bool_]) -> None:
    """Payouts in; refunds, ads and fixed costs out."""
    traits, market = world.traits, world.market
    sales = diary.sales[day]
    dearer = traits.exposure @ (np.array([shock.cost for shock in market.shocks]) * market.spell[:, day])
    if day >= _PAYOUT_DAYS:
        state.cash += diary.sales[day - _PAYOUT_DAYS] * (GOODS_SHARE + traits.margin)
    ads = ad_share(state.health, state.stress, traits.skill) * state.fast * active
    ads *= state.closed_on > day
    diary.ads[day] = ads
    fixed = FIXED_SHARE * state.slow * (active & (state.closed_on > day))
    state.cash -= diary.refunds[day] + ads + fixed + dearer * sales
    state.stock = np.maximum(state.stock - GOODS_SHARE * sales, 0)
    state.fast += active * (sales - state.fast) / 14
    state.slow += active * (sales - state.slow) / 180


def _purchase(day: int, state: State, world: World, active: NDArray[np.bool_]) -> FloatArray:
    """Every ten days: fill up the stock for the weeks ahead, as far as the cash goes."""
    traits, market = world.traits, world.market
    due = active & (state.closed_on > day) & (traits.number % _PURCHASE_EVERY == day % _PURCHASE_EVERY)
    target = GOODS_SHARE * _STOCK_DAYS * state.fast * market.stock_up[day]
    affordable = np.maximum(state.cash - _RESERVE_DAYS * 0.5 * state.slow, 0)
    bought = np.minimum(np.maximum(target - state.stock, 0), affordable) * due
    bought = np.where(bought < 1.0, 0.0, np.round(bought, 2))
    state.cash -= bought
    state.stock += bought
    return bought


def _end_of_day(day: int, state: State, traits: Traits, owed: FloatArray, active: NDArray[np.bool_]) -> None:
    """Owners draw what exceeds their target and their debt; those without cash for long give up."""
    surplus = state.cash - traits.capital * state.slow - owed
    state.cash -= np.maximum(surplus, 0) * 0.08
    short = np.clip(1 - state.cash / (12 * state.slow + 1e-9), 0, 1)
    state.stress += (short - state.stress) / 15
    state.broke_days = np.where((state.cash <= 0) & active, state.broke_days + 1, 0)
    state.closed_on = np.where((state.broke_days >= _BROKE_DAYS) & (state.closed_on > day), day, state.closed_on)


def _joined_purchases(
    log: list[tuple[int, NDArray[np.int64], FloatArray]],
) -> tuple[NDArray[np.int32], NDArray[np.int32], FloatArray]:
    day = np.concatenate([np.full(len(who), day, dtype=np.int32) for day, who, _ in log])
    seller = np.concatenate([who for _, who, _ in log]).astype(np.int32)
    return day, seller, np.concatenate([usd for _, _, usd in log])
