"""Validation of one table: read its rows, accept them, or quarantine them with the rules that they break.

The file is read three times: to find repeated keys, to find rows that have one or break a rule, and to write all other
rows. Only the few rows found are held, so a delivery may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.duckdb import Backend

from features import asof
from features.engines.duckdb import read_parquet
from features.ingest import deduplication, delivery, money, rules, sources
from features.ingest.columns import ROW
from features.ingest.report import RULE_SEPARATOR, TableReport
from features.ingest.sources import ROW_NUMBER, Source, literal
from features.schema import Kind, Table

_RAW: Final = "raw_"


@dataclass(frozen=True)
class IngestContext:
    """The data against which a table is validated.

    `stored` are its accepted files of earlier deliveries, `references` those of the tables that its rows name, and
    `latest` is the latest allowed `known_at`. `begins` is the day on which the platform began to record the table, if
    the delivery declares it.
    """

    stored: Sequence[Path]
    references: Mapping[str, Sequence[Path]]
    rates: money.Rates
    latest: datetime
    begins: date | None = None


@dataclass(frozen=True)
class IngestFolders:
    """The folders of accepted rows, of quarantined rows and of intermediate files."""

    accepted: Path
    quarantined: Path
    work: Path


@dataclass(frozen=True)
class TableIngest:
    """The ingest of one table; `raw` has the delivered rows, each with its row number."""

    engine: Backend
    table: Table
    raw: ir.Table
    context: IngestContext
    work: Path
    codes: rules.Codes

    @property
    def stored(self) -> ir.Table | None:
        """The table's accepted rows of earlier deliveries, if any."""
        return read_parquet(self.engine, self.context.stored) if self.context.stored else None

    def materialize(self, name: str, rows: ir.Table) -> ir.Table | None:
        """Write `rows` to disk and return them for repeated reading; None if they are empty."""
        path = self.work / f"{self.table.name}.{name}.parquet"
        write(rows, path)
        return read_parquet(self.engine, [path]) if count_rows(path) else None


def write(rows: ir.Table, path: Path) -> None:
    """Write rows as a Parquet file."""
    rows.to_parquet(path, compression="zstd", compression_level=1)  # the default is 2% smaller and a third slower


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file."""
    return int(pq.read_metadata(path).num_rows)


@dataclass(frozen=True)
class ValidatedRows:
    """Accepted rows, quarantined rows as text with their rules, and the number of duplicates."""

    accepted: ir.Table
    rejected: ir.Table
    duplicates: int = 0


def ingest_table(
    engine: Backend, table: Table, source: Source, context: IngestContext, folders: IngestFolders
) -> TableReport:
    """Validate every row of `source`, write accepted and quarantined rows, and return the counts.

    Example: ten orders, two of them negative and one a copy, give seven accepted rows.
    """
    raw = engine.read_parquet(literal(source.path), file_row_number=True)
    raw = raw.mutate(**{ROW_NUMBER: raw[ROW_NUMBER] if source.numbered else raw[ROW] + 1})
    validated = validate_rows(TableIngest(engine, table, raw, context, folders.work, _codes(engine, table)))
    # counted from the written files, to prove that no row is lost
    accepted, quarantined = (folder / f"{table.name}.parquet" for folder in (folders.accepted, folders.quarantined))
    write(validated.accepted, accepted)
    write(_with_malformed(validated.rejected, source), quarantined)
    return TableReport(
        table=table.name,
        read=source.rows,
        accepted=count_rows(accepted),
        duplicates=validated.duplicates,
        quarantined=_count_by_rule(engine, quarantined, "rule"),
        broken=_count_by_rule(engine, quarantined, "rules"),
        ignored_columns=source.ignored_columns,
    )


def validate_rows(job: TableIngest) -> ValidatedRows:
    """Split the rows into accepted and rejected ones; rows that share a key are compared with each other."""
    # as a view, so that repeated use compiles it once
    job.engine.create_view(name := ibis.util.gen_name(job.table.name), _cast(job, job.raw))
    rows = job.engine.table(name)
    rates = money.find_rates(rows, job.context.rates) if job.table.money else None
    rates = None if rates is None else job.materialize("rates", rates)
    shared_keys = _shared_keys(job)
    checked = _with_rules(job, rows, rates)
    shares = ibis.literal(False)
    if shared_keys is not None:
        shares = deduplication.key_hash(checked, job.table.key).isin(shared_keys[deduplication.KEY_HASH])
    checked = checked.mutate(shares=shares.fill_null(False))
    special = job.materialize(
        "special", checked.filter(checked.shares | checked.rule.notnull()).select(ROW, "rule", "shares")
    )
    if special is None:
        texts = dict.fromkeys((*job.table.column_names, "row", "rule", "rules"), "string")
        no_rows = ibis.memtable([], schema={ROW_NUMBER: "int64", **texts})
        return ValidatedRows(_accepted_rows(job, rows, rates), no_rows)
    unshared = ValidatedRows(
        _accepted_rows(job, rows.anti_join(special, ROW), rates),
        _rejected_rows(job, special.filter(~special.shares), rates),
    )
    if shared_keys is None:
        return unshared
    sharing = job.materialize("sharing", _cast(job, job.raw.semi_join(special.filter(special.shares), ROW)))
    return unshared if sharing is None else _deduplicate(job, unshared, sharing, rates)


def _codes(engine: Backend, table: Table) -> rules.Codes:
    """Return the codes of the table's columns, as tables of the engine."""
    kinds = {column.kind for column in table.columns} & rules.CODES.keys()
    codes = {kind: ibis.memtable(pa.table({"code": sorted(rules.CODES[kind])})) for kind in sorted(kinds)}
    return {kind: engine.create_table(ibis.util.gen_name(kind), values).code for kind, values in codes.items()}


