"""Every feature equals the naive oracle, for markets with rows at the edges of windows and of visibility."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from hypothesis import example, given

from features.catalogue import CATALOGUE
from tests.counts import SOAKING, repeat
from tests.oracles.accepted_rows import fold_in_turn, frame_from, write_in_parts
from tests.oracles.features_oracle import features_of, oracle
from tests.oracles.market import MIDNIGHTS, Shape, market, pairs_of
from tests.oracles.seller_view import Rows, seller_view, visible
from tests.oracles.shapes import SHAPES, examples

NAMES = tuple(feature.name for feature in CATALOGUE)

WHOLE = frozenset(
    {"orders_90d", "visits_90d", "active_days_365d", "country_count_180d", "currency_count_180d"}
    | {"median_return_lag_180d", "median_handling_hours_90d", "days_since_last_sale", "days_since_last_purchase"}
    | {"days_on_platform", "days_since_first_order", "oldest_store_days", "store_count", "marketplace_count"}
    | {"loans_repaid", "worst_days_past_due_365d"}
)
"""Counts and whole days or hours, which agree exactly."""

NEVER_MISSING = frozenset(
    {"settled_net_sales_30d", "settled_net_sales_90d", "settled_net_sales_365d", "orders_90d"}
    | {"active_day_share_30d", "active_day_share_90d", "active_days_365d", "country_count_180d"}
    | {"currency_count_180d", "store_count", "marketplace_count", "loans_repaid", "worst_days_past_due_365d"}
    | {"average_days_past_due_90d", "average_days_past_due_365d", "late_instalment_share_365d"}
)
"""Features that are zero, not missing, for a seller without rows."""

BEFORE_ALL = date(2019, 3, 1)
"""A midnight before any delivery."""


@pytest.mark.slow
@pytest.mark.repeated
@given(SHAPES)
@example(Shape(seed=1, sellers=20, events=90))
@example(Shape(seed=2, sellers=3, events=30, absent=frozenset({"traffic", "instalments", "payments"})))
@examples(repeat(0, 30))
def test_every_feature_equals_the_oracle(shape: Shape) -> None:
    rows, pairs = market(shape), pairs_of(shape, (*(MIDNIGHTS if SOAKING else MIDNIGHTS[:2]), BEFORE_ALL))
    catalogue = CATALOGUE if SOAKING else [item for item in CATALOGUE if not shape.absent or item.tables & shape.absent]
    with TemporaryDirectory() as folder:
        # folded delivery by delivery, as in production
        store = fold_in_turn(write_in_parts(rows, Path(folder), 2 if SOAKING else 1, shape.seed))
        actual = frame_from(store, pairs, catalogue=catalogue)
    assert len(actual) == len(pairs)
    assert differences(actual, rows) == []


def test_the_markets_have_values_and_gaps_of_every_feature() -> None:
    # without both values and gaps, agreement with the oracle would prove little
    shape = Shape(seed=1, sellers=20, events=90)
    rows = market(shape)
    visible_rows = {as_of: visible(rows, as_of) for as_of in MIDNIGHTS[:2]}
    values = [
        features_of(seller_view(visible_rows[as_of], seller, as_of))
        for seller, as_of in pairs_of(shape, tuple(visible_rows))
    ]
    for name in NAMES:
        distinct = {value[name] for value in values}
        assert len(distinct - {None}) >= 4, name
        assert (None in distinct) != (name in NEVER_MISSING), name


def test_all_features_are_missing_before_the_first_delivery() -> None:
    rows = market(Shape(seed=1, sellers=2))
    assert set(oracle(rows, "S0", BEFORE_ALL).values()) == {None}


def differences(actual: pd.DataFrame, rows: Rows) -> list[str]:
    pairs = [(seller, as_of.date()) for seller, as_of in actual.index]
    visible_rows = {as_of: visible(rows, as_of) for as_of in {as_of for _, as_of in pairs}}
    lines: list[str] = []
    for (seller, as_of), values in zip(pairs, actual.to_numpy(), strict=True):
        expected = features_of(seller_view(visible_rows[as_of], seller, as_of))
        assert set(expected) == set(NAMES)
        lines += [
            f"{name} of {seller} as of {as_of}: got {value}, expected {expected[name]}"
            for name, value in zip(actual.columns, values, strict=True)
            if not _agrees(name, value, expected[name])
        ]
    return lines


def _agrees(name: str, actual: float, expected: float | None) -> bool:
    if expected is None or math.isnan(actual):
        return expected is None and math.isnan(actual)
    return actual == expected if name in WHOLE else math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-12)
