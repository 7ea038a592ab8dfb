"""One table of a delivery, from its file to accepted rows, quarantined rows and their counts.

The rows are read three times and written once: to find keys that occur twice, to write what is accepted, and to write
what is not. Nothing but the few suspect rows is ever held, so a delivery may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
from ibis.backends.duckdb import Backend

from features import asof
from features.intake import casting, contest, money, rules
from features.intake.report import TableReport
from features.intake.sources import Source, literal
from features.schema import Kind, Table

_RAW: Final = "raw_"


@dataclass(frozen=True)
class Folders:
    """Where one table's results go, and where its intermediate files may lie meanwhile."""

    accepted: Path
    quarantined: Path
    work: Path


@dataclass(frozen=True)
class Known:
    """What is known when a table is taken: accepted files by table, this delivery's and all before, and the rates."""

    stored: Sequence[Path]
    references: Mapping[str, Sequence[Path]]
    rates: money.Rates


@dataclass(frozen=True)
class _Job:
    """One table being taken."""

    engine: Backend
    table: Table
    known: Known
    work: Path

    @property
    def stored(self) -> ir.Table | None:
        """The table's accepted rows of earlier deliveries, if it has any."""
        return read_files(self.engine, self.known.stored) if self.known.stored else None

    def kept(self, name: str, rows: ir.Table) -> ir.Table:
        """Return `rows` computed, to be read more than once; they are kept on disk, where there is room."""
        path = self.work / f"{self.table.name}.{name}.parquet"
        rows.to_parquet(path, compression="zstd")
        return self.engine.read_parquet(literal(path))


@dataclass(frozen=True)
class _Judged:
    """Rows to be written as accepted, rows to be set aside as text with their rule, and duplicates in number."""

    accepted: ir.Table
    rejected: ir.Table
    duplicates: int


def read_files(engine: Backend, paths: Sequence[Path]) -> ir.Table:
    """Return the rows of several Parquet files of one table."""
    return engine.read_parquet([literal(path) for path in paths])


def take(engine: Backend, table: Table, source: Source, known: Known, folders: Folders) -> TableReport:
    """Judge every row of `source`, write both files and return the counts, which add up.

    Example: ten orders, of which two are negative and one is a copy, give seven accepted rows.
    """
    job = _Job(engine, table, known, folders.work)
    judged = _judged(job, _checked(job, source))
    rejected = _with_malformed(judged.rejected, source.malformed)
    # Counted from the written files, so that the sum proves what lies there.
    out, aside = folders.accepted / f"{table.name}.parquet", folders.quarantined / f"{table.name}.parquet"
    judged.accepted.to_parquet(out, compression="zstd")
    rejected.to_parquet(aside, compression="zstd")
    written = read_files(engine, [aside])
    counts = written.group_by("rule").agg(rows=written.count()).order_by("rule").to_pyarrow().to_pylist()
    return TableReport(
        table=table.name,
        read=source.rows,
        accepted=_count(read_files(engine, [out])),
        duplicates=judged.duplicates,
        quarantined={row["rule"]: row["rows"] for row in counts},
        ignored_columns=source.ignored_columns,
    )


def _count(rows: ir.Table) -> int:
    return int(rows.count().to_pyarrow().as_py())


def _stored_columns(table: Table) -> list[str]:
    """Return the columns of an accepted file: the contract's, then what intake derives."""
    return [*table.column_names, *(["amount_micros"] if table.money else []), "visible_from"]


def _checked(job: _Job, source: Source) -> ir.Table:
    """Return all rows: raw and cast columns, `rule`, `visible_from`, and `amount_micros` where there is money."""
    raw = job.engine.read_parquet(literal(source.path))
    trimmed = {column.name: casting.trimmed(raw[column.name]) for column in job.table.columns}
    rows = raw.select(
        **{f"{_RAW}{name}": value for name, value in trimmed.items()},
        **{column.name: casting.typed(trimmed[column.name], column.kind) for column in job.table.columns},
    )
    broken = [
        rule
        for column in job.table.columns
        for rule in rules.column_rules(column, rows[f"{_RAW}{column.name}"], rows[column.name])
    ]
    for name, target in rules.references_of(job.table):
        ids = read_files(job.engine, job.known.references[target.name])[name]
        broken.append(rules.reference_rule(name, rows[name], ids))
    return _with_money(job, _with_sound(job.table, rows.mutate(rule=rules.first_broken(broken))))


