"""The lender of the past: who asked, who was approved on crude rules, and what was paid back out of real cash."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.simulation.config import HISTORY_DAYS
from training.simulation.sellers import Traits
from training.simulation.state import NEVER, Diary, Snapshot, State
from training.simulation.trade import fake_counts

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Mask = NDArray[np.bool_]

PERIOD_DAYS: Final = 30
"""Days from one instalment to the next."""
DEFAULT_DAYS: Final = 90
OUTCOME_DAYS: Final = 365
"""A default is 90 days past due on an instalment within 12 months of disbursement (DESIGN.md)."""
_TERMS: Final = (3, 4, 6)
"""Instalments of a loan."""
_FEE_PER_PERIOD: Final = 0.012
_MONTHS: Final = (0.3, 1.1)
"""Principal, in months of gross sales as the lender sees them."""
_LEAST_TENURE: Final = 120
_LOOK_BACK: Final = 90
_LEAST_SALES_USD: Final = 300.0
_APPROVED_SHARE: Final = 0.95
_ASK_CHANCE: Final = 0.08
"""Chance a day that a seller without a loan asks; the pressed ask three times as often."""
_DRESSING_DAYS: Final = (20, 45)
_PAUSE_DAYS: Final = (5, 30)
"""Days without asking after repayment, and after a refusal."""


@dataclass(frozen=True)
class Disbursals:
    """The loans disbursed on one day, and the moving hidden state of their sellers at the midnight that began it.

    Amounts are hundredths of the seller's base currency; `number` counts a seller's loans from 1.
    """

    day: int
    seller: IntArray
    number: IntArray
    principal: IntArray
    total: IntArray
    instalment: IntArray
    periods: IntArray
    known: Snapshot

    @property
    def days(self) -> IntArray:
        """The day, once a row."""
        return np.full(len(self.seller), self.day, dtype=np.int64)


@dataclass(frozen=True)
class Payments:
    """What was really paid on one day, in hundredths of the base currency."""

    day: int
    seller: IntArray
    number: IntArray
    amount: IntArray

    @property
    def days(self) -> IntArray:
        """The day, once a row."""
        return np.full(len(self.seller), self.day, dtype=np.int64)


@dataclass
class LoanBook:
    """The lender's book on a chunk of sellers: at most one open loan each, one value a seller.

    `usd` is days x sellers, USD per unit of each seller's base currency. `rate` is that of the day of disbursement,
    at which the loan is also repaid: who borrows in his own currency carries no currency risk.
    """

    traits: Traits
    usd: FloatArray
    open: Mask
    number: IntArray
    since: IntArray
    rate: FloatArray
    instalment: IntArray
    total: IntArray
    paid: IntArray
    defaulted: Mask
    ask_again: IntArray
    ask_on: IntArray
    disbursals: list[Disbursals] = field(default_factory=list)
    payments: list[Payments] = field(default_factory=list)
    defaults: list[tuple[int, int, int]] = field(default_factory=list)

    @classmethod
    def empty(cls, traits: Traits, usd: FloatArray) -> LoanBook:
        """A book without loans."""
        count = len(traits)
        whole = [np.zeros(count, dtype=np.int64) for _ in range(5)]
        no = [np.zeros(count, dtype=np.bool_) for _ in range(2)]
        never = np.full(count, NEVER, dtype=np.int64)
        number, since, instalment, total, paid = whole
        return cls(
            traits,
            usd,
            no[0],
            number,
            since,
            np.ones(count),
            instalment,
            total,
            paid,
            no[1],
            np.zeros_like(never),
            never,
        )

    def lend(self, day: int, state: State, diary: Diary, trading: Mask, rng: np.random.Generator) -> FloatArray:
        """Take today's applications, decide, and return the USD disbursed to each seller."""
        cash = np.zeros(len(self.traits))
        applicants = self._applicants(day, state, trading, rng)
        if day < HISTORY_DAYS or not len(applicants):
            return cash
        seen = diary.gross[day - _LOOK_BACK : day, applicants]
        approved = (
            (day - self.traits.joined[applicants] >= _LEAST_TENURE)
            & (seen.sum(axis=0) >= _LEAST_SALES_USD)
            & (seen[-30:].mean(axis=0) > 0.5 * seen.mean(axis=0))
            & (rng.random(len(applicants)) < _APPROVED_SHARE)
        )
        self.ask_again[applicants] = day + _PAUSE_DAYS[1]
        months = rng.uniform(*_MONTHS, len(applicants)) * 30 * seen.mean(axis=0)
        periods = rng.choice(_TERMS, len(applicants))
        if approved.any():
            chosen = applicants[approved]
            cash[chosen] = self._disburse(
                day, chosen, months[approved], periods[approved], Snapshot.of(day, chosen, state, diary)
            )
        return cash

    def _applicants(self, day: int, state: State, trading: Mask, rng: np.random.Generator) -> IntArray:
        """Who asks today: the honest when they want, the fakers some weeks after they have begun to dress up."""
        chance = _ASK_CHANCE * (1 + 2 * state.stress)
        free = trading & ~self.open
        wants = free & (day >= self.ask_again) & (self.ask_on == NEVER) & (rng.random(len(chance)) < chance)
        delay = rng.integers(*_DRESSING_DAYS, len(chance)) * self.traits.faker
        self.ask_on = np.where(wants, day + delay, self.ask_on)
        asks = free & (self.ask_on <= day)
        self.ask_on = np.where(asks, NEVER, self.ask_on)
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

    def fake_orders(self, day: int, wanted: FloatArray, rng: np.random.Generator) -> IntArray:
        """How many fake orders each seller places today; those about to ask for a loan dress up."""
        dressing = (self.ask_on != NEVER) & (day >= HISTORY_DAYS - _DRESSING_DAYS[1])
        return fake_counts(wanted, self.traits.faker, dressing, rng)

    def owed_usd(self) -> FloatArray:
        """What each seller still owes, due or not, USD."""
        owed: FloatArray = np.where(self.open, (self.total - self.paid) * self.rate / 100, 0.0)
        return owed

    def collect(self, day: int, spare_usd: FloatArray) -> FloatArray:
        """Take what is due as far as the spare cash goes, note defaults, and return the USD paid."""
        due = np.minimum((day - self.since) // PERIOD_DAYS * self.instalment, self.total) - self.paid
        due = np.where(self.open, np.maximum(due, 0), 0)
        pay = np.minimum(due, np.floor(spare_usd / self.rate * 100).astype(np.int64))
        pay = np.where((pay == due) | (pay >= self.instalment // 4), pay, 0)
        who = np.flatnonzero(pay)
        if len(who):
            self.paid += pay
            self.payments.append(Payments(day, who, self.number[who], pay[who]))
            self._close(day, who[self.paid[who] >= self.total[who]])
        self._note_defaults(day)
        usd: FloatArray = pay * self.rate / 100
        return usd

    def _close(self, day: int, who: IntArray) -> None:
        self.open[who] = False
        self.defaulted[who] = False
        self.ask_again[who] = day + _PAUSE_DAYS[0]

    def _note_defaults(self, day: int) -> None:
        """Payments settle the oldest instalment first; the oldest unpaid one counts the days past due."""
        settled = self.paid // np.maximum(self.instalment, 1)
        past_due = day - self.since - PERIOD_DAYS * (settled + 1)
        young = day - self.since <= OUTCOME_DAYS
        for seller in np.flatnonzero(self.open & ~self.defaulted & young & (past_due >= DEFAULT_DAYS)):
            self.defaulted[seller] = True
            self.defaults.append((day, int(seller), int(self.number[seller])))
