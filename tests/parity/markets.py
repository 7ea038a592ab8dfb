"""Several hostile markets in one store, so that one build on Spark covers all of them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.oracles.market import Market, Shape, market, prefixed


def together(shapes: Iterable[Shape]) -> Market:
    """Return the rows of all markets; ids get a prefix per market."""
    rows: Market = {}
    for number, shape in enumerate(shapes):
        for table, table_rows in prefixed(market(shape), f"{number}:").items():
            rows.setdefault(table, []).extend(table_rows)
    return rows
