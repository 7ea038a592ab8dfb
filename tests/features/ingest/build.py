"""Small deliveries for tests: valid rows of the contract, with the changes of a test."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from features.ingest import OperatingStore
from features.schema import BY_NAME

Row = dict[str, object]

EPOCH = datetime(2023, 1, 1)  # noqa: DTZ001 - the contract's times are UTC without a zone
AT = datetime(2024, 3, 5, 10)  # noqa: DTZ001
CNY: Row = {"day": AT.date(), "currency": "CNY", "usd_per_unit": 0.145, "known_at": AT - timedelta(hours=1)}


def seller(seller_id: str = "S1", **changes: object) -> Row:
    row: Row = {"seller_id": seller_id, "country": "CN", "base_currency": "CNY", "category": "home"}
    return {**row, "onboarded_at": EPOCH, "known_at": EPOCH, **changes}


def store(store_id: str = "T1", **changes: object) -> Row:
    row: Row = {"store_id": store_id, "seller_id": "S1", "marketplace": "amazon", "opened_at": EPOCH}
    return {**row, "known_at": EPOCH, **changes}


def order(order_id: str = "O1", **changes: object) -> Row:
    row: Row = {"order_id": order_id, "store_id": "T1", "buyer_id": "B1", "ordered_at": AT, "amount": 12.5}
    row |= {"currency": "USD", "channel": "ads", "buyer_country": "US", "items": 1, "known_at": AT}
    return {**row, **changes}


def refund(refund_id: str = "R1", **changes: object) -> Row:
    row: Row = {"refund_id": refund_id, "order_id": None, "store_id": "T1", "refunded_at": AT, "amount": 1.0}
    return {**row, "currency": "USD", "reason": "refund", "known_at": AT, **changes}


def write(folder: Path, terms: Mapping[str, object] | None = None, **tables: Iterable[Row] | pa.Table) -> Path:
    """Write a delivery as Parquet; by default with seller S1, store T1 and order O1."""
    folder.mkdir(parents=True)
    base: dict[str, Iterable[Row] | pa.Table] = {"sellers": [seller()], "stores": [store()], "orders": [order()]}
    for name, rows in {**base, **tables}.items():
        content = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows))
        if content.num_columns:
            pq.write_table(content, folder / f"{name}.parquet")
    if terms is not None:
        (folder / "delivery.json").write_text(json.dumps(terms))
    return folder


def write_some(folder: Path, terms: Mapping[str, object] | None = None, **tables: Iterable[Row] | pa.Table) -> Path:
    """Write a later delivery with only the given tables. Stores take half the time of orders."""
    return write(folder, terms, **{"sellers": [], "stores": [], "orders": [], **tables})


def write_orders(folder: Path, *orders: Row, **tables: Iterable[Row]) -> Path:
    """Write a later delivery of orders, without sellers and stores."""
    return write_some(folder, orders=orders, **tables)


def no_rows(*tables: str) -> dict[str, pa.Table]:
    """Return tables without rows, which state that nothing happened."""
    return {name: pa.table({each: pa.array([], pa.string()) for each in BY_NAME[name].column_names}) for name in tables}


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    rows = list(rows)
    columns = {name: pa.array([_to_text(row[name]) for row in rows], pa.string()) for name in rows[0]}
    pacsv.write_csv(pa.table(columns), path)


def _to_text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def accepted(store: OperatingStore, table: str) -> list[Row]:
    """Return all accepted rows of a table, ordered by key."""
    rows = [row for path in store.files(table) for row in pq.read_table(path).to_pylist()]
    return sorted(rows, key=lambda row: str(next(iter(row.values()))))


def quarantined(folder: Path, delivery_id: str, table: str) -> list[Row]:
    path = folder / "deliveries" / delivery_id / "quarantined" / f"{table}.parquet"
    rows: list[Row] = pq.read_table(path).to_pylist()
    return rows
