"""Repayment: how earlier and running loans of the same seller were paid, what any credit analyst looks at first.

Where loans are delivered, a seller without one is known never to have been late: zero, not missing (ADR 26).
"""

from typing import Final

from features.catalogue.definition import Feature
from features.catalogue.sales import net_sales
from features.expressions import (
    Expr,
    Greatest,
    Instalments,
    LateInstalments,
    LoansRepaid,
    Number,
    Owed,
    PastDueDays,
    WorstPastDue,
)

_ONE: Final = Number(1.0)


def _of_instalments(value: Expr, days: int) -> Expr:
    return value / Greatest((Instalments(days), _ONE))


REPAYMENT: Final = (
    Feature(
        "loans_repaid",
        "Loans repaid",
        "Number of earlier loans that are past their term with every instalment paid.",
        "count",
        None,
        LoansRepaid() * _ONE,
        -1,
        "Who has repaid before has shown that he can and will.",
        "repayment",
    ),
    Feature(
        "worst_days_past_due_365d",
        "Most days past due, 12 months",
        "The most days past due of any instalment that was unpaid on some day of the last 365; 0 without one.",
        "days",
        365,
        WorstPastDue(365) * _ONE,
        1,
        "The longest delay shows how near a firm came to not paying.",
        "repayment",
    ),
    Feature(
        "average_days_past_due_90d",
        "Days past due on average, 90 days",
        "Days past due of the instalments that fell due in the last 90 days, on average; 0 without one.",
        "days",
        90,
        _of_instalments(PastDueDays(90), 90),
        1,
        "Whoever lacked the cash for the latest instalments will lack it for the next.",
        "repayment",
        actionable=True,
    ),
    Feature(
        "average_days_past_due_365d",
        "Days past due on average, 12 months",
        "Days past due of the instalments that fell due in the last 365 days, on average; 0 without one.",
        "days",
        365,
        _of_instalments(PastDueDays(365), 365),
        1,
        "A habit of paying late shows over a year.",
        "repayment",
    ),
    Feature(
        "late_instalment_share_365d",
        "Share of instalments paid late, 12 months",
        "Share of the instalments that fell due in the last 365 days that were more than 3 days past due; 0 without "
        "one.",
        "ratio",
        365,
        _of_instalments(LateInstalments(365), 365),
        1,
        "Many small delays are a want of cash that one long delay may hide.",
        "repayment",
    ),
    Feature(
        "owed_over_monthly_sales",
        "Owed on loans over monthly sales",
        "Principal of all loans that is not yet paid back, over a third of the net sales of 90 settled days.",
        "ratio",
        120,
        Owed() / (net_sales(90) / Number(3.0)),
        1,
        "Each instalment of a running loan is paid before the next lender's.",
        "repayment",
    ),
)
