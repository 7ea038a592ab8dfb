"""Fake orders are as the seller's habits and the strategy require."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracles.accepted_rows import write_accepted
from tests.training.evidence.shops import PAIRS, USD, T, marketplace
from training.evidence.fake_order_rows import budget, generate_rows, place_orders
from training.evidence.fake_order_strategies import (
    COMMISSION,
    EXTRAS,
    STRATEGIES,
    TASK_FEE_USD,
    SalesPattern,
    Strategy,
    sales_patterns,
)
from training.evidence.store_copies import rows_of


@pytest.fixture(scope="module")
def sellers(rows: dict[str, pa.Table]) -> list[SalesPattern]:
    return list(sales_patterns(rows, PAIRS))


def test_sales_patterns_are_of_the_last_ninety_visible_days(sellers: list[SalesPattern]) -> None:
    small, large = sellers
    assert (small.monthly, small.usual, budget(small)) == (15 * 50 * USD, 50 * USD, 37_500_000)
    assert (large.monthly, large.usual, budget(large)) == (30 * 50 * USD, 50 * USD, 75 * USD)
    assert small.busy.tolist() == list(range(1, 401, 2))
    assert large.busy.tolist() == list(range(1, 381))
    # 10 visits a day and an order every second day
    assert small.shown.tolist() == [20.0, 16.0, 4.0]
    assert (small.account, large.account) == ("A", "Z")


def test_orders_from_own_accounts_are_not_part_of_the_pattern(tmp_path: Path) -> None:
    market, own = marketplace(), {"O-S-1": "A", "O-S-3": "S"}
    for order in market["orders"]:
        order["buyer_id"] = own.get(order["order_id"], order["buyer_id"])
    (pattern,) = sales_patterns(rows_of(write_accepted(market, tmp_path), ["S"], T), PAIRS.head(1))
    assert pattern.monthly == 43 * 50 * USD // 3
    assert pattern.busy[0] == 5


def test_the_strategies_are_twenty_different_ones() -> None:
    assert len({each.name for each in STRATEGIES}) == len({replace(each, name="") for each in STRATEGIES}) == 20
    assert any(each.own for each in STRATEGIES)
    assert any(each.refund_after > 30 for each in STRATEGIES)
    assert {name for each in STRATEGIES for name in each.extras} == set(EXTRAS)


def test_how_many_orders_a_budget_buys_and_what_they_cost() -> None:
    usual = 50 * USD
    assert Strategy("tenth", 30, size=0.1).count(50 * USD, usual) == 10
    assert Strategy("usual", 30).count(49 * USD, usual) == 1
    assert Strategy("tiny", 30, size=0.001).count(50 * USD, usual) == 50
    assert Strategy("one", 1, size=float("inf")).count(500 * USD, usual) == 1
    half = Strategy("half", 30, refunded=0.5)
    assert half.cost(50.0, 10) == pytest.approx(25 * COMMISSION + 10 * TASK_FEE_USD)
    assert replace(half, own=1.0, refunded=0.0).cost(50.0, 10) == pytest.approx(50 * COMMISSION)


def pattern(monthly: int, orders: int, busy: np.ndarray) -> SalesPattern:
    return SalesPattern("S", np.datetime64(T, "D"), monthly, np.arange(orders), busy, np.zeros(3), "A")


_STRATEGIES = st.builds(
    Strategy,
    name=st.just("any"),
    days=st.integers(1, 400),
    ended=st.integers(0, 60),
    quiet=st.booleans(),
    size=st.sampled_from([0.0, 0.05, 0.5, 1.0, float("inf")]),
    accounts=st.integers(0, 3),
    own=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    refunded=st.sampled_from([0.0, 0.5, 1.0]),
)


@given(strategy=_STRATEGIES, monthly=st.integers(20 * USD, 10_000 * USD), orders=st.integers(1, 60))
def test_every_strategy_spends_the_whole_budget_on_its_days(strategy: Strategy, monthly: int, orders: int) -> None:
    seller = pattern(monthly, orders, np.arange(1, 400, 3))
    fakes = place_orders(seller, strategy)
    count = len(fakes["ordered_at"])
    assert fakes["amount_micros"].sum() == budget(seller)
    assert count == len(set(fakes["order_id"])) == strategy.count(budget(seller), seller.usual)
    ago = (seller.as_of - fakes["ordered_at"].astype("datetime64[D]")).astype(int)
    days = range(strategy.ended + 1, strategy.ended + strategy.days + 1)
    assert set(ago) <= set(days)
    if strategy.quiet and not set(days) <= set(seller.busy):
        assert set(ago).isdisjoint(seller.busy)
    # as even as whole orders can be
    assert np.ptp(np.unique(ago, return_counts=True)[1]) <= 1
    assert (fakes["buyer_id"] == "A").sum() == int(count * strategy.own)
    assert fakes["refunded"].sum() == int(count * strategy.refunded)
    assert len(set(fakes["buyer_id"]) - {"A"}) <= (strategy.accounts or count)


def test_one_account_places_no_rush() -> None:
    seller = pattern(1_400 * USD, 90, np.arange(90))
    fakes = place_orders(seller, Strategy("ten a day", 7, size=0.0, accounts=1))
    assert len(fakes["ordered_at"]) == 70
    assert set(fakes["buyer_id"]) == {"F-S-0"}
    assert np.unique(fakes["ordered_at"], return_counts=True)[1].max() < 3


def test_fakes_resemble_true_orders_in_all_but_buyer_time_and_amount(
    rows: dict[str, pa.Table], sellers: list[SalesPattern]
) -> None:
    strategy = Strategy("half price", 30, size=0.5, refunded=1.0, refund_after=10, extras=EXTRAS)
    fakes = generate_rows(sellers, strategy, rows)
    counts = {"orders": 4, "refunds": 4, "traffic": 4, "fulfilments": 8, "ratings": 4}
    assert {name: table.num_rows for name, table in fakes.items()} == counts
    assert all(table.schema == rows[name].schema for name, table in fakes.items())
    orders, refunds = (fakes[name].to_pandas(date_as_object=False) for name in ("orders", "refunds"))
    by_store = orders.groupby("store_id")["amount_micros"].agg(["count", "sum"])
    assert by_store.T.to_dict("list") == {"A": [1, 37_500_000], "Z": [3, 75 * USD]}
    assert (orders["amount"] == orders["amount_micros"] / USD).all()
    assert set(zip(orders["channel"], orders["items"], strict=True)) == {("social", 2)}
    assert (orders["visible_from"] - orders["ordered_at"].dt.normalize() == pd.Timedelta(days=1)).all()
    refunds = refunds.merge(orders, on="order_id")
    assert (refunds["refunded_at"] - refunds["ordered_at"] == pd.Timedelta(days=10)).all()
    assert (refunds["amount_micros_x"] == refunds["amount_micros_y"]).all()
    assert set(fakes["traffic"]["visits"].to_pylist()) == {20, 10}
    # nothing is faked in a table that was never delivered
    delivered = {name: table for name, table in rows.items() if name not in ("traffic", "refunds")}
    assert set(generate_rows(sellers, strategy, delivered)) == {"orders", "fulfilments", "ratings"}
