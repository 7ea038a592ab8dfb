"""Damaged deliveries, as partners really send them."""

from pathlib import Path

import pyarrow.parquet as pq

from tests.features.ingest.build import order, write_csv


def delete(delivery: Path, name: str) -> None:
    (delivery / name).unlink()


def add_csv(delivery: Path) -> None:
    write_csv(delivery / "orders.csv", [order("O2")])


def replace_by_folder(delivery: Path) -> None:
    (delivery / "orders.parquet").unlink()
    (delivery / "orders.parquet").mkdir()


def truncate(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def corrupt(delivery: Path, table: str = "orders") -> None:
    """Overwrite the rows and keep header and footer, so that only reading the rows detects it."""
    path = delivery / f"{table}.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)


def drop_columns(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["amount", "items"]), path)


def duplicate_column(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("Amount", table.column("amount")), path)


def add_reserved_column(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("File_Row_Number", table.column("items")), path)


def delete_rows(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def write_utf_16(delivery: Path) -> None:
    (delivery / "orders.parquet").unlink()
    write_csv(delivery / "orders.csv", [order()])
    (delivery / "orders.csv").write_text((delivery / "orders.csv").read_text(), encoding="utf-16")


def write_empty_csv(delivery: Path) -> None:
    (delivery / "orders.parquet").unlink()
    (delivery / "orders.csv").write_text("")
