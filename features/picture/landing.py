"""What is computed for the picture when data has landed: one pass over a year of tiles, for all sellers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.buyers import LONE, REGULAR
from features.catalogue import CATALOGUE
from features.measures.scope import PAIR, Scope
from features.passes import Sources, over_pairs
from features.picture.peers import UNKNOWN, Standings, standings
from features.picture.series import BUYERS, EARLIER, STEPS, SUMS, digest
from features.picture.steps import (
    DAYS,
    ENDS,
    FIRST,
    LAST,
    STEP,
    TABLES,
    first_and_last,
    of_step,
    regular_buyers,
    step_tables,
)
from features.picture.stored import Coverage, PictureSet, Steps, StoredPicture

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd
    import pyarrow as pa

    from features.intake import OperatingStore

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


def land(store: OperatingStore, features: pd.DataFrame, threads: int | None = None) -> PictureSet:
    """Compute the pictures of sellers whose features are known, all as of one midnight.

    Args:
        store: accepted operating data.
        features: a frame of the catalogue as of one midnight, as `frame` makes it, of every seller.
        threads: how many the engine may use; nothing depends on it.
    """
    sellers = list(features.index.get_level_values("seller_id"))
    pairs = features.index.to_frame(index=False)
    found = over_pairs(store, pairs, partial(_expressions, buyers=store.names_buyers), threads=threads)
    as_of = pairs["as_of"].iloc[0].date() if sellers else date.min
    categories = dict(zip(*(found[_CATEGORIES][name].to_pylist() for name in ("seller_id", "category")), strict=True))
    values = features.to_numpy()
    compared = standings([categories.get(seller) for seller in sellers], values[:, _SIZE_AT], values)
    return PictureSet(digest(), _pictures(sellers, as_of, compared, _year(found, sellers)))


def _expressions(sources: Sources, scope: Scope, *, buyers: bool) -> dict[str, ir.Table]:
    # what nobody has delivered by T is unknown, not zero; so are buyers if no platform names them
    unknown = () if buyers else (LONE, REGULAR)
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


def _categories(sellers: ir.Table, scope: Scope) -> ir.Table:
    """Return seller_id and the category that the latest version of the seller known as of then names."""
    known = scope.pairs.select(PAIR, "seller_id", "as_of").inner_join(sellers, "seller_id")
    known = known.filter(known.visible_from <= known.as_of)
    return known.group_by("seller_id").agg(category=known.category.argmax(known.known_at))


def _year(found: Mapping[str, pa.Table], sellers: Sequence[str]) -> _Year:
    sums: dict[str, Whole | None] = dict.fromkeys(SUMS)
    days: dict[str, Whole] = {}
    ends: dict[str, Whole] = {}
    for name, table in found.items():
        rows = _rows(table, sellers)
        if STEP in table.column_names:
            place = (rows, table[STEP].to_numpy())
            sums |= {each: _matrix(table, each, place, len(sellers)) for each in SUMS if each in table.column_names}
        if DAYS in table.column_names:
            days[name] = _matrix(table, DAYS, place, len(sellers))
        if name == REGULAR:
            wide = {each: _wide(table, each, rows, len(sellers)) for each in (BUYERS, EARLIER)}
            lone = sums[BUYERS]
            sums |= {EARLIER: wide[EARLIER], BUYERS: wide[BUYERS] if lone is None else wide[BUYERS] + lone}
        if FIRST in table.column_names:
            those = np.full((len(sellers), 2), UNKNOWN, np.int64)
            those[rows] = np.column_stack([table[each].to_numpy() for each in (FIRST, LAST)])
            ends[name.removesuffix(ENDS)] = those
    return _Year(sums, days, ends)


def _rows(table: pa.Table, sellers: Sequence[str]) -> Whole:
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


def _pictures(
    sellers: Sequence[str], as_of: date, compared: Standings, year: _Year
) -> Iterator[tuple[str, StoredPicture]]:
    sums: list[list[Steps | None]] = [_listed(year.sums[name], len(sellers)) for name in SUMS]
    at_most, at_least = (_optional(each) for each in (compared.at_most, compared.at_least))
    ranks = zip(at_most, at_least, compared.others.tolist(), strict=True)
    steps = zip(*sums, strict=True)
    for row, (seller, group, known, rank) in enumerate(zip(sellers, compared.groups, steps, ranks, strict=True)):
        yield seller, StoredPicture(group, known, tuple(zip(*rank, strict=True)), dict(_coverage(year, row, as_of)))


def _listed(matrix: Whole | None, sellers: int) -> list[Steps | None]:
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
