"""Rows that are lacking of one seller in a delivered table: unknown where silence says nothing, and never better."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.facts import LOAN_TABLES
from features.ingest import OperatingStore
from features.pipeline import compute_frame
from tests.oracles.accepted import write_accepted
from tests.oracles.seller_sight import midnight
from tests.training.evidence.fake_orders.shops import PAIRS, USD, T, days_ago, marketplace
from training.evidence.hidden_rows import HONEST, TOLD_BY_SILENCE, optional_tables, without_rows

pytestmark = pytest.mark.slow

OF_EACH_TABLE = {
    "orders_90d",
    "return_rate_90d",
    "visits_90d",
    "handling_days_90d",
    "rating_90d",
    "purchases_over_sales_180d",
    "worst_days_past_due_365d",
    "owed_over_monthly_sales",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    """The shops, which buy stock every ten days and paid back a loan, each instalment ten days late."""
    rows = marketplace()
    for seller in ("A", "Z"):
        for ago in range(1, 401, 10):
            at = midnight(days_ago(ago)) + timedelta(hours=9)
            bought = {"purchase_id": f"{seller}-{ago}", "store_id": seller, "supplier_id": f"U{ago % 3}"}
            rows["purchases"].append(bought | {"amount_micros": 200 * USD, "purchased_at": at, "known_at": at})
    for seller in ("S", "L"):
        lent = {"loan_id": f"of-{seller}", "known_at": midnight(days_ago(200))}
        loan = {"seller_id": seller, "disbursed_at": midnight(days_ago(200)), "term_days": 60, "currency": "USD"}
        rows["loans"].append(lent | loan | {"principal": 300.0, "amount_micros": 300 * USD})
        for number, ago in enumerate((170, 140)):
            rows["instalments"].append(lent | {"due_on": days_ago(ago), "amount": 150.0})
            at = midnight(days_ago(ago - 10))
            paid = {"payment_id": f"{seller}-{number}", "paid_at": at, "amount": 150.0}
            rows["payments"].append(lent | paid | {"known_at": at})
    written = write_accepted(rows, tmp_path_factory.mktemp("operating"))
    (delivery,) = written.deliveries
    return replace(written, deliveries=(replace(delivery, covers_through=dict.fromkeys(delivery.rows, T)),))


@pytest.fixture(scope="module")
def found(store: OperatingStore) -> dict[str, pd.DataFrame]:
    return without_rows(store, PAIRS)


def test_each_optional_table_that_is_delivered_is_asked(store: OperatingStore, found: dict[str, pd.DataFrame]) -> None:
    assert optional_tables(store) == ("refunds", "traffic", "fulfilments", "ratings", "purchases", *LOAN_TABLES)
    assert list(found) == [HONEST, *optional_tables(store)]


def test_who_hides_nothing_is_as_he_was(store: OperatingStore, found: dict[str, pd.DataFrame]) -> None:
    some = [feature for feature in CATALOGUE if feature.name in OF_EACH_TABLE]
    wanted = compute_frame(store, PAIRS, some).reindex(pd.MultiIndex.from_frame(PAIRS))
    assert len(some) == len(OF_EACH_TABLE)
    assert found[HONEST][list(wanted)].to_numpy().tobytes() == wanted.to_numpy().tobytes()


@pytest.mark.parametrize("table", ["traffic", "fulfilments", "ratings", "purchases"])
def test_rows_that_are_lacking_leave_nothing_but_missing_values(found: dict[str, pd.DataFrame], table: str) -> None:
    """So that they go to the riskiest end, and hiding them raises no score, whatever the model (ADR 13)."""
    before, after = found[HONEST].to_numpy(), found[table].to_numpy()
    moved = (before != after) & ~(np.isnan(before) & np.isnan(after))
    assert moved.any(axis=0).sum() >= 4
    assert np.isnan(after[moved]).all(), found[HONEST].columns[(moved & ~np.isnan(after)).any(axis=0)].tolist()


def test_refunds_that_are_lacking_read_as_none(found: dict[str, pd.DataFrame]) -> None:
    """What never came back and what nobody delivered look alike, so this table's silence is taken at its word."""
    assert "refunds" in TOLD_BY_SILENCE
    assert (found[HONEST]["return_rate_90d"] > 0).all()
    assert (found["refunds"]["return_rate_90d"] == 0).all()


def test_loans_that_are_lacking_read_as_none(found: dict[str, pd.DataFrame]) -> None:
    """Who never borrowed and whose loans nobody delivered look alike, so their silence is taken at its word, too."""
    assert set(LOAN_TABLES) - {"payments"} <= TOLD_BY_SILENCE
    shown = found[HONEST][["loans_repaid", "worst_days_past_due_365d", "average_days_past_due_365d"]]
    assert shown.to_numpy().tolist() == [[1, 10, 10]] * len(PAIRS)
    for table in ("loans", "instalments"):
        assert (found[table][shown.columns] == 0).all(axis=None)


def test_payments_that_are_lacking_were_never_made(found: dict[str, pd.DataFrame]) -> None:
    """Hiding what was paid can only look worse: it is no silence."""
    assert "payments" not in TOLD_BY_SILENCE
    assert (found["payments"]["worst_days_past_due_365d"] > 100).all()
    owed = [found[copy]["owed_over_monthly_sales"].to_numpy() for copy in (HONEST, "payments")]
    assert (owed[0] < owed[1]).all()
    assert (found["payments"]["loans_repaid"] == 0).all()
