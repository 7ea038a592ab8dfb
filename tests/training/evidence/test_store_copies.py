"""Copies are their originals under other names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from features.pipeline import compute_frame
from tests.oracles.accepted_rows import write_accepted
from tests.oracles.market import MIDNIGHTS, Shape, market
from training.evidence.store_copies import compute_copies, rows_of, with_new_ids

pytestmark = pytest.mark.slow


def test_copies_of_a_hostile_market_have_the_features_of_their_originals_to_the_bit(tmp_path: Path) -> None:
    # stores change hands, insiders buy, refunds name the orders of others, rows are late, and some sellers stay away
    original = write_accepted(market(Shape(seed=5, sellers=8)), tmp_path / "original", parts=2)
    chosen = [f"S{number}" for number in (1, 2, 5, 7)]
    every = pd.MultiIndex.from_product([chosen, pd.to_datetime(MIDNIGHTS)], names=["seller_id", "as_of"])
    pairs = every.to_frame(index=False)
    true = rows_of(original, chosen, max(MIDNIGHTS))
    expected = compute_frame(original, pairs).reindex(every)
    for copy, frame in compute_copies(original, pairs, {"a": [true], "b": [true]}).items():
        assert frame.to_numpy().tobytes() == expected.to_numpy().tobytes()
        assert frame.index.tolist() == [(f"{copy}:{seller}", day) for seller, day in expected.index]


def test_a_copy_shares_no_id_with_its_original(rows: dict[str, pa.Table]) -> None:
    for name, table in with_new_ids(rows, "x"):
        ids = [column for column in table.column_names if column.endswith("_id")]
        assert ids
        for column in ids:
            assert table[column].to_pylist() == [f"x:{value}" for value in rows[name][column].to_pylist()]
        assert table.drop_columns(ids).equals(rows[name].drop_columns(ids))
