"""Tiles added up by seller and step: the facts of each table, the days that it tells of, and distinct buyers.

One row a seller and step, so that twelve steps cost one look at a year of tiles, and little of it in Python. What each
midnight sees is `features.measures.scope`'s to say, as for every feature.

What is computed for the picture when data has landed: one pass over a year of tiles, for all sellers at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.exact import total, whole
from features.executor import Sources, compute_for_pairs
from features.facts import TILE_KEYS
from features.measures.scope import PAIR, PairScope, visible_rows, with_related_party
from features.measures.windows import counts
from features.profile.peers import UNKNOWN, Standings, standings
from features.profile.series import BUYERS, EARLIER, NEW_AFTER, STEP_DAYS, STEPS, SUMS, digest, table_of
from features.store.profiles import Coverage, ProfileSet, Steps, StoredProfile
from features.tiles import ONE_TIME, REPEAT

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa

    from features.ingest import OperatingStore


STEP: Final = "step"


DAYS: Final = "days"
"""Days of a step with at least one row, own-store orders too; refunds and parcels count on their order's day."""


FIRST, LAST, ENDS = "first_ago", "last_ago", "_ends"
"""Days since the first and the last day with a row; what the names of these tables end with."""


TABLES: Final = tuple(TILE_KEYS)


_EVER: Final = 36_500
"""Days back that are more than any platform's history."""


def step_tables(tables: Mapping[str, ir.Table], scope: PairScope) -> Iterator[tuple[str, ir.Table]]:
    """Yield tables of seller_id, `step` (0 the oldest) and whole numbers; a step without rows is absent."""
    for name in TABLES:
        if name in tables:
            yield name, _series_name(_of_table(name, tables[name], scope), scope)
    if ONE_TIME in tables:
        yield ONE_TIME, _series_name(_one_time_buyers(tables[ONE_TIME], scope), scope)


def regular_buyers(tables: Mapping[str, ir.Table], scope: PairScope) -> Iterator[tuple[str, ir.Table]]:
    """Yield seller_id and the columns `of_step` of buyers who came more than once, if any table tells of buyers."""
    if REPEAT in tables:
        yield REPEAT, _series_name(_repeat_buyers(tables[REPEAT], scope), scope)


def first_and_last(tables: Mapping[str, ir.Table], scope: PairScope) -> Iterator[tuple[str, ir.Table]]:
    """Yield, by table, seller_id and how many days ago the seller's first and last day with a row were."""
    for name in TABLES:
        if name in tables:
            rows = visible_rows(tables[name], scope, _EVER)
            ends = rows.group_by(PAIR).agg(**{FIRST: rows.ago.max(), LAST: rows.ago.min()})
            yield f"{name}{ENDS}", _series_name(ends, scope)


def _series_name(rows: ir.Table, scope: PairScope) -> ir.Table:
    pairs = scope.pairs.select(PAIR, "seller_id")
    return rows.inner_join(pairs, PAIR).drop(PAIR)


