"""Several hostile markets in one store, so that one build on Spark answers for all of them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.oracles.market import Market, Shape, market, prefixed


def together(shapes: Iterable[Shape]) -> Market:
    """Return the rows of all markets; who bears one id in two of them is not the same."""
    rows: Market = {}
    for number, shape in enumerate(shapes):
        for table, those in prefixed(market(shape), f"{number}:").items():
            rows.setdefault(table, []).extend(those)
    return rows