def _stored_columns(table: Table) -> list[str]:
    """Return the columns of an accepted file: those of the contract, then the derived ones."""
    return [*table.column_names, *(["amount_micros"] if table.money else []), "visible_from"]


def _cast(job: TableIngest, raw: ir.Table) -> ir.Table:
    """Return rows with raw and cast columns, `visible_from` and, for events, `event_day`."""
    trimmed = {column.name: sources.trim(raw[column.name]) for column in job.table.columns}
    rows = raw.select(
        ROW,
        ROW_NUMBER,
        **{f"{_RAW}{name}": value for name, value in trimmed.items()},
        **{column.name: sources.cast_column(trimmed[column.name], column.kind) for column in job.table.columns},
    )
    known_at = _in_range(rows.known_at)
    if job.table.event_time is None:
        return rows.mutate(visible_from=asof.visible_from(None, known_at))
    event = _in_range(rows[job.table.event_time])
    return rows.mutate(visible_from=asof.visible_from(event, known_at), event_day=event.cast("date"))


def _in_range(time: ir.TemporalValue) -> ir.TemporalValue:
    """Return `time`, null if it is out of range: such rows break a rule, and adding a day to them could fail."""
    return ibis.ifelse(time.cast("date").between(delivery.FIRST_DAY, rules.LAST_DAY), time, ibis.null(time.type()))


def _rules(job: TableIngest, rows: ir.Table) -> list[list[rules.Rule]]:
    """Return the rules of a row in groups, one group per column."""
    groups = [
        list(rules.column_rules(column, rows[f"{_RAW}{column.name}"], rows[column.name], job.codes))
        for column in job.table.columns
    ]
    groups.append([rules.future_rule(rows.known_at, job.context.latest)])
    if job.context.begins is not None and job.table.event_time is not None:
        groups.append([rules.begins_rule(job.table.event_time, rows.event_day, job.context.begins)])
    for name, target in rules.references_of(job.table):
        files = job.context.references[target.name]
        ids = read_parquet(job.engine, files)[name] if files else None
        groups.append([rules.reference_rule(name, rows[name], ids)])
    return groups


def _with_rules(job: TableIngest, rows: ir.Table, rates: ir.Table | None, *, every: bool = False) -> ir.Table:
    """Append `rule`, the first broken rule, and `amount_micros` if the table has money.

    With `every`, also append `rules`, all broken rules: for the few rows that are quarantined.
    """
    groups = _rules(job, rows)
    broken = {"rule": rules.first_broken([rule for group in groups for rule in group])}
    if every:
        broken["rules"] = rules.every_broken(groups)
    rows = _with_micros(job, rows.mutate(**broken), rates)
    if job.table.money is None:
        return rows
    no_rate = ibis.ifelse(rows.usd_per_unit.isnull(), rules.RATE_UNKNOWN, None)
    too_large = ibis.ifelse(rows.amount_micros.isnull(), f"{job.table.money}_too_large", None)
    rows = rows.mutate(rule=rows.rule.coalesce(no_rate, too_large))
    return _with_money_rules(job, rows, job.table.money) if every else rows


def _with_money_rules(job: TableIngest, rows: ir.Table, money: str) -> ir.Table:
    """Add the rules about converted amounts to `rules`, unless a rule about the columns explains the failure."""
    convertible = rows.event_day.notnull() & rows.visible_from.notnull() & rows.currency.isin(job.codes[Kind.CURRENCY])
    no_rate = (rules.RATE_UNKNOWN, rows.usd_per_unit.isnull() & convertible)
    too_large = rows.amount_micros.isnull() & rows.usd_per_unit.notnull() & ~rows.rules.contains(f"{money}_")
    more = rules.every_broken([[no_rate], [(f"{money}_too_large", too_large)]])
    return rows.mutate(rules=rules.join_rules(rows.rules, more))


def _with_micros(job: TableIngest, rows: ir.Table, rates: ir.Table | None) -> ir.Table:
    """Return rows with integer counts, and with `amount_micros` if the table has money."""
    counts = [column.name for column in job.table.columns if column.kind is Kind.COUNT]
    rows = rows.mutate(**{name: rows[name].try_cast(dt.int64) for name in counts})
    return rows if job.table.money is None else money.with_micros(rows, job.table.money, job.context.rates, rates)


