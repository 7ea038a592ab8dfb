"""The loans of a hostile market: payments at the edges of lateness; early, late, split and missing ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.oracles.market_draws import MIDNIGHTS, amount, known_time, moment
from tests.oracles.market_events import CURRENCIES, Table
from tests.oracles.seller_view import midnight

_LATE_DAYS = (-9, -1, 0, 0, 0, 1, 2, 3, 4, 5, 20, 91, 400)
"""Days from due to paid."""

_PARTS = (999, 1000, 500, 100, 998, 1500)
"""Thousandths of an instalment that a payment can have; 999 are enough, 998 are not."""


@dataclass(frozen=True)
class _Loan:
    """One random loan with its day and instalments."""

    number: int
    day: date
    due: Sequence[tuple[date, int]]


def loans(rng: random.Random, sellers: Sequence[str], max_loans: int, largest: int) -> dict[str, Table]:
    """Return loans, instalments and payments of sellers, at most `max_loans` loans each.

    `principal` and `amount` assume that each currency equals a dollar; `deliver` converts them.
    """
    rows: dict[str, Table] = {"loans": [], "instalments": [], "payments": []}
    for seller in sellers:
        for _ in range(rng.randint(0, max_loans)):
            loan = _random_loan(rng, len(rows["loans"]), largest)
            rows["loans"].append(_contract(rng, loan, seller, largest))
            rows["instalments"].extend(_instalments(rng, loan))
            rows["payments"].extend(_payments(rng, loan))
    return rows


def _random_loan(rng: random.Random, number: int, largest: int) -> _Loan:
    count = rng.choice((0, 1, 2, 4, 6))
    step = rng.choice((1, 30, 30, 61))
    day = moment(rng).date() - timedelta(days=rng.choice((0, 0, 30, 90, 180, 400)))
    if rng.random() < 0.3:  # the last instalment is due exactly at a midnight, so it is not visible
        day = rng.choice(MIDNIGHTS) - timedelta(days=step * count)
    days = [day + timedelta(days=step * position) for position in range(1, count + 1)]
    return _Loan(number, day, [(due_on, amount(rng, largest)) for due_on in days])


def _contract(rng: random.Random, loan: _Loan, seller: str, largest: int) -> dict[str, Any]:
    at = midnight(loan.day) + timedelta(seconds=rng.choice((0, 1, 40_000, 86_399)))
    micros = amount(rng, largest)
    last = (loan.due[-1][0] - loan.day).days if loan.due else 30
    return {
        "loan_id": f"L{loan.number}",
        "seller_id": seller,
        "disbursed_at": at,
        "principal": micros / 1e6,
        "amount_micros": micros,
        "currency": rng.choice(CURRENCIES),
        "term_days": max(last + rng.choice((0, 0, 0, -1, 1, 60)), 1),
        "known_at": known_time(rng, at),
    }


def _instalments(rng: random.Random, loan: _Loan) -> Iterator[dict[str, Any]]:
    for due_on, micros in loan.due:
        # a plan is known in advance, except a late one
        at = known_time(rng, midnight(due_on)) if rng.random() < 0.2 else midnight(loan.day) + timedelta(hours=12)
        yield _amounts(loan, micros) | {"due_on": due_on, "known_at": at}


def _payments(rng: random.Random, loan: _Loan) -> Iterator[dict[str, Any]]:
    on_time = rng.random() < 0.4
    number = 0
    for due_on, micros in loan.due:
        for part in (1000,) if on_time else rng.choice(((1000,), (500, 500), (rng.choice(_PARTS),), ())):
            days = 0 if on_time else rng.choice(_LATE_DAYS)
            at = midnight(due_on + timedelta(days=days)) + timedelta(seconds=rng.choice((0, 1, 60_000, 86_399)))
            row = {"payment_id": f"Y{loan.number}-{number}", "paid_at": at, "known_at": known_time(rng, at)}
            yield _amounts(loan, -(-micros * part // 1000)) | row
            number += 1
    if not on_time and rng.random() < 0.2:
        at = moment(rng, rng.choice(MIDNIGHTS))
        row = {"payment_id": f"Y{loan.number}-x", "paid_at": at, "known_at": known_time(rng, at)}
        yield _amounts(loan, 10**6) | row


def _amounts(loan: _Loan, micros: int) -> dict[str, Any]:
    accepted = min(micros, 10**14)  # the largest amount that ingest accepts
    return {"loan_id": f"L{loan.number}", "amount": accepted / 1e6, "amount_micros": accepted}
