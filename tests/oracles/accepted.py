"""Rows of dicts as accepted Parquet, the way intake leaves them: what a frame is computed from in tests."""

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
from tests.oracles.seller_sight import EVENT_TIME, Row, Rows, midnight

_TYPES = {Kind.TIME: pa.timestamp("us"), Kind.DAY: pa.date32(), Kind.COUNT: pa.int64()}
_TYPES |= dict.fromkeys((Kind.MONEY, Kind.NUMBER), pa.float64())


def write_accepted(rows: Rows, folder: Path, parts: int = 1, seed: int = 0) -> OperatingStore:
    """Write the rows as the accepted files of `parts` deliveries, each row in one of them at random.

    A delivery has a file of each table that it has rows of, and of the required ones anyway. Amounts stand in
    `amount_micros` alone; the column that they were delivered in is empty, since nothing may read it again.

    Example:
        `write_accepted(rows, folder, parts=3).deliveries[:2]` are the first two of three deliveries.
    """
    rng = random.Random(seed)  # noqa: S311 - a test store, nothing secret
    dealt: list[dict[str, list[Row]]] = [{name: [] for name in EVENT_TIME} for _ in range(parts)]
    for table in EVENT_TIME:
        for row in rows.get(table, ()):
            rng.choice(dealt)[table].append(row)
    return OperatingStore(folder, tuple(_write_delivery(each, folder, place) for place, each in enumerate(dealt)))


def dealt(rows: Rows, folder: Path, parts: int, seed: int) -> OperatingStore:
    """Write a first delivery with all parties, then the events in parts: no later store makes all tiles new."""
    parties = write_accepted({name: rows[name] for name in ("sellers", "stores")}, folder)
    events = {name: those for name, those in rows.items() if name not in ("sellers", "stores")}
    later = write_accepted(events, folder, parts=parts, seed=seed)
    return replace(later, deliveries=(*parties.deliveries, *later.deliveries))


def first(store: OperatingStore, count: int) -> OperatingStore:
    """Return the store as it was after its first deliveries."""
    return replace(store, deliveries=store.deliveries[:count])


def fold(store: OperatingStore) -> None:
    """Bring the tiles up to date."""
    with open_engine() as engine:
        current_tiles(engine, store)


def fold_in_turn(store: OperatingStore) -> OperatingStore:
    """Bring the tiles up to date as if each delivery had been folded when it came, and return the store."""
    for count in range(1, len(store.deliveries) + 1):
        fold(first(store, count))
    return store


def features_named(*names: str) -> tuple[Feature, ...]:
    """Return features of the catalogue by their names, in its order."""
    found = tuple(feature for feature in CATALOGUE if feature.name in names)
    assert len(found) == len(names), names
    return found


def frame_of(
    rows: Rows,
    pairs: Sequence[tuple[str, date]],
    folder: Path,
    threads: int = 2,
    catalogue: Sequence[Feature] = CATALOGUE,
) -> pd.DataFrame:
    """Return the pipeline's frame of rows, by way of accepted files in `folder`."""
    return frame_from(write_accepted(rows, folder), pairs, threads, catalogue)


def frame_from(
    store: OperatingStore,
    pairs: Sequence[tuple[str, date]],
    threads: int = 2,
    catalogue: Sequence[Feature] = CATALOGUE,
) -> pd.DataFrame:
    """Return the pipeline's frame of a store; one of all features takes seconds to compile, of a few tenths of one."""
    return compute_frame(store, pd.DataFrame(pairs, columns=["seller_id", "as_of"]), catalogue, threads)


def frame_bytes(table: pd.DataFrame) -> tuple[bytes, list[object], list[str]]:
    """Return all that a frame is, for equality to the byte: values, index, columns."""
    return table.to_numpy().tobytes(), list(table.index), list(table.columns)


def _write_delivery(rows: Rows, folder: Path, place: int) -> StoredDelivery:
    # like a real delivery's id, it tells one content from another
    name = hashlib.sha256(repr((place, rows)).encode()).hexdigest()
    home = folder / "deliveries" / name / "accepted"
    home.mkdir(parents=True, exist_ok=True)
    tables = {table: those for table, those in rows.items() if those or BY_NAME[table].need is Need.REQUIRED}
    for table, those in tables.items():
        content = [{**row, "visible_from": _visible_from(table, row)} for row in those]
        pq.write_table(pa.Table.from_pylist(content, schema=_schema(table)), home / f"{table}.parquet")
    return StoredDelivery(name, {}, {table: len(those) for table, those in tables.items()})


def _schema(table: str) -> pa.Schema:
    contract = BY_NAME[table]
    columns = [(column.name, _TYPES.get(column.kind, pa.string())) for column in contract.columns]
    micros = [("amount_micros", pa.int64())] if contract.money else []
    return pa.schema([*columns, *micros, ("visible_from", pa.date32())])


def _visible_from(table: str, row: Mapping[str, Any]) -> date:
    # the first midnight that admits the row, by trying them
    column = EVENT_TIME[table]
    event = None if column is None else row[column]
    happened = midnight(event) if event is not None and not isinstance(event, datetime) else event
    day: date = row["known_at"].date()
    while row["known_at"] > midnight(day) or (happened is not None and happened >= midnight(day)):
        day += timedelta(days=1)
    return day
