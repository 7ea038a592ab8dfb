"""One table of a delivery, from its file to accepted rows, quarantined rows and their counts.

The rows are read three times: to find keys that occur twice, to write what is accepted, and if any row is left then, to
write what is not. Nothing but the few suspect rows is ever held, so a delivery may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from features import asof
from features.intake import casting, contest, delivery, money, rules
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
    """What is known when a table is taken: accepted files by table, this delivery's and all before, and the rates.

    No row can have been known after `latest`, in UTC without a zone.
    """

    stored: Sequence[Path]
    references: Mapping[str, Sequence[Path]]
    rates: money.Rates
    latest: datetime


@dataclass(frozen=True)
class _Job:
    """One table being taken."""

    engine: Backend
    table: Table
    known: Known
    work: Path
    codes: rules.Codes

    @property
    def stored(self) -> ir.Table | None:
        """The table's accepted rows of earlier deliveries, if it has any."""
        return read_files(self.engine, self.known.stored) if self.known.stored else None

    def named(self, rows: ir.Table) -> ir.Table:
        """Return `rows` as a view of the engine, so that what is asked of them often is compiled once."""
        name = ibis.util.gen_name(self.table.name)
        self.engine.create_view(name, rows)
        return self.engine.table(name)

    def kept(self, name: str, rows: ir.Table) -> ir.Table | None:
        """Return `rows` computed, to be read more than once, from disk, where there is room; None if there are none."""
        path = self.work / f"{self.table.name}.{name}.parquet"
        _write(rows, path)
        return read_files(self.engine, [path]) if _rows_in(path) else None


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
    job = _Job(engine, table, known, folders.work, _codes(engine))
    judged = _judged(job, job.named(_cast(job, source)))
    rejected = _with_malformed(judged.rejected, source.malformed)
    # Counted from the written files, so that the sum proves what lies there. Where it is whole, no row is left.
    out, aside = folders.accepted / f"{table.name}.parquet", folders.quarantined / f"{table.name}.parquet"
    _write(judged.accepted, out)
    _write(rejected.limit(0) if _rows_in(out) + judged.duplicates == source.rows else rejected, aside)
    return TableReport(
        table=table.name,
        read=source.rows,
        accepted=_rows_in(out),
        duplicates=judged.duplicates,
        quarantined=_by_rule(engine, aside),
        ignored_columns=source.ignored_columns,
    )


def _codes(engine: Backend) -> rules.Codes:
    """Return the codes that values are looked up in, as tables of the engine."""
    tables = {kind: ibis.memtable(pa.table({"code": sorted(codes)})) for kind, codes in rules.CODES.items()}
    return {kind: engine.create_table(ibis.util.gen_name(kind), table).code for kind, table in tables.items()}


def _write(rows: ir.Table, path: Path) -> None:
    rows.to_parquet(path, compression="zstd", compression_level=1)  # the default is 2% smaller and a third slower


