"""One table of a delivery being taken: what is known meanwhile, and where intermediate rows lie.

The fate of each row of one table: accepted, or set aside with its rule, or a duplicate.

The file is read three times: to find keys that occur twice, to find the rows that have one or break a rule, and to give
all others. Only the few that were found are looked at again.

One table of a delivery, from its file to accepted rows, quarantined rows and their counts.

Nothing but the few suspect rows is ever held, so a delivery may be larger than memory.
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
from features.ingest import deduplication, delivery, money, rules, sources
from features.ingest.columns import ROW
from features.ingest.report import RULE_SEPARATOR, TableReport
from features.ingest.sources import ROW_NUMBER, MalformedRow, Source, literal
from features.schema import Kind, Table


@dataclass(frozen=True)
class IngestContext:
    """What is known when a table is taken: accepted files by table, this delivery's and all before, and the rates.

    No row can have been known after `latest`, in UTC without a zone.
    """

    stored: Sequence[Path]
    references: Mapping[str, Sequence[Path]]
    rates: money.Rates
    latest: datetime


@dataclass(frozen=True)
class TableIngest:
    """One table being taken; `raw` are the delivered rows as they are, each with the number of its place."""

    engine: Backend
    table: Table
    raw: ir.Table
    known: IngestContext
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
        write(rows, path)
        return read_files(self.engine, [path]) if rows_in(path) else None


def read_files(engine: Backend, paths: Sequence[Path]) -> ir.Table:
    """Return the rows of several Parquet files of one table."""
    return engine.read_parquet([literal(path) for path in paths])


def write(rows: ir.Table, path: Path) -> None:
    """Write rows as a Parquet file."""
    rows.to_parquet(path, compression="zstd", compression_level=1)  # the default is 2% smaller and a third slower


def rows_in(path: Path) -> int:
    """Return how many rows a Parquet file says that it has."""
    return int(pq.read_metadata(path).num_rows)


_RAW: Final = "raw_"


@dataclass(frozen=True)
class ValidatedRows:
    """Rows to be written as accepted, rows to be set aside as text with their rule, and duplicates in number."""

    accepted: ir.Table
    rejected: ir.Table
    duplicates: int


def _stored_columns(table: Table) -> list[str]:
    """Return the columns of an accepted file: the contract's, then what intake derives."""
    return [*table.column_names, *(["amount_micros"] if table.money else []), "visible_from"]


def _cast(job: TableIngest, raw: ir.Table) -> ir.Table:
    """Return rows with raw and cast columns, and what follows from them before any rule is asked."""
    trimmed = {column.name: sources.trim(raw[column.name]) for column in job.table.columns}
    rows = raw.select(
        ROW,
        ROW_NUMBER,
        **{f"{_RAW}{name}": value for name, value in trimmed.items()},
        **{column.name: sources.cast_column(trimmed[column.name], column.kind) for column in job.table.columns},
    )
    known_at = _computable(rows.known_at)
    if job.table.event_time is None:
        return rows.mutate(visible_from=asof.visible_from(None, known_at))
    event = _computable(rows[job.table.event_time])
    return rows.mutate(visible_from=asof.visible_from(event, known_at), event_day=event.cast("date"))


def _computable(time: ir.TemporalValue) -> ir.TemporalValue:
    """Return `time` where a day can be added to it; a rule turns the others away."""
    return ibis.ifelse(time.cast("date").between(delivery.FIRST_DAY, rules.LAST_DAY), time, ibis.null(time.type()))


def _rules(job: TableIngest, rows: ir.Table) -> list[list[rules.Rule]]:
    """Return the rules of a row, those of one column in one group."""
    groups = [
        list(rules.column_rules(column, rows[f"{_RAW}{column.name}"], rows[column.name], job.codes))
        for column in job.table.columns
    ]
    groups.append([rules.future_rule(rows.known_at, job.known.latest)])
    for name, target in rules.references_of(job.table):
        files = job.known.references[target.name]
        ids = read_files(job.engine, files)[name] if files else None
        groups.append([rules.reference_rule(name, rows[name], ids)])
    return groups


