"""Repayment of loans, by hand: each instalment is asked when the payments reached it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from tests.oracles.features.books import Books
from tests.oracles.features.numbers import Number, Values, over
from tests.oracles.features.sales import YEAR
from tests.oracles.seller_sight import Loan, Row

TABLES = ("loans", "instalments", "payments")


@dataclass(frozen=True)
class _Due:
    """An instalment: when it fell due, since when it was covered (None: it is not), and how long it had to wait."""

    due_on: date
    covered_on: date | None
    past_due: int


def repayment(books: Books) -> Values:
    """Return the features of the family."""
    sight = books.sight
    loans = [(loan, _instalments(loan, sight.as_of)) for loan in sight.loans]
    every = [due for _, dues in loans for due in dues]
    year, quarter = ([due for due in every if (sight.as_of - due.due_on).days <= days] for days in (YEAR, 90))
    start = sight.as_of - timedelta(days=YEAR)
    worst = max((due.past_due for due in every if due.covered_on is None or due.covered_on >= start), default=0)
    owed = sum(max(loan.row["amount_micros"] - _paid(loan, sight.as_of), 0) for loan in sight.loans)
    known = set(TABLES) <= sight.known
    return {
        "loans_repaid": Fraction(sum(_repaid(loan, dues, sight.as_of) for loan, dues in loans)) if known else None,
        "worst_days_past_due_365d": Fraction(worst) if known else None,
        "average_days_past_due_90d": _average(quarter) if known else None,
        "average_days_past_due_365d": _average(year) if known else None,
        "late_instalment_share_365d": _share_of_late(year) if known else None,
        "owed_over_monthly_sales": _over_monthly_sales(books, owed),
    }


def _over_monthly_sales(books: Books, owed: int) -> Number:
    known = {"loans", "payments"} <= books.sight.known
    return over(Fraction(owed), over(books.net(90), Fraction(3))) if known else None


def _average(dues: Sequence[_Due]) -> Number:
    return over(Fraction(sum(due.past_due for due in dues)), Fraction(len(dues) or 1))


def _share_of_late(dues: Sequence[_Due]) -> Number:
    return over(Fraction(sum(1 for due in dues if due.past_due > 3)), Fraction(len(dues) or 1))


def _repaid(loan: Loan, dues: Sequence[_Due], as_of: date) -> bool:
    ends = loan.row["disbursed_at"].date() + timedelta(days=loan.row["term_days"])
    return ends < as_of and bool(dues) and all(due.covered_on is not None for due in dues)


def _paid(loan: Loan, last: date) -> int:
    """Return what was paid up to and including a day; a loan of nothing is worth nothing."""
    those = [row for row in loan.payments if row["paid_at"].date() <= last]
    return _worth(loan, those)


def _worth(loan: Loan, rows: Sequence[Row]) -> int:
    return sum(row["amount_micros"] for row in rows) if loan.row["amount_micros"] else 0


def _instalments(loan: Loan, as_of: date) -> list[_Due]:
    found = []
    for row in loan.instalments:
        owed = _worth(loan, [other for other in loan.instalments if other["due_on"] <= row["due_on"]])
        covered_on = row["due_on"] if owed == 0 else _first_day(loan, Fraction(owed * 999, 1000))
        waited = ((as_of if covered_on is None else covered_on) - row["due_on"]).days
        found.append(_Due(row["due_on"], covered_on, max(waited, 0)))
    return found


def _first_day(loan: Loan, enough: Fraction) -> date | None:
    days = sorted({row["paid_at"].date() for row in loan.payments})
    return next((day for day in days if _paid(loan, day) >= enough), None)
