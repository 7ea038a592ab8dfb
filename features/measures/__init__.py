"""From tiles to measures: what each seller's visible tiles add up to over the windows that the catalogue asks for.

`scope` says who sees what; `windows`, `days`, `groups`, `buyers`, `parties` and `repayment` each make the measures of
one kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

from features.expressions import Measure
from features.facts import LOAN_TABLES
from features.measures import buyers, daily, groups, parties, repayment, windows
from features.measures.repayment import loan_books
from features.measures.scope import PairScope
from features.tiles import REPEAT

if TYPE_CHECKING:
    import ibis.expr.types as ir


def prepared(
    tiles: Mapping[str, ir.Table], wanted: Collection[Measure], span: tuple[date, date]
) -> dict[str, ir.Table]:
    """Return the few rows that some measures need, by the names under which `measured_parts` looks for them.

    They are made of tiles, and of accepted rows of LOAN_TABLES, which stand among them by their own names.

    They depend on no pair, so whoever makes several frames computes them once for the `span` from the earliest to the
    latest midnight.
    """
    made = dict(loan_books({name: tiles[name] for name in LOAN_TABLES if name in tiles}))
    if "orders" in tiles:
        made[parties.FIRST] = parties.first_orders(tiles["orders"])
    if REPEAT in tiles:
        made[buyers.RUSHED] = buyers.rushed(tiles[REPEAT], wanted, span)
    return made


def measured_parts(tiles: Mapping[str, ir.Table], scope: PairScope, wanted: Collection[Measure]) -> Iterator[ir.Table]:
    """Yield tables with at most one row per pair and a column per measure (see `scope.column`).

    A pair without a row in a part shows nothing of it. A measure with `net` stands as its two plain parts.

    Args:
        tiles: tiles by name, as `tiles` and `buyers` make them, and what is `prepared` from them and from loans.
        scope: the pairs asked for.
        wanted: the measures.
    """
    yield from windows.parts(tiles, scope, wanted)
    yield from daily.parts(tiles, scope, wanted)
    yield from groups.parts(tiles, scope, wanted)
    yield from buyers.parts(tiles, scope, wanted)
    yield from parties.parts(tiles, scope, wanted)
    yield from repayment.parts(tiles, scope, wanted)
