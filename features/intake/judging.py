"""The fate of each row of one table: accepted, or set aside with its rule, or a duplicate.

The file is read three times: to find keys that occur twice, to find the rows that have one or break a rule, and to give
all others. Only the few that were found are looked at again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features import asof
from features.intake import casting, contest, delivery, money, rules
from features.intake.columns import ROW
from features.intake.job import Job, read_files
from features.intake.sources import ROW_NUMBER
from features.schema import Kind, Table

_RAW: Final = "raw_"


@dataclass(frozen=True)
class Judged:
    """Rows to be written as accepted, rows to be set aside as text with their rule, and duplicates in number."""

    accepted: ir.Table
    rejected: ir.Table
    duplicates: int


def _stored_columns(table: Table) -> list[str]:
    """Return the columns of an accepted file: the contract's, then what intake derives."""
    return [*table.column_names, *(["amount_micros"] if table.money else []), "visible_from"]


def _cast(job: Job, raw: ir.Table) -> ir.Table:
    """Return rows with raw and cast columns, and what follows from them before any rule is asked."""
    trimmed = {column.name: casting.trimmed(raw[column.name]) for column in job.table.columns}
    rows = raw.select(
        ROW,
        ROW_NUMBER,
        **{f"{_RAW}{name}": value for name, value in trimmed.items()},
        **{column.name: casting.typed(trimmed[column.name], column.kind) for column in job.table.columns},
    )
    known_at = _computable(rows.known_at)
    if job.table.event_time is None:
        return rows.mutate(visible_from=asof.visible_from(None, known_at))
    event = _computable(rows[job.table.event_time])
    return rows.mutate(visible_from=asof.visible_from(event, known_at), event_day=event.cast("date"))


def _computable(time: ir.TemporalValue) -> ir.TemporalValue:
    """Return `time` where a day can be added to it; a rule turns the others away."""
    return ibis.ifelse(time.cast("date").between(delivery.FIRST_DAY, rules.LAST_DAY), time, ibis.null(time.type()))


def _rules(job: Job, rows: ir.Table) -> list[list[rules.Rule]]:
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


def _checked(job: Job, rows: ir.Table, answers: ir.Table | None, *, every: bool = False) -> ir.Table:
    """Append `rule`, the first that each row broke, and `amount_micros` where the table has money.

    With `every`, append `rules` too, all that each row broke: for the few rows that are quarantined.
    """
    groups = _rules(job, rows)
    marks = {"rule": rules.first_broken([rule for group in groups for rule in group])}
    if every:
        marks["rules"] = rules.every_broken(groups)
    rows = _measured(job, rows.mutate(**marks), answers)
    if job.table.money is None:
        return rows
    rateless = ibis.ifelse(rows.usd_per_unit.isnull(), rules.RATE_UNKNOWN, None)
    too_large = ibis.ifelse(rows.amount_micros.isnull(), f"{job.table.money}_too_large", None)
    rows = rows.mutate(rule=rows.rule.coalesce(rateless, too_large))
    return _with_money_rules(job, rows, job.table.money) if every else rows


def _with_money_rules(job: Job, rows: ir.Table, money: str) -> ir.Table:
    """Add to `rules` what can be told of an amount only after its conversion, unless its own columns explain it."""
    datable = rows.event_day.notnull() & rows.visible_from.notnull() & rows.currency.isin(job.codes[Kind.CURRENCY])
    rate_unknown = (rules.RATE_UNKNOWN, rows.usd_per_unit.isnull() & datable)
    dear = rows.amount_micros.isnull() & rows.usd_per_unit.notnull() & ~rows.rules.contains(f"{money}_")
    more = rules.every_broken([[rate_unknown], [(f"{money}_too_large", dear)]])
    return rows.mutate(rules=rules.joined(rows.rules, more))


