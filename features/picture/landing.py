"""What is computed for the picture when data has landed: one pass over a year of tiles, for all sellers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from features.measures.scope import PAIR, Scope
from features.passes import Sources, over_pairs
from features.picture.peers import UNKNOWN, Standings, standings
from features.picture.series import STEPS, SUMS, digest
from features.picture.steps import DAYS, STEP, TABLES, first_and_last, step_tables
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
    found = over_pairs(store, pairs, _expressions, threads=threads)
    as_of = pairs["as_of"].iloc[0].date() if sellers else date.min
    categories = dict(zip(*(found[_CATEGORIES][name].to_pylist() for name in ("seller_id", "category")), strict=True))
    values = features.to_numpy()
    compared = standings([categories.get(seller) for seller in sellers], values[:, _SIZE_AT], values)
    return PictureSet(digest(), _pictures(sellers, as_of, compared, _year(found, sellers)))


def _expressions(sources: Sources, scope: Scope) -> dict[str, ir.Table]:
    # what nobody has delivered by T is unknown, not zero
    visible = {name: table for name, table in sources.tables.items() if _is_known(name, sources, scope.last)}
    return {
        **dict(step_tables(visible, scope)),
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
    rows = {seller: row for row, seller in enumerate(sellers)}
    by_step = {name: table for name, table in found.items() if STEP in table.column_names}
    sums: dict[str, Whole | None] = dict.fromkeys(SUMS)
    for table in by_step.values():
        sums |= {name: _matrix(table, name, rows) for name in SUMS if name in table.column_names}
    days = {name: _matrix(table, DAYS, rows) for name, table in by_step.items() if name in TABLES}
    ends = {name: np.full((len(rows), 2), UNKNOWN, np.int64) for name in days}
    for name, those in ends.items():
        table = found[f"{name}_ends"]
        at = [rows[seller] for seller in table["seller_id"].to_pylist()]
        those[at] = np.column_stack([table[each].to_numpy() for each in ("first_ago", "last_ago")])
    return _Year(sums, days, ends)


def _matrix(table: pa.Table, name: str, rows: Mapping[str, int]) -> Whole:
    """Return a column as a row a seller and a column a step; zero where there is no row."""
    matrix = np.zeros((len(rows), STEPS), np.int64)
    at = [rows[seller] for seller in table["seller_id"].to_pylist()]
    matrix[at, table[STEP].to_numpy()] = table[name].to_numpy()
    return matrix


def _pictures(
    sellers: Sequence[str], as_of: date, compared: Standings, year: _Year
) -> Iterator[tuple[str, StoredPicture]]:
    sums: list[list[Steps | None]] = [_listed(year.sums[name], len(sellers)) for name in SUMS]
    ranks = [compared.at_most.tolist(), compared.at_least.tolist(), compared.others.tolist()]
    for row, seller in enumerate(sellers):
        standing = zip(*(each[row] for each in ranks), strict=True)
        yield (
            seller,
            StoredPicture(
                compared.groups[row],
                tuple(each[row] for each in sums),
                tuple((_known(most), _known(least), others) for most, least, others in standing),
                dict(_coverage(year, row, as_of)),
            ),
        )


def _listed(matrix: Whole | None, sellers: int) -> list[Steps | None]:
    return [None] * sellers if matrix is None else list(map(tuple, matrix.tolist()))


def _known(percent: int) -> int | None:
    return None if percent == UNKNOWN else percent


def _coverage(year: _Year, row: int, as_of: date) -> Iterator[tuple[str, Coverage]]:
    for table, ends in year.ends.items():
        first, last = ends[row].tolist()
        if first != UNKNOWN:
            days = tuple(year.days[table][row].tolist())
            yield table, Coverage(as_of - timedelta(days=first), as_of - timedelta(days=last), days)
