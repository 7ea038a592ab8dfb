"""Naive oracle of labels: loan by loan and day by day in plain Python, with whole cents."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta


@dataclass(frozen=True)
class Loan:
    """A loan with its instalments and payments; amounts in cents."""

    loan_id: str
    seller_id: str
    disbursed_at: datetime
    due: tuple[tuple[date, int], ...]
    paid: tuple[tuple[datetime, int], ...]


def after_months(day: date, months: int) -> date:
    """Return the same day of a later (or earlier) month, or the last day of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def label(loan: Loan, observed: date, days_past_due: int, months: int) -> bool | None:
    """Return True for bad, False for good, None if the outcome is not known yet."""
    start = loan.disbursed_at.date()
    end = after_months(start, months)
    midnight = start
    while midnight <= min(end, observed):
        if _is_late(loan, midnight, days_past_due):
            return True
        midnight += timedelta(days=1)
    return False if end <= observed else None


def _is_late(loan: Loan, midnight: date, days_past_due: int) -> bool:
    """Return whether an instalment is this many days past due at this midnight.

    Its limit is N days after its due day; payments before the limit count, oldest instalment first.
    """
    for due_on, _ in loan.due:
        limit = due_on + timedelta(days=days_past_due)
        owed = sum(amount for day, amount in loan.due if day <= due_on)
        paid = sum(amount for at, amount in loan.paid if at < datetime.combine(limit, datetime.min.time()))
        if limit <= midnight and paid < owed:
            return True
    return False