def _with_rules(job: TableIngest, rows: ir.Table, answers: ir.Table | None, *, every: bool = False) -> ir.Table:
    """Append `rule`, the first that each row broke, and `amount_micros` where the table has money.

    With `every`, append `rules` too, all that each row broke: for the few rows that are quarantined.
    """
    groups = _rules(job, rows)
    marks = {"rule": rules.first_broken([rule for group in groups for rule in group])}
    if every:
        marks["rules"] = rules.every_broken(groups)
    rows = _with_micros(job, rows.mutate(**marks), answers)
    if job.table.money is None:
        return rows
    rateless = ibis.ifelse(rows.usd_per_unit.isnull(), rules.RATE_UNKNOWN, None)
    too_large = ibis.ifelse(rows.amount_micros.isnull(), f"{job.table.money}_too_large", None)
    rows = rows.mutate(rule=rows.rule.coalesce(rateless, too_large))
    return _with_money_rules(job, rows, job.table.money) if every else rows


def _with_money_rules(job: TableIngest, rows: ir.Table, money: str) -> ir.Table:
    """Add to `rules` what can be told of an amount only after its conversion, unless its own columns explain it."""
    datable = rows.event_day.notnull() & rows.visible_from.notnull() & rows.currency.isin(job.codes[Kind.CURRENCY])
    rate_unknown = (rules.RATE_UNKNOWN, rows.usd_per_unit.isnull() & datable)
    dear = rows.amount_micros.isnull() & rows.usd_per_unit.notnull() & ~rows.rules.contains(f"{money}_")
    more = rules.every_broken([[rate_unknown], [(f"{money}_too_large", dear)]])
    return rows.mutate(rules=rules.joined(rows.rules, more))


def _with_micros(job: TableIngest, rows: ir.Table, answers: ir.Table | None) -> ir.Table:
    """Return rows with whole counts, and with `amount_micros` where the table has money."""
    counts = [column.name for column in job.table.columns if column.kind is Kind.COUNT]
    rows = rows.mutate(**{name: rows[name].try_cast(dt.int64) for name in counts})
    return rows if job.table.money is None else money.with_micros(rows, job.table.money, job.known.rates, answers)


def validate_rows(job: TableIngest) -> ValidatedRows:
    """Part the rows that stand alone, whose rule says all, from those that share a key, which must contest it."""
    rows = job.named(_cast(job, job.raw))
    answers = _reference_results(job, rows)
    suspects = _suspects(job)
    checked = _with_rules(job, rows, answers)
    checked = checked.mutate(shares=_shares(job, checked, suspects))
    found = job.kept("found", checked.filter(checked.shares | checked.rule.notnull()).select(ROW, "rule", "shares"))
    if found is None:
        return ValidatedRows(_accepted_rows(job, rows, answers), _nothing(job.table), 0)
    alone = ValidatedRows(
        _accepted_rows(job, rows.anti_join(found, ROW), answers),
        _rejected_rows(job, found.filter(~found.shares), answers),
        0,
    )
    if suspects is None:
        return alone
    sharing = job.kept("sharing", _cast(job, job.raw.semi_join(found.filter(found.shares), ROW)))
    return alone if sharing is None else _deduplicate(job, alone, sharing, answers)


def _accepted_rows(job: TableIngest, rows: ir.Table, answers: ir.Table | None) -> ir.Table:
    return _with_micros(job, rows, answers).select(_stored_columns(job.table))


def _rejected_rows(job: TableIngest, broken: ir.Table, answers: ir.Table | None) -> ir.Table:
    # found by their numbers before anything is cast
    rows = _cast(job, job.raw.semi_join(broken, ROW))
    return _as_text(job.table, _with_rules(job, rows, answers, every=True))


def _nothing(table: Table) -> ir.Table:
    """Return what `_as_text` would of no rows."""
    texts = dict.fromkeys((*table.column_names, "row", "rule", "rules"), "string")
    return ibis.memtable([], schema={ROW_NUMBER: "int64", **texts})