def _measured(job: Job, rows: ir.Table, answers: ir.Table | None) -> ir.Table:
    """Return rows with whole counts, and with `amount_micros` where the table has money."""
    counts = [column.name for column in job.table.columns if column.kind is Kind.COUNT]
    rows = rows.mutate(**{name: rows[name].try_cast(dt.int64) for name in counts})
    return rows if job.table.money is None else money.with_micros(rows, job.table.money, job.known.rates, answers)


def judged(job: Job) -> Judged:
    """Part the rows that stand alone, whose rule says all, from those that share a key, which must contest it."""
    rows = job.named(_cast(job, job.raw))
    answers = _answers(job, rows)
    suspects = _suspects(job)
    checked = _checked(job, rows, answers)
    checked = checked.mutate(shares=_shares(job, checked, suspects))
    found = job.kept("found", checked.filter(checked.shares | checked.rule.notnull()).select(ROW, "rule", "shares"))
    if found is None:
        return Judged(_accepted(job, rows, answers), _nothing(job.table), 0)
    alone = Judged(
        _accepted(job, rows.anti_join(found, ROW), answers), _rejected(job, found.filter(~found.shares), answers), 0
    )
    if suspects is None:
        return alone
    sharing = job.kept("sharing", _cast(job, job.raw.semi_join(found.filter(found.shares), ROW)))
    return alone if sharing is None else _contested(job, alone, sharing, answers)


def _accepted(job: Job, rows: ir.Table, answers: ir.Table | None) -> ir.Table:
    return _measured(job, rows, answers).select(_stored_columns(job.table))


def _rejected(job: Job, broken: ir.Table, answers: ir.Table | None) -> ir.Table:
    # found by their numbers before anything is cast
    rows = _cast(job, job.raw.semi_join(broken, ROW))
    return _as_text(job.table, _checked(job, rows, answers, every=True))


def _nothing(table: Table) -> ir.Table:
    """Return what `_as_text` would of no rows."""
    texts = dict.fromkeys((*table.column_names, "row", "rule", "rules"), "string")
    return ibis.memtable([], schema={ROW_NUMBER: "int64", **texts})


def _contested(job: Job, alone: Judged, sharing: ir.Table, answers: ir.Table | None) -> Judged:
    """Add what becomes of the rows that share a key with others."""
    checked = _checked(job, sharing, answers, every=True)
    fates = job.kept("fates", contest.decided(_with_stored(job, checked), job.table))
    if fates is None:
        return alone
    delivered = fates.filter(~fates.stored)
    won = delivered.filter(delivered.fate == contest.ACCEPTED).select(_stored_columns(job.table))
    lost = delivered.filter(delivered.fate == contest.REJECTED)
    duplicates = delivered.filter(delivered.fate == contest.DUPLICATE).count().to_pyarrow().as_py()
    return Judged(alone.accepted.union(won), alone.rejected.union(_as_text(job.table, lost)), int(duplicates))


def _answers(job: Job, rows: ir.Table) -> ir.Table | None:
    asked = money.asked_rates(rows, job.known.rates) if job.table.money else None
    return None if asked is None else job.kept("rates", asked)


def _suspects(job: Job) -> ir.Table | None:
    """Return the hashes of keys that may occur more than once, in the delivery or in the store; None without any."""
    key = job.table.key
    kinds = {column.name: column.kind for column in job.table.columns if column.name in key}
    values = {name: casting.typed(casting.trimmed(job.raw[name]), kind) for name, kind in kinds.items()}
    # a missing key breaks a rule and shares nothing
    keys = job.raw.select(**values).drop_null(list(key))
    keys = keys.mutate(**{contest.KEY_HASH: contest.key_hash(keys, key)})
    stored = None if job.stored is None else job.stored.select(*key)
    return job.kept("suspects", contest.suspects(keys, stored, key))


def _shares(job: Job, rows: ir.Table, suspects: ir.Table | None) -> ir.BooleanValue:
    if suspects is None:
        return ibis.literal(False)
    return contest.key_hash(rows, job.table.key).isin(suspects[contest.KEY_HASH]).fill_null(False)


def _with_stored(job: Job, rows: ir.Table) -> ir.Table:
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
