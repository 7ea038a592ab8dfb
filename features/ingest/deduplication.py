"""Which of several rows with one key counts: identical copies are dropped, and of different contents one wins.

The stored row wins; else the one known first; else the smaller content. The outcome depends on the rows alone, not on
their order in a file or on threads.
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
    """Return a number that is equal for equal keys; different keys may share it, so it finds suspects only."""
    texts = [rows[name].cast(dt.string) for name in key]
    # DuckDB's hash takes one of 25 numbered ids for another; what it takes for another shifted by one is not the same.
    return reduce(operator.xor, (_hash(part) for text in texts for part in (text, text.substr(1))))


def find_shared_keys(delivered: ir.Table, stored: ir.Table | None, key: Sequence[str]) -> ir.Table:
    """Return the hashes of keys that occur twice in the delivery, or in the delivery and in the store.

    Args:
        delivered: the key's columns and KEY_HASH. Within a delivery hashes stand in for keys, because 20 million of
            them fit where the strings do not.
        stored: the key's columns; the few keys of a day's delivery are looked up there without hashing every row.
        key: the key's columns.
    """
    twice = delivered.group_by(KEY_HASH).having(delivered.count() > 1).agg()
    if stored is None:
        return twice
    again = delivered.semi_join(stored.semi_join(delivered, key), key)
    return twice.union(again.select(KEY_HASH), distinct=True)


def resolve_duplicates(rows: ir.Table, table: Table) -> ir.Table:
    """Append `fate` to rows of which some share a key; rows that the store holds already are among them.

    `rows` holds the contract's columns, `stored` and `rule`. Rows that broke a rule stay out of the contest, except
    those that only wait for a rate: where the store holds their content they are duplicates after all.
    """
    rows = rows.mutate(competes=rows.rule.isnull() | (rows.rule == RATE_UNKNOWN))
    content = ["competes", *table.column_names]
    rows = rows.mutate(
        content_stored=rows.stored.max().over(group_by=content),
        copy=ibis.row_number().over(group_by=content, order_by=[rows.stored.desc()]),
    )
    preference = [rows.content_stored.desc(), rows.rule.notnull(), rows.known_at, *(rows[name] for name in content)]
    rows = rows.mutate(place=ibis.rank().over(group_by=["competes", *table.key], order_by=preference))
    fate = ibis.cases(
        (rows.competes & rows.content_stored & ~rows.stored, DUPLICATE),
        (rows.rule.notnull() | (rows.place > 0), REJECTED),
        (rows.copy > 0, DUPLICATE),
        else_=ACCEPTED,
    )
    rule = ibis.ifelse(fate == REJECTED, rows.rule.coalesce(KEY_CONFLICT), None)
    return rows.mutate(fate=fate, rule=rule).drop("competes", "content_stored", "copy", "place")
