"""How an owner divides his trade over stores, what ids and currencies his rows bear: none moves a bit of a feature.

Each day the oracle of `test_features_oracle` says so to nine digits, since it adds up stores by hand.
"""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given

from features.catalogue import CATALOGUE
from tests.oracles.accepted import frame_bytes, frame_of
from tests.oracles.market import IDS, MIDNIGHTS, Market, Shape, market, pairs_of
from tests.oracles.market_events import CURRENCIES
from tests.oracles.shapes import SHAPES, examples

NOT_STRUCTURAL = [feature.name for feature in CATALOGUE if not feature.structural]
TIMES = MIDNIGHTS[::2]


@pytest.mark.soak
@given(SHAPES)
@example(Shape(seed=5, sellers=12, events=60))
@examples(10)
def test_splitting_stores_and_changing_names_moves_no_bit(shape: Shape) -> None:
    rows, pairs = market(shape), pairs_of(shape, TIMES)
    renamed_pairs = [(renamed(seller), as_of) for seller, as_of in pairs]
    with TemporaryDirectory() as folder:
        whole = frame_of(rows, pairs, Path(folder) / "whole")
        parts = frame_of(other_currencies(split(rows, shape.seed)), pairs, Path(folder) / "parts")
        named = frame_of(rename(rows), renamed_pairs, Path(folder) / "named")
    assert frame_bytes(parts[NOT_STRUCTURAL]) == frame_bytes(whole[NOT_STRUCTURAL])
    assert (parts["store_count"] >= whole["store_count"]).all()
    back = named.loc[[(renamed(seller), as_of) for seller, as_of in whole.index]]
    assert back.to_numpy().tobytes() == whole.to_numpy().tobytes()


def test_what_counts_stores_marketplaces_and_currencies_is_structural_and_nothing_else() -> None:
    structural = {feature.name for feature in CATALOGUE if feature.structural}
    currencies = {"currency_count_180d", "foreign_currency_share_180d"}
    assert structural == {"store_count", "marketplace_count"} | currencies


def split(rows: Market, seed: int) -> Market:
    """Deal every store's rows out over three stores of the same owners, one of which keeps its name."""
    rng = random.Random(seed)  # noqa: S311 - a test market, nothing secret

    def part(store: str) -> str:
        return rng.choice((store, f"{store}-b", f"{store}-c"))

    dealt = {
        name: [{**row, "store_id": part(row["store_id"])} if "store_id" in row else row for row in those]
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


def other_currencies(rows: Market) -> Market:
    """Name another currency on every amount, which stays as much in micro-USD."""
    turn = dict(zip(CURRENCIES, (*CURRENCIES[1:], "JPY"), strict=True))
    return {
        name: [{**row, "currency": turn[row["currency"]]} if "currency" in row else row for row in those]
        for name, those in rows.items()
    }
