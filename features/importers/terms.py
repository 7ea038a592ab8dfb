"""The terms of a written delivery: rates, coverage, labels and `delivery.json`."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Iterable
from collections.abc import Mapping as ReadOnly
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from features.engines.duckdb import open_engine
from features.errors import DeliveryError
from features.importers.mapping import LABELS, Mapping
from features.importers.sql import MappingSql, identifier, quote
from features.ingest.delivery import BASE_CURRENCY, TERMS_FILE, constant_rate, latest_time, open_delivery, table_file
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
    """Return the midnight through which an export is complete: the one after its latest event, but not after today.

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
        # the last day of the calendar stands for infinity, which is no date of Python
        latest = f"least(greatest(try_cast({identifier(event)} AS TIMESTAMP), {before}), TIMESTAMP '9999-12-30')"
        file = quote(literal(draft / f"{name}.parquet"))
        day = sql.value(f"SELECT max({latest})::DATE FROM read_parquet({file})")  # noqa: S608 - our own file
        if day is not None:
            ends[name] = day + timedelta(days=1)
    if not ends:
        raise DeliveryError("No row has a readable time. Correct the dates of the export.")
    table = max(ends, key=lambda name: ends[name])
    if ends[table] > latest_time().date():
        raise DeliveryError(
            f"The latest row of {table} is of {ends[table] - timedelta(days=1)}, which is in the future. Correct the "
            "export, or set the midnight through which it is complete with --covers-through."
        )
    # today is not over: an export of this morning has no sales of this afternoon
    return min(ends[table], latest_time().date() - timedelta(days=1))


def expect_covered_orders(sql: MappingSql, draft: Path, covered: date) -> None:
    """Raise DeliveryError if no order is before the midnight through which the export is said to be complete."""
    file = quote(literal(draft / f"{ORDERS.name}.parquet"))
    first = sql.value(f"SELECT min(try_cast(ordered_at AS TIMESTAMP))::DATE FROM read_parquet({file})")  # noqa: S608
    if first is not None and covered <= first:
        raise DeliveryError(
            f"--covers-through is {covered}, but the first order is of {first}, so no order would count. Give a later "
            "day, or leave the option out."
        )


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


def check_rates(file: Path) -> None:
    """Validate a file of `fx_rates` by the rules of `ingest`.

    Raises:
        DeliveryError: `file` is not a Parquet or CSV file, lacks a column, has no rows, or a row breaks a rule.
    """
    from features.ingest.money import Rates
    from features.ingest.sources import open_source
    from features.ingest.validation import IngestContext, IngestFolders, ingest_table
    from features.quality.explanations import explain

    if file.suffix not in {".csv", ".parquet"} or not file.is_file():
        raise DeliveryError(f"{file} is not a Parquet or CSV file. Give rates as a .csv or .parquet file.")
    with tempfile.TemporaryDirectory(prefix="sellerscore-rates-") as name, open_engine() as engine:
        folders = IngestFolders(*(Path(name) / part for part in ("accepted", "quarantined", "work")))
        for folder in (folders.accepted, folders.quarantined, folders.work):
            folder.mkdir()
        context = IngestContext((), {}, Rates(None, None, None), latest_time())
        report = ingest_table(engine, FX_RATES, open_source(FX_RATES, file, folders.work), context, folders)
    if not report.read:
        raise DeliveryError(f"{file} has no rows. Give a rate for each currency and day of the export.")
    if report.rejected:
        rule = next(iter(report.quarantined))
        reason = explain(FX_RATES, rule)
        raise DeliveryError(
            f"{file}: {report.rejected:,} of {report.read:,} rows break a rule, such as {rule}: {reason.wrong} "
            f"{reason.permitted or reason.remedy}"
        )


def copy_rates(file: Path | None, draft: Path) -> None:
    """Copy the user's rates into the delivery; raise DeliveryError if the mapping writes rates itself."""
    if file is None:
        return
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
    """Write `delivery.json`; raise DeliveryError if `ingest` would reject it."""
    tables = [name for name in BY_NAME if table_file(draft, name) is not None]
    terms: dict[str, object] = {
        "source": mapping.source,
        "covers_through": {table: covered.isoformat() for table in tables},
        "covers_stores": mapping.covers_stores,
    }
    if rate is not None:
        terms["constant_rate"] = asdict(rate)
    if mapping.absent:
        terms["absent"] = list(mapping.absent)
    if begins:
        terms["begins"] = {table: day.isoformat() for table, day in begins.items()}
    path = draft / TERMS_FILE
    path.write_text(json.dumps(terms, indent=2) + "\n", encoding="utf-8")
    try:
        open_delivery(draft, latest_time().date())
    except DeliveryError as error:
        raise DeliveryError(
            f"`ingest` would reject this delivery. {str(error).replace(str(path), path.name)}"
        ) from error
