"""The account of an import: `accounts.sql` counts the rows of each source by outcome, and the counts are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from collections.abc import Mapping as ReadOnly
from types import MappingProxyType
from typing import Any, Final

from features.errors import MappingError
from features.importers.exports import View
from features.importers.mapping import ACCOUNTS
from features.importers.report import SourceReport
from features.importers.sql import MappingSql
from features.ingest.rules import ROW_MALFORMED
from features.schema import BY_NAME

_COLUMNS: Final = MappingProxyType({"source": "VARCHAR", "mapped_to": "VARCHAR", "reason": "VARCHAR", "rows": "BIGINT"})
_DETAIL: Final = "detail"
_MALFORMED: Final = "another number of fields than the header, or bytes that are not {}; the first is row {:,}"


def accounts(sql: MappingSql, views: Iterable[View], written: ReadOnly[str, int]) -> tuple[SourceReport, ...]:
    """Return the report of each source that was there.

    `accounts.sql` selects source, mapped_to, reason and rows: the number of rows of the source that are mapped to
    something, or are not mapped for a reason. A further column named after a table counts the rows they add to it. The
    optional column `detail` explains the reason or what the rows are mapped to, such as by a value that was found.

    Raises:
        MappingError: a column is missing, or the rows of a table are not those written.
        FeaturesError: the rows of a source do not add up to those read.
    """
    columns = sql.columns(ACCOUNTS)
    missing = [name for name in _COLUMNS if name not in columns]
    if missing:
        raise MappingError(
            f"{sql.mapping.name}: accounts.sql lacks {', '.join(missing)}. It needs the columns {', '.join(_COLUMNS)}."
        )
    tables = dict.fromkeys((name for name in columns if name in BY_NAME), "BIGINT")
    details = {_DETAIL: "VARCHAR"} if _DETAIL in columns else {}
    rows = sql.rows(ACCOUNTS, {**_COLUMNS, **details, **tables})
    names = [source.name for source in sql.mapping.sources]
    unknown = sorted({str(row["source"]) for row in rows} - set(names))
    if unknown:
        raise MappingError(
            f"{sql.mapping.name}: accounts.sql counts rows of {', '.join(unknown)}. Its sources are {', '.join(names)}."
        )
    for table in tables:
        counted = sum(row[table] or 0 for row in rows)
        if counted != written.get(table, 0):
            raise MappingError(
                f"{sql.mapping.name}: accounts.sql counts {counted:,} rows of {table}, but {table}.sql selects "
                f"{written.get(table, 0):,}. Nothing was written. Correct one of the two."
            )
    encodings = {source.name: source.encoding for source in sql.mapping.sources}
    return tuple(_report(sql.mapping.name, view, encodings[view.name], rows) for view in views if view.files)


def _report(mapping: str, view: View, encoding: str, rows: Iterable[dict[str, Any]]) -> SourceReport:
    mapped, not_mapped = Counter[str](), Counter[str]()
    details: dict[str, str] = {}
    for row in rows:
        if row["source"] != view.name:
            continue
        if (row["mapped_to"] is None) == (row["reason"] is None):
            raise MappingError(
                f"{mapping}: accounts.sql has a row of {view.name} with mapped_to {row['mapped_to']!r} and reason "
                f"{row['reason']!r}. Exactly one of the two must be set."
            )
        counts, outcome = (mapped, row["mapped_to"]) if row["reason"] is None else (not_mapped, row["reason"])
        counts[outcome] += row["rows"] or 0
        if detail := row.get(_DETAIL):
            # the least of several, so that the same export gives the same report
            details[outcome] = min(detail, details.get(outcome, detail))
    if view.malformed:
        not_mapped[ROW_MALFORMED] += view.malformed
        details[ROW_MALFORMED] = _MALFORMED.format(encoding, view.first_malformed)
    return SourceReport(
        view.name,
        view.rows,
        dict(sorted(mapped.items())),
        dict(sorted(not_mapped.items())),
        dict(sorted(details.items())),
    )
