"""Repayment of loans: an as-of merge of running sums finds the payment that covers each instalment."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from tests.benchmarks.pandas_baseline.seller_view import YEAR, Features, SellerView, over

_TABLES: Final = ("loans", "instalments", "payments")
_NO_INSTALMENTS: Final = pd.DataFrame({"seller": [], "past_due": []}, dtype="int64")


def repayment(s: SellerView) -> Features:
    """Six features of repaid and open loans."""
    visible = {name: rows[rows["visible_from"] <= s.as_of] for name, rows in s.accepted.loans.items()}
    complete = s.accepted.loans.keys() >= set(_TABLES)
    due = (
        _covered_instalments(visible, s.as_of)
        if complete
        else _NO_INSTALMENTS.assign(ago=0, open_ago=0, loan_id="", covered=True)
    )
    worst = due[due["open_ago"] <= YEAR].groupby("seller")["past_due"].max()
    return {
        "loans_repaid": s.zero_filled(_repaid(visible, due, s.as_of) if complete else worst, *_TABLES),
        "worst_days_past_due_365d": s.zero_filled(worst, *_TABLES),
        "average_days_past_due_90d": _average(s, due, due["past_due"], 90),
        "average_days_past_due_365d": _average(s, due, due["past_due"], YEAR),
        "late_instalment_share_365d": _average(s, due, due["past_due"] > 3, YEAR),
        "owed_over_monthly_sales": over(_owed(s, visible), s.net(90) / 3),
    }


def _covered_instalments(visible: dict[str, pd.DataFrame], as_of: pd.Timestamp) -> pd.DataFrame:
    due = visible["instalments"].sort_values("due_on")
    owed = due.groupby("loan_id")["micros"].cumsum()
    due = due[["seller", "loan_id", "due_on"]].assign(need=-(-owed * 999 // 1000))
    paid = visible["payments"].sort_values("paid_at")
    so_far = paid.groupby("loan_id")["micros"].cumsum()
    paid = pd.DataFrame({"loan_id": paid["loan_id"], "need": so_far, "paid_on": paid["paid_at"].dt.normalize()})
    # the first day of equal sums: later payments of zero change nothing
    paid = paid.drop_duplicates(["loan_id", "need"]).sort_values("need")
    due = pd.merge_asof(due.sort_values("need"), paid, on="need", by="loan_id", direction="forward")
    covered_on = due["paid_on"].where(due["need"] > 0, due["due_on"])
    until = covered_on.fillna(as_of)
    return due.assign(
        ago=(as_of - due["due_on"]).dt.days,
        open_ago=(as_of - until).dt.days,
        past_due=np.maximum((until - due["due_on"]).dt.days, 0),
        covered=covered_on.notna(),
    )


def _average(s: SellerView, due: pd.DataFrame, values: pd.Series, days: int) -> pd.Series:
    recent = due["ago"] <= days
    return s.zero_filled(values[recent].groupby(due["seller"][recent]).mean(), *_TABLES)


def _repaid(visible: dict[str, pd.DataFrame], due: pd.DataFrame, as_of: pd.Timestamp) -> pd.Series:
    loans = visible["loans"]
    ended = loans[(as_of - loans["disbursed_at"].dt.normalize()).dt.days > loans["term_days"]]
    paid = due.groupby("loan_id")["covered"].all()
    return ended[ended["loan_id"].isin(paid.index[paid])].groupby("seller").size()


def _owed(s: SellerView, visible: dict[str, pd.DataFrame]) -> pd.Series:
    if not visible.keys() >= {"loans", "payments"}:
        return s.zero_filled(pd.Series(dtype="int64"), "loans", "payments")
    loans = visible["loans"].set_index("loan_id")
    paid = visible["payments"].groupby("loan_id")["micros"].sum().reindex(loans.index, fill_value=0)
    open_balance = (loans["micros"] - paid).clip(lower=0)
    return s.zero_filled(open_balance.groupby(loans["seller"]).sum(), "loans", "payments")
