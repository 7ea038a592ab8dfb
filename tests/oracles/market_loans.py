"""The loans of a hostile market: due days and payments on the edges of lateness, early, late, split and never made."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.oracles.market_draws import MIDNIGHTS, amount, known, moment
from tests.oracles.market_events import CURRENCIES, Table
from tests.oracles.seller_sight import midnight

_LATE_DAYS = (-9, -1, 0, 0, 0, 1, 2, 3, 4, 5, 20, 91, 400)
"""Days from due to paid."""

_PARTS = (999, 1000, 500, 100, 998, 1500)
"""Thousandths of an instalment that a payment may be; 999 suffice, and 998 do not."""


@dataclass(frozen=True)
class _Loan:
    """One loan, its days and instalments drawn."""

    number: int
    day: date
    due: Sequence[tuple[date, int]]


def loans(rng: random.Random, sellers: Sequence[str], most: int, largest: int) -> dict[str, Table]:
    """Return loans, instalments and payments of sellers, at most `most` loans each.

    `principal` and `amount` are as if each currency were worth a dollar; `deliver` restates them.
    """
    rows: dict[str, Table] = {"loans": [], "instalments": [], "payments": []}
    for seller in sellers:
        for _ in range(rng.randint(0, most)):
            loan = _drawn(rng, len(rows["loans"]), largest)
            rows["loans"].append(_contract(rng, loan, seller, largest))
            rows["instalments"].extend(_instalments(rng, loan))
            rows["payments"].extend(_payments(rng, loan))
    return rows


def _drawn(rng: random.Random, number: int, largest: int) -> _Loan:
    count = rng.choice((0, 1, 2, 4, 6))
    step = rng.choice((1, 30, 30, 61))
    day = moment(rng).date() - timedelta(days=rng.choice((0, 0, 30, 90, 180, 400)))
    if rng.random() < 0.3:  # the last instalment falls due as a midnight asks, which does not see it
        day = rng.choice(MIDNIGHTS) - timedelta(days=step * count)
    return _Loan(
        number, day, [(day + timedelta(days=step * place), amount(rng, largest)) for place in range(1, count + 1)]
    )


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
        "known_at": known(rng, at),
    }


def _instalments(rng: random.Random, loan: _Loan) -> Iterator[dict[str, Any]]:
    for due_on, micros in loan.due:
        # a plan is known beforehand, but for one that comes late
        at = known(rng, midnight(due_on)) if rng.random() < 0.2 else midnight(loan.day) + timedelta(hours=12)
        yield _of(loan, micros) | {"due_on": due_on, "known_at": at}


def _payments(rng: random.Random, loan: _Loan) -> Iterator[dict[str, Any]]:
    prompt = rng.random() < 0.4
    number = 0
    for due_on, micros in loan.due:
        for part in (1000,) if prompt else rng.choice(((1000,), (500, 500), (rng.choice(_PARTS),), ())):
            days = 0 if prompt else rng.choice(_LATE_DAYS)
            at = midnight(due_on + timedelta(days=days)) + timedelta(seconds=rng.choice((0, 1, 60_000, 86_399)))
            paid = _of(loan, -(-micros * part // 1000)) | {"payment_id": f"Y{loan.number}-{number}", "paid_at": at}
            yield paid | {"known_at": known(rng, at)}
            number += 1
    if not prompt and rng.random() < 0.2:
        at = moment(rng, rng.choice(MIDNIGHTS))
        yield _of(loan, 10**6) | {"payment_id": f"Y{loan.number}-x", "paid_at": at, "known_at": known(rng, at)}


def _of(loan: _Loan, micros: int) -> dict[str, Any]:
    held = min(micros, 10**14)  # what intake accepts of any amount
    return {"loan_id": f"L{loan.number}", "amount": held / 1e6, "amount_micros": held}
