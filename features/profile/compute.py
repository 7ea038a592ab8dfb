"""Computation of profiles when data lands: sums by step, days with rows and peer ranks of all sellers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

TABLES: Final = tuple(TILE_KEYS)
SIZE: Final = "settled_net_sales_365d"
"""The feature that defines the size of a seller."""

_SIZE_INDEX: Final = [feature.name for feature in CATALOGUE].index(SIZE)
_CATEGORIES: Final = "categories"
_STEP: Final = "step"
_DAYS: Final = "days"
_FIRST, _LAST, _ENDS = "first_ago", "last_ago", "_ends"
_ALL_DAYS: Final = 36_500
"""More days than the history of any platform."""

Whole = NDArray[np.int64]


def compute_profiles(store: OperatingStore, features: pd.DataFrame, threads: int | None = None) -> ProfileSet:
    """Compute the profiles of all sellers from their `features`; `threads` does not change them.

    Each seller has one row, as of the seller's own midnight. Peers are compared, each as of that midnight.
    """
    sellers = list(features.index.get_level_values("seller_id"))
    pairs = features.index.to_frame(index=False)
    expressions = partial(_expressions, names_buyers=store.names_buyers)
    tables = compute_for_pairs(store, pairs, expressions, threads=threads)
    days = [day.date() for day in pairs["as_of"]]
    categories = dict(zip(*(tables[_CATEGORIES][name].to_pylist() for name in ("seller_id", "category")), strict=True))
    values = features.to_numpy()
    ranks = standings([categories.get(seller) for seller in sellers], values[:, _SIZE_INDEX], values)
    return ProfileSet(digest(), _profiles(sellers, days, ranks, _year(tables, sellers)))


def _expressions(sources: Sources, scope: PairScope, *, names_buyers: bool) -> dict[str, ir.Table]:
    """Return tables by seller_id: for each tile table its sums by step and its first and last day, and categories."""

    def is_known(tile: str) -> bool:
        # a table that was not delivered by T is unknown, not zero; so are buyers without ids
        table = tile if tile in TABLES else "orders"
        delivered = table in sources.known_since and sources.known_since[table] <= scope.last
        return delivered and (names_buyers or tile not in (ONE_TIME, REPEAT))

    tiles = {name: table for name, table in sources.tables.items() if is_known(name)}
    by_pair = {name: _sums_by_step(name, tiles[name], scope) for name in TABLES if name in tiles}
    by_pair |= {f"{name}{_ENDS}": _first_and_last(tiles[name], scope) for name in TABLES if name in tiles}
    if ONE_TIME in tiles:
        by_pair[ONE_TIME] = _one_time_buyers(tiles[ONE_TIME], scope)
    if REPEAT in tiles:
        by_pair[REPEAT] = _repeat_buyers(tiles[REPEAT], scope)
    pairs = scope.pairs.select(PAIR, "seller_id")
    by_seller = {name: rows.inner_join(pairs, PAIR).drop(PAIR) for name, rows in by_pair.items()}
    return by_seller | {_CATEGORIES: _categories(sources.tables["sellers"], scope)}


def _step(rows: ir.Table) -> ir.IntegerValue:
    """Return the step of a row; 0 is the oldest."""
    step: ir.IntegerValue = STEPS - 1 - ((rows.ago - 1) // STEP_DAYS)
    return step.cast("int64")


def _sums_by_step(name: str, tiles: ir.Table, scope: PairScope) -> ir.Table:
    rows = with_related_party(visible_rows(tiles, scope, STEPS * STEP_DAYS), scope)
    mine = [fact for fact in SUMS if table_of(fact) == name and fact in rows.columns]
    sums = {fact: whole(total(counts(rows, fact))) for fact in mine}
    return rows.group_by(PAIR, **{_STEP: _step(rows)}).agg(**{_DAYS: rows.ago.nunique()}, **sums)


def _first_and_last(tiles: ir.Table, scope: PairScope) -> ir.Table:
    """Return how many days ago the first and the last day with a row were."""
    rows = visible_rows(tiles, scope, _ALL_DAYS)
    return rows.group_by(PAIR).agg(**{_FIRST: rows.ago.max(), _LAST: rows.ago.min()})


def _one_time_buyers(tiles: ir.Table, scope: PairScope) -> ir.Table:
    rows = visible_rows(tiles, scope, STEPS * STEP_DAYS)
    return rows.group_by(PAIR, **{_STEP: _step(rows)}).agg(**{BUYERS: whole(total(rows.buyers))})


def _repeat_buyers(tiles: ir.Table, scope: PairScope) -> ir.Table:
    """Return, in a column per step, the number of repeat buyers, and of those who also ordered in the steps before.

    A buyer is an integer with a bit for each step with an order, so that all steps are counted in one pass.
    """
    import ibis

    rows = with_related_party(visible_rows(tiles, scope, (STEPS + NEW_AFTER) * STEP_DAYS), scope).filter(
        lambda t: ~t.own & t.buyer_id.notnull()
    )
    bit = ibis.literal(1, "int64") << (_step(rows) + NEW_AFTER)
    buyers = rows.group_by(PAIR, "buyer_id").agg(steps=bit.bit_or())
    columns = {}
    for step in range(STEPS):
        now, before = (1 << NEW_AFTER) << step, ((1 << NEW_AFTER) - 1) << step
        ordered = (buyers.steps & now) != 0
        columns[_of_step(BUYERS, step)] = buyers.count(where=ordered)
        columns[_of_step(EARLIER, step)] = buyers.count(where=ordered & ((buyers.steps & before) != 0))
    return buyers.group_by(PAIR).agg(**columns)


def _of_step(name: str, step: int) -> str:
    return f"{name}_{step}"


def _categories(sellers: ir.Table, scope: PairScope) -> ir.Table:
    """Return seller_id and the category of the latest version of the seller known as of then."""
    known = scope.pairs.select(PAIR, "seller_id", "as_of").inner_join(sellers, "seller_id")
    known = known.filter(known.visible_from <= known.as_of)
    return known.group_by("seller_id").agg(category=known.category.argmax(known.known_at))


@dataclass(frozen=True)
class _Year:
    """Matrices with a row per seller: sums and days with rows by step, days since the first and last row by table."""

    sums: dict[str, Whole] = field(default_factory=dict)
    days: dict[str, Whole] = field(default_factory=dict)
    ends: dict[str, Whole] = field(default_factory=dict)


def _year(tables: Mapping[str, pa.Table], sellers: Sequence[str]) -> _Year:
    year, count = _Year(), len(sellers)
    for name, table in tables.items():
        rows = _seller_rows(table, sellers)
        if name == REPEAT:
            buyers, earlier = (
                _matrix(table, rows, count, [_of_step(each, step) for step in range(STEPS)])
                for each in (BUYERS, EARLIER)
            )
            year.sums.update({BUYERS: year.sums.get(BUYERS, 0) + buyers, EARLIER: earlier})
        elif name.endswith(_ENDS):
            year.ends[name.removesuffix(_ENDS)] = _matrix(table, rows, count, [_FIRST, _LAST], UNKNOWN)
        elif _STEP in table.column_names:
            year.sums.update(
                {each: _step_matrix(table, rows, count, each) for each in SUMS if each in table.column_names}
            )
            if _DAYS in table.column_names:
                year.days[name] = _step_matrix(table, rows, count, _DAYS)
    return year


def _seller_rows(table: pa.Table, sellers: Sequence[str]) -> Whole:
    """Return the index of the seller of each row of a table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows: Whole = pc.index_in(table["seller_id"], pa.array(sellers, pa.string())).to_numpy().astype(np.int64)
    return rows


