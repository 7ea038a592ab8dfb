"""Rows as accepted Parquet files, as ingest writes them: the input of frames in tests."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.catalogue import CATALOGUE, Feature
from features.engines.duckdb import open_engine
from features.ingest import OperatingStore, StoredDelivery
from features.pipeline import compute_frame
from features.schema import BY_NAME, Kind, Need
from features.store.tiles import current_tiles
from tests.oracles.seller_view import EVENT_TIME, Row, Rows, midnight

_TYPES = {Kind.TIME: pa.timestamp("us"), Kind.DAY: pa.date32(), Kind.COUNT: pa.int64()}
_TYPES |= dict.fromkeys((Kind.MONEY, Kind.NUMBER), pa.float64())


def write_accepted(rows: Rows, folder: Path, parts: int = 1, seed: int = 0) -> OperatingStore:
    """Write the rows as the accepted files of `parts` deliveries, each row in one of them at random.

    A delivery has a file for each table with rows, and for every required table. Amounts are only in
    `amount_micros`; the delivered column is empty, because no code may read it after ingest.
    """
    rng = random.Random(seed)  # noqa: S311 - a test store, nothing secret
    deliveries: list[dict[str, list[Row]]] = [{name: [] for name in EVENT_TIME} for _ in range(parts)]
    for table in EVENT_TIME:
        for row in rows.get(table, ()):
            rng.choice(deliveries)[table].append(row)
    return OperatingStore(folder, tuple(write_delivery(part, folder, index) for index, part in enumerate(deliveries)))


def write_in_parts(rows: Rows, folder: Path, parts: int, seed: int) -> OperatingStore:
    """Write a first delivery with all parties, then the events in parts, so that no later store rebuilds all tiles."""
    parties = write_accepted({name: rows[name] for name in ("sellers", "stores")}, folder)
    events = {name: table for name, table in rows.items() if name not in ("sellers", "stores")}
    later = write_accepted(events, folder, parts=parts, seed=seed)
    return replace(later, deliveries=(*parties.deliveries, *later.deliveries))


def first(store: OperatingStore, count: int) -> OperatingStore:
    return replace(store, deliveries=store.deliveries[:count])


def fold(store: OperatingStore) -> None:
    with open_engine() as engine, current_tiles(engine, store):
        pass


def fold_in_turn(store: OperatingStore) -> OperatingStore:
    """Bring the tiles up to date delivery by delivery, and return the store."""
    for count in range(1, len(store.deliveries) + 1):
        fold(first(store, count))
    return store


def features_named(*names: str) -> tuple[Feature, ...]:
    features = tuple(feature for feature in CATALOGUE if feature.name in names)
    assert len(features) == len(names), names
    return features


def frame_of(rows: Rows, pairs: Sequence[tuple[str, date]], folder: Path, threads: int = 2) -> pd.DataFrame:
    return frame_from(write_accepted(rows, folder), pairs, threads)


def frame_from(
    store: OperatingStore,
    pairs: Sequence[tuple[str, date]],
    threads: int = 2,
    catalogue: Sequence[Feature] = CATALOGUE,
) -> pd.DataFrame:
    """Return the pipeline's frame of a store; all features take seconds to compile, a few take tenths of a second."""
    return compute_frame(store, pd.DataFrame(pairs, columns=["seller_id", "as_of"]), catalogue, threads)


def frame_bytes(table: pd.DataFrame) -> tuple[bytes, list[object], list[str]]:
    """Return values, index and columns of a frame, to compare them byte for byte."""
    return table.to_numpy().tobytes(), list(table.index), list(table.columns)


def write_delivery(rows: Rows, folder: Path, index: int) -> StoredDelivery:
    # like a real delivery's id, it differs for different content
    delivery_id = hashlib.sha256(repr((index, rows)).encode()).hexdigest()
    home = folder / "deliveries" / delivery_id / "accepted"
    home.mkdir(parents=True, exist_ok=True)
    tables = {name: table for name, table in rows.items() if table or BY_NAME[name].need is Need.REQUIRED}
    for name, table in tables.items():
        content = [{**row, "visible_from": _visible_from(name, row)} for row in table]
        pq.write_table(pa.Table.from_pylist(content, schema=_schema(name)), home / f"{name}.parquet")
    return StoredDelivery(delivery_id, {}, {name: len(table) for name, table in tables.items()})


def _schema(table: str) -> pa.Schema:
    contract = BY_NAME[table]
    columns = [(column.name, _TYPES.get(column.kind, pa.string())) for column in contract.columns]
    micros = [("amount_micros", pa.int64())] if contract.money else []
    return pa.schema([*columns, *micros, ("visible_from", pa.date32())])


def _visible_from(table: str, row: Mapping[str, Any]) -> date:
    # the first midnight that the time rule permits, found by trying each
    column = "day" if table == "fx_rates" else EVENT_TIME[table]
    event = None if column is None else row[column]
    happened = midnight(event) if event is not None and not isinstance(event, datetime) else event
    day: date = row["known_at"].date()
    while row["known_at"] > midnight(day) or (happened is not None and happened >= midnight(day)):
        day += timedelta(days=1)
    return day
