"""Quarantined rows by rule, with a few examples for the page and the command. No personal data leaves the quarantine.

A page is passed around, so ids are shortened, buyers and suppliers never shown, and a value that might be anything is
shown by its shape.

Everything the page says of one delivery, gathered from the store: one frozen value, and no word of HTML.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ibis

from features.engines.duckdb import open_engine
from features.errors import StoreError
from features.ingest.report import IngestReport, TableReport
from features.ingest.sources import ROW_NUMBER
from features.ingest.validation import read_files
from features.quality.columns import ColumnSummary, Sides, TableDrift, drift, summarize_columns
from features.quality.coverage import (
    Lateness,
    MissingTable,
    TableCoverage,
    coverage,
    lateness,
    missing_tables,
    rows_by_day,
)
from features.quality.explanations import Explanation, column_of, explain
from features.schema import BY_NAME, Kind, Table
from features.store.operating import OperatingStore, StoredDelivery

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

    from features.ingest.report import TableReport


EXAMPLES: Final = 3


HIDDEN: Final = "hidden"


EMPTY: Final = "empty"


PERSONAL: Final = frozenset({"buyer_id", "supplier_id"})


_LONGEST: Final = 24


_LONG_ID: Final = 8


_TO_THE_MINUTE: Final = len("2024-05-01 08:00")


_UNSEEN: Final = "·"


_PLAIN: Final = {
    Kind.TEXT: re.compile(r"[A-Za-z][A-Za-z _-]{0,19}"),
    Kind.CURRENCY: re.compile(r"[A-Za-z]{1,4}"),
    Kind.COUNTRY: re.compile(r"[A-Za-z]{1,3}"),
}


_NUMBERS: Final = re.compile(r"[-+0-9.,:TZeE/ ]{1,32}|(?i:nan|[-+]?inf(inity)?)")


@dataclass(frozen=True)
class Example:
    """One quarantined row: its shortened key, the value that the rule is about, and its number in the delivered file.

    `row_number` is counted from 1, without a header; None in a delivery that was stored before rows were numbered.
    """

    key: str
    value: str
    known_at: str
    row_number: int | None = None


@dataclass(frozen=True)
class QuarantineReason:
    """The rows of a table that broke one rule; `share` is of all rows read."""

    table: str
    rule: str
    rows: int
    share: float
    explanation: Explanation
    column: str | None
    examples: tuple[Example, ...]


def quarantine_reasons(engine: Backend, report: TableReport, quarantined: Path) -> tuple[QuarantineReason, ...]:
    """Return why rows of a table were turned away, most frequent first; `quarantined` is the file that holds them."""
    table = BY_NAME[report.table]
    examples = _examples(engine, table, quarantined) if report.rejected else {}
    found = [
        QuarantineReason(
            report.table, rule, rows, rows / report.read, explain(table, rule), column_of(table, rule), examples[rule]
        )
        for rule, rows in report.quarantined.items()
    ]
    return tuple(sorted(found, key=lambda reason: (-reason.rows, reason.rule)))


def example_lines(found: Sequence[QuarantineReason]) -> list[str]:
    """Return up to EXAMPLES rows in words, of as many rules as possible.

    Example: "row 7: amount_negative: amount is '-12.5'. Permitted: a number from 0 to 1,000,000,000,000."
    """
    by_place = ((reason, place) for place in range(EXAMPLES) for reason in found if place < len(reason.examples))
    return [_line(reason, reason.examples[place]) for reason, place in islice(by_place, EXAMPLES)]


def _line(reason: QuarantineReason, example: Example) -> str:
    row = "a row" if example.row_number is None else f"row {example.row_number:,}"
    value = example.value if example.value in {EMPTY, HIDDEN} else f"'{example.value}'"
    found = example.key if reason.column is None else f"{reason.column} is {value}"
    return f"{row}: {reason.rule}: {found}. {reason.explanation.permitted or reason.explanation.remedy}"


def _examples(engine: Backend, table: Table, path: Path) -> dict[str, tuple[Example, ...]]:
    rows = read_files(engine, [path])
    order = [rows[name] for name in (ROW_NUMBER, *table.column_names, "row") if name in rows.columns]
    place = ibis.row_number().over(group_by="rule", order_by=order)
    few = rows.mutate(place=place).filter(ibis._.place < EXAMPLES).order_by("rule", "place").to_pyarrow().to_pylist()
    by_rule: dict[str, tuple[Example, ...]] = {}
    for row in few:
        by_rule[row["rule"]] = (*by_rule.get(row["rule"], ()), _example(table, row))
    return by_rule


def _example(table: Table, row: Mapping[str, Any]) -> Example:
    column = column_of(table, row["rule"] or "")
    key = ", ".join(mask(table, name, row[name]) for name in table.key)
    return Example(
        key if row["row"] is None else f"a line of {len(row['row']):,} characters",
        "" if column is None else mask(table, column, row[column]),
        mask(table, "known_at", row["known_at"])[:_TO_THE_MINUTE],
        row.get(ROW_NUMBER),
    )


def mask(table: Table, column: str, value: str | None) -> str:
    """Return a value as the page may show it.

    Example: an order_id `O-00012345` is `O-0…45`, a buyer_id `hidden`, an amount `-12.5` itself, an amount `12 Main
    St.` its shape `99 Aaaa Aa.`.
    """
    if value is None:
        return EMPTY
    if column in PERSONAL:
        return HIDDEN
    kind = table.column(column).kind
    if kind is Kind.ID:
        seen = "".join(each if each.isprintable() else _UNSEEN for each in value)
        return f"{seen[:3]}…{seen[-2:]}" if len(seen) >= _LONG_ID else f"{seen[:1]}…"
    if _PLAIN.get(kind, _NUMBERS).fullmatch(value):
        return _shorten(value)
    return "".join(map(_shape, value[:_LONGEST])) + ("…" if len(value) > _LONGEST else "")


def _shorten(value: str) -> str:
    """Return a number to ten digits, which is what it was before a file made it binary; anything else as it is."""
    try:
        return format(float(value), ".10g")
    except ValueError:
        return value


def _shape(character: str) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character if character.isascii() and character.isprintable() else _UNSEEN


@dataclass(frozen=True)
class TableQuality:
    """One table that was taken; what rests on accepted rows is empty or None where there are none.

    `backdated` counts accepted rows that say they were known by `complete`, the midnight through which an earlier
    delivery said that the table was complete: features made since would have had to see them.
    """

    fates: TableReport
    reasons: tuple[QuarantineReason, ...]
    columns: tuple[ColumnSummary, ...] = ()
    coverage: TableCoverage | None = None
    lateness: Lateness | None = None
    drift: TableDrift | None = None
    complete: date | None = None
    backdated: int = 0

    @property
    def name(self) -> str:
        """The table's name."""
        return self.fates.table


