"""Deliveries for the features benchmark: one simulated marketplace, and parts of it.

DuckDB cuts the parts, so that each part has exactly the rows of the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from features.schema import LOANS, SELLERS, STORES, TABLES, Table
from training.simulation import SimulationConfig, simulate

DAYS: Final = 400
SHORT_DAYS: Final = 100
_START: Final = date(2021, 12, 28)
END: Final = _START + timedelta(days=DAYS)
"""The first day of a month: the data end at the midnight of the last frame."""

LAST_DAY: Final = END - timedelta(days=1)

_EVENTS: Final = ("orders", "refunds", "traffic", "fulfilments", "ratings", "purchases")
"""Tables that grow with history; the other tables identify parties and loans."""


@dataclass(frozen=True)
class Scale:
    """Size of the marketplace and of the measurements.

    Attributes:
        sellers: number of simulated sellers.
        orders_per_seller: mean number of orders.
        baseline_sellers: number of sellers that pandas computes: a tenth.
        months_apart: months between two frames, of 13 months; a divisor of 12.
        reads: number of vectors to read.
        seed: seed of the simulation.
    """

    sellers: int = 20_000
    orders_per_seller: int = 1_070
    baseline_sellers: int = 2_000
    months_apart: int = 1
    reads: int = 5_000
    seed: int = 1


@dataclass(frozen=True)
class Deliveries:
    """Folders to ingest: all rows, those before the last day, the last day, a tenth of the sellers, the last days."""

    whole: Path
    before: Path
    day: Path
    tenth: Path
    short: Path


def make_deliveries(scale: Scale, folder: Path) -> Deliveries:
    """Simulate a marketplace in `folder` and cut it into parts."""
    deliveries = Deliveries(*(folder / name for name in ("whole", "before", "day", "tenth", "short")))
    config = SimulationConfig(scale.sellers, DAYS, scale.seed, _START, scale.orders_per_seller)
    simulate(config, deliveries.whole)
    _cut(deliveries.whole, deliveries.before, LAST_DAY, lambda _: f"known_at < '{LAST_DAY}'")
    _cut(deliveries.whole, deliveries.day, END, lambda _: f"known_at >= '{LAST_DAY}'")
    _cut(deliveries.whole, deliveries.short, END, _in_last_days)
    _cut(deliveries.whole, deliveries.tenth, END, _of_chosen_sellers, scale.baseline_sellers)
    return deliveries


def _in_last_days(table: Table) -> str:
    return f"known_at >= '{END - timedelta(days=SHORT_DAYS)}'" if table.name in _EVENTS else "true"


_CHOSEN: Final = {
    "seller_id": "seller_id IN (SELECT seller_id FROM chosen)",
    "store_id": "store_id IN (SELECT store_id FROM stores WHERE seller_id IN (SELECT seller_id FROM chosen))",
    "loan_id": "loan_id IN (SELECT loan_id FROM loans WHERE seller_id IN (SELECT seller_id FROM chosen))",
}
"""Condition for a row of the chosen sellers, by the first of these columns that its table has."""


def _of_chosen_sellers(table: Table) -> str:
    return next((condition for column, condition in _CHOSEN.items() if column in table.column_names), "true")


def _cut(whole: Path, part: Path, covers: date, condition: Callable[[Table], str], sellers: int = 0) -> None:
    """Write the rows of each table that meet its condition; the view `chosen` has the first sellers by id."""
    import duckdb

    part.mkdir()
    with duckdb.connect(config={"threads": 2, "preserve_insertion_order": False}) as connection:
        rows = {table: connection.read_parquet(str(whole / f"{table.name}.parquet")) for table in TABLES}
        for table in (SELLERS, STORES, LOANS):
            rows[table].create_view(table.name)
        rows[SELLERS].project("seller_id").distinct().order("seller_id").limit(sellers).create_view("chosen")
        for table in TABLES:
            selected = rows[table].filter(condition(table))
            selected.write_parquet(str(part / f"{table.name}.parquet"), compression="zstd")
    terms = {"covers_through": {table.name: covers.isoformat() for table in TABLES}}
    (part / "delivery.json").write_text(json.dumps(terms, indent=2) + "\n", encoding="utf-8")
