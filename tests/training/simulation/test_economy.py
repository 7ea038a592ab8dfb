"""Causes precede effects: refunds follow orders, defaults follow a lack of cash, fake orders have no visitors."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from tests.training.simulation.conftest import Delivery
from training.simulation import SimulationConfig
from training.simulation.economy import run_economy
from training.simulation.market import build_market
from training.simulation.sellers import draw_traits

pytestmark = pytest.mark.slow


def orders_with_seller(delivery: Delivery) -> pd.DataFrame:
    owner = delivery.good("stores").drop_duplicates("store_id").set_index("store_id")["seller_id"]
    orders = delivery.good("orders")
    return orders.assign(seller_id=orders["store_id"].map(owner))


@cache
def bad_loans(delivery: Delivery) -> set[str]:
    """Loans with an instalment 90 days past due within 12 months, worked out from what was really paid."""
    paid = delivery.good("payments").sort_values("paid_at")
    start = delivery.good("loans").set_index("loan_id")["disbursed_at"].dt.normalize()
    bad = set()
    plans = delivery.good("instalments").sort_values("due_on")
    payments = dict(iter(paid.groupby("loan_id")))
    for loan, plan in plans.groupby("loan_id"):
        for due_on, owed in zip(pd.to_datetime(plan["due_on"]), plan["amount"].cumsum(), strict=True):
            limit = due_on + pd.Timedelta(days=90)
            if limit > min(start[loan] + pd.Timedelta(days=365), delivery.end - pd.Timedelta(days=1)):
                break
            rows = payments.get(loan)
            received = 0.0 if rows is None else rows.loc[rows["paid_at"] < limit, "amount"].sum()
            if received < owed - 0.005:
                bad.add(str(loan))
                break
    return bad


def test_a_refund_follows_its_order_with_a_lag_and_never_exceeds_it(delivery: Delivery) -> None:
    pairs = delivery.good("refunds").merge(delivery.good("orders"), on="order_id", suffixes=("", "_order"))
    assert len(pairs) == len(delivery.good("refunds"))
    lag = pairs["refunded_at"] - pairs["ordered_at"]
    assert (lag > pd.Timedelta(0)).all()
    returned = lag[pairs["reason"] == "return"]
    assert pd.Timedelta(days=4) < returned.median() < pd.Timedelta(days=25)
    assert (pairs["amount"] <= pairs["amount_order"]).all()
    assert (pairs["currency"] == pairs["currency_order"]).all()


def test_the_first_loan_comes_after_a_year_and_none_overlaps_another(delivery: Delivery) -> None:
    loans = delivery.good("loans").sort_values(["seller_id", "disbursed_at"])
    assert loans["disbursed_at"].min() >= pd.Timestamp(delivery.config.start) + pd.Timedelta(days=365)
    settled = delivery.good("payments").groupby("loan_id").agg(paid=("amount", "sum"), last=("paid_at", "max"))
    owed = delivery.good("instalments").groupby("loan_id")["amount"].sum()
    before = loans[loans["seller_id"] == loans["seller_id"].shift(-1)]
    following = loans["disbursed_at"].shift(-1)[before.index]
    assert (settled.loc[before["loan_id"], "paid"].to_numpy() >= owed[before["loan_id"]].to_numpy() - 0.005).all()
    assert (settled.loc[before["loan_id"], "last"].to_numpy() < following.to_numpy()).all()


def test_payments_never_exceed_or_precede_what_is_due(delivery: Delivery) -> None:
    paid = delivery.good("payments").groupby("loan_id")["amount"].sum()
    owed = delivery.good("instalments").groupby("loan_id")["amount"].sum()
    assert (paid <= owed[paid.index] + 0.005).all()
    first_due = pd.to_datetime(delivery.good("instalments").groupby("loan_id")["due_on"].min())
    first_paid = delivery.good("payments").groupby("loan_id")["paid_at"].min()
    assert (first_paid >= first_due[first_paid.index]).all()


def test_counted_defaults_match_the_tables(delivery: Delivery) -> None:
    assert len(bad_loans(delivery)) == pytest.approx(delivery.summary.defaults, abs=2)
    assert 0.04 < delivery.summary.defaults / delivery.summary.loans < 0.20


def test_defaulters_had_less_cash_and_end_with_little(delivery: Delivery) -> None:
    bad, truth = bad_loans(delivery), delivery.truth()
    loans = truth.dropna(subset=["loan_id"])
    before = loans["cash_buffer_days"].groupby(loans["loan_id"].isin(bad)).median()
    assert before[True] < before[False]
    last = truth[truth["loan_id"].isna()].set_index("seller_id")
    broke = last[last["open_debt"] > 0].loc[
        lambda rows: rows.index.isin(loans.set_index("loan_id").loc[sorted(bad), "seller_id"])
    ]
    assert (broke["cash"] < broke["open_debt"]).mean() > 0.9


def test_fakers_sell_without_visits_in_the_weeks_before_a_loan(delivery: Delivery) -> None:
    truth = delivery.truth().drop_duplicates("seller_id").set_index("seller_id")
    assert truth["is_faker"].sum() == delivery.summary.fakers
    assert 0.03 < truth["is_faker"].mean() < 0.15
    owner = delivery.good("stores").drop_duplicates("store_id").set_index("store_id")["seller_id"]
    traffic = delivery.good("traffic")
    came = traffic.assign(seller_id=traffic["store_id"].map(owner), at=pd.to_datetime(traffic["day"]))
    sold = orders_with_seller(delivery).rename(columns={"ordered_at": "at"})
    loans = delivery.good("loans")[["seller_id", "disbursed_at"]].rename(columns={"disbursed_at": "loan_at"})

    def month_before(rows: pd.DataFrame) -> pd.DataFrame:
        pairs = rows.merge(loans, on="seller_id")
        ago = pairs["loan_at"].dt.normalize() - pairs["at"]
        return pairs[(ago > pd.Timedelta(0)) & (ago <= pd.Timedelta(days=28))]

    orders = month_before(sold).groupby("seller_id").size()
    visits = month_before(came).groupby("seller_id")["visits"].sum()
    usual = sold.groupby("seller_id").size() / came.groupby("seller_id")["visits"].sum()
    lift = (orders / visits / usual).dropna()
    by_kind = lift.groupby(truth["is_faker"]).median()
    assert by_kind[True] > 1.2 * by_kind[False]
    own = sold[sold["buyer_id"] == sold["store_id"]]
    assert len(own) > 0
    assert truth.loc[own["seller_id"].unique(), "is_faker"].all(), "only fakers buy from themselves"


def test_the_last_shock_begins_in_the_out_of_time_period_and_costs_orders() -> None:
    config = SimulationConfig(sellers=80)
    market = build_market(config, np.random.default_rng(1))
    calm = replace(market, spell=np.zeros_like(market.spell))
    traits = draw_traits(config, market, 0, np.random.default_rng(2))
    first = market.shocks[-1].first_day
    assert config.days - 485 <= first < config.days - 365
    # The same luck in both worlds: what differs is the shock alone.
    expected, undisturbed = (
        run_economy(traits, world, np.random.default_rng(3)).history.expected[first + 10 : first + 20].sum()
        for world in (replace(market, spell=market.spell * [[0], [0], [1]]), calm)
    )
    assert 0.70 < expected / undisturbed < 0.92


def test_truth_has_a_row_for_each_loan_and_each_seller_at_the_end(delivery: Delivery) -> None:
    truth, loans = delivery.truth(), delivery.good("loans").set_index("loan_id")
    of_loans = truth.dropna(subset=["loan_id"]).set_index("loan_id")
    assert set(of_loans.index) == set(loans.index)
    assert (of_loans["as_of"] == loans["disbursed_at"].dt.normalize()[of_loans.index]).all()
    last = truth[truth["loan_id"].isna()]
    assert last["seller_id"].nunique() == len(last) == delivery.config.sellers
    assert (last["as_of"] == delivery.end).all()
