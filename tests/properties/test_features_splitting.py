"""Splitting an owner's orders over more stores, and other ids or currencies, change no bit of a feature.

These tests run in `make soak`. In `make test`, the oracle of `test_features_oracle` confirms it to nine digits.
"""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given

from features.catalogue import CATALOGUE
from tests.oracles.accepted_rows import frame_bytes, frame_of
from tests.oracles.market import IDS, MIDNIGHTS, Market, Shape, market, pairs_of
from tests.oracles.market_events import CURRENCIES
from tests.oracles.shapes import SHAPES, examples

NOT_STRUCTURAL = [feature.name for feature in CATALOGUE if not feature.structural]
TIMES = MIDNIGHTS[::2]


@pytest.mark.soak
@given(SHAPES)
@example(Shape(seed=5, sellers=12, events=60))
@examples(10)
def test_splitting_stores_and_renaming_ids_change_no_bit(shape: Shape) -> None:
    rows, pairs = market(shape), pairs_of(shape, TIMES)
    renamed_pairs = [(renamed(seller), as_of) for seller, as_of in pairs]
    with TemporaryDirectory() as folder:
        whole = frame_of(rows, pairs, Path(folder) / "whole")
        parts = frame_of(other_currencies(split(rows, shape.seed)), pairs, Path(folder) / "parts")
        renamed_frame = frame_of(rename(rows), renamed_pairs, Path(folder) / "named")
    assert frame_bytes(parts[NOT_STRUCTURAL]) == frame_bytes(whole[NOT_STRUCTURAL])
    assert (parts["store_count"] >= whole["store_count"]).all()
    back = renamed_frame.loc[[(renamed(seller), as_of) for seller, as_of in whole.index]]
    assert back.to_numpy().tobytes() == whole.to_numpy().tobytes()


def split(rows: Market, seed: int) -> Market:
    """Divide the rows of every store among three stores of the same owner; one keeps its id."""
    rng = random.Random(seed)  # noqa: S311 - a test market, nothing secret

    def part(store: str) -> str:
        return rng.choice((store, f"{store}-b", f"{store}-c"))

    events = {
        name: [{**row, "store_id": part(row["store_id"])} if "store_id" in row else row for row in table]
        for name, table in rows.items()
        if name not in ("sellers", "stores")
    }
    stores = [{**row, "store_id": row["store_id"] + end} for row in rows["stores"] for end in ("", "-b", "-c")]
    return {"sellers": rows["sellers"], "stores": stores, **events}


def rename(rows: Market) -> Market:
    """Rename every id consistently, with a different sort order."""
    return {name: [_renamed_row(row) for row in table] for name, table in rows.items()}


def renamed(name: str) -> str:
    """Return the new id.

    Example: `renamed("S12")` is `21S-é`.
    """
    return f"{name[::-1]}-é"


def _renamed_row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: renamed(value) if key in IDS and value is not None else value for key, value in row.items()}


def other_currencies(rows: Market) -> Market:
    """Change the currency of every row; amounts in micro-USD stay equal."""
    turn = dict(zip(CURRENCIES, (*CURRENCIES[1:], "JPY"), strict=True))
    return {
        name: [{**row, "currency": turn[row["currency"]]} if "currency" in row else row for row in table]
        for name, table in rows.items()
    }
