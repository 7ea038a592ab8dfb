"""The terms of a written delivery: rates, coverage, labels and `delivery.json`."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable
from collections.abc import Mapping as ReadOnly
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from features.errors import DeliveryError
from features.importers.mapping import LABELS, Mapping
from features.importers.sql import MappingSql, identifier, quote
from features.ingest.delivery import BASE_CURRENCY, TERMS_FILE, constant_rate, table_file
from features.ingest.sources import literal
from features.iso import CURRENCIES
from features.schema import BY_NAME, FX_RATES, ORDERS, ConstantRate

LABELS_FILE: Final = "labels.csv"
"""Labels for training: seller_id, bad (true or false), as_of. `ingest` ignores the file."""

_LABEL_COLUMNS: Final = ("seller_id", "bad", "as_of")


def rate_of(sql: MappingSql, table: Path, rate: ConstantRate | None, usd_per_unit: float | None) -> ConstantRate | None:
    """Return the constant rate of a delivery after one more table; None if all amounts are in US dollars.

    A code that is not an ISO 4217 currency needs no rate: `ingest` quarantines its rows as `currency_unknown`.

    Raises:
        DeliveryError: the tables have two foreign currencies, or one without a rate, or no order has an
            ISO 4217 currency.
    """
    query = f"SELECT DISTINCT currency FROM read_parquet({quote(literal(table))}) WHERE currency IS NOT NULL"  # noqa: S608
    codes = {str(row[0]) for row in sql.query(query).fetchall()} | ({rate.currency} if rate else set())
    valid = codes & CURRENCIES
    if codes and not valid and table.stem == ORDERS.name:
        names = " or ".join(map(repr, sorted(codes)[:5]))
        raise DeliveryError(f"All orders have currency {names}. Use ISO 4217 codes such as USD or CNY.")
    foreign = sorted(valid - {BASE_CURRENCY})
    if not foreign:
        return rate
    if len(foreign) > 1:
        raise DeliveryError(
            f"Amounts of {table.stem} are in {', '.join(foreign)}, but one rate converts one currency. Give rates by "
            "day with --fx-rates FILE, a Parquet or CSV file with the columns day, currency, usd_per_unit, known_at."
        )
    if usd_per_unit is None:
        raise DeliveryError(
            f"Amounts of {table.stem} are in {foreign[0]}. Give the US dollars for one {foreign[0]} with "
            "--usd-per-unit, or rates by day with --fx-rates FILE."
        )
    return constant_rate(foreign[0], usd_per_unit)


def covered_through(sql: MappingSql, draft: Path, tables: Iterable[str]) -> date:
    """Return the midnight through which an export is complete: the one after its latest event.

    Raises:
        DeliveryError: the latest event is in the future.
    """
    ends: dict[str, date] = {}
    for name in tables:
        event = BY_NAME[name].event_time
        if event is None or name == FX_RATES.name:
            continue
        # a row known at a midnight is covered by it
        before = "try_cast(known_at AS TIMESTAMP) - INTERVAL 1 MICROSECOND"
        latest = f"greatest(try_cast({identifier(event)} AS TIMESTAMP), {before})"
        file = quote(literal(draft / f"{name}.parquet"))
        day = sql.value(f"SELECT max({latest})::DATE FROM read_parquet({file})")  # noqa: S608 - our own file
        if day is not None:
            ends[name] = day + timedelta(days=1)
    if not ends:
        raise DeliveryError("No row has a readable time. Correct the mapping or the export.")
    table = max(ends, key=lambda name: ends[name])
    if ends[table] > datetime.now(UTC).date() + timedelta(days=1):
        raise DeliveryError(
            f"The latest row of {table} is of {ends[table] - timedelta(days=1)}, which is in the future. Correct the "
            "export, or set the midnight through which it is complete with --covers-through."
        )
    return ends[table]


def write_labels(sql: MappingSql, draft: Path, covered: date) -> int:
    """Write `labels.csv` if the mapping has labels, and return their number."""
    if LABELS not in sql.mapping.sql:
        return 0
    sql.query(f"SET VARIABLE covers_through = DATE '{covered}'")
    columns = ", ".join(_LABEL_COLUMNS)
    query = f"SELECT {columns} FROM {sql.select(LABELS)} ORDER BY {columns}"  # noqa: S608 - a checked SELECT
    rows = sql.run(LABELS, query).fetchall()
    if rows:
        with (draft / LABELS_FILE).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_LABEL_COLUMNS)
            writer.writerows((seller, str(bad).lower(), str(day)) for seller, bad, day in rows)
    return len(rows)


def copy_rates(file: Path | None, draft: Path) -> None:
    """Copy the user's rates into the delivery.

    Raises:
        DeliveryError: `file` is not a Parquet or CSV file, or the mapping writes rates itself.
    """
    if file is None:
        return
    if file.suffix not in {".csv", ".parquet"} or not file.is_file():
        raise DeliveryError(f"{file} is not a Parquet or CSV file. Give rates as a .csv or .parquet file.")
    if table_file(draft, FX_RATES.name) is not None:
        raise DeliveryError("The mapping writes fx_rates itself. Leave out --fx-rates.")
    shutil.copyfile(file, draft / f"{FX_RATES.name}{file.suffix}")


def first_days(sql: MappingSql, draft: Path, tables: Iterable[str]) -> dict[str, date]:
    """Return the day of the first row of each table that began with it (`begins_with_first_row`)."""
    days = {}
    for name in tables:
        event = BY_NAME[name].event_time
        if event is not None and name in sql.mapping.begin:
            file = quote(literal(draft / f"{name}.parquet"))
            query = f"SELECT min(try_cast({identifier(event)} AS TIMESTAMP))::DATE FROM read_parquet({file})"  # noqa: S608
            days[name] = sql.value(query)
    return {name: day for name, day in days.items() if day is not None}


def write_terms(
    mapping: Mapping, draft: Path, covered: date, rate: ConstantRate | None, begins: ReadOnly[str, date]
) -> None:
    """Write `delivery.json`."""
    tables = [name for name in BY_NAME if table_file(draft, name) is not None]
    terms: dict[str, object] = {
        "source": mapping.source,
        "covers_through": {table: covered.isoformat() for table in tables},
    }
    if rate is not None:
        terms["constant_rate"] = asdict(rate)
    if mapping.absent:
        terms["absent"] = list(mapping.absent)
    if begins:
        terms["begins"] = {table: day.isoformat() for table, day in begins.items()}
    (draft / TERMS_FILE).write_text(json.dumps(terms, indent=2) + "\n", encoding="utf-8")
