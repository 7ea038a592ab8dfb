"""Changes of the rows that must change no bit of a frame: later rows, other deliveries, stores, ids and currencies.

Most of these tests run in `make soak`. In `make test`, the oracle of `test_features_oracle` gets no row that is known
after T, and confirms the frames to nine digits.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from features.catalogue import CATALOGUE
from features.ingest import ingest, open_store
from tests.oracles.accepted_rows import frame_bytes, frame_from, frame_of, write_accepted
from tests.oracles.deliveries import NO_RATES, deliver, in_dollars, rates_of
from tests.oracles.invisible_rows import with_invisible_rows
from tests.oracles.market import IDS, MIDNIGHTS, Market, Shape, market, pairs_of
from tests.oracles.market_events import CURRENCIES
from tests.oracles.seller_view import midnight, visible
from tests.oracles.shapes import SHAPES, examples

pytestmark = pytest.mark.soak

NOT_STRUCTURAL = [feature.name for feature in CATALOGUE if not feature.structural]
PARTIES = ("sellers", "stores", "loans")


@given(SHAPES, st.sampled_from(MIDNIGHTS))
@example(Shape(seed=3, sellers=12, events=60), MIDNIGHTS[1])
@examples(15)
def test_later_rows_change_no_byte(shape: Shape, as_of: date) -> None:
    rows, pairs = market(shape), pairs_of(shape, [as_of])
    past = {name: list(table) for name, table in visible(rows, as_of).items()}
    whole = with_invisible_rows(rows, midnight(as_of))
    assert {name: len(table) for name, table in visible(whole, as_of).items()} == {
        name: len(table) for name, table in past.items()
    }
    with TemporaryDirectory() as folder:
        then = frame_of(past, pairs, Path(folder) / "then", threads=1)
        later = write_accepted(whole, Path(folder) / "later", parts=3, seed=shape.seed)
        assert frame_bytes(frame_from(later, pairs, threads=2)) == frame_bytes(then)


def test_midnights_together_and_alone_give_the_same_frame() -> None:
    shape = Shape(seed=5, sellers=12, events=80)
    with TemporaryDirectory() as folder:
        store = write_accepted(market(shape), Path(folder), parts=2)
        together = frame_from(store, pairs_of(shape, MIDNIGHTS[1:4]), threads=2)
        for day in MIDNIGHTS[1:4]:
            alone = frame_from(store, pairs_of(shape, [day]), threads=1)
            assert frame_bytes(together.loc[alone.index]) == frame_bytes(alone), day


@given(SHAPES)
@example(Shape(seed=5, sellers=12, events=60))
@examples(10)
def test_splitting_stores_and_renaming_ids_change_no_bit(shape: Shape) -> None:
    rows, pairs = market(shape), pairs_of(shape, MIDNIGHTS[::2])
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


def test_restating_amounts_at_the_days_rate_moves_no_feature(tmp_path: Path) -> None:
    shape = Shape(seed=8, sellers=10, events=60)
    rows = market(shape)
    restated = other_currencies(rows)
    rates = rates_of(rows, (*CURRENCIES, "JPY"))
    frames = []
    for name, delivered in (("first", rows), ("second", restated)):
        report = ingest(deliver(delivered, rates, tmp_path / name), tmp_path / f"{name}-store")
        assert {table: report.table(table).accepted for table in rows} == {table: len(rows[table]) for table in rows}
        frames.append(frame_from(open_store(tmp_path / f"{name}-store"), pairs_of(shape, MIDNIGHTS[::2])))
    assert frames[0]["currency_count_180d"].max() == len(CURRENCIES)
    pd.testing.assert_frame_equal(frames[0][NOT_STRUCTURAL], frames[1][NOT_STRUCTURAL], rtol=1e-6, atol=0)


def test_late_repeated_and_shuffled_deliveries_change_no_byte(tmp_path: Path) -> None:
    shape, as_of = Shape(seed=9, sellers=10, events=40), MIDNIGHTS[2]
    whole, pairs = in_dollars(with_invisible_rows(market(shape), midnight(as_of))), pairs_of(shape, [as_of])
    # a row of an unknown store is quarantined, so all sellers and stores are in the first delivery
    past: Market = {name: [dict(row) for row in table] for name, table in visible(whole, as_of).items()} | {
        name: whole[name] for name in PARTIES
    }
    then = stored_frame([past], pairs, tmp_path / "then", threads=1)
    assert int(then.notna().any().sum()) == len(CATALOGUE)
    later = stored_frame(disordered(whole, shape.seed), pairs, tmp_path / "later", threads=2)
    assert frame_bytes(later) == frame_bytes(then)


def disordered(rows: Market, seed: int) -> list[Market]:
    """Return three deliveries of the rows at random, the last with copies of a third of the others, all shuffled."""
    rng = random.Random(seed)  # noqa: S311 - a test market, nothing secret
    parts: list[Market] = [{name: [] for name in rows} for _ in range(3)]
    for name, table in rows.items():
        for row in table:
            index = 0 if name in PARTIES else rng.randrange(3)
            parts[index][name].append(row)
            if index < 2 and rng.random() < 0.3:
                parts[2][name].append(row)
    for part in parts:
        for table in part.values():
            rng.shuffle(table)
    return parts


def stored_frame(
    deliveries: Sequence[Market], pairs: list[tuple[str, date]], folder: Path, threads: int
) -> pd.DataFrame:
    """Return the frame of a store after the deliveries were ingested in order."""
    for index, rows in enumerate(deliveries):
        delivery = deliver(rows, NO_RATES, folder / f"delivery-{index}")
        # a random part may have rows of a few stores only
        (delivery / "delivery.json").write_text('{"covers_stores": "all"}')
        report = ingest(delivery, folder / "store")
        assert sum(sum(table.quarantined.values()) for table in report.tables) == 0
    copies = sum(table.duplicates for table in report.tables)
    assert (copies > 0) == (len(deliveries) > 1)
    return frame_from(open_store(folder / "store"), pairs, threads)
