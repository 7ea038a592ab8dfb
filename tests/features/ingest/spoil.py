"""Ways in which the orders of a delivery arrive spoilt: what partners really send."""

from pathlib import Path

import pyarrow.parquet as pq

from tests.features.ingest.build import order, write_csv


def without(delivery: Path, name: str) -> None:
    (delivery / name).unlink()


def csv_beside(delivery: Path) -> None:
    write_csv(delivery / "orders.csv", [order("O2")])


def folder_instead(delivery: Path) -> None:
    (delivery / "orders.parquet").unlink()
    (delivery / "orders.parquet").mkdir()


def cut(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    path.write_bytes(path.read_bytes()[:-20])


def corrupt(delivery: Path, table: str = "orders") -> None:
    """Spoil the rows and leave beginning and end whole, so that only reading the rows can tell."""
    path = delivery / f"{table}.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)


def columns(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["amount", "items"]), path)


def twice(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("Amount", table.column("amount")), path)


def kept_name(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("File_Row_Number", table.column("items")), path)


def no_rows(delivery: Path) -> None:
    path = delivery / "orders.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)


def utf_16(delivery: Path) -> None:
    (delivery / "orders.parquet").unlink()
    write_csv(delivery / "orders.csv", [order()])
    (delivery / "orders.csv").write_text((delivery / "orders.csv").read_text(), encoding="utf-16")


def empty_csv(delivery: Path) -> None:
    (delivery / "orders.parquet").unlink()
    (delivery / "orders.csv").write_text("")
