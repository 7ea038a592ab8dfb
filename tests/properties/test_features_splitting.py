"""How an owner divides his trade over stores, and what ids are called, moves no bit of a feature."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given

from features.catalogue import CATALOGUE
from tests.oracles.accepted import frame_bytes, frame_of
from tests.oracles.market import MIDNIGHTS, Market, Shape, market, pairs_of
from tests.oracles.shapes import SHAPES, examples

NOT_STRUCTURAL = [feature.name for feature in CATALOGUE if not feature.structural]
IDS = ("seller_id", "store_id", "buyer_id", "order_id", "refund_id", "purchase_id")
TIMES = MIDNIGHTS[::2]


@given(SHAPES)
@examples(3)
def test_splitting_stores_and_renaming_ids_moves_no_bit(shape: Shape) -> None:
    rows, pairs = market(shape), pairs_of(shape, TIMES)
    renamed_pairs = [(renamed(seller), as_of) for seller, as_of in pairs]
    with TemporaryDirectory() as folder:
        whole = frame_of(rows, pairs, Path(folder) / "whole")
        parts = frame_of(split(rows, shape.seed), pairs, Path(folder) / "parts")
        named = frame_of(rename(rows), renamed_pairs, Path(folder) / "named")
    assert frame_bytes(parts[NOT_STRUCTURAL]) == frame_bytes(whole[NOT_STRUCTURAL])
    assert (parts["store_count"] >= whole["store_count"]).all()
    back = named.loc[[(renamed(seller), as_of) for seller, as_of in whole.index]]
    assert back.to_numpy().tobytes() == whole.to_numpy().tobytes()


def split(rows: Market, seed: int) -> Market:
    """Deal every store's rows out over three stores of the same owners, one of which keeps its name."""
    rng = random.Random(seed)  # noqa: S311 - a test market, nothing secret

    def part(store: str) -> str:
        return rng.choice((store, f"{store}-b", f"{store}-c"))

    dealt = {
        name: [{**row, "store_id": part(row["store_id"])} for row in those]
        for name, those in rows.items()
        if name not in ("sellers", "stores")
    }
    stores = [{**row, "store_id": row["store_id"] + end} for row in rows["stores"] for end in ("", "-b", "-c")]
    return {"sellers": rows["sellers"], "stores": stores, **dealt}


def rename(rows: Market) -> Market:
    """Give every id another name that sorts otherwise, the same wherever it stands."""
    return {name: [_renamed_row(row) for row in those] for name, those in rows.items()}


def renamed(name: str) -> str:
    """Return the other name.

    Example: `renamed("S12")` is `21S-é`.
    """
    return f"{name[::-1]}-é"


def _renamed_row(row: dict[str, Any]) -> dict[str, Any]:
    return {key: renamed(value) if key in IDS and value is not None else value for key, value in row.items()}
