"""Fake orders are as the seller's habits and the mix say."""

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


def test_sales_patterns_are_of_the_last_ninety_visible_days(rows: dict[str, pa.Table]) -> None:
    small, large = sales_patterns(rows, PAIRS)
    assert (small.monthly, small.usual, budget(small)) == (15 * 50 * USD, 50 * USD, 37_500_000)
    assert (large.monthly, large.usual, budget(large)) == (30 * 50 * USD, 50 * USD, 75 * USD)
    assert small.busy.tolist() == list(range(1, 401, 2))
    assert large.busy.tolist() == list(range(1, 381))
    # 10 visits a day and an order every second day
    assert small.shown.tolist() == [20.0, 16.0, 4.0]
    assert (small.account, large.account) == ("A", "Z")


def test_orders_from_own_accounts_are_not_part_of_the_pattern(tmp_path: Path) -> None:
    rows = marketplace()
    for order in rows["orders"]:
        if order["order_id"] in ("O-S-1", "O-S-3"):
            order["buyer_id"] = "A" if order["order_id"] == "O-S-1" else "S"
    made = rows_of(write_accepted(rows, tmp_path), ["S"], T)
    (found,) = sales_patterns(made, PAIRS.head(1))
    assert found.monthly == 43 * 50 * USD // 3
    assert found.busy[0] == 5


def test_the_mixes_are_twenty_different_ones_within_the_budget() -> None:
    assert (
        len(STRATEGIES)
        == len({mix.name for mix in STRATEGIES})
        == len({replace(mix, name="") for mix in STRATEGIES})
        == 20
    )
    assert any(mix.own for mix in STRATEGIES)
    assert any(mix.refund_after > 30 for mix in STRATEGIES)
    assert {name for mix in STRATEGIES for name in mix.extras} == set(EXTRAS)


def test_how_many_orders_a_budget_buys_and_what_they_cost() -> None:
    usual = 50 * USD
    assert Strategy("tenth", 30, size=0.1).count(50 * USD, usual) == 10
    assert Strategy("usual", 30).count(49 * USD, usual) == 1
    assert Strategy("tiny", 30, size=0.001).count(50 * USD, usual) == 50
    assert Strategy("one", 1, size=float("inf")).count(500 * USD, usual) == 1
    half = Strategy("half", 30, refunded=0.5)
    assert half.cost(50.0, 10) == pytest.approx(25 * COMMISSION + 10 * TASK_FEE_USD)
    assert replace(half, own=1.0, refunded=0.0).cost(50.0, 10) == pytest.approx(50 * COMMISSION)


_MIXES = st.builds(
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


@given(mix=_MIXES, monthly=st.integers(20 * USD, 10_000 * USD), orders=st.integers(1, 60))
def test_every_strategy_spends_the_whole_budget_on_its_days(mix: Strategy, monthly: int, orders: int) -> None:
    busy = np.arange(1, 400, 3)
    seller = SalesPattern("S", np.datetime64(T, "D"), monthly, np.arange(orders), busy, np.zeros(3), "A")
    fakes = place_orders(seller, mix)
    count = len(fakes.at)
    assert fakes.micros.sum() == budget(seller)
    assert count == mix.count(budget(seller), seller.usual)
    ago = (seller.as_of - fakes.day).astype(int)
    assert ago.min() > mix.ended
    assert ago.max() <= mix.ended + mix.days
    if mix.quiet and not set(range(mix.ended + 1, mix.ended + mix.days + 1)) <= set(busy):
        assert set(ago).isdisjoint(busy)
    # as even as whole orders can be
    assert np.ptp(np.unique(ago, return_counts=True)[1]) <= 1
    assert (fakes.buyer_id == "A").sum() == int(count * mix.own)
    assert fakes.refunded.sum() == int(count * mix.refunded)
    strangers = set(fakes.buyer_id) - {"A"}
    assert len(strangers) <= (mix.accounts or count)
    assert len(set(fakes.order_id)) == count


def test_one_account_places_no_rush() -> None:
    seller = SalesPattern("S", np.datetime64(T, "D"), 1_400 * USD, np.arange(90), np.arange(90), np.zeros(3), "A")
    fakes = place_orders(seller, Strategy("ten a day", 7, size=0.0, accounts=1))
    assert len(fakes.at) == 70
    assert set(fakes.buyer_id) == {"F-S-0"}
    assert np.unique(fakes.at, return_counts=True)[1].max() < 3


def test_fakes_resemble_true_orders_in_all_but_buyer_time_and_amount(
    rows: dict[str, pa.Table], sellers: list[SalesPattern]
) -> None:
    made = generate_rows(
        sellers, Strategy("half price", 30, size=0.5, refunded=1.0, refund_after=10, extras=EXTRAS), rows
    )
    orders = made["orders"].to_pandas(date_as_object=False)
    assert orders.groupby("store_id")["amount_micros"].agg(["count", "sum"]).to_dict("index") == {
        "A": {"count": 1, "sum": 37_500_000},
        "Z": {"count": 3, "sum": 75 * USD},
    }
    assert (orders["amount"] == orders["amount_micros"] / USD).all()
    assert set(orders["channel"]) == {"social"}
    assert set(orders["items"]) == {2}
    assert (orders["visible_from"] - orders["ordered_at"].dt.normalize() == pd.Timedelta(days=1)).all()
    assert {name: len(table) for name, table in made.items()} == {
        "orders": 4,
        "refunds": 4,
        "traffic": 4,
        "fulfilments": 8,
        "ratings": 4,
    }
    refunds = made["refunds"].to_pandas(date_as_object=False).merge(orders, on="order_id")
    assert (refunds["refunded_at"] - refunds["ordered_at"] == pd.Timedelta(days=10)).all()
    assert (refunds["amount_micros_x"] == refunds["amount_micros_y"]).all()
    assert set(made["traffic"].to_pandas()["visits"]) == {20, 10}
    assert all(table.schema == rows[name].schema for name, table in made.items())


def test_nothing_is_faked_in_a_table_that_was_never_delivered(
    rows: dict[str, pa.Table], sellers: list[SalesPattern]
) -> None:
    lacking = {name: table for name, table in rows.items() if name not in ("traffic", "refunds")}
    assert set(generate_rows(sellers, Strategy("all", 30, refunded=1.0, extras=EXTRAS), lacking)) == {
        "orders",
        "fulfilments",
        "ratings",
    }