def _with_sound(table: Table, rows: ir.Table) -> ir.Table:
    """Append what follows from a row's own columns, null where it broke a rule: it may not even be computable there."""
    sound = rows.rule.isnull()
    derived = {
        column.name: ibis.ifelse(sound, rows[column.name], ibis.null("float64")).cast(dt.int64)
        for column in table.columns
        if column.kind is Kind.COUNT
    }
    known_at = ibis.ifelse(sound, rows.known_at, ibis.null(casting.TIMESTAMP))
    if table.event_time is None:
        return rows.mutate(**derived, visible_from=asof.visible_from(None, known_at))
    event = rows[table.event_time]
    event = ibis.ifelse(sound, event, ibis.null(event.type()))
    return rows.mutate(**derived, visible_from=asof.visible_from(event, known_at), event_day=event.cast("date"))


def _with_money(job: _Job, rows: ir.Table) -> ir.Table:
    if job.table.money is None:
        return rows
    result = money.priced(job.engine, rows, job.table.money, job.known.rates)
    rule = ibis.cases(
        (result.rows.rule.notnull(), result.rows.rule),
        (result.rateless, rules.RATE_UNKNOWN),
        (result.too_large, f"{job.table.money}_too_large"),
    )
    return result.rows.mutate(rule=rule)


def _judged(job: _Job, checked: ir.Table) -> _Judged:
    """Part the rows that stand alone, whose rule says all, from those that share a key, which must contest it."""
    columns = _stored_columns(job.table)
    suspects = _suspects(job, checked)
    if suspects is None:
        free, fates = checked, None
    else:
        shares_key = contest.key_hash(checked, job.table.key).isin(suspects[contest.KEY_HASH])
        contested = shares_key & (checked.rule.isnull() | (checked.rule == rules.RATE_UNKNOWN))
        free = checked.filter(~contested)
        fates = job.kept("fates", _fates(job, checked.filter(contested), suspects))
    accepted = free.filter(free.rule.isnull()).select(columns)
    rejected = _as_text(job.table, free.filter(free.rule.notnull()))
    if fates is None:
        return _Judged(accepted, rejected, 0)
    won = fates.filter((fates.fate == contest.ACCEPTED) & ~fates.stored).select(columns)
    lost = fates.filter(fates.fate == contest.CONFLICT)
    lost = lost.mutate(rule=lost.rule.coalesce(rules.KEY_CONFLICT))
    duplicates = _count(fates.filter(fates.fate == contest.DUPLICATE))
    return _Judged(accepted.union(won), rejected.union(_as_text(job.table, lost)), duplicates)


def _suspects(job: _Job, checked: ir.Table) -> ir.Table | None:
    """Return the hashes of keys that may occur more than once; None where there are none."""
    delivered = checked.select(**{contest.KEY_HASH: contest.key_hash(checked, job.table.key)})
    stored = job.stored
    if stored is not None:
        stored = stored.select(**{contest.KEY_HASH: contest.key_hash(stored, job.table.key)})
    found = job.kept("suspects", contest.suspects(delivered, stored))
    return found if _count(found) else None


def _fates(job: _Job, rows: ir.Table, suspects: ir.Table) -> ir.Table:
    """Return the contested rows, and the stored rows that hold their keys, each with its fate."""
    names = job.table.column_names
    columns = [*_stored_columns(job.table), "rule", *(f"{_RAW}{name}" for name in names)]
    texts = {f"{_RAW}{name}": rows[f"{_RAW}{name}"].cast(dt.string) for name in names}
    candidates = rows.mutate(**texts).select(*columns, stored=ibis.literal(False))
    stored = job.stored
    if stored is not None:
        same_key = contest.key_hash(stored, job.table.key).isin(suspects[contest.KEY_HASH])
        blank = {name: ibis.null(dt.string) for name in ("rule", *texts)}
        rivals = stored.filter(same_key).mutate(**blank).select(*columns, stored=ibis.literal(True))
        candidates = candidates.union(rivals)
    return contest.decided(candidates, job.table)


def _as_text(table: Table, rows: ir.Table) -> ir.Table:
    """Return the rows as the delivery gave them, in words, with the rule that each broke."""
    texts = {name: rows[f"{_RAW}{name}"].cast(dt.string) for name in table.column_names}
    return rows.select(**texts, row=ibis.null(dt.string), rule=rows.rule)


def _with_malformed(rejected: ir.Table, malformed: tuple[str, ...]) -> ir.Table:
    if not malformed:
        return rejected
    lines = ibis.memtable(pa.table({"row": pa.array(malformed, pa.string())}))
    nulls = {name: ibis.null(dt.string) for name in rejected.columns}
    return rejected.union(lines.select(**{**nulls, "row": lines.row, "rule": ibis.literal(rules.ROW_MALFORMED)}))
