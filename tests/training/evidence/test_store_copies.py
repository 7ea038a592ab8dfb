"""Copies are their originals under other names."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from features.ingest import OperatingStore
from features.pipeline import compute_frame
from tests.oracles.accepted_rows import frame_bytes, write_accepted
from tests.oracles.market import MIDNIGHTS, Shape, market
from training.evidence.store_copies import copy_rows, first_rows, rows_of, with_new_ids, write_store

pytestmark = pytest.mark.slow


def test_copies_of_a_hostile_market_have_the_features_of_their_originals_to_the_bit(tmp_path: Path) -> None:
    # stores change hands, insiders buy, refunds name the orders of others, rows are late, and some sellers stay away
    original = write_accepted(market(Shape(seed=5, sellers=8)), tmp_path / "original", parts=2)
    chosen = [f"S{number}" for number in (1, 2, 5, 7)]
    true = rows_of(original, chosen, max(MIDNIGHTS))
    parts = {"first": first_rows(original), "true": (each for copy in "ab" for each in with_new_ids(true, copy))}
    store = write_store(tmp_path / "copies", OperatingStore(tmp_path, ()), parts)
    pairs = pd.DataFrame([(seller, day) for seller in chosen for day in MIDNIGHTS], columns=["seller_id", "as_of"])
    wanted = frame_bytes(compute_frame(original, pairs))
    copies = pd.concat([pairs.assign(seller_id=[copy_rows(who, copy) for who in pairs["seller_id"]]) for copy in "ab"])
    found = compute_frame(store, copies)
    for copy in "ab":
        mine = found[found.index.get_level_values("seller_id").str.startswith(f"{copy}:")]
        assert mine.to_numpy().tobytes() == wanted[0]
        assert [who for who, _ in mine.index] == [copy_rows(who, copy) for who, _ in wanted[1]]


def test_a_copy_shares_no_id_with_its_original(rows: dict[str, pa.Table]) -> None:
    made = dict(with_new_ids(rows, "x"))
    assert made["orders"]["buyer_id"].to_pylist()[0] == "x:" + rows["orders"]["buyer_id"].to_pylist()[0]
    for name, table in made.items():
        ids = [each for each in table.column_names if each.endswith("_id")]
        assert ids
        assert all(value.startswith("x:") for each in ids for value in table[each].to_pylist())
        assert table.drop_columns(ids).equals(rows[name].drop_columns(ids))
