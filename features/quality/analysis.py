"""Analysis of a delivery for the quality page, and its quarantined rows by rule with masked examples.

The page is passed on to other people: ids are shortened, buyers and suppliers are hidden, and free text is shown by its
shape only.
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

from features.engines.duckdb import open_engine, read_parquet
from features.errors import StoreError
from features.ingest.report import IngestReport, TableReport
from features.ingest.sources import ROW_NUMBER
from features.quality.columns import ColumnSummary, TableDrift, drift, summarize_columns
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
from features.store.operating import OperatingStore

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

EXAMPLES: Final = 3
HIDDEN: Final = "hidden"
EMPTY: Final = "empty"
PERSONAL: Final = frozenset({"buyer_id", "supplier_id"})

_MAX_LENGTH: Final = 24
_LONG_ID: Final = 8
_TO_THE_MINUTE: Final = len("2024-05-01 08:00")
_UNPRINTABLE: Final = "·"
_PLAIN: Final = {
    Kind.TEXT: re.compile(r"[A-Za-z][A-Za-z _-]{0,19}"),
    Kind.CURRENCY: re.compile(r"[A-Za-z]{1,4}"),
    Kind.COUNTRY: re.compile(r"[A-Za-z]{1,3}"),
}
_NUMBERS: Final = re.compile(r"[-+0-9.,:TZeE/ ]{1,32}|(?i:nan|[-+]?inf(inity)?)")


@dataclass(frozen=True)
class Example:
    """A quarantined row: its masked key, the masked value of the rule's column, and its row number in the file."""

    key: str
    value: str
    known_at: str
    row_number: int


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
    """Return the quarantined rows of a table by rule, most frequent first, from the file `quarantined`."""
    table = BY_NAME[report.table]
    examples = _examples(engine, table, quarantined) if report.rejected else {}
    reasons = [
        QuarantineReason(
            report.table, rule, rows, rows / report.read, explain(table, rule), column_of(table, rule), examples[rule]
        )
        for rule, rows in report.quarantined.items()
    ]
    return tuple(sorted(reasons, key=lambda reason: (-reason.rows, reason.rule)))


def example_lines(reasons: Sequence[QuarantineReason]) -> list[str]:
    """Return up to EXAMPLES rows as text, of as many rules as possible.

    Example: "row 7: amount_negative: amount is '-12.5'. Permitted: a number from 0 to 1,000,000,000,000."
    """
    by_rank = ((reason, rank) for rank in range(EXAMPLES) for reason in reasons if rank < len(reason.examples))
    return [_line(reason, reason.examples[rank]) for reason, rank in islice(by_rank, EXAMPLES)]


def _line(reason: QuarantineReason, example: Example) -> str:
    value = example.value if example.value in {EMPTY, HIDDEN} else f"'{example.value}'"
    content = example.key if reason.column is None else f"{reason.column} is {value}"
    hint = reason.explanation.permitted or reason.explanation.remedy
    return f"row {example.row_number:,}: {reason.rule}: {content}. {hint}"


def _examples(engine: Backend, table: Table, path: Path) -> dict[str, tuple[Example, ...]]:
    rows = read_parquet(engine, [path])
    order = [rows[name] for name in (ROW_NUMBER, *table.column_names, "row")]
    ranked = rows.mutate(rank=ibis.row_number().over(group_by="rule", order_by=order))
    by_rule: dict[str, tuple[Example, ...]] = {}
    for row in ranked.filter(ranked["rank"] < EXAMPLES).order_by("rule", "rank").to_pyarrow().to_pylist():
        by_rule[row["rule"]] = (*by_rule.get(row["rule"], ()), _example(table, row))
    return by_rule


def _example(table: Table, row: Mapping[str, Any]) -> Example:
    column = column_of(table, row["rule"] or "")
    key = ", ".join(mask(table, name, row[name]) for name in table.key)
    return Example(
        key if row["row"] is None else f"a line of {len(row['row']):,} characters",
        "" if column is None else mask(table, column, row[column]),
        mask(table, "known_at", row["known_at"])[:_TO_THE_MINUTE],
        row[ROW_NUMBER],
    )


