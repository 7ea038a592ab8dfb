"""Measures of a seller's loans: what was paid late, how late, and what is still owed.

Payments settle the oldest instalment first. When an instalment was covered depends on all payments that a midnight
sees, so nothing here adds up by day; the rows are few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from features.exact import exact, total
from features.expressions import Instalments, LateInstalments, LoansRepaid, Measure, Owed, PastDueDays, WorstPastDue
from features.facts import COVERED, LATE_DAYS
from features.loans import DUE, LENT, PAID
from features.measures.scope import PAIR, Scope, column

if TYPE_CHECKING:
    import ibis.expr.types as ir

OfInstalments = Instalments | LateInstalments | PastDueDays | WorstPastDue


def parts(books: Mapping[str, ir.Table], scope: Scope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one part with the measures of instalments, one of loans repaid, and one of what is owed."""
    if not books.keys() >= {LENT, PAID}:
        return
    paid = scope.keep(_paid(_seen(books[PAID], scope)))
    if Owed() in wanted:
        yield _owed(_seen(books[LENT], scope), paid)
    mine = sorted((item for item in wanted if isinstance(item, OfInstalments)), key=column)
    if DUE not in books or not (mine or LoansRepaid() in wanted):
        return
    due = scope.keep(_settled(_seen(books[DUE], scope), paid))
    if mine:
        yield due.group_by(PAIR).agg(**{column(item): _value(item, due) for item in mine})
    if LoansRepaid() in wanted:
        yield _repaid(_seen(books[LENT], scope), due)


def _seen(rows: ir.Table, scope: Scope) -> ir.Table:
    """Return the rows of each pair's loans that it sees: here the time rule is applied to them."""
    joined = scope.pairs.select(PAIR, "seller_id", "as_of").inner_join(rows, "seller_id")
    return joined.filter(joined.visible_from <= joined.as_of)


def _paid(seen: ir.Table) -> ir.Table:
    """Return what was paid of each loan up to the end of each day with a payment."""
    import ibis

    days = seen.group_by(PAIR, "loan_id", "paid_on").agg(micros=exact(seen.micros).sum())
    up_to = ibis.window(group_by=(PAIR, "loan_id"), order_by="paid_on", preceding=None, following=0)
    return days.select(PAIR, "loan_id", "paid_on", "micros", so_far=days.micros.sum().over(up_to))


def _settled(seen: ir.Table, paid: ir.Table) -> ir.Table:
    """Return each instalment with `ago`, days since it fell due, and `covered_on`, null where it is not yet covered."""
    import ibis

    up_to = ibis.window(group_by=(PAIR, "loan_id"), order_by="due_on", preceding=None, following=0)
    due = seen.select(PAIR, "as_of", "loan_id", "due_on", owed=exact(seen.micros).sum().over(up_to))
    part, whole = COVERED
    both = due.left_join(paid.select(PAIR, "loan_id", "paid_on", "so_far"), [PAIR, "loan_id"])
    enough = both.so_far * whole >= both.owed * part
    found = both.group_by(PAIR, "as_of", "loan_id", "due_on", "owed").agg(paid_on=both.paid_on.min(where=enough))
    covered_on = ibis.ifelse(found.owed == 0, found.due_on, found.paid_on)
    settled = found.mutate(covered_on=covered_on, ago=found.as_of.delta(found.due_on, unit="day"))
    until = settled.covered_on.coalesce(settled.as_of)
    return settled.select(
        PAIR,
        "loan_id",
        "covered_on",
        "ago",
        open_ago=settled.as_of.delta(until, unit="day"),
        past_due=ibis.greatest(until.delta(settled.due_on, unit="day"), 0),
    )


def _value(item: OfInstalments, due: ir.Table) -> ir.IntegerScalar:
    lately = due.ago <= item.days
    match item:
        case Instalments():
            return due.count(where=lately)
        case LateInstalments():
            return due.count(where=lately & (due.past_due > LATE_DAYS))
        case PastDueDays():
            return total(due.past_due, lately)
    return due.past_due.max(where=due.open_ago <= item.days)


def _repaid(lent: ir.Table, due: ir.Table) -> ir.Table:
    """Count loans past their term that had instalments, all of them covered."""
    loans = due.group_by(PAIR, "loan_id").agg(unpaid=due.count(where=due.covered_on.isnull()))
    over = lent.filter(lent.as_of.delta(lent.lent_on, unit="day") > lent.term_days).select(PAIR, "loan_id")
    done = loans.filter(loans.unpaid == 0).semi_join(over, [PAIR, "loan_id"])
    return done.group_by(PAIR).agg(**{column(LoansRepaid()): done.count()})


def _owed(lent: ir.Table, paid: ir.Table) -> ir.Table:
    """Add up the principal that payments have not reached; a loan overpaid sets off no other."""
    import ibis

    sums = paid.group_by(PAIR, "loan_id").agg(paid=paid.micros.sum())
    both = lent.select(PAIR, "loan_id", "micros").left_join(sums, [PAIR, "loan_id"])
    left = ibis.greatest(exact(both.micros) - both.paid.coalesce(0), 0)
    owed = both.mutate(left=left)
    return owed.group_by(PAIR).agg(**{column(Owed()): owed.left.sum()})