def _rows_in(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _by_rule(engine: Backend, path: Path) -> dict[str, int]:
    if not _rows_in(path):
        return {}
    rows = read_files(engine, [path])
    counts = rows.group_by("rule").agg(rows=rows.count()).order_by("rule").to_pyarrow()
    return dict(zip(counts.column("rule").to_pylist(), counts.column("rows").to_pylist(), strict=True))


def _stored_columns(table: Table) -> list[str]:
    """Return the columns of an accepted file: the contract's, then what intake derives."""
    return [*table.column_names, *(["amount_micros"] if table.money else []), "visible_from"]


def _cast(job: _Job, source: Source) -> ir.Table:
    """Return all rows: raw and cast columns, and what follows from them before any rule is asked."""
    raw = job.engine.read_parquet(literal(source.path))
    trimmed = {column.name: casting.trimmed(raw[column.name]) for column in job.table.columns}
    rows = raw.select(
        **{f"{_RAW}{name}": value for name, value in trimmed.items()},
        **{column.name: casting.typed(trimmed[column.name], column.kind) for column in job.table.columns},
    )
    known_at = _computable(rows.known_at)
    rows = rows.mutate(**{contest.KEY_HASH: contest.key_hash(rows, job.table.key)})
    if job.table.event_time is None:
        return rows.mutate(visible_from=asof.visible_from(None, known_at))
    event = _computable(rows[job.table.event_time])
    return rows.mutate(visible_from=asof.visible_from(event, known_at), event_day=event.cast("date"))


def _computable(time: ir.TemporalValue) -> ir.TemporalValue:
    """Return `time` where a day can be added to it; a rule turns the others away."""
    return ibis.ifelse(time.cast("date").between(delivery.FIRST_DAY, rules.LAST_DAY), time, ibis.null(time.type()))


def _checked(job: _Job, rows: ir.Table, answers: ir.Table | None) -> ir.Table:
    """Append `rule`, the first that each row broke, and `amount_micros` where the table has money."""
    broken = [
        rule
        for column in job.table.columns
        for rule in rules.column_rules(column, rows[f"{_RAW}{column.name}"], rows[column.name], job.codes)
    ]
    broken.append(rules.future_rule(rows.known_at, job.known.latest))
    for name, target in rules.references_of(job.table):
        ids = read_files(job.engine, job.known.references[target.name])[name]
        broken.append(rules.reference_rule(name, rows[name], ids))
    counts = [column.name for column in job.table.columns if column.kind is Kind.COUNT]
    rows = rows.mutate(rule=rules.first_broken(broken))
    rows = rows.mutate(**{name: rows[name].try_cast(dt.int64) for name in counts})
    if job.table.money is None:
        return rows
    rows = money.with_micros(rows, job.table.money, job.known.rates, answers)
    rateless = ibis.ifelse(rows.usd_per_unit.isnull(), rules.RATE_UNKNOWN, None)
    too_large = ibis.ifelse(rows.amount_micros.isnull(), f"{job.table.money}_too_large", None)
    return rows.mutate(rule=rows.rule.coalesce(rateless, too_large))


def _judged(job: _Job, rows: ir.Table) -> _Judged:
    """Part the rows that stand alone, whose rule says all, from those that share a key, which must contest it."""
    answers = _answers(job, rows)
    suspects = _suspects(job, rows)
    alone = rows if suspects is None else rows.anti_join(suspects, contest.KEY_HASH)
    alone = job.named(_checked(job, alone, answers))
    accepted = alone.filter(alone.rule.isnull()).select(_stored_columns(job.table))
    rejected = _as_text(job.table, alone.filter(alone.rule.notnull()))
    fates = None if suspects is None else job.kept("fates", _fates(job, rows, suspects, answers))
    if fates is None:
        return _Judged(accepted, rejected, 0)
    delivered = fates.filter(~fates.stored)
    won = delivered.filter(delivered.fate == contest.ACCEPTED).select(_stored_columns(job.table))
    lost = delivered.filter(delivered.fate == contest.REJECTED)
    duplicates = delivered.filter(delivered.fate == contest.DUPLICATE).count().to_pyarrow().as_py()
    return _Judged(accepted.union(won), rejected.union(_as_text(job.table, lost)), int(duplicates))


def _answers(job: _Job, rows: ir.Table) -> ir.Table | None:
    asked = money.asked_rates(rows, job.known.rates) if job.table.money else None
    return None if asked is None else job.kept("rates", asked)


def _suspects(job: _Job, rows: ir.Table) -> ir.Table | None:
    """Return the hashes of keys that may occur more than once; None where there are none."""
    whole = rows.drop_null(list(job.table.key))  # a missing key breaks a rule and shares nothing
    stored = job.stored
    if stored is not None:
        stored = stored.select(**{contest.KEY_HASH: contest.key_hash(stored, job.table.key)})
    return job.kept("suspects", contest.suspects(whole.select(contest.KEY_HASH), stored))


def _fates(job: _Job, rows: ir.Table, suspects: ir.Table, answers: ir.Table | None) -> ir.Table:
    sharing = _checked(job, rows.semi_join(suspects, contest.KEY_HASH), answers)
    return contest.decided(_with_stored(job, sharing, suspects), job.table)


def _with_stored(job: _Job, rows: ir.Table, suspects: ir.Table) -> ir.Table:
    """Return the rows and the stored rows that may hold their keys, told apart by `stored`."""
    names = job.table.column_names
    columns = [*_stored_columns(job.table), "rule", *(f"{_RAW}{name}" for name in names)]
    texts = {f"{_RAW}{name}": rows[f"{_RAW}{name}"].cast(dt.string) for name in names}
    delivered = rows.mutate(**texts).select(*columns, stored=ibis.literal(False))
    stored = job.stored
    if stored is None:
        return delivered
    blank = {name: ibis.null(dt.string) for name in ("rule", *texts)}
    rivals = stored.mutate(**{contest.KEY_HASH: contest.key_hash(stored, job.table.key), **blank})
    rivals = rivals.semi_join(suspects, contest.KEY_HASH).select(*columns, stored=ibis.literal(True))
    return delivered.union(rivals)


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
