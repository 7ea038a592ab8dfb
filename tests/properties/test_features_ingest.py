"""Currencies and late, repeated or shuffled rows of deliveries do not change frames."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from features.catalogue import CATALOGUE
from features.ingest import ingest, open_store
from tests.oracles.accepted_rows import frame_bytes, frame_from
from tests.oracles.deliveries import NO_RATES, deliver, in_dollars, rates_of
from tests.oracles.invisible_rows import with_invisible_rows
from tests.oracles.market import MIDNIGHTS, Market, Shape, market, pairs_of
from tests.oracles.market_events import CURRENCIES
from tests.oracles.seller_view import midnight, visible
from tests.properties.test_features_splitting import NOT_STRUCTURAL, other_currencies

PARTIES = ("sellers", "stores", "loans")


@pytest.mark.soak
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


@pytest.mark.soak
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
        report = ingest(deliver(rows, NO_RATES, folder / f"delivery-{index}"), folder / "store")
        assert sum(sum(table.quarantined.values()) for table in report.tables) == 0
    copies = sum(table.duplicates for table in report.tables)
    assert (copies > 0) == (len(deliveries) > 1)
    return frame_from(open_store(folder / "store"), pairs, threads)