def _deduplicate(job: TableIngest, alone: ValidatedRows, sharing: ir.Table, answers: ir.Table | None) -> ValidatedRows:
    """Add what becomes of the rows that share a key with others."""
    checked = _with_rules(job, sharing, answers, every=True)
    fates = job.kept("fates", deduplication.resolve_duplicates(_with_stored(job, checked), job.table))
    if fates is None:
        return alone
    delivered = fates.filter(~fates.stored)
    won = delivered.filter(delivered.fate == deduplication.ACCEPTED).select(_stored_columns(job.table))
    lost = delivered.filter(delivered.fate == deduplication.REJECTED)
    duplicates = delivered.filter(delivered.fate == deduplication.DUPLICATE).count().to_pyarrow().as_py()
    return ValidatedRows(alone.accepted.union(won), alone.rejected.union(_as_text(job.table, lost)), int(duplicates))


def _reference_results(job: TableIngest, rows: ir.Table) -> ir.Table | None:
    asked = money.asked_rates(rows, job.known.rates) if job.table.money else None
    return None if asked is None else job.kept("rates", asked)


def _suspects(job: TableIngest) -> ir.Table | None:
    """Return the hashes of keys that may occur more than once, in the delivery or in the store; None without any."""
    key = job.table.key
    kinds = {column.name: column.kind for column in job.table.columns if column.name in key}
    values = {name: sources.cast_column(sources.trim(job.raw[name]), kind) for name, kind in kinds.items()}
    # a missing key breaks a rule and shares nothing
    keys = job.raw.select(**values).drop_null(list(key))
    keys = keys.mutate(**{deduplication.KEY_HASH: deduplication.key_hash(keys, key)})
    stored = None if job.stored is None else job.stored.select(*key)
    return job.kept("suspects", deduplication.find_shared_keys(keys, stored, key))


def _shares(job: TableIngest, rows: ir.Table, suspects: ir.Table | None) -> ir.BooleanValue:
    if suspects is None:
        return ibis.literal(False)
    return deduplication.key_hash(rows, job.table.key).isin(suspects[deduplication.KEY_HASH]).fill_null(False)


def _with_stored(job: TableIngest, rows: ir.Table) -> ir.Table:
    """Return the rows and the stored rows that hold their keys, told apart by `stored`."""
    names = job.table.column_names
    columns = [*_stored_columns(job.table), ROW_NUMBER, "rule", "rules", *(f"{_RAW}{name}" for name in names)]
    texts = {f"{_RAW}{name}": rows[f"{_RAW}{name}"].cast(dt.string) for name in names}
    delivered = rows.mutate(**texts).select(*columns, stored=ibis.literal(False))
    stored, key = job.stored, list(job.table.key)
    if stored is None:
        return delivered
    # Mostly none is held, and asking so takes the key's columns, a fifth of the time that all of them take.
    held = job.kept("held", stored.select(*key).semi_join(rows, key))
    if held is None:
        return delivered
    blank = {name: ibis.null(dt.string) for name in ("rule", "rules", *texts)}
    rivals = stored.semi_join(held, key).mutate(**blank, **{ROW_NUMBER: ibis.null(dt.int64)})
    return delivered.union(rivals.select(*columns, stored=ibis.literal(True)))


def _as_text(table: Table, rows: ir.Table) -> ir.Table:
    """Return the rows as delivered, as text: with their numbers, the first rule that each broke and all of them."""
    texts = {name: rows[f"{_RAW}{name}"].cast(dt.string) for name in table.column_names}
    every = rows.rules.nullif("").coalesce(rows.rule)
    return rows.select(ROW_NUMBER, **texts, row=ibis.null(dt.string), rule=rows.rule, rules=every)


@dataclass(frozen=True)
class IngestFolders:
    """Where one table's results go, and where its intermediate files may lie meanwhile."""

    accepted: Path
    quarantined: Path
    work: Path


def ingest_table(
    engine: Backend, table: Table, source: Source, known: IngestContext, folders: IngestFolders
) -> TableReport:
    """Judge every row of `source`, write both files and return the counts, which add up.

    Example: ten orders, of which two are negative and one is a copy, give seven accepted rows.
    """
    raw = engine.read_parquet(literal(source.path), file_row_number=True)
    raw = raw.mutate(**{ROW_NUMBER: raw[ROW_NUMBER] if source.numbered else raw[ROW] + 1})
    job = TableIngest(engine, table, raw, known, folders.work, _codes(engine, table))
    fates = validate_rows(job)
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
