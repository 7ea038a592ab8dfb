"""Execution of expressions on DuckDB: for many sellers and midnights at once, in chunks of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from features.engines.duckdb import engine_errors, open_engine, out_of_memory, read_parquet, workspace
from features.errors import StoreError
from features.expressions import Arithmetic, Expr, Greatest, LeastKnown, Measure, Number, Root, Several
from features.facts import LOAN_TABLES
from features.measures import prepare_tables
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
"""Pairs computed at a time; memory depends on it, not on the number of pairs."""

_ANY_DAY: Final = date(2000, 1, 1)  # the midnight of no pairs


@dataclass(frozen=True)
class Sources:
    """The inputs of expressions.

    Attributes:
        tables: tiles, and accepted sellers, stores and loans, by name.
        known_since: the first midnight at which any row of a table was visible.
        begins: the day on which the platform began to record a table, if declared.
    """

    tables: Mapping[str, ir.Table]
    known_since: Mapping[str, date]
    begins: Mapping[str, date]


def compute_for_pairs(
    store: OperatingStore,
    pairs: pd.DataFrame,
    expressions: Callable[[Sources, PairScope], Mapping[str, ir.Table]],
    measures: Collection[Measure] = (),
    threads: int | None = None,
) -> dict[str, pa.Table]:
    """Compute expressions, which use `measures`, for (seller, midnight) pairs; return the results by name, unordered.

    The number of a pair is valid within one chunk.
    """
    with (
        map_engine_errors(store),
        open_engine(threads) as engine,
        current_tiles(engine, store) as current,
        workspace(engine) as keep,
    ):
        tables = {name: read_parquet(engine, files) for name, files in current.files.items()}
        tables |= parties(engine, store) | _accepted(engine, store, LOAN_TABLES)
        prepared = prepare_tables(tables, measures, _span(_distinct_pairs(pairs)))
        tables |= {name: keep(table) for name, table in prepared.items()}
        sources = Sources(tables, current.known_since, current.begins)
        return compute_in_chunks(engine, tables, pairs, lambda scope: expressions(sources, scope))


def parties(engine: Backend, store: OperatingStore) -> dict[str, ir.Table]:
    """Return the accepted versions of sellers and stores."""
    return _accepted(engine, store, ("sellers", "stores"))


def _accepted(engine: Backend, store: OperatingStore, names: Iterable[str]) -> dict[str, ir.Table]:
    files = {name: store.files(name) for name in names}
    return {name: read_parquet(engine, paths) for name, paths in files.items() if paths}


def compute_in_chunks(
    engine: Backend,
    tables: Mapping[str, ir.Table],
    pairs: pd.DataFrame,
    expressions: Callable[[PairScope], Mapping[str, ir.Table]],
) -> dict[str, pa.Table]:
    """Compute expressions for pairs, chunk by chunk; `tables` must include `sellers` and `stores`."""
    import pyarrow as pa

    parts = [_compute_chunk(engine, tables, chunk, expressions) for chunk in _chunks(_distinct_pairs(pairs))]
    return {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}


def _compute_chunk(
    engine: Backend,
    tables: Mapping[str, ir.Table],
    chunk: pa.Table,
    expressions: Callable[[PairScope], Mapping[str, ir.Table]],
) -> dict[str, pa.Table]:
    import ibis

    with workspace(engine) as keep:
        scope = scope_of(keep(ibis.memtable(chunk)), tables["sellers"], tables["stores"], _span(chunk), keep)
        return {name: table.to_pyarrow() for name, table in expressions(scope).items()}


def _distinct_pairs(pairs: pd.DataFrame) -> pa.Table:
    """Return the distinct pairs, sorted by seller, so that the pairs of a seller are in one chunk."""
    import pyarrow as pa

    days = pairs["as_of"].dt.date if hasattr(pairs["as_of"], "dt") else pairs["as_of"]
    table = pa.table(
        {"seller_id": pa.array(pairs["seller_id"].astype(object), pa.string()), "as_of": pa.array(days, pa.date32())}
    )
    return table.group_by(INDEX).aggregate([]).sort_by([("seller_id", "ascending"), ("as_of", "ascending")])


def _chunks(pairs: pa.Table) -> Iterator[pa.Table]:
    """Yield the pairs in chunks, at least one, numbered from 0."""
    import pyarrow as pa

    for start in range(0, max(pairs.num_rows, 1), _CHUNK):
        chunk = pairs.slice(start, _CHUNK)
        yield chunk.append_column(PAIR, pa.array(range(chunk.num_rows), pa.int32()))


def _span(pairs: pa.Table) -> tuple[date, date]:
    import pyarrow.compute as pc

    days = pc.min_max(pairs["as_of"]).as_py()
    return days["min"] or _ANY_DAY, days["max"] or _ANY_DAY


def index_by_pair(table: pa.Table) -> pd.DataFrame:
    """Return a table of pairs as a frame, indexed and sorted by (seller_id, as_of)."""
    frame: pd.DataFrame = table.to_pandas(date_as_object=False).set_index(INDEX).sort_index()
    return frame


@contextmanager
def map_engine_errors(store: OperatingStore) -> Iterator[None]:
    """Turn engine errors about a store's files into a `StoreError` with a remedy."""
    try:
        yield
    except engine_errors() as error:
        reason = str(error).splitlines()[0]
        if isinstance(error, out_of_memory()):
            raise StoreError(f"Memory does not suffice ({reason}); ask for fewer sellers at a time.") from error
        tiles = store.folder / "tiles"
        damaged = f"{tiles}/" in reason
        remedy = f"delete {tiles}; it is rebuilt from accepted rows" if damaged else "restore them from a backup"
        raise StoreError(f"The operating data in {store.folder} cannot be read ({reason}); {remedy}.") from error


def value_of(expression: Expr, known: ir.Table) -> ir.Value:
    """Return the value of an expression, a double, from a table with a column per measure (see `column_name`).

    Example: `Total("refunded", 90) / Total("gross", 90)` is null without sales.
    """
    import ibis

    match expression:
        case Measure():
            return known[column_name(expression)]
        case Number(number):
            return ibis.literal(number, "float64")
        case Root(inner):
            return value_of(inner, known).sqrt()
        case Several(values):
            return _choose(expression, [value_of(value, known) for value in values])
        case Arithmetic(operator, left, right):
            return _arithmetic(operator, value_of(left, known), value_of(right, known))
    raise TypeError(f"{type(expression).__name__} is not a supported expression.")


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


def _choose(expression: Several, values: list[ir.NumericValue]) -> ir.NumericValue:
    import ibis

    value: ir.NumericValue = ibis.greatest(*values) if isinstance(expression, Greatest) else ibis.least(*values)
    if isinstance(expression, LeastKnown):
        return value  # engines skip nulls
    missing = values[0].isnull()
    for other in values[1:]:
        missing |= other.isnull()
    return ibis.ifelse(missing, ibis.null("float64"), value)
