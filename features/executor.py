"""One pass over the tiles for many sellers and midnights: expressions in, tables out. What is executed, is so here.

Arithmetic of features on measures, as Ibis expressions: what cannot be known is missing, and missing spreads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from features.engines.duckdb import engine_errors, open_engine, out_of_memory, workspace
from features.errors import StoreError
from features.expressions import Arithmetic, Expr, Greatest, Least, LeastKnown, Measure, Number, Root
from features.facts import LOAN_TABLES
from features.measures import prepared
from features.measures.scope import PAIR, PairScope, column_name, scope_of
from features.store.tiles import current_tiles

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

    from features.ingest import OperatingStore


INDEX: Final = ["seller_id", "as_of"]


_CHUNK: Final = 130_000
"""Pairs computed at a time: memory follows it, not the length of the frame."""


_ANY_DAY: Final = date(2000, 1, 1)  # stands for the midnights of no pairs at all


@dataclass(frozen=True)
class Sources:
    """What expressions are made of: tiles, accepted parties and loans by name, and since when each table was known.

    `begins` is the day on which the platform began to record a table, for tables of which it was declared.
    """

    tables: Mapping[str, ir.Table]
    known_since: Mapping[str, date]
    begins: Mapping[str, date]


def compute_for_pairs(
    store: OperatingStore,
    pairs: pd.DataFrame,
    expressions: Callable[[Sources, PairScope], Mapping[str, ir.Table]],
    wanted: Collection[Measure] = (),
    threads: int | None = None,
) -> dict[str, pa.Table]:
    """Compute expressions of (seller, midnight) pairs and return each by its name; rows have no order.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of`, as for `frame`.
        expressions: makes them from the sources and who sees what; the number of a pair holds within a chunk alone.
        wanted: measures that they rest on.
        threads: how many the engine may use.
    """
    with map_engine_errors(store), open_engine(threads) as engine, workspace(engine) as keep:
        found = current_tiles(engine, store)
        tables = {name: engine.read_parquet([str(file) for file in files]) for name, files in found.files.items()}
        tables |= parties(engine, store) | _accepted(engine, store, LOAN_TABLES)
        asked = _requested(pairs)
        tables |= {name: keep(table) for name, table in prepared(tables, wanted, _span(asked)).items()}
        sources = Sources(tables, found.known_since, found.begins)
        return compute_in_chunks(engine, tables, pairs, lambda scope: expressions(sources, scope))


def parties(engine: Backend, store: OperatingStore) -> dict[str, ir.Table]:
    """Return the accepted versions of sellers and stores."""
    return _accepted(engine, store, ("sellers", "stores"))


def _accepted(engine: Backend, store: OperatingStore, names: Iterable[str]) -> dict[str, ir.Table]:
    files = {name: store.files(name) for name in names}
    return {name: engine.read_parquet([str(file) for file in found]) for name, found in files.items() if found}


def compute_in_chunks(
    engine: Backend,
    tables: Mapping[str, ir.Table],
    pairs: pd.DataFrame,
    expressions: Callable[[PairScope], Mapping[str, ir.Table]],
) -> dict[str, pa.Table]:
    """Compute expressions of pairs chunk by chunk, for `tables` that hold `sellers` and `stores`."""
    import pyarrow as pa

    parts = [_chunk(engine, tables, part, expressions) for part in _chunks(_requested(pairs))]
    return {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}


def index_by_pair(table: pa.Table) -> pd.DataFrame:
    """Return a table of pairs as a frame, indexed and sorted by (seller_id, as_of)."""
    found: pd.DataFrame = table.to_pandas(date_as_object=False).set_index(INDEX).sort_index()
    return found


def _requested(pairs: pd.DataFrame) -> pa.Table:
    """Return the distinct pairs, those of a seller together: what his midnights share is computed once a chunk."""
    import pyarrow as pa

    days = pairs["as_of"].dt.date if hasattr(pairs["as_of"], "dt") else pairs["as_of"]
    asked = pa.table(
        {"seller_id": pa.array(pairs["seller_id"].astype(object), pa.string()), "as_of": pa.array(days, pa.date32())}
    )
    return asked.group_by(INDEX).aggregate([]).sort_by([("seller_id", "ascending"), ("as_of", "ascending")])


def _chunks(asked: pa.Table) -> Iterator[pa.Table]:
    """Yield the pairs in chunks of one query each, at least one, numbered from 0."""
    import pyarrow as pa

    for start in range(0, max(asked.num_rows, 1), _CHUNK):
        part = asked.slice(start, _CHUNK)
        yield part.append_column(PAIR, pa.array(range(part.num_rows), pa.int32()))


def _chunk(
    engine: Backend,
    tables: Mapping[str, ir.Table],
    asked: pa.Table,
    expressions: Callable[[PairScope], Mapping[str, ir.Table]],
) -> dict[str, pa.Table]:
    import ibis

    with workspace(engine) as keep:
        scope = scope_of(keep(ibis.memtable(asked)), tables["sellers"], tables["stores"], _span(asked), keep)
        return {name: table.to_pyarrow() for name, table in expressions(scope).items()}


def _span(asked: pa.Table) -> tuple[date, date]:
    import pyarrow.compute as pc

    days = pc.min_max(asked["as_of"]).as_py()
    return days["min"] or _ANY_DAY, days["max"] or _ANY_DAY


@contextmanager
def map_engine_errors(store: OperatingStore) -> Iterator[None]:
    """Turn what the engine refuses of a store's files into one sentence."""
    try:
        yield
    except engine_errors() as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, out_of_memory()):
            raise StoreError(f"Memory does not suffice ({reason}); ask for fewer sellers at a time.") from error
        remedy = (
            f"delete {store.folder / 'tiles'}, which is made anew from accepted rows"
            if f"{store.folder / 'tiles'}/" in reason
            else "restore them from a backup"
        )
        raise StoreError(f"The operating data in {store.folder} cannot be read ({reason}); {remedy}.") from error


def value_of(expression: Expr, known: ir.Table) -> ir.Value:
    """Return the value of an expression, a double, from a table with a column per measure (see `column`).

    Example: `Total("refunded", 90) / Total("gross", 90)` is null where nothing was sold.
    """
    import ibis

    match expression:
        case Measure():
            return known[column_name(expression)]
        case Number(number):
            return ibis.literal(number, "float64")
        case Root(inner):
            return value_of(inner, known).sqrt()
        case Least(several) | LeastKnown(several) | Greatest(several):
            return _extreme(expression, [value_of(each, known) for each in several])
        case Arithmetic(operator, left, right):
            return _arithmetic(operator, value_of(left, known), value_of(right, known))
    raise TypeError(f"{type(expression).__name__} is not an expression that the pipeline knows")


def _arithmetic(operator: str, left: ir.NumericValue, right: ir.NumericValue) -> ir.NumericValue:
    import ibis

    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return ibis.ifelse(right > 0, left / right, ibis.null("float64"))


def _extreme(expression: Least | LeastKnown | Greatest, values: list[ir.NumericValue]) -> ir.NumericValue:
    import ibis

    found: ir.NumericValue = ibis.greatest(*values) if isinstance(expression, Greatest) else ibis.least(*values)
    if isinstance(expression, LeastKnown):
        return found  # engines skip nulls
    some_missing = values[0].isnull()
    for value in values[1:]:
        some_missing |= value.isnull()
    return ibis.ifelse(some_missing, ibis.null("float64"), found)