def _shared_keys(job: TableIngest) -> ir.Table | None:
    """Return the hashes of keys that may occur more than once, in the delivery or in the store; None if none does."""
    key = job.table.key
    kinds = {column.name: column.kind for column in job.table.columns if column.name in key}
    values = {name: sources.cast_column(sources.trim(job.raw[name]), kind) for name, kind in kinds.items()}
    # a row without a key breaks a rule and shares nothing
    keys = job.raw.select(**values).drop_null(list(key))
    keys = keys.mutate(**{deduplication.KEY_HASH: deduplication.key_hash(keys, key)})
    stored = None if job.stored is None else job.stored.select(*key)
    return job.materialize("shared_keys", deduplication.find_shared_keys(keys, stored, key))


def _accepted_rows(job: TableIngest, rows: ir.Table, rates: ir.Table | None) -> ir.Table:
    return _with_micros(job, rows, rates).select(_stored_columns(job.table))


def _rejected_rows(job: TableIngest, broken: ir.Table, rates: ir.Table | None) -> ir.Table:
    # selected by row number before anything is cast
    rows = _cast(job, job.raw.semi_join(broken, ROW))
    return _as_text(job.table, _with_rules(job, rows, rates, every=True))


def _deduplicate(job: TableIngest, unshared: ValidatedRows, sharing: ir.Table, rates: ir.Table | None) -> ValidatedRows:
    """Add the rows that share a key, each accepted, rejected or a duplicate."""
    checked = _with_rules(job, sharing, rates, every=True)
    resolved = job.materialize("resolved", deduplication.resolve_duplicates(_with_stored(job, checked), job.table))
    if resolved is None:
        return unshared
    delivered = resolved.filter(~resolved.stored)
    accepted = delivered.filter(delivered.status == deduplication.ACCEPTED).select(_stored_columns(job.table))
    rejected = delivered.filter(delivered.status == deduplication.REJECTED)
    duplicates = delivered.filter(delivered.status == deduplication.DUPLICATE).count().to_pyarrow().as_py()
    return ValidatedRows(
        unshared.accepted.union(accepted), unshared.rejected.union(_as_text(job.table, rejected)), int(duplicates)
    )


def _with_stored(job: TableIngest, rows: ir.Table) -> ir.Table:
    """Return the delivered rows and the stored rows with their keys, marked by `stored`."""
    names = job.table.column_names
    columns = [*_stored_columns(job.table), ROW_NUMBER, "rule", "rules", *(f"{_RAW}{name}" for name in names)]
    texts = {f"{_RAW}{name}": rows[f"{_RAW}{name}"].cast(dt.string) for name in names}
    delivered = rows.mutate(**texts).select(*columns, stored=ibis.literal(False))
    stored, key = job.stored, list(job.table.key)
    if stored is None:
        return delivered
    # usually no stored row has such a key, and reading the key's columns takes a fifth of the time of all columns
    keys = job.materialize("stored_keys", stored.select(*key).semi_join(rows, key))
    if keys is None:
        return delivered
    blank = {name: ibis.null(dt.string) for name in ("rule", "rules", *texts)}
    rivals = stored.semi_join(keys, key).mutate(**blank, **{ROW_NUMBER: ibis.null(dt.int64)})
    return delivered.union(rivals.select(*columns, stored=ibis.literal(True)))


def _as_text(table: Table, rows: ir.Table) -> ir.Table:
    """Return the rows as delivered, as text, with their row numbers and broken rules."""
    texts = {name: rows[f"{_RAW}{name}"].cast(dt.string) for name in table.column_names}
    every = rows.rules.nullif("").coalesce(rows.rule)
    return rows.select(ROW_NUMBER, **texts, row=ibis.null(dt.string), rule=rows.rule, rules=every)


def _count_by_rule(engine: Backend, path: Path, column: str) -> dict[str, int]:
    """Return the number of quarantined rows by rule; `rules` can name several for one row."""
    if not count_rows(path):
        return {}
    names = read_parquet(engine, [path])[column].split(RULE_SEPARATOR).unnest().name("rule").as_table()
    counts = names.group_by("rule").agg(rows=names.count()).order_by("rule").to_pyarrow()
    return dict(zip(counts.column("rule").to_pylist(), counts.column("rows").to_pylist(), strict=True))


def _with_malformed(rejected: ir.Table, source: Source) -> ir.Table:
    if not source.malformed:
        return rejected
    names = [rules.ROW_MALFORMED] * len(source.malformed)
    if source.cut:
        names[-1] = rules.ROW_CUT
    numbers, texts = [row.number for row in source.malformed], [row.text for row in source.malformed]
    lines = ibis.memtable(pa.table({ROW_NUMBER: numbers, "row": texts, "rule": names}))
    nulls = {name: ibis.null(dt.string) for name in rejected.columns}
    return rejected.union(
        lines.select(
            **nulls | {ROW_NUMBER: lines[ROW_NUMBER], "row": lines.row, "rule": lines.rule, "rules": lines.rule}
        )
    )