@dataclass(frozen=True)
class Quality:
    """One delivery: `name` is what its folder was called, `first` that nothing was stored before it."""

    name: str
    report: IngestReport
    first: bool
    tables: tuple[TableQuality, ...]
    missing: tuple[MissingTable, ...]


@dataclass(frozen=True)
class _Stored:
    """A delivery of the store, and what was there before it."""

    folder: Path
    before: OperatingStore

    def file(self, room: str, table: str) -> Path:
        return self.folder / room / f"{table}.parquet"


@dataclass(frozen=True)
class _Reading:
    """What every table of the delivery is read with."""

    engine: Backend
    stored: _Stored
    work: Path
    covers: Mapping[str, date]


def analyse_delivery(store: OperatingStore, report: IngestReport, name: str) -> Quality:
    """Return what there is to say of the delivery that `report` is about; StoreError where the store lacks it."""
    ids = [each.delivery_id for each in store.deliveries]
    if report.delivery_id not in ids:
        raise StoreError(f"{store.folder} does not hold the delivery {report.delivery_id}; ingest it first")
    earlier = store.deliveries[: ids.index(report.delivery_id)]
    stored = _Stored(store.folder / "deliveries" / report.delivery_id, OperatingStore(store.folder, earlier))
    with open_engine() as engine, tempfile.TemporaryDirectory(prefix="sellerscore-") as work:
        reading = _Reading(engine, stored, Path(work), report.covers_through)
        tables = tuple(_table(reading, each) for each in report.tables)
    return Quality(name, report, not earlier, tables, missing_tables(report, _stored_through(earlier)))


def _stored_through(deliveries: tuple[StoredDelivery, ...]) -> dict[str, date | None]:
    """Return the tables with rows, each with the midnight through which it is covered."""
    covered = OperatingStore(Path(), deliveries).covers_through
    return {name: covered.get(name) for name in BY_NAME if any(each.rows.get(name) for each in deliveries)}


def _table(reading: _Reading, fates: TableReport) -> TableQuality:
    engine, stored = reading.engine, reading.stored
    table, aside = BY_NAME[fates.table], stored.file("quarantined", fates.table)
    why = quarantine_reasons(engine, fates, aside)
    if not fates.accepted:
        return TableQuality(fates, why)
    now = read_files(engine, [stored.file("accepted", table.name)])
    by_day = rows_by_day(table, now)
    different = None
    if stored.before.rows(table.name):
        before = read_files(engine, stored.before.files(table.name))
        different = drift(engine, table, Sides(before, now, rows_by_day(table, before), by_day), reading.work)
    complete = stored.before.covers_through.get(table.name)
    return TableQuality(
        fates,
        why,
        summarize_columns(table, now, read_files(engine, [aside])),
        coverage(table, by_day, reading.covers.get(table.name)),
        lateness(table, now),
        different,
        complete,
        0 if complete is None else now.filter(now.visible_from <= complete).count().to_pyarrow().as_py(),
    )
