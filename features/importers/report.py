"""The import report: the outcome of every source row, as counted by `accounts.sql`, and its validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from features.errors import FeaturesError, MappingError
from features.importers.exports import View
from features.importers.mapping import ACCOUNTS, SourceFile
from features.importers.sql import MappingSql
from features.ingest.rules import ROW_CUT, ROW_MALFORMED
from features.schema import BY_NAME
from features.wording import count_of

_COLUMNS: Final = {"source": "VARCHAR", "mapped_to": "VARCHAR", "reason": "VARCHAR", "rows": "BIGINT"}
_DETAIL: Final = "detail"
_MALFORMED: Final = "another number of fields than the header, or bytes that are not {}; the first is row {:,}"
_CUT: Final = "the last line of {} has too few fields and no line end: the file seems to be cut, so export it again"


@dataclass(frozen=True)
class SourceReport:
    """The outcomes of the rows of one source.

    `mapped` counts rows by what they are mapped to, `not_mapped` by the reason why they are not; `details` explains
    some of these outcomes. `missing_columns` states what is unknown because a file lacks an optional column.

    Example: `SourceReport("payments", read=10, mapped={"order": 9}, not_mapped={"amount missing": 1})`.

    Raises:
        FeaturesError: the counts do not add up to `read`.
    """

    source: str
    read: int
    mapped: ReadOnly[str, int]
    not_mapped: ReadOnly[str, int]
    details: ReadOnly[str, str] = field(default_factory=dict)
    missing_columns: ReadOnly[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        counted = sum(self.mapped.values()) + sum(self.not_mapped.values())
        if counted != self.read:
            raise FeaturesError(
                f"{self.source}: {self.read:,} rows were read but accounts.sql counts {counted:,}. Nothing was "
                "written. Every row must be counted once, as mapped or with a reason."
            )

    def __str__(self) -> str:
        if not self.read:
            return f"{self.source}: no rows, only column names"
        reasons = f"; not mapped: {self._list(self.not_mapped)}" if self.not_mapped else ""
        missing = "".join(f"\n  column {name!r} is missing: {costs}" for name, costs in self.missing_columns.items())
        mapped = self._list(self.mapped) or "none mapped"
        return f"{self.source}: {count_of(self.read, 'row')} read; {mapped}{reasons}{missing}"

    def _list(self, outcomes: ReadOnly[str, int]) -> str:
        details = {name: f" ({detail})" for name, detail in self.details.items()}
        return ", ".join(f"{count:,} {name}{details.get(name, '')}" for name, count in outcomes.items())


@dataclass(frozen=True)
class ImportReport:
    """The result of an import: source rows by outcome, written rows by table, labels, coverage, absent data."""

    sources: tuple[SourceReport, ...]
    written: ReadOnly[str, int]
    labels: int
    covers_through: date
    absent: tuple[str, ...] = ()

    def __str__(self) -> str:
        written = ", ".join(f"{count:,} {table}" for table, count in self.written.items())
        labels = f", {self.labels:,} labels" if self.labels else ""
        lines = [*map(str, self.sources), f"written: {written}{labels}", f"covered through {self.covers_through}"]
        return "\n".join([*lines, *([f"declared absent: {', '.join(self.absent)}"] if self.absent else [])])


def source_reports(sql: MappingSql, views: Iterable[View], written: ReadOnly[str, int]) -> tuple[SourceReport, ...]:
    """Return the report of each delivered source.

    `accounts.sql` selects source, mapped_to, reason and rows: the number of rows of the source that are mapped to
    something, or are not mapped for a reason. A further column named after a table counts the rows that they add to it.
    The optional column `detail` explains the outcome, for example by a value.

    Raises:
        MappingError: a column is missing, or the rows of a table are not those written.
        FeaturesError: the rows of a source do not add up to those read.
    """
    name, columns = sql.mapping.name, sql.columns(ACCOUNTS)
    missing = [column for column in _COLUMNS if column not in columns]
    if missing:
        raise MappingError(
            f"{name}: accounts.sql lacks {', '.join(missing)}. It needs the columns {', '.join(_COLUMNS)}."
        )
    tables = dict.fromkeys((column for column in columns if column in BY_NAME), "BIGINT")
    details = {_DETAIL: "VARCHAR"} if _DETAIL in columns else {}
    rows = sql.rows(ACCOUNTS, {**_COLUMNS, **details, **tables})
    files = {source.name: source for source in sql.mapping.sources}
    unknown = sorted({str(row["source"]) for row in rows} - files.keys())
    if unknown:
        raise MappingError(
            f"{name}: accounts.sql counts rows of {', '.join(unknown)}. Its sources are {', '.join(files)}."
        )
    for table in tables:
        counted = sum(row[table] or 0 for row in rows)
        if counted != written.get(table, 0):
            raise MappingError(
                f"{name}: accounts.sql counts {counted:,} rows of {table}, but {table}.sql selects "
                f"{written.get(table, 0):,}. Nothing was written. Correct one of the two."
            )
    return tuple(_report(name, view, files[view.name], rows) for view in views if view.files)


def _report(mapping: str, view: View, source: SourceFile, rows: Iterable[dict[str, Any]]) -> SourceReport:
    mapped: dict[str, int] = Counter()
    not_mapped: dict[str, int] = Counter()
    details: dict[str, str] = {}
    for row in (row for row in rows if row["source"] == view.name):
        if (row["mapped_to"] is None) == (row["reason"] is None):
            raise MappingError(
                f"{mapping}: accounts.sql has a row of {view.name} with mapped_to {row['mapped_to']!r} and reason "
                f"{row['reason']!r}. Exactly one of the two must be set."
            )
        counts, outcome = (mapped, row["mapped_to"]) if row["reason"] is None else (not_mapped, row["reason"])
        counts[outcome] += row["rows"] or 0
        if detail := row.get(_DETAIL):
            # the smallest of several, so that equal exports give equal reports
            details[outcome] = min(detail, details.get(outcome, detail))
    if view.cut:
        not_mapped[ROW_CUT] += len(view.cut)
        details[ROW_CUT] = _CUT.format(", ".join(view.cut))
    if malformed := view.malformed - len(view.cut):
        not_mapped[ROW_MALFORMED] += malformed
        details[ROW_MALFORMED] = _MALFORMED.format(source.encoding, view.first_malformed)
    mapped, not_mapped = (dict(sorted(counts.items())) for counts in (mapped, not_mapped))
    missing = {name: source.without[name] for name in view.lacking if name in source.without}
    return SourceReport(view.name, view.rows, mapped, not_mapped, dict(sorted(details.items())), missing)
