"""What is known of loans on a day, on real operating data, against plain Python."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from features.ingest import OperatingStore, open_store
from features.pipeline import accepted_rows
from tests.oracles.labels_oracle import Loan, after_months, label
from tests.training.monitor.made import DEFINITION
from tests.world import shared_world
from training.errors import LabelError
from training.labels import LabelConfig
from training.monitor.outcomes import outcomes

pytestmark = pytest.mark.slow

SOME = 150
"""Loans that the oracle judges; it is slow."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    return open_store(shared_world(tmp_path_factory).home / "operating")


def as_known(store: OperatingStore, today: date) -> list[Loan]:
    """The loans as the oracle takes them, with what the platform knew by a midnight."""
    midnight = pd.Timestamp(today)
    tables = {name: accepted_rows(store, name) for name in ("loans", "instalments", "payments")}
    known = {name: rows[rows["known_at"] <= midnight] for name, rows in tables.items()}
    loans = known["loans"][known["loans"]["disbursed_at"] < midnight].sample(SOME, random_state=2)
    due = dict(list(known["instalments"].groupby("loan_id")))
    paid = dict(list(known["payments"].groupby("loan_id")))
    return [
        Loan(
            row.loan_id,
            row.seller_id,
            row.disbursed_at.to_pydatetime(),
            _pairs(due[row.loan_id], "due_on", day=True),
            _pairs(paid.get(row.loan_id), "paid_at", day=False),
        )
        for row in loans.itertuples()
    ]


def _pairs(rows: pd.DataFrame | None, at: str, *, day: bool) -> tuple[tuple[object, int], ...]:
    if rows is None:
        return ()
    moments = rows[at].dt.date if day else rows[at].dt.to_pydatetime()
    return tuple(zip(moments, (rows["amount"] * 100).round().astype(int).tolist(), strict=True))


@pytest.mark.parametrize("today", [date(2024, 7, 1), date(2026, 1, 1)])
def test_matured_and_bad_are_those_of_the_definition(store: OperatingStore, today: date) -> None:
    found = outcomes(store, DEFINITION, today)
    assert (found.known_through, found.unknown) == (today, "")
    rows = {(row.seller_id, row.day.date()): row for row in found.loans.itertuples()}
    kinds = set()
    for loan in as_known(store, today):
        row = rows[loan.seller_id, loan.disbursed_at.date()]
        matured = after_months(loan.disbursed_at.date(), 12) <= today
        # before it is matured, the oracle says True for bad and None for open
        assert (row.matured, row.bad) == (matured, bool(label(loan, today, 90, 12)))
        kinds.add((matured, bool(row.bad)))
    assert kinds == {(True, True), (True, False), (False, True), (False, False)}


def test_a_day_in_the_past_knows_nothing_of_what_came_later(store: OperatingStore) -> None:
    then, now = (outcomes(store, DEFINITION, today).loans for today in (date(2025, 1, 1), date(2026, 1, 1)))
    assert then["day"].max() < pd.Timestamp("2025-01-01") <= now["day"].max()
    assert then["bad"].sum() < now["bad"].sum()
    both = then.merge(now, on=["seller_id", "day"], suffixes=("", "_now"))
    assert len(both) == len(then)
    # what had matured is settled, but for payments that were reported late
    settled = both[both["matured"]]
    assert (settled["bad"] == settled["bad_now"]).mean() > 0.99


def test_no_loan_has_matured_in_the_first_year_and_none_is_lost(store: OperatingStore) -> None:
    early = outcomes(store, DEFINITION, date(2023, 6, 1))
    assert len(early.loans) > 20
    assert not early.loans["matured"].any()
    first = outcomes(store, DEFINITION, early.loans["day"].min().date() + timedelta(days=1))
    assert len(first.loans) > 0
    assert not first.loans[["matured", "bad"]].any(axis=None)
    assert "No loan with instalments was paid out" in outcomes(store, DEFINITION, date(2022, 1, 1)).unknown


def test_by_hand_to_the_day_of_maturity_and_to_the_hour_of_a_late_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loan is matured today and one tomorrow; one is paid in time, which is reported late; one has no schedule."""
    days = {"L1": "2025-01-01", "L2": "2025-01-02", "L3": "2024-06-01", "L4": "2024-06-01"}
    start = pd.Timestamp("2024-01-01")
    rows = {
        "loans": pd.DataFrame(
            [(name, f"S{name[1]}", pd.Timestamp(day) + pd.Timedelta(hours=15), start) for name, day in days.items()],
            columns=["loan_id", "seller_id", "disbursed_at", "known_at"],
        ),
        "instalments": pd.DataFrame(
            [(name, pd.Timestamp(days[name]) + pd.Timedelta(days=60), 100.0, start) for name in ("L1", "L2", "L3")],
            columns=["loan_id", "due_on", "amount", "known_at"],
        ),
        "payments": pd.DataFrame(
            [("L3", pd.Timestamp("2024-07-01"), 100.0, pd.Timestamp("2026-01-01 00:00:01"))],
            columns=["loan_id", "paid_at", "amount", "known_at"],
        ),
    }
    monkeypatch.setattr("features.pipeline.accepted_rows", lambda _, name: rows[name])
    store = SimpleNamespace(covers_through=dict.fromkeys(rows, date(2026, 2, 1)), rows=lambda _: 1)

    def on(today: date) -> dict[str, tuple[bool, bool]]:
        found = outcomes(store, DEFINITION, today).loans
        return {row.seller_id: (row.matured, row.bad) for row in found.itertuples()}

    assert on(date(2026, 1, 1)) == {"S1": (True, True), "S2": (False, True), "S3": (True, True)}
    assert on(date(2026, 1, 2)) == {"S1": (True, True), "S2": (True, True), "S3": (True, False)}
    assert on(date(2025, 1, 2)) == {"S1": (False, False), "S3": (False, True)}


def test_where_nothing_can_be_known_it_says_why(store: OperatingStore) -> None:
    assert 'judged by "as the label table says"; give' in outcomes(store, "as the label table says", date.max).unknown
    without = OperatingStore(
        store.folder,
        tuple(
            type(each)(
                each.delivery_id,
                {name: day for name, day in each.covers_through.items() if name != "payments"},
                each.rows,
            )
            for each in store.deliveries
        ),
    )
    assert outcomes(without, DEFINITION, date(2026, 1, 1)).unknown == "The operating data hold no payments."


def test_labels_made_elsewhere_have_all_matured(store: OperatingStore, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("seller_id,bad,as_of\nS-1,true,2025-01-01\nS-2,false,2025-03-01\n")
    words = "as the label table says"
    found = outcomes(store, words, date(2025, 2, 1), table).loans
    assert found.to_dict("records") == [
        {"seller_id": "S-1", "day": pd.Timestamp("2025-01-01"), "bad": True, "matured": True}
    ]
    early = LabelConfig(horizon_days=60, definition="half the sales")
    late = outcomes(store, "half the sales", date(2025, 3, 2), table, early).loans
    assert late[["matured", "bad"]].to_numpy().tolist() == [[True, True], [False, False]]
    soon = outcomes(store, "half the sales", date(2025, 3, 1), table, early).loans
    assert soon[["matured", "bad"]].to_numpy().tolist() == [[False, False]]
    assert "no row as of before 2024-01-01" in outcomes(store, words, date(2024, 1, 1), table).unknown
    assert "which a label table does not say" in outcomes(store, DEFINITION, date(2025, 2, 1), table).unknown
    with pytest.raises(LabelError, match="There is no label table"):
        outcomes(store, words, date(2025, 2, 1), tmp_path / "none.csv")
