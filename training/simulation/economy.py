"""Daily simulation of a chunk of sellers: health drives demand, demand drives cash, and cash decides what is paid.

All amounts are in USD and vectorized over sellers. This module is independent of features and labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.lending import LoanBook
from training.simulation.market import Market
from training.simulation.rows import FloatArray, Floats
from training.simulation.sellers import Traits, base_rates
from training.simulation.state import GOODS_SHARE, NEVER, DailyHistory, State
from training.simulation.trade import LONGEST_LAG, Trade, daily_demand, fake_batch

_PAYOUT_DAYS: Final = 14
"""Days until the marketplace pays out a sale."""
FIXED_SHARE: Final = 0.115
"""Rent, wages and tools as a share of the average sales."""
_STOCK_DAYS: Final = 35
_PURCHASE_EVERY: Final = 10
_RESERVE_DAYS: Final = 6
"""Days of expenses that a seller keeps before buying stock or paying an instalment."""
_AD_SHARE: Final = 0.085
"""Ad spend over sales of the average seller."""
_MOST_ADS: Final = 0.45

_HEALTH_DAYS: Final = 130.0
_HEALTH_SD: Final = 0.85
"""Memory (days) and spread of health around its mean."""
_GROWTH_PER_DAY: Final = 0.0038
"""Daily log growth of demand at health 1, before mean reversion."""
_TREND_DAYS: Final = 260.0
_TREND_NOISE: Final = 0.012
_JOLTS_PER_YEAR: Final = 0.40
"""Unpredictable events such as frozen accounts, lost containers or failing suppliers."""
_BANS_PER_YEAR: Final = 0.03
_FAKE_COMMISSION: Final = 0.08
"""Cost of a fake order as a share of its amount. It has no revenue."""
_BROKE_DAYS: Final = 30
"""Days without cash after which the seller closes."""
_FADE_DAYS: Final = 15.0


@dataclass(frozen=True)
class Economy:
    """Result for a chunk of sellers: daily history, orders, loans, and the final state."""

    history: DailyHistory
    trade: Trade
    loans: LoanBook
    final: State


@dataclass(frozen=True)
class World:
    """Fixed inputs of the simulation: the traits of the sellers and the market."""

    traits: Traits
    market: Market


def run_economy(traits: Traits, market: Market, rng: np.random.Generator) -> Economy:
    """Simulate every day of the market."""
    days, count, world = len(market.season), len(traits), World(traits, market)
    state = _initial_state(traits, rng)
    history = DailyHistory.blank(days, count)
    trade = Trade(refund_due=np.zeros((days + LONGEST_LAG + 1, count)))
    loans = LoanBook(traits, base_rates(traits, market))
    for day in range(days):
        active = (traits.joined <= day) & (state.closed_on > day - 8 * _FADE_DAYS)
        # loans first: the snapshot of a loan is the state at midnight, before the events of the day
        state.cash += loans.lend(day, state, history, active & (state.closed_on == NEVER), rng)
        _drift(state, traits, active, rng)
        _ban_accounts(day, state, active, rng)
        expected = _demand(day, state, world, rng) * active
        fakes = loans.fake_orders(day, expected, rng)
        demand = daily_demand(expected, state, traits)
        history.spike[day] = demand.spike
        history.sales[day] = trade.sell(day, demand, traits, rng)
        trade.batches.append(fake := fake_batch(day, fakes, traits, rng))
        history.gross[day] = history.sales[day] + np.bincount(fake.seller, fake.usd, minlength=count)
        history.expected[day], history.refunds[day] = expected, trade.refund_due[day]
        history.health[day], history.stress[day] = state.health, state.stress
        _update_cash(day, state, world, history, active)
        state.cash -= _FAKE_COMMISSION * fakes * traits.price
        history.purchases[day] = _purchase(day, state, world, active)
        state.cash -= loans.collect(day, np.maximum(state.cash - _RESERVE_DAYS * 0.5 * state.slow, 0))
        _end_of_day(day, state, traits, loans.owed_usd(), active)
    return Economy(history, trade, loans, state)


def _initial_state(traits: Traits, rng: np.random.Generator) -> State:
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
    """Move health and the demand trend, which reverts to the seller's size; rarely apply an unpredictable event."""
    luck = rng.standard_normal((2, len(traits)))
    pull = (traits.health_mean - state.health) / _HEALTH_DAYS
    state.health += pull + _HEALTH_SD * np.sqrt(2 / _HEALTH_DAYS) * luck[0]
    growth = _GROWTH_PER_DAY * state.health - state.trend / _TREND_DAYS + _TREND_NOISE * luck[1]
    state.trend += growth * active
    struck = np.flatnonzero((rng.random(len(traits)) < _JOLTS_PER_YEAR / 365) & active)
    if len(struck):
        state.trend[struck] -= rng.uniform(0.1, 0.7, len(struck))
        state.cash[struck] -= rng.uniform(5, 30, len(struck)) * state.slow[struck]


