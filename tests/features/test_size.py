"""Growth is never risk: more sales of the same kind, or more visits, move no scored feature in its risky direction."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import product

import pytest

from features.catalogue import CATALOGUE
from tests.counts import repeat
from tests.oracles.features_oracle import oracle
from tests.oracles.market import MIDNIGHTS, Market, Shape, market

SIGNS = {feature.name: feature.sign for feature in CATALOGUE if feature.scored}


def larger(rows: Market, times: int) -> Market:
    """Return the same business with all amounts multiplied, except loans."""
    grown = deepcopy(rows)
    for table in ("orders", "refunds", "purchases", "traffic"):
        for row in grown[table]:
            row["amount_micros"] *= times
    return grown


def more_visits(rows: Market, times: int) -> Market:
    grown = deepcopy(rows)
    for row in grown["traffic"]:
        row["visits"] *= times
    return grown


@pytest.mark.parametrize("grow", [larger, more_visits])
@pytest.mark.repeated
@pytest.mark.parametrize("seed", range(repeat(2, 8)))
def test_a_larger_seller_is_never_riskier(seed: int, grow: Callable[[Market, int], Market]) -> None:
    small = market(Shape(seed=seed, sellers=4, events=60))
    large = grow(small, 3)
    moved = 0
    for seller, as_of in product(("S0", "S1", "S2", "S3"), MIDNIGHTS[-2:]):
        before, after = oracle(small, seller, as_of), oracle(large, seller, as_of)
        for name, sign in SIGNS.items():
            one, other = before[name], after[name]
            assert (one is None) == (other is None), name
            if one is not None and other is not None:
                assert other * sign <= one * sign + 1e-9 * abs(one), name
                moved += other != one
    assert moved
