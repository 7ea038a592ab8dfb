"""Damaged deliveries, as partners really send them."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.features.ingest.build import order, write_csv

Damage = Callable[[Path], object]
ORDERS = "orders.parquet"


def add_csv(delivery: Path) -> None:
    write_csv(delivery / "orders.csv", [order("O2")])


def replace_by_folder(delivery: Path) -> None:
    (delivery / ORDERS).unlink()
    (delivery / ORDERS).mkdir()


def truncate(delivery: Path) -> None:
    (delivery / ORDERS).write_bytes((delivery / ORDERS).read_bytes()[:-20])


def corrupt(delivery: Path, table: str = "orders") -> None:
    """Overwrite the rows and keep header and footer, so that only reading the rows detects it."""
    path = delivery / f"{table}.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)


def rewrite(change: Callable[[pa.Table], pa.Table]) -> Damage:
    return lambda delivery: pq.write_table(change(pq.read_table(delivery / ORDERS)), delivery / ORDERS)


def replace_by_csv(text: str, encoding: str = "utf-8") -> Damage:

    def replace(delivery: Path) -> None:
        (delivery / ORDERS).rename(delivery / "orders.csv")
        (delivery / "orders.csv").write_text(text, encoding=encoding)

    return replace


UNREADABLE: dict[str, tuple[Damage, str, tuple[str, ...]]] = {
    "truncated": (truncate, "orders.parquet cannot be read as parquet", (ORDERS,)),
    "corrupt": (corrupt, "orders.parquet cannot be read as parquet", (ORDERS,)),
    "missing columns": (
        rewrite(lambda table: table.drop_columns(["amount", "items"])),
        "lacks amount, items",
        (ORDERS,),
    ),
    "column twice": (
        rewrite(lambda table: table.append_column("Amount", table.column("amount"))),
        "has the column amount more than once",
        (ORDERS,),
    ),
    "table twice": (add_csv, "as Parquet and as CSV", (ORDERS, "orders.csv")),
    "a folder": (replace_by_folder, "orders.parquet is not a file", (ORDERS,)),
    "utf-16": (replace_by_csv("order_id\n", "utf-16"), "is not UTF-8 but looks like UTF-16", ("orders.csv",)),
    "empty csv": (replace_by_csv(""), "orders.csv is empty", ("orders.csv",)),
}
"""Damages that make orders unreadable: the damage, the message, and the files that it names."""
