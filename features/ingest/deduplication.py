"""Deduplication: identical rows are dropped, and of rows with one key and different content one is accepted.

A stored row wins over delivered ones, then the row known first, then the one that sorts first. The result depends
only on the rows, not on their order in a file or on threads.
"""

import operator
from collections.abc import Sequence
from functools import reduce
from typing import Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.ingest.rules import KEY_CONFLICT, RATE_UNKNOWN
from features.schema import Table

KEY_HASH: Final = "key_hash"

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"
REJECTED: Final = "rejected"


@ibis.udf.scalar.builtin(name="hash", signature=((dt.string,), dt.uint64))  # type: ignore[untyped-decorator]
def _hash(key: str) -> int:  # type: ignore[empty-body]
    """Return the engine's own hash; Ibis' `hash()` goes through a bit string and takes ten times as long."""


def key_hash(rows: ir.Table, key: Sequence[str]) -> ir.IntegerValue:
    """Return a number that is equal for equal keys; different keys can have the same number."""
    texts = [rows[name].cast(dt.string) for name in key]
    # DuckDB's hash gives one in 25 sequential IDs the hash of another; that of the text shifted by one tells them apart
    return reduce(operator.xor, (_hash(part) for text in texts for part in (text, text.substr(1))))


def find_shared_keys(delivered: ir.Table, stored: ir.Table | None, key: Sequence[str]) -> ir.Table:
    """Return the hashes of keys that occur twice in the delivery, or in the delivery and in the store.

    `delivered` also has KEY_HASH: hashes of 20 million rows fit into memory, and their keys do not. The few keys of a
    day's delivery are looked up in the store without hashing every stored row.
    """
    repeated = delivered.group_by(KEY_HASH).having(delivered.count() > 1).agg()
    if stored is None:
        return repeated
    in_store = delivered.semi_join(stored.semi_join(delivered, key), key)
    return repeated.union(in_store.select(KEY_HASH), distinct=True)


def resolve_duplicates(rows: ir.Table, table: Table) -> ir.Table:
    """Append `status` (ACCEPTED, DUPLICATE or REJECTED) to delivered and stored rows of which some share a key.

    `rows` has the contract's columns, `stored` and `rule`. Rows that broke a rule are rejected without comparison,
    except those that only lack a rate: they are duplicates if the store has the same content.
    """
    rows = rows.mutate(competes=rows.rule.isnull() | (rows.rule == RATE_UNKNOWN))
    content = ["competes", *table.column_names]
    rows = rows.mutate(
        content_stored=rows.stored.max().over(group_by=content),
        copy=ibis.row_number().over(group_by=content, order_by=[rows.stored.desc()]),
    )
    preference = [rows.content_stored.desc(), rows.rule.notnull(), rows.known_at, *(rows[name] for name in content)]
    rows = rows.mutate(rank=ibis.rank().over(group_by=["competes", *table.key], order_by=preference))
    status = ibis.cases(
        (rows.competes & rows.content_stored & ~rows.stored, DUPLICATE),
        (rows.rule.notnull() | (rows["rank"] > 0), REJECTED),
        (rows["copy"] > 0, DUPLICATE),
        else_=ACCEPTED,
    )
    rule = ibis.ifelse(status == REJECTED, rows.rule.coalesce(KEY_CONFLICT), None)
    return rows.mutate(status=status, rule=rule).drop("competes", "content_stored", "copy", "rank")
