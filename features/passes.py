"""One pass over the tiles for many sellers and midnights: expressions in, tables out. What is executed, is so here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from features.engines.duckdb import engine_errors, open_engine, out_of_memory, workspace
from features.errors import StoreError
from features.expressions import Measure
from features.facts import LOAN_TABLES
from features.measures import prepared
from features.measures.scope import PAIR, Scope, scope_of
from features.tile_store import current_tiles

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

    from features.intake import OperatingStore

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


def over_pairs(
    store: OperatingStore,
    pairs: pd.DataFrame,
    expressions: Callable[[Sources, Scope], Mapping[str, ir.Table]],
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
    with reading(store), open_engine(threads) as engine, workspace(engine) as keep:
        found = current_tiles(engine, store)
        tables = {name: engine.read_parquet([str(file) for file in files]) for name, files in found.files.items()}
        tables |= parties(engine, store) | _accepted(engine, store, LOAN_TABLES)
        asked = _asked(pairs)
        tables |= {name: keep(table) for name, table in prepared(tables, wanted, _span(asked)).items()}
        sources = Sources(tables, found.known_since, found.begins)
        return computed(engine, tables, pairs, lambda scope: expressions(sources, scope))


def parties(engine: Backend, store: OperatingStore) -> dict[str, ir.Table]:
    """Return the accepted versions of sellers and stores."""
    return _accepted(engine, store, ("sellers", "stores"))


def _accepted(engine: Backend, store: OperatingStore, names: Iterable[str]) -> dict[str, ir.Table]:
    files = {name: store.files(name) for name in names}
    return {name: engine.read_parquet([str(file) for file in found]) for name, found in files.items() if found}


def computed(
    engine: Backend,
    tables: Mapping[str, ir.Table],
    pairs: pd.DataFrame,
    expressions: Callable[[Scope], Mapping[str, ir.Table]],
) -> dict[str, pa.Table]:
    """Compute expressions of pairs chunk by chunk, for `tables` that hold `sellers` and `stores`."""
    import pyarrow as pa

    parts = [_chunk(engine, tables, part, expressions) for part in _chunks(_asked(pairs))]
    return {name: pa.concat_tables([part[name] for part in parts]) for name in parts[0]}


def indexed(table: pa.Table) -> pd.DataFrame:
    """Return a table of pairs as a frame, indexed and sorted by (seller_id, as_of)."""
    found: pd.DataFrame = table.to_pandas(date_as_object=False).set_index(INDEX).sort_index()
    return found


def _asked(pairs: pd.DataFrame) -> pa.Table:
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
    expressions: Callable[[Scope], Mapping[str, ir.Table]],
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
def reading(store: OperatingStore) -> Iterator[None]:
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
