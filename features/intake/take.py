"""One table of a delivery, from its file to accepted rows, quarantined rows and their counts.

Nothing but the few suspect rows is ever held, so a delivery may be larger than memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from features.intake import rules
from features.intake.columns import ROW
from features.intake.job import Job, Known, read_files, rows_in, write
from features.intake.judging import judged
from features.intake.report import RULE_SEPARATOR, TableReport
from features.intake.sources import ROW_NUMBER, MalformedRow, Source, literal
from features.schema import Table


@dataclass(frozen=True)
class Folders:
    """Where one table's results go, and where its intermediate files may lie meanwhile."""

    accepted: Path
    quarantined: Path
    work: Path


def take(engine: Backend, table: Table, source: Source, known: Known, folders: Folders) -> TableReport:
    """Judge every row of `source`, write both files and return the counts, which add up.

    Example: ten orders, of which two are negative and one is a copy, give seven accepted rows.
    """
    raw = engine.read_parquet(literal(source.path), file_row_number=True)
    raw = raw.mutate(**{ROW_NUMBER: raw[ROW_NUMBER] if source.numbered else raw[ROW] + 1})
    job = Job(engine, table, raw, known, folders.work, _codes(engine, table))
    fates = judged(job)
    # Counted from the written files, so that the sum proves what lies there.
    out, aside = folders.accepted / f"{table.name}.parquet", folders.quarantined / f"{table.name}.parquet"
    write(fates.accepted, out)
    write(_with_malformed(fates.rejected, source.malformed), aside)
    return TableReport(
        table=table.name,
        read=source.rows,
        accepted=rows_in(out),
        duplicates=fates.duplicates,
        quarantined=_by_rule(engine, aside, "rule"),
        broken=_by_rule(engine, aside, "rules"),
        ignored_columns=source.ignored_columns,
    )


def _codes(engine: Backend, table: Table) -> rules.Codes:
    """Return the codes that the table's values are looked up in, as tables of the engine."""
    asked = {column.kind for column in table.columns} & rules.CODES.keys()
    codes = {kind: ibis.memtable(pa.table({"code": sorted(rules.CODES[kind])})) for kind in sorted(asked)}
    return {kind: engine.create_table(ibis.util.gen_name(kind), listed).code for kind, listed in codes.items()}


def _by_rule(engine: Backend, path: Path, column: str) -> dict[str, int]:
    """Return how many quarantined rows a column names each rule for; `rules` names several for one row."""
    if not rows_in(path):
        return {}
    rows = read_files(engine, [path])
    named = rows.select(rule=rows[column].split(RULE_SEPARATOR).unnest())
    counts = named.group_by("rule").agg(rows=named.count()).order_by("rule").to_pyarrow()
    return dict(zip(counts.column("rule").to_pylist(), counts.column("rows").to_pylist(), strict=True))


def _with_malformed(rejected: ir.Table, malformed: tuple[MalformedRow, ...]) -> ir.Table:
    if not malformed:
        return rejected
    lines = ibis.memtable(
        pa.table({ROW_NUMBER: [row.number for row in malformed], "row": [row.text for row in malformed]})
    )
    nulls = {name: ibis.null(dt.string) for name in rejected.columns}
    rule = ibis.literal(rules.ROW_MALFORMED)
    filled = {ROW_NUMBER: lines[ROW_NUMBER], "row": lines.row, "rule": rule, "rules": rule}
    return rejected.union(lines.select(**{**nulls, **filled}))
