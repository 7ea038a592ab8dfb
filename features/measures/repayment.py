"""Loans of a seller, what fell due of them and what was paid: few rows, read apart from the tiles of his stores.

A loan is one contract in one currency. So all of it is worth what its principal was on the day it was paid out: no
exchange rate makes an instalment that was paid in full look short.

Measures of a seller's loans: what was paid late, how late, and what is still owed.

Payments settle the oldest instalment first. When an instalment was covered depends on all payments that a midnight
sees, so nothing here adds up by day; the rows are few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from features.exact import exact, total
from features.expressions import Instalments, LateInstalments, LoansRepaid, Measure, Owed, PastDueDays, WorstPastDue
from features.facts import COVERED, LATE_DAYS
from features.measures.scope import PAIR, PairScope, column_name

if TYPE_CHECKING:
    import ibis.expr.types as ir


LENT: Final = "loans_lent"


DUE: Final = "loans_due"


PAID: Final = "loans_paid"


_MOST: Final = 1e14
"""A hundred million US dollars in micro-USD, intake's bound for any amount; here an absurd row is cut to it."""


def loan_books(tables: Mapping[str, ir.Table]) -> Iterator[tuple[str, ir.Table]]:
    """Yield LENT, DUE and PAID, as far as their tables are there, with `seller_id`, `loan_id` and `visible_from`.

    LENT has `lent_on` and `term_days`, PAID `paid_on`, DUE `due_on`, and each its `micros`. What belongs to a loan is
    visible once the loan is, too.

    Args:
        tables: accepted rows of LOAN_TABLES, by name.
    """
    if "loans" not in tables:
        return
    loans = tables["loans"]
    lent_on = loans.disbursed_at.cast("date")
    yield LENT, loans.select("seller_id", "loan_id", "visible_from", "term_days", lent_on=lent_on, micros=_worth(loans))
    if "instalments" in tables:
        due = _of_loans(tables["instalments"], loans)
        yield DUE, due.select("seller_id", "loan_id", "visible_from", "due_on", "micros")
    if "payments" in tables:
        paid = _of_loans(tables["payments"], loans)
        paid_on = paid.paid_at.cast("date")
        yield PAID, paid.select("seller_id", "loan_id", "visible_from", "micros", paid_on=paid_on)


def _worth(loans: ir.Table) -> ir.IntegerValue:
    import ibis

    return ibis.ifelse(loans.principal > 0, loans.amount_micros, 0)


def _of_loans(rows: ir.Table, loans: ir.Table) -> ir.Table:
    """Append whose loan a row belongs to, and what its amount is worth at the loan's own rate."""
    import ibis

    of = loans.select("loan_id", "seller_id", "principal", "amount_micros", loan_seen="visible_from")
    both = rows.inner_join(of, "loan_id")
    share = ibis.ifelse(both.principal > 0, both.amount / both.principal, 0.0)
    micros = ibis.least(share * both.amount_micros, _MOST).round().cast("int64")
    return both.mutate(visible_from=ibis.greatest(both.visible_from, both.loan_seen), micros=micros)


OfInstalments = Instalments | LateInstalments | PastDueDays | WorstPastDue


def parts(books: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one part with the measures of instalments, one of loans repaid, and one of what is owed."""
    if not books.keys() >= {LENT, PAID}:
        return
    paid = scope.keep(_payments_of(_visible(books[PAID], scope)))
    if Owed() in wanted:
        yield _owed_amount(_visible(books[LENT], scope), paid)
    mine = sorted((item for item in wanted if isinstance(item, OfInstalments)), key=column_name)
    if DUE not in books or not (mine or LoansRepaid() in wanted):
        return
    due = scope.keep(_is_settled(_visible(books[DUE], scope), paid))
    if mine:
        yield due.group_by(PAIR).agg(**{column_name(item): _value(item, due) for item in mine})
    if LoansRepaid() in wanted:
        yield _repaid(_visible(books[LENT], scope), due)


def _visible(rows: ir.Table, scope: PairScope) -> ir.Table:
    """Return the rows of each pair's loans that it sees: here the time rule is applied to them."""
    joined = scope.pairs.select(PAIR, "seller_id", "as_of").inner_join(rows, "seller_id")
    return joined.filter(joined.visible_from <= joined.as_of)


def _payments_of(seen: ir.Table) -> ir.Table:
    """Return what was paid of each loan up to the end of each day with a payment."""
    import ibis

    days = seen.group_by(PAIR, "loan_id", "paid_on").agg(micros=exact(seen.micros).sum())
    up_to = ibis.window(group_by=(PAIR, "loan_id"), order_by="paid_on", preceding=None, following=0)
    return days.select(PAIR, "loan_id", "paid_on", "micros", so_far=days.micros.sum().over(up_to))


def _is_settled(seen: ir.Table, paid: ir.Table) -> ir.Table:
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
    return done.group_by(PAIR).agg(**{column_name(LoansRepaid()): done.count()})


def _owed_amount(lent: ir.Table, paid: ir.Table) -> ir.Table:
    """Add up the principal that payments have not reached; a loan overpaid sets off no other."""
    import ibis

    sums = paid.group_by(PAIR, "loan_id").agg(paid=paid.micros.sum())
    both = lent.select(PAIR, "loan_id", "micros").left_join(sums, [PAIR, "loan_id"])
    left = ibis.greatest(exact(both.micros) - both.paid.coalesce(0), 0)
    owed = both.mutate(left=left)
    return owed.group_by(PAIR).agg(**{column_name(Owed()): owed.left.sum()})
