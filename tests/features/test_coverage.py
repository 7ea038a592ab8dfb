"""Validation of requested pairs: rows in the requested order, and errors for what the store does not cover."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.coverage import requested_pairs
from features.errors import CatalogueError, FeaturesError, StoreError
from features.ingest import OperatingStore
from features.pipeline import compute_frame, frame
from tests.oracles.accepted_rows import features_named, write_accepted
from tests.oracles.market import Market
from tests.oracles.seller_view import midnight

FEW = features_named("active_days_365d", "days_since_first_order")
FIRST, LAST = date(2024, 1, 3), date(2024, 3, 1)
"""The first midnight with a known order, and the last that is covered."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> OperatingStore:
    """Two sellers with an order a day; S2 is known a month later."""
    rows: Market = {name: [] for name in ("sellers", "stores", "orders", "refunds")}
    for seller, start in (("S1", midnight(date(2024, 1, 1))), ("S2", midnight(date(2024, 2, 1)))):
        rows["sellers"].append({"seller_id": seller, "onboarded_at": start, "known_at": start})
        rows["stores"].append({"store_id": f"{seller}-A", "seller_id": seller, "known_at": start})
        for number in range(20):
            at = start + timedelta(days=1 + number, hours=12)
            order = {"order_id": f"{seller}-{number}", "store_id": f"{seller}-A", "buyer_id": "B", "ordered_at": at}
            rows["orders"].append(order | {"amount_micros": 1_000_000, "channel": "search", "known_at": at})
    written = write_accepted(rows, tmp_path_factory.mktemp("covered"))
    covers = dict.fromkeys(("orders", "refunds"), LAST)
    return replace(written, deliveries=(replace(written.deliveries[0], covers_through=covers),))


def pairs(*rows: tuple[object, object]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["seller_id", "as_of"])


def test_rows_follow_the_request_in_order_and_with_duplicates(store: OperatingStore) -> None:
    requested = pairs(("S2", LAST), ("S1", date(2024, 1, 13)), ("S2", date(2024, 2, 13)), ("S2", LAST), ("S1", LAST))
    found = frame(store, requested, FEW)
    assert list(found.index) == [(seller, pd.Timestamp(day)) for seller, day in requested.to_numpy().tolist()]
    assert found["active_days_365d"].tolist() == [20.0, 11.0, 11.0, 20.0, 20.0]
    distinct = compute_frame(store, requested, FEW)
    assert len(distinct) == 4
    pd.testing.assert_frame_equal(found[~found.index.duplicated()].sort_index(), distinct, check_index_type=False)


def test_dates_may_be_text_dates_or_timestamps_of_any_unit(store: OperatingStore) -> None:
    for day in ("2024-03-01", pd.Timestamp(LAST), pd.Timestamp(LAST).as_unit("s")):
        pd.testing.assert_frame_equal(requested_pairs(pairs(("S1", day))), requested_pairs(pairs(("S1", LAST))))
    assert frame(store, pairs(), FEW).empty
    assert list(frame(store, pairs(), FEW).columns) == [feature.name for feature in FEW]


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (
            [("S1", LAST), ("S1", date(2024, 3, 2)), ("S2", date(2024, 4, 1))],
            "2 of 3 pairs are as of a date after 2024-03-01, the latest midnight that the store covers",
        ),
        (
            [("S1", date(2024, 1, 2)), ("S1", FIRST)],
            "1 of 2 pairs are as of a date before 2024-01-03, the first midnight with a known order",
        ),
        (
            [("S1", LAST), ("S9", LAST), ("S8", LAST), ("S9", FIRST)],
            "3 of 4 pairs are of 2 sellers who are not in the store; the first is seller 'S9' as of 2024-03-01.",
        ),
        (
            [("S2", date(2024, 1, 31)), ("S2", date(2024, 2, 1))],
            "not known yet as of that date; the first is seller 'S2' as of 2024-01-31, known from 2024-02-01 on. Use",
        ),
    ],
)
def test_uncovered_pairs_are_rejected_with_the_allowed_values(
    store: OperatingStore, requested: list[tuple[object, object]], message: str
) -> None:
    with pytest.raises(StoreError) as caught:
        frame(store, pairs(*requested), FEW)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        (pd.DataFrame({"seller": ["S1"]}), "The pairs have no column seller_id and no column as_of."),
        (pairs(("S1", LAST), (None, LAST)), "1 of 2 pairs have no valid seller_id; the first is 'nan' in row 2."),
        (pairs((7, LAST)), "no valid seller_id; the first is '7' in row 1"),
        (pairs(("S1", None)), "no valid as_of; the first is 'None' in row 1. Give a date, or a timestamp at midnight."),
        (pairs(("S1", pd.Timestamp(2024, 3, 1, 12))), "1 of 1 pairs have no valid as_of"),
        (pairs(("S1", "1 March")), "no valid as_of; the first is '1 March' in row 1"),
        (pairs(("S1", pd.Timestamp("2024-03-01", tz="Asia/Shanghai"))), "A value of as_of has a time zone"),
    ],
)
def test_pairs_of_an_invalid_form_are_rejected(store: OperatingStore, requested: pd.DataFrame, message: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        frame(store, requested, FEW)
    assert message in str(caught.value)


def test_a_store_without_orders_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match="covers no day of orders"):
        frame(OperatingStore(tmp_path, ()), pairs(("S1", LAST)), FEW)
