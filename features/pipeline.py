"""The pipeline: accepted operating data and (seller, midnight) pairs in, feature frame out.

    accepted rows -> daily tiles -> measures of each pair -> features

Every step is an Ibis expression, so that one definition runs on every engine; only `frame` and what follows execute.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Final

from features.catalogue import CATALOGUE, Feature
from features.catalogue.definition import measures_in
from features.engines.duckdb import engine_errors, open_engine, out_of_memory, workspace
from features.errors import StoreError
from features.evaluate import value_of
from features.expressions import Measure
from features.measures import prepared
from features.measures.scope import PAIR, Scope, column, scope_of
from features.measures.table import measure_table
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


def feature_table(
    tiles: Mapping[str, ir.Table],
    scope: Scope,
    known_since: Mapping[str, date],
    catalogue: Sequence[Feature] = CATALOGUE,
) -> ir.Table:
    """Return the expression of a frame: one row per pair, a double per feature in catalogue order, null if missing.

    Args:
        tiles: tiles by name; those of a table that was never delivered are absent.
        scope: the pairs asked for, and what each holds as of then.
        known_since: the first midnight at which any row of a table was visible; as of earlier ones, and for tables
            not named, what rests on the table is missing.
        catalogue: the features to compute.
    """
    return featured(measure_table(tiles, scope, known_since, measures_in(catalogue)), catalogue)


def featured(measured: ir.Table, catalogue: Sequence[Feature], also: Mapping[str, ir.Value] | None = None) -> ir.Table:
    """Return seller_id, as_of and a column per feature, from a table of their measures.

    Args:
        measured: as `measure_table` makes it, of the catalogue's measures at least.
        catalogue: the features.
        also: further columns of `measured` to keep, by the name that they get.
    """
    doubles = {column(item): measured[column(item)].cast("float64") for item in measures_in(catalogue)}
    known = measured.select(*INDEX, **doubles, **(also or {}))
    values = {feature.name: value_of(feature.expression, known).cast("float64") for feature in catalogue}
    return known.select(*INDEX, **values, **{name: known[name] for name in also or {}})


def frame(
    store: OperatingStore, pairs: pd.DataFrame, catalogue: Sequence[Feature] = CATALOGUE, threads: int | None = None
) -> pd.DataFrame:
    """Compute features for (seller, midnight) pairs.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of` (dates or timestamps at midnight); doubles are computed once.
        catalogue: the features to compute.
        threads: how many the engine may use; the values do not depend on it.

    Returns:
        A frame of float64 columns in catalogue order, NaN where missing, indexed and sorted by (seller_id, as_of).
    """

    def expression(tables: Mapping[str, ir.Table], scope: Scope, since: Mapping[str, date]) -> ir.Table:
        return feature_table(tables, scope, since, catalogue)

    return indexed(over_pairs(store, pairs, expression, measures_in(catalogue), threads)).astype("float64")


def over_pairs(
    store: OperatingStore,
    pairs: pd.DataFrame,
    expression: Callable[[Mapping[str, ir.Table], Scope, Mapping[str, date]], ir.Table],
    wanted: Collection[Measure],
    threads: int | None = None,
) -> pa.Table:
    """Compute an expression of tiles and scope for (seller, midnight) pairs, chunk by chunk; rows have no order.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of`, as for `frame`.
        expression: makes a table of the tiles by name (`sellers` and `stores` among them), the scope, and the first
            midnight at which each table was known.
        wanted: the measures that it rests on.
        threads: how many the engine may use.
    """
    import pyarrow as pa

    with _reading(store), open_engine(threads) as engine, workspace(engine) as keep:
        found = current_tiles(engine, store)
        tables = {name: engine.read_parquet([str(file) for file in files]) for name, files in found.files.items()}
        tables |= {name: engine.read_parquet([str(f) for f in store.files(name)]) for name in ("sellers", "stores")}
        asked = _asked(pairs)
        tables |= {name: keep(table) for name, table in prepared(tables, wanted, _span(asked)).items()}
        parts = [
            _chunk(engine, tables, part, lambda scope: expression(tables, scope, found.known_since))
            for part in _chunks(asked)
        ]
    return pa.concat_tables(parts)


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
    engine: Backend, tables: Mapping[str, ir.Table], asked: pa.Table, features: Callable[[Scope], ir.Table]
) -> pa.Table:
    import ibis

    with workspace(engine) as keep:
        scope = scope_of(keep(ibis.memtable(asked)), tables["sellers"], tables["stores"], _span(asked), keep)
        return features(scope).to_pyarrow()


def _span(asked: pa.Table) -> tuple[date, date]:
    import pyarrow.compute as pc

    days = pc.min_max(asked["as_of"]).as_py()
    return days["min"] or _ANY_DAY, days["max"] or _ANY_DAY


def all_sellers(store: OperatingStore, as_of: date) -> pd.DataFrame:
    """Return the pairs of every seller whom the platform knew as of a midnight, for `frame`."""
    with _reading(store), open_engine() as engine:
        sellers = engine.read_parquet([str(file) for file in store.files("sellers")])
        known = sellers.filter(sellers.visible_from <= as_of).select("seller_id").distinct().to_pyarrow()
    pairs: pd.DataFrame = known.to_pandas().assign(as_of=as_of)
    return pairs


def described(store: OperatingStore, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each seller as of each midnight that is no feature: for reports by segment.

    Args:
        store: accepted operating data.
        pairs: columns `seller_id` and `as_of`, as for `frame`.

    Returns:
        Columns `country`, and `marketplace`, that of the oldest store held; missing where nothing was known. Indexed
        and sorted by (seller_id, as_of).
    """
    import pyarrow as pa

    with _reading(store), open_engine() as engine:
        parties = {name: engine.read_parquet([str(f) for f in store.files(name)]) for name in ("sellers", "stores")}
        parts = [_chunk(engine, parties, asked, _descriptions) for asked in _chunks(_asked(pairs))]
    return indexed(pa.concat_tables(parts))


def _descriptions(scope: Scope) -> ir.Table:
    held = scope.held.group_by(PAIR).agg(marketplace=scope.held.marketplace.argmin(scope.held.opened_at))
    return scope.pairs.left_join(held, PAIR).select(*INDEX, "country", "marketplace")


def accepted_rows(store: OperatingStore, table: str) -> pd.DataFrame:
    """Return all accepted rows of a table, for what is small enough to hold, such as loans.

    Raises:
        StoreError: a stored file is missing or damaged.
    """
    with _reading(store), open_engine() as engine:
        rows = engine.read_parquet([str(file) for file in store.files(table)]).to_pyarrow()
    held: pd.DataFrame = rows.to_pandas(date_as_object=False)
    return held


def latest_midnight(store: OperatingStore) -> date:
    """Return the midnight through which orders were delivered: the date of an online vector.

    Other tables may reach further, but days without orders would show every seller as one who has stopped.

    Raises:
        StoreError: no day of orders is covered.
    """
    covered = covered_days(store).get("orders")
    if covered is None:
        raise StoreError("The store covers no day of orders, on which every feature rests; ingest orders first.")
    return covered


def covered_days(store: OperatingStore) -> dict[str, date]:
    """Return the midnight through which each table of the catalogue was delivered; those never delivered are absent."""
    used = frozenset().union(*(feature.tables for feature in CATALOGUE))
    return {name: day for name, day in store.covers_through.items() if name in used}


@contextmanager
def _reading(store: OperatingStore) -> Iterator[None]:
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
