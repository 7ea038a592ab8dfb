"""Past lending: applications, approval by simple rules, and repayment from the seller's cash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.config import HISTORY_DAYS
from training.simulation.rows import FloatArray, Mask
from training.simulation.sellers import Traits
from training.simulation.state import NEVER, DailyHistory, Snapshot, State
from training.simulation.trade import fake_counts

IntArray = NDArray[np.int64]

PERIOD_DAYS: Final = 30
"""Days from one instalment to the next."""
DEFAULT_DAYS: Final = 90
OUTCOME_DAYS: Final = 365
"""A default is 90 days past due on an instalment within 12 months of disbursement (DESIGN.md)."""
_TERMS: Final = (3, 4, 6)
"""Instalments of a loan."""
_FEE_PER_PERIOD: Final = 0.012
_MONTHS: Final = (0.3, 1.1)
"""Principal in months of gross sales, which include fake orders."""
_LEAST_TENURE: Final = 120
_LOOK_BACK: Final = 90
_LEAST_SALES_USD: Final = 300.0
_APPROVED_SHARE: Final = 0.95
_APPLICATION_CHANCE: Final = 0.08
"""Daily probability that a seller without a loan applies; under full stress it is three times as high."""
_FAKING_DAYS: Final = (20, 45)
"""Days for which a faker places more fake orders before an application."""
_PAUSE_DAYS: Final = (5, 30)
"""Days until the next application after repayment, and after a rejection."""


@dataclass(frozen=True)
class Disbursals:
    """The loans disbursed on one day, and the hidden state of their sellers at the midnight before.

    Amounts are in hundredths of the seller's base currency; `number` counts a seller's loans from 1.
    """

    day: int
    seller: IntArray
    number: IntArray
    principal: IntArray
    total: IntArray
    instalment: IntArray
    periods: IntArray
    known: Snapshot


@dataclass(frozen=True)
class Payments:
    """Payments of one day in hundredths of the base currency."""

    day: int
    seller: IntArray
    number: IntArray
    amount: IntArray


@dataclass
class LoanBook:
    """The loans of a chunk of sellers: at most one open loan per seller; arrays have one value per seller.

    `usd` is days x sellers, USD per unit of each seller's base currency. `rate` is the rate of the day of disbursement.
    Loans are repaid at this rate, because sellers who borrow in their own currency have no currency risk.
    """

    traits: Traits
    usd: FloatArray
    disbursals: list[Disbursals] = field(default_factory=list)
    payments: list[Payments] = field(default_factory=list)
    defaults: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start without loans."""
        count = len(self.traits)
        self.open, self.defaulted = (np.zeros(count, dtype=np.bool_) for _ in range(2))
        self.number, self.since, self.instalment, self.total, self.paid, self.may_apply_from = (
            np.zeros(count, dtype=np.int64) for _ in range(6)
        )
        self.rate, self.applies_on = np.ones(count), np.full(count, NEVER, dtype=np.int64)

    def lend(
        self, day: int, state: State, history: DailyHistory, trading: Mask, rng: np.random.Generator
    ) -> FloatArray:
        """Decide on the applications of the day and return the USD disbursed to each seller."""
        cash = np.zeros(len(self.traits))
        applicants = self._applicants(day, state, trading, rng)
        if day < HISTORY_DAYS or not len(applicants):
            return cash
        sales = history.gross[day - _LOOK_BACK : day, applicants]
        approved = (
            (day - self.traits.joined[applicants] >= _LEAST_TENURE)
            & (sales.sum(axis=0) >= _LEAST_SALES_USD)
            & (sales[-30:].mean(axis=0) > 0.5 * sales.mean(axis=0))
            & (rng.random(len(applicants)) < _APPROVED_SHARE)
        )
        self.may_apply_from[applicants] = day + _PAUSE_DAYS[1]
        months = rng.uniform(*_MONTHS, len(applicants)) * 30 * sales.mean(axis=0)
        periods = rng.choice(_TERMS, len(applicants))
        if approved.any():
            chosen = applicants[approved]
            cash[chosen] = self._disburse(
                day, chosen, months[approved], periods[approved], Snapshot.of(day, chosen, state, history)
            )
        return cash

    def _applicants(self, day: int, state: State, trading: Mask, rng: np.random.Generator) -> IntArray:
        """Return who applies today: honest sellers at once, fakers after some weeks of more fake orders."""
        chance = _APPLICATION_CHANCE * (1 + 2 * state.stress)
        free = trading & ~self.open
        wants = free & (day >= self.may_apply_from) & (self.applies_on == NEVER) & (rng.random(len(chance)) < chance)
        delay = rng.integers(*_FAKING_DAYS, len(chance)) * self.traits.faker
        self.applies_on = np.where(wants, day + delay, self.applies_on)
        asks = free & (self.applies_on <= day)
        self.applies_on = np.where(asks, NEVER, self.applies_on)
        return np.flatnonzero(asks)

    def _disburse(self, day: int, who: IntArray, usd: FloatArray, periods: IntArray, known: Snapshot) -> FloatArray:
        rate = self.usd[day, who]
        principal = np.maximum(np.round(usd / rate), 1).astype(np.int64) * 100
        total = np.round(principal * (1 + _FEE_PER_PERIOD * periods)).astype(np.int64)
        instalment = -(-total // periods)
        self.open[who], self.since[who], self.paid[who] = True, day, 0
        self.rate[who], self.instalment[who], self.total[who] = rate, instalment, total
        self.number[who] += 1
        self.disbursals.append(Disbursals(day, who, self.number[who], principal, total, instalment, periods, known))
        paid_out: FloatArray = principal * rate / 100
        return paid_out

    def fake_orders(self, day: int, expected: FloatArray, rng: np.random.Generator) -> IntArray:
        """Return the number of fake orders of each seller today; fakers place more before a loan application."""
        before_loan = (self.applies_on != NEVER) & (day >= HISTORY_DAYS - _FAKING_DAYS[1])
        return fake_counts(expected, self.traits.faker, before_loan, rng)

    def owed_usd(self) -> FloatArray:
        """Return the open debt of each seller, due or not, in USD."""
        owed: FloatArray = np.where(self.open, (self.total - self.paid) * self.rate / 100, 0.0)
        return owed

    def collect(self, day: int, spare_usd: FloatArray) -> FloatArray:
        """Collect due amounts as far as the spare cash allows, record defaults, and return the USD paid."""
        due = np.minimum((day - self.since) // PERIOD_DAYS * self.instalment, self.total) - self.paid
        due = np.where(self.open, np.maximum(due, 0), 0)
        pay = np.minimum(due, np.floor(spare_usd / self.rate * 100).astype(np.int64))
        pay = np.where((pay == due) | (pay >= self.instalment // 4), pay, 0)
        who = np.flatnonzero(pay)
        if len(who):
            self.paid += pay
            self.payments.append(Payments(day, who, self.number[who], pay[who]))
            repaid = who[self.paid[who] >= self.total[who]]
            self.open[repaid] = self.defaulted[repaid] = False
            self.may_apply_from[repaid] = day + _PAUSE_DAYS[0]
        self._record_defaults(day)
        usd: FloatArray = pay * self.rate / 100
        return usd

    def _record_defaults(self, day: int) -> None:
        """Record defaults. Payments cover the oldest instalment first; its due date starts the days past due."""
        settled = self.paid // np.maximum(self.instalment, 1)
        past_due = day - self.since - PERIOD_DAYS * (settled + 1)
        young = day - self.since <= OUTCOME_DAYS
        for seller in np.flatnonzero(self.open & ~self.defaulted & young & (past_due >= DEFAULT_DAYS)):
            self.defaulted[seller] = True
            self.defaults.append((day, int(seller), int(self.number[seller])))
