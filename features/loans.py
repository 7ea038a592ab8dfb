"""Loans of a seller, what fell due of them and what was paid: few rows, read apart from the tiles of his stores.

A loan is one contract in one currency. So all of it is worth what its principal was on the day it was paid out: no
exchange rate makes an instalment that was paid in full look short.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

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