def _matrix(table: pa.Table, rows: Whole, count: int, names: Sequence[str], fill: int = 0) -> Whole:
    matrix = np.full((count, len(names)), fill, np.int64)
    matrix[rows] = np.column_stack([table[name].to_numpy() for name in names])
    return matrix


def _step_matrix(table: pa.Table, rows: Whole, count: int, name: str) -> Whole:
    matrix = np.zeros((count, STEPS), np.int64)
    matrix[rows, table[_STEP].to_numpy()] = table[name].to_numpy()
    return matrix


def _profiles(
    sellers: Sequence[str], days: Sequence[date], ranks: Standings, year: _Year
) -> Iterator[tuple[str, StoredProfile]]:
    none: list[Steps | None] = [None] * len(sellers)
    sums = [list(map(tuple, year.sums[name].tolist())) if name in year.sums else none for name in SUMS]
    percents = zip(_optional(ranks.at_most), _optional(ranks.at_least), ranks.others.tolist(), strict=True)
    rows = zip(sellers, ranks.groups, zip(*sums, strict=True), percents, strict=True)
    for row, (seller, group, steps, rank) in enumerate(rows):
        yield seller, StoredProfile(group, steps, tuple(zip(*rank, strict=True)), dict(_coverage(year, row, days[row])))


def _optional(percents: Whole) -> list[list[int | None]]:
    values = percents.astype(object)
    values[percents == UNKNOWN] = None
    rows: list[list[int | None]] = values.tolist()
    return rows


def _coverage(year: _Year, row: int, as_of: date) -> Iterator[tuple[str, Coverage]]:
    for table, ends in year.ends.items():
        first, last = ends[row].tolist()
        if first != UNKNOWN:
            days = tuple(year.days[table][row].tolist())
            yield table, Coverage(as_of - timedelta(days=first), as_of - timedelta(days=last), days)
