"""Repayment features: payment record of the seller's earlier and running loans.

If loans are delivered, a seller without a loan was never late: the value is zero, not missing (ADR 26).
"""

from functools import partial
from typing import Final

from features.catalogue.definition import Feature
from features.catalogue.sales import net_sales
from features.expressions import (
    Expr,
    Instalments,
    LateInstalments,
    LoansRepaid,
    Owed,
    PastDueDays,
    WorstPastDue,
    at_least,
)


def _of_instalments(value: Expr, days: int) -> Expr:
    return value / at_least(Instalments(days), 1)


_raises_risk = partial(Feature, sign=1, reason_group="repayment")
_lowers_risk = partial(Feature, sign=-1, reason_group="repayment")

REPAYMENT: Final = (
    _lowers_risk(
        name="loans_repaid",
        label="Loans repaid in full",
        meaning="Number of earlier loans that are past their term with every instalment paid.",
        unit="count",
        expression=LoansRepaid() * 1.0,
        sign_reason="A seller who has repaid before has shown ability and willingness to repay.",
    ),
    _raises_risk(
        name="worst_days_past_due_365d",
        label="Longest delay of an instalment, last 365 days",
        meaning="Most days past due of an instalment that was unpaid on some day of the last 365; 0 without one.",
        unit="days",
        expression=WorstPastDue(365) * 1.0,
        sign_reason="The longest delay shows how close the seller came to default.",
    ),
    _raises_risk(
        name="average_days_past_due_90d",
        label="Average delay of instalments, last 90 days",
        meaning="Average days past due of the instalments due in the last 90 days; 0 without one.",
        unit="days",
        expression=_of_instalments(PastDueDays(90), 90),
        sign_reason="A seller who lacked cash for the latest instalments is likely to lack it for the next.",
        actionable=True,
    ),
    _raises_risk(
        name="average_days_past_due_365d",
        label="Average delay of instalments, last 365 days",
        meaning="Average days past due of the instalments due in the last 365 days; 0 without one.",
        unit="days",
        expression=_of_instalments(PastDueDays(365), 365),
        sign_reason="A full year shows a habit of late payment.",
    ),
    _raises_risk(
        name="late_instalment_share_365d",
        label="Late instalments, share of instalments, last 365 days",
        meaning="Share of instalments due in the last 365 days that were more than 3 days past due; 0 without one.",
        expression=_of_instalments(LateInstalments(365), 365),
        sign_reason="Many short delays show a lack of cash that one long delay may hide.",
    ),
    _raises_risk(
        name="owed_over_monthly_sales",
        label="Unpaid loan principal against monthly net sales",
        meaning="Unpaid principal of all loans, over a third of the net sales of 90 settled days.",
        expression=Owed() / (net_sales(90) / 3),
        sign_reason="Instalments of existing loans compete with those of a new one.",
    ),
)
