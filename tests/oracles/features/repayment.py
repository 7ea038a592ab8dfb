"""Repayment of loans: for each instalment, the day on which payments covered it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracles.features.numbers import Number, Values, over
from tests.oracles.features.sales import YEAR
from tests.oracles.features.window_sums import WindowSums
from tests.oracles.seller_view import Loan, Row

TABLES = ("loans", "instalments", "payments")


@dataclass(frozen=True)
class _Instalment:
    """An instalment: due day, day on which it was covered (None: not covered) and days past due."""

    due_on: date
    covered_on: date | None
    past_due: int


def repayment(sums: WindowSums) -> Values:
    view = sums.view
    loans = [(loan, _instalments(loan, view.as_of)) for loan in view.loans]
    all_due = [due for _, dues in loans for due in dues]
    year, quarter = ([due for due in all_due if (view.as_of - due.due_on).days <= days] for days in (YEAR, 90))
    start = view.as_of - timedelta(days=YEAR)
    worst = max((due.past_due for due in all_due if due.covered_on is None or due.covered_on >= start), default=0)
    owed = sum(max(loan.row["amount_micros"] - _paid(loan, view.as_of), 0) for loan in view.loans)
    known = set(TABLES) <= view.known_tables
    return {
        "loans_repaid": Fraction(sum(_repaid(loan, dues, view.as_of) for loan, dues in loans)) if known else None,
        "worst_days_past_due_365d": Fraction(worst) if known else None,
        "average_days_past_due_90d": _average(quarter) if known else None,
        "average_days_past_due_365d": _average(year) if known else None,
        "late_instalment_share_365d": _share_of_late(year) if known else None,
        "owed_over_monthly_sales": _over_monthly_sales(sums, owed),
    }


def _over_monthly_sales(sums: WindowSums, owed: int) -> Number:
    known = {"loans", "payments"} <= sums.view.known_tables
    return over(Fraction(owed), over(sums.net(90), Fraction(3))) if known else None


def _average(dues: Sequence[_Instalment]) -> Number:
    return over(Fraction(sum(due.past_due for due in dues)), Fraction(len(dues) or 1))


def _share_of_late(dues: Sequence[_Instalment]) -> Number:
    return over(Fraction(sum(1 for due in dues if due.past_due > 3)), Fraction(len(dues) or 1))


def _repaid(loan: Loan, dues: Sequence[_Instalment], as_of: date) -> bool:
    ends = loan.row["disbursed_at"].date() + timedelta(days=loan.row["term_days"])
    return ends < as_of and bool(dues) and all(due.covered_on is not None for due in dues)


def _paid(loan: Loan, last: date) -> int:
    """Return the payments up to and including a day; 0 for a loan of amount 0."""
    payments = [row for row in loan.payments if row["paid_at"].date() <= last]
    return _total(loan, payments)


def _total(loan: Loan, rows: Sequence[Row]) -> int:
    return sum(row["amount_micros"] for row in rows) if loan.row["amount_micros"] else 0


def _instalments(loan: Loan, as_of: date) -> list[_Instalment]:
    instalments = []
    for row in loan.instalments:
        owed = _total(loan, [earlier for earlier in loan.instalments if earlier["due_on"] <= row["due_on"]])
        covered_on = row["due_on"] if owed == 0 else _first_day(loan, Fraction(owed * 999, 1000))
        past_due = ((as_of if covered_on is None else covered_on) - row["due_on"]).days
        instalments.append(_Instalment(row["due_on"], covered_on, max(past_due, 0)))
    return instalments


def _first_day(loan: Loan, amount: Fraction) -> date | None:
    days = sorted({row["paid_at"].date() for row in loan.payments})
    return next((day for day in days if _paid(loan, day) >= amount), None)