def _ban_accounts(day: int, state: State, active: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Close a few random accounts overnight: stock and cash are lost."""
    banned = active & (state.closed_on > day) & (rng.random(len(active)) < _BANS_PER_YEAR / 365)
    state.closed_on = np.where(banned, day, state.closed_on)
    state.cash = np.where(banned, 0.0, state.cash)
    state.stock = np.where(banned, 0.0, state.stock)


def _demand(day: int, state: State, world: World, rng: np.random.Generator) -> FloatArray:
    """Return expected orders: size, trend, season, shocks, livestream and noise; demand of a closed shop fades."""
    traits, market = world.traits, world.market
    hit = np.array([shock.demand for shock in market.shocks]) * market.spell[:, day]
    noise = rng.normal(0, 0.12, len(traits))
    expected = traits.size * market.season[day] * np.exp(state.trend + traits.exposure @ hit + noise)
    live = np.flatnonzero(rng.random(len(traits)) < traits.livestream)
    expected[live] *= 3 + 4 * rng.pareto(2.2, len(live))
    faded: FloatArray = expected * np.exp(-np.maximum(day - state.closed_on, 0) / _FADE_DAYS)
    return faded


def ad_share(health: Floats, stress: Floats, skill: FloatArray) -> FloatArray:
    """Return ad spend over sales: sellers with low health or high stress buy demand."""
    share: FloatArray = _AD_SHARE * np.exp(-0.40 * health - 0.20 * skill) * (1 + 1.5 * stress)
    return np.minimum(share, _MOST_ADS)


def _update_cash(day: int, state: State, world: World, history: DailyHistory, active: NDArray[np.bool_]) -> None:
    """Add payouts to the cash; subtract refunds, ads and fixed costs."""
    traits, market = world.traits, world.market
    sales = history.sales[day]
    dearer = traits.exposure @ (np.array([shock.cost for shock in market.shocks]) * market.spell[:, day])
    if day >= _PAYOUT_DAYS:
        state.cash += history.sales[day - _PAYOUT_DAYS] * (GOODS_SHARE + traits.margin)
    ads = ad_share(state.health, state.stress, traits.skill) * state.fast * active
    ads *= state.closed_on > day
    history.ads[day] = ads
    fixed = FIXED_SHARE * state.slow * (active & (state.closed_on > day))
    state.cash -= history.refunds[day] + ads + fixed + dearer * sales
    state.stock = np.maximum(state.stock - GOODS_SHARE * sales, 0)
    state.fast += active * (sales - state.fast) / 14
    state.slow += active * (sales - state.slow) / 180


def _purchase(day: int, state: State, world: World, active: NDArray[np.bool_]) -> FloatArray:
    """Every ten days, buy stock for the next weeks as far as the cash allows; return the USD spent."""
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
    """Pay out cash above the target and the debt; close sellers that have had no cash for long."""
    surplus = state.cash - traits.capital * state.slow - owed
    state.cash -= np.maximum(surplus, 0) * 0.08
    short = np.clip(1 - state.cash / (12 * state.slow + 1e-9), 0, 1)
    state.stress += (short - state.stress) / 15
    state.broke_days = np.where((state.cash <= 0) & active, state.broke_days + 1, 0)
    state.closed_on = np.where((state.broke_days >= _BROKE_DAYS) & (state.closed_on > day), day, state.closed_on)
