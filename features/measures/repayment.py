"""Measures of a seller's loans: late payments, their delay, loans repaid, and unpaid principal.

All amounts of a loan use the exchange rate of its principal on the disbursement day, so that no later rate makes an
instalment that was paid in full look short. Payments settle the oldest instalment first. The day on which an instalment
is paid depends on all payments visible as of a midnight, so nothing here adds up by day; there are few rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from features.exact import exact, total
from features.expressions import (
    InstalmentMeasure,
    Instalments,
    LateInstalments,
    LoansRepaid,
    Measure,
    Owed,
    PastDueDays,
)
from features.facts import COVERED, LATE_DAYS
from features.measures.scope import PAIR, PairScope, column_name

if TYPE_CHECKING:
    import ibis.expr.types as ir

LENT: Final = "loans_lent"
DUE: Final = "loans_due"
PAID: Final = "loans_paid"

_MOST: Final = 1e14
"""A hundred million US dollars in micro-USD, the limit of ingest for any amount; larger amounts are cut to it."""


def loan_books(tables: Mapping[str, ir.Table]) -> Iterator[tuple[str, ir.Table]]:
    """Yield LENT, DUE and PAID, as far as their LOAN_TABLES exist, with `seller_id`, `loan_id` and `visible_from`.

    LENT has `lent_on` and `term_days`, PAID `paid_on`, DUE `due_on`, and each its `micros`. Instalments and payments
    are visible once their loan is visible, too.
    """
    if "loans" not in tables:
        return
    import ibis

    loans = tables["loans"]
    micros = ibis.ifelse(loans.principal > 0, loans.amount_micros, 0)
    lent_on = loans.disbursed_at.cast("date")
    yield LENT, loans.select("seller_id", "loan_id", "visible_from", "term_days", lent_on=lent_on, micros=micros)
    if "instalments" in tables:
        due = _with_loan(tables["instalments"], loans)
        yield DUE, due.select("seller_id", "loan_id", "visible_from", "due_on", "micros")
    if "payments" in tables:
        paid = _with_loan(tables["payments"], loans)
        paid_on = paid.paid_at.cast("date")
        yield PAID, paid.select("seller_id", "loan_id", "visible_from", "micros", paid_on=paid_on)


def _with_loan(rows: ir.Table, loans: ir.Table) -> ir.Table:
    """Add the seller of a row's loan, and `micros`, its amount at the loan's own rate."""
    import ibis

    of = loans.select("loan_id", "seller_id", "principal", "amount_micros", loan_seen="visible_from")
    both = rows.inner_join(of, "loan_id")
    share = ibis.ifelse(both.principal > 0, both.amount / both.principal, 0.0)
    micros = ibis.least(share * both.amount_micros, _MOST).round().cast("int64")
    return both.mutate(visible_from=ibis.greatest(both.visible_from, both.loan_seen), micros=micros)


def tables(books: Mapping[str, ir.Table], scope: PairScope, measures: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield one table with the measures of instalments, one of loans repaid, and one of unpaid principal."""
    if not books.keys() >= {LENT, PAID}:
        return
    paid = scope.keep(_cumulative_payments(_visible(books[PAID], scope)))
    if Owed() in measures:
        yield _unpaid_principal(_visible(books[LENT], scope), paid)
    mine = sorted((item for item in measures if isinstance(item, InstalmentMeasure)), key=column_name)
    if DUE not in books or not (mine or LoansRepaid() in measures):
        return
    due = scope.keep(_instalments(_visible(books[DUE], scope), paid))
    if mine:
        yield due.group_by(PAIR).agg(**{column_name(item): _value(item, due) for item in mine})
    if LoansRepaid() in measures:
        yield _loans_repaid(_visible(books[LENT], scope), due)


def _visible(rows: ir.Table, scope: PairScope) -> ir.Table:
    """Return the rows of each pair's loans that are visible as of then: the time rule for loans."""
    joined = scope.pairs.select(PAIR, "seller_id", "as_of").inner_join(rows, "seller_id")
    return joined.filter(joined.visible_from <= joined.as_of)


def _cumulative_payments(payments: ir.Table) -> ir.Table:
    import ibis

    days = payments.group_by(PAIR, "loan_id", "paid_on").agg(micros=exact(payments.micros).sum())
    up_to = ibis.window(group_by=(PAIR, "loan_id"), order_by="paid_on", preceding=None, following=0)
    return days.select(PAIR, "loan_id", "paid_on", "micros", so_far=days.micros.sum().over(up_to))


def _instalments(instalments: ir.Table, paid: ir.Table) -> ir.Table:
    """Return each instalment with `ago`, days since it fell due, and `covered_on`, null if it is not paid."""
    import ibis

    up_to = ibis.window(group_by=(PAIR, "loan_id"), order_by="due_on", preceding=None, following=0)
    owed = exact(instalments.micros).sum().over(up_to)
    due = instalments.select(PAIR, "as_of", "loan_id", "due_on", owed=owed)
    part, whole = COVERED
    both = due.left_join(paid.select(PAIR, "loan_id", "paid_on", "so_far"), [PAIR, "loan_id"])
    enough = both.so_far * whole >= both.owed * part
    first = both.group_by(PAIR, "as_of", "loan_id", "due_on", "owed").agg(paid_on=both.paid_on.min(where=enough))
    covered_on = ibis.ifelse(first.owed == 0, first.due_on, first.paid_on)
    settled = first.mutate(covered_on=covered_on, ago=first.as_of.delta(first.due_on, unit="day"))
    until = settled.covered_on.coalesce(settled.as_of)
    return settled.select(
        PAIR,
        "loan_id",
        "covered_on",
        "ago",
        open_ago=settled.as_of.delta(until, unit="day"),
        past_due=ibis.greatest(until.delta(settled.due_on, unit="day"), 0),
    )


def _value(item: InstalmentMeasure, due: ir.Table) -> ir.IntegerScalar:
    recent = due.ago <= item.days
    match item:
        case Instalments():
            return due.count(where=recent)
        case LateInstalments():
            return due.count(where=recent & (due.past_due > LATE_DAYS))
        case PastDueDays():
            return total(due.past_due, recent)
    return due.past_due.max(where=due.open_ago <= item.days)


def _loans_repaid(lent: ir.Table, due: ir.Table) -> ir.Table:
    """Count loans past their term that had instalments, all of them paid."""
    loans = due.group_by(PAIR, "loan_id").agg(unpaid=due.count(where=due.covered_on.isnull()))
    over = lent.filter(lent.as_of.delta(lent.lent_on, unit="day") > lent.term_days).select(PAIR, "loan_id")
    repaid = loans.filter(loans.unpaid == 0).semi_join(over, [PAIR, "loan_id"])
    return repaid.group_by(PAIR).agg(**{column_name(LoansRepaid()): repaid.count()})


def _unpaid_principal(lent: ir.Table, paid: ir.Table) -> ir.Table:
    """Add up the unpaid principal; an overpaid loan does not reduce that of another."""
    import ibis

    sums = paid.group_by(PAIR, "loan_id").agg(paid=paid.micros.sum())
    both = lent.select(PAIR, "loan_id", "micros").left_join(sums, [PAIR, "loan_id"])
    owed = both.mutate(unpaid=ibis.greatest(exact(both.micros) - both.paid.coalesce(0), 0))
    return owed.group_by(PAIR).agg(**{column_name(Owed()): owed.unpaid.sum()})
