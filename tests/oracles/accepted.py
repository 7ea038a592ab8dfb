"""Rows of dicts as accepted Parquet, the way intake leaves them: what a frame is computed from in tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.pipeline import frame
from tests.oracles.seller_sight import EVENT_TIME, Rows, midnight

if TYPE_CHECKING:
    from features.intake import OperatingStore

_TEXT, _TIME, _WHOLE, _DAY = pa.string(), pa.timestamp("us"), pa.int64(), pa.date32()
_TYPES = {"ordered_at": _TIME, "refunded_at": _TIME, "purchased_at": _TIME, "onboarded_at": _TIME, "known_at": _TIME}
_TYPES |= {"amount_micros": _WHOLE, "visits": _WHOLE, "day": _DAY, "visible_from": _DAY}
_COLUMNS = {
    "sellers": ("seller_id", "onboarded_at", "known_at"),
    "stores": ("store_id", "seller_id", "known_at"),
    "orders": ("order_id", "store_id", "buyer_id", "ordered_at", "amount_micros", "channel", "known_at"),
    "refunds": ("refund_id", "order_id", "store_id", "refunded_at", "amount_micros", "reason", "known_at"),
    "traffic": ("store_id", "day", "channel", "visits", "amount_micros", "known_at"),
    "purchases": ("purchase_id", "store_id", "purchased_at", "amount_micros", "known_at"),
}
_ALWAYS_THERE = ("sellers", "stores", "orders")


@dataclass(frozen=True)
class AcceptedFiles:
    """The part of an operating store that a frame asks: the files of each table, none where it has no row."""

    folder: Path

    def files(self, table: str) -> tuple[Path, ...]:
        path = self.folder / f"{table}.parquet"
        return (path,) if path.exists() else ()


def write_accepted(rows: Rows, folder: Path) -> AcceptedFiles:
    """Write every table that has rows, and the required ones anyway, with their `visible_from`."""
    folder.mkdir(parents=True, exist_ok=True)
    for table, columns in _COLUMNS.items():
        those = [{**row, "visible_from": _visible_from(table, row)} for row in rows.get(table, ())]
        if those or table in _ALWAYS_THERE:
            schema = pa.schema([(name, _TYPES.get(name, _TEXT)) for name in (*columns, "visible_from")])
            pq.write_table(pa.Table.from_pylist(those, schema=schema), folder / f"{table}.parquet")
    return AcceptedFiles(folder)


def frame_of(rows: Rows, pairs: Sequence[tuple[str, date]], folder: Path, threads: int = 2) -> pd.DataFrame:
    """Return the pipeline's frame of rows, by way of accepted files in `folder`."""
    store: Any = write_accepted(rows, folder)
    accepted: OperatingStore = store
    return frame(accepted, pd.DataFrame(pairs, columns=["seller_id", "as_of"]), threads=threads)


def frame_bytes(table: pd.DataFrame) -> tuple[bytes, list[object], list[str]]:
    """Return all that a frame is, for equality to the byte: values, index, columns."""
    return table.to_numpy().tobytes(), list(table.index), list(table.columns)


def _visible_from(table: str, row: Mapping[str, Any]) -> date:
    # the first midnight that admits the row, by trying them
    column = EVENT_TIME[table]
    event = None if column is None else row[column]
    happened = midnight(event) if event is not None and not isinstance(event, datetime) else event
    day: date = row["known_at"].date()
    while row["known_at"] > midnight(day) or (happened is not None and happened >= midnight(day)):
        day += timedelta(days=1)
    return day