def mask(table: Table, column: str, value: str | None) -> str:
    """Return a value without personal data, for the page.

    Example: the order_id `O-00012345` becomes `O-0…45`, a buyer_id `hidden`, the amount `-12.5` stays, and the amount
    `12 Main St.` becomes its shape `99 Aaaa Aa.`.
    """
    if value is None:
        return EMPTY
    if column in PERSONAL:
        return HIDDEN
    kind = table.column(column).kind
    if kind is Kind.ID:
        text = "".join(each if each.isprintable() else _UNPRINTABLE for each in value)
        return f"{text[:3]}…{text[-2:]}" if len(text) >= _LONG_ID else f"{text[:1]}…"
    if _PLAIN.get(kind, _NUMBERS).fullmatch(value):
        return _shorten(value)
    return "".join(map(_shape, value[:_MAX_LENGTH])) + ("…" if len(value) > _MAX_LENGTH else "")


def _shorten(value: str) -> str:
    """Return a number with ten digits, which removes binary rounding errors; return other text unchanged."""
    try:
        return format(float(value), ".10g")
    except ValueError:
        return value


def _shape(character: str) -> str:
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character if character.isascii() and character.isprintable() else _UNPRINTABLE


@dataclass(frozen=True)
class TableQuality:
    """The analysis of one table; figures of accepted rows are empty or None without accepted rows.

    Attributes:
        report: the counts of its rows by status.
        reasons: quarantined rows by rule.
        complete: the midnight through which an earlier delivery declared the table complete.
        backdated: accepted rows with `known_at` at or before `complete`. Features computed earlier did not include
            them.
    """

    report: TableReport
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
        return self.report.table


@dataclass(frozen=True)
class Quality:
    """The analysis of one delivery; `name` is that of its folder, `first` is true if the store was empty before.

    `by_store` is true if earlier deliveries cover some stores only.
    """

    name: str
    report: IngestReport
    first: bool
    tables: tuple[TableQuality, ...]
    missing: tuple[MissingTable, ...]
    by_store: bool = False


@dataclass(frozen=True)
class _Input:
    """The inputs of the analysis: the delivery's folder, the store before it, and its coverage."""

    engine: Backend
    folder: Path
    before: OperatingStore
    work: Path
    covers: Mapping[str, date]

    def file(self, kind: str, table: str) -> Path:
        return self.folder / kind / f"{table}.parquet"


def analyse_delivery(store: OperatingStore, report: IngestReport, name: str) -> Quality:
    """Return the analysis of the delivery of `report`; raise StoreError if the store does not have it."""
    ids = [each.delivery_id for each in store.deliveries]
    if report.delivery_id not in ids:
        raise StoreError(f"{store.folder} does not have the delivery {report.delivery_id}. Ingest it first.")
    before = OperatingStore(store.folder, store.deliveries[: ids.index(report.delivery_id)])
    folder = store.folder / "deliveries" / report.delivery_id
    with open_engine() as engine, tempfile.TemporaryDirectory(prefix="sellerscore-") as work:
        inputs = _Input(engine, folder, before, Path(work), report.covers_through)
        tables = tuple(_analyse_table(inputs, table) for table in report.tables)
    stored_through = {name: before.covers_through.get(name) for name in BY_NAME if before.rows(name)}
    missing = missing_tables(report, stored_through)
    return Quality(name, report, not before.deliveries, tables, missing, by_store=not before.covers_all_stores)


def _analyse_table(inputs: _Input, report: TableReport) -> TableQuality:
    engine, earlier, table = inputs.engine, inputs.before, BY_NAME[report.table]
    quarantined = inputs.file("quarantined", table.name)
    reasons = quarantine_reasons(engine, report, quarantined)
    if not report.accepted:
        return TableQuality(report, reasons)
    now = read_parquet(engine, [inputs.file("accepted", table.name)])
    by_day = rows_by_day(table, now)
    table_drift = None
    if earlier.rows(table.name):
        before = read_parquet(engine, earlier.files(table.name))
        table_drift = drift(engine, table, before, now, now_by_day=by_day, work=inputs.work)
    complete = earlier.all_stores_through.get(table.name)  # of one shop, the first rows are not late
    return TableQuality(
        report,
        reasons,
        summarize_columns(table, now, read_parquet(engine, [quarantined])),
        coverage(table, by_day, inputs.covers.get(table.name)),
        lateness(table, now),
        table_drift,
        complete,
        0 if complete is None else now.filter(now.visible_from <= complete).count().to_pyarrow().as_py(),
    )