def _step(rows: ir.Table) -> ir.IntegerValue:
    step: ir.IntegerValue = STEPS - 1 - ((rows.ago - 1) // STEP_DAYS)
    return step.cast("int64")


def _of_table(name: str, tiles: ir.Table, scope: PairScope) -> ir.Table:
    rows = with_related_party(visible_rows(tiles, scope, STEPS * STEP_DAYS), scope)
    sums = {each: whole(total(counts(rows, each))) for each in SUMS if table_of(each) == name and each in rows.columns}
    return rows.group_by(PAIR, **{STEP: _step(rows)}).agg(**{DAYS: rows.ago.nunique()}, **sums)


def _one_time_buyers(tiles: ir.Table, scope: PairScope) -> ir.Table:
    """Return the buyers who came once, who add up like any fact; none of them had come before."""
    rows = visible_rows(tiles, scope, STEPS * STEP_DAYS)
    return rows.group_by(PAIR, **{STEP: _step(rows)}).agg(**{BUYERS: whole(total(rows.buyers))})


def _repeat_buyers(tiles: ir.Table, scope: PairScope) -> ir.Table:
    """Return, in a column a step, buyers who came more than once: those who came, and those who had come before.

    A buyer is a number with a bit for each step in which he came, so he is looked at once for all steps.
    """
    import ibis

    rows = with_related_party(visible_rows(tiles, scope, (STEPS + NEW_AFTER) * STEP_DAYS), scope).filter(
        lambda t: ~t.own & t.buyer_id.notnull()
    )
    bit = ibis.literal(1, "int64") << (_step(rows) + NEW_AFTER)
    buyers = rows.group_by(PAIR, "buyer_id").agg(came=bit.bit_or())
    counts = {}
    for step in range(STEPS):
        now, before = (1 << NEW_AFTER) << step, ((1 << NEW_AFTER) - 1) << step
        came = (buyers.came & now) != 0
        counts[of_step(BUYERS, step)] = buyers.count(where=came)
        counts[of_step(EARLIER, step)] = buyers.count(where=came & ((buyers.came & before) != 0))
    return buyers.group_by(PAIR).agg(**counts)


def of_step(name: str, step: int) -> str:
    """Return the column of a sum that stands in a column a step."""
    return f"{name}_{step}"


SIZE: Final = "settled_net_sales_365d"
"""The feature by which sellers are smaller or larger."""


_CATEGORIES, _KNOWN = "categories", "known"


_SIZE_AT: Final = [feature.name for feature in CATALOGUE].index(SIZE)


Whole = NDArray[np.int64]


@dataclass(frozen=True)
class _Year:
    """Sums and days of all sellers by step, and days since the first and last row; rows as sellers are given."""

    sums: Mapping[str, Whole | None]
    days: Mapping[str, Whole]
    ends: Mapping[str, Whole]


def compute_profiles(store: OperatingStore, features: pd.DataFrame, threads: int | None = None) -> ProfileSet:
    """Compute the pictures of sellers whose features are known, all as of one midnight.

    Args:
        store: accepted operating data.
        features: a frame of the catalogue as of one midnight, as `frame` makes it, of every seller.
        threads: how many the engine may use; nothing depends on it.
    """
    sellers = list(features.index.get_level_values("seller_id"))
    pairs = features.index.to_frame(index=False)
    found = compute_for_pairs(store, pairs, partial(_expressions, buyers=store.names_buyers), threads=threads)
    as_of = pairs["as_of"].iloc[0].date() if sellers else date.min
    categories = dict(zip(*(found[_CATEGORIES][name].to_pylist() for name in ("seller_id", "category")), strict=True))
    values = features.to_numpy()
    compared = standings([categories.get(seller) for seller in sellers], values[:, _SIZE_AT], values)
    return ProfileSet(digest(), _profiles(sellers, as_of, compared, _compute_year(found, sellers)))


def _expressions(sources: Sources, scope: PairScope, *, buyers: bool) -> dict[str, ir.Table]:
    # what nobody has delivered by T is unknown, not zero; so are buyers if no platform names them
    unknown = () if buyers else (ONE_TIME, REPEAT)
    visible = {
        name: table
        for name, table in sources.tables.items()
        if name not in unknown and _is_known(name, sources, scope.last)
    }
    return {
        **dict(step_tables(visible, scope)),
        **dict(regular_buyers(visible, scope)),
        **dict(first_and_last(visible, scope)),
        _CATEGORIES: _categories(sources.tables["sellers"], scope),
    }


def _is_known(tile: str, sources: Sources, as_of: date) -> bool:
    table = tile if tile in TABLES else "orders"
    return table in sources.known_since and sources.known_since[table] <= as_of


def _categories(sellers: ir.Table, scope: PairScope) -> ir.Table:
    """Return seller_id and the category that the latest version of the seller known as of then names."""
    known = scope.pairs.select(PAIR, "seller_id", "as_of").inner_join(sellers, "seller_id")
    known = known.filter(known.visible_from <= known.as_of)
    return known.group_by("seller_id").agg(category=known.category.argmax(known.known_at))


def _compute_year(found: Mapping[str, pa.Table], sellers: Sequence[str]) -> _Year:
    sums: dict[str, Whole | None] = dict.fromkeys(SUMS)
    days: dict[str, Whole] = {}
    ends: dict[str, Whole] = {}
    for name, table in found.items():
        rows = _matrix_rows(table, sellers)
        if STEP in table.column_names:
            place = (rows, table[STEP].to_numpy())
            sums |= {each: _matrix(table, each, place, len(sellers)) for each in SUMS if each in table.column_names}
        if DAYS in table.column_names:
            days[name] = _matrix(table, DAYS, place, len(sellers))
        if name == REPEAT:
            wide = {each: _wide(table, each, rows, len(sellers)) for each in (BUYERS, EARLIER)}
            lone = sums[BUYERS]
            sums |= {EARLIER: wide[EARLIER], BUYERS: wide[BUYERS] if lone is None else wide[BUYERS] + lone}
        if FIRST in table.column_names:
            those = np.full((len(sellers), 2), UNKNOWN, np.int64)
            those[rows] = np.column_stack([table[each].to_numpy() for each in (FIRST, LAST)])
            ends[name.removesuffix(ENDS)] = those
    return _Year(sums, days, ends)


def _matrix_rows(table: pa.Table, sellers: Sequence[str]) -> Whole:
    """Return which of the sellers each row of a table is of."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: Whole = pc.index_in(table["seller_id"], pa.array(sellers, pa.string())).to_numpy().astype(np.int64)
    return rows


def _wide(table: pa.Table, name: str, rows: Whole, sellers: int) -> Whole:
    """Return the columns of a sum that stands in a column a step."""
    matrix = np.zeros((sellers, STEPS), np.int64)
    matrix[rows] = np.column_stack([table[of_step(name, step)].to_numpy() for step in range(STEPS)])
    return matrix


def _matrix(table: pa.Table, name: str, place: tuple[Whole, Whole], sellers: int) -> Whole:
    """Return a column as a row a seller and a column a step; zero where there is no row."""
    matrix = np.zeros((sellers, STEPS), np.int64)
    matrix[place] = table[name].to_numpy()
    return matrix


def _profiles(
    sellers: Sequence[str], as_of: date, compared: Standings, year: _Year
) -> Iterator[tuple[str, StoredProfile]]:
    sums: list[list[Steps | None]] = [_rows_of_series(year.sums[name], len(sellers)) for name in SUMS]
    at_most, at_least = (_optional(each) for each in (compared.at_most, compared.at_least))
    ranks = zip(at_most, at_least, compared.others.tolist(), strict=True)
    steps = zip(*sums, strict=True)
    for row, (seller, group, known, rank) in enumerate(zip(sellers, compared.groups, steps, ranks, strict=True)):
        yield seller, StoredProfile(group, known, tuple(zip(*rank, strict=True)), dict(_coverage(year, row, as_of)))


def _rows_of_series(matrix: Whole | None, sellers: int) -> list[Steps | None]:
    return [None] * sellers if matrix is None else list(map(tuple, matrix.tolist()))


def _optional(percents: Whole) -> list[list[int | None]]:
    values = percents.astype(object)
    values[percents == UNKNOWN] = None
    found: list[list[int | None]] = values.tolist()
    return found


def _coverage(year: _Year, row: int, as_of: date) -> Iterator[tuple[str, Coverage]]:
    for table, ends in year.ends.items():
        first, last = ends[row].tolist()
        if first != UNKNOWN:
            days = tuple(year.days[table][row].tolist())
            yield table, Coverage(as_of - timedelta(days=first), as_of - timedelta(days=last), days)
