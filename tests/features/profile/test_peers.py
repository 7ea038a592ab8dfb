"""Peer ranks: compared with a count by hand, and never shown for groups that are too small."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.profile.peers import LEAST, SIZES, UNKNOWN, standings
from features.store.profiles import PeerScope
from tests.counts import repeat

CATEGORIES = ("a", "a", "a", "b", "b", "rare", None)
SALES = (math.nan, -1.0, 0.0, *map(float, range(1, 40)))
VALUES = (math.nan, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0)


def peers_by_hand(sellers: Sequence[tuple[str | None, float, float]], row: int) -> tuple[PeerScope, list[int]]:
    """Return the scope and the other peers of a seller, by the definition in docs/profile.md."""
    category, size, _ = sellers[row]

    def third(sales: float) -> int:
        return sum(sales >= ordered[part * len(ordered) // 3] for part in (1, 2))

    everyone = [at for at, (_, sales, _) in enumerate(sellers) if sales > 0]
    of_category = [at for at in everyone if sellers[at][0] == category and category is not None]
    ordered = sorted(sellers[at][1] for at in of_category)
    of_third = [at for at in of_category if size > 0 and third(sellers[at][1]) == third(size)]
    groups = {PeerScope.CATEGORY_AND_SIZE: of_third, PeerScope.CATEGORY: of_category, PeerScope.ALL: everyone}
    for scope, rows in groups.items():
        others = [at for at in rows if at != row]
        if len(others) >= LEAST:
            return scope, others
    return PeerScope.NONE, []


def market(seed: int, count: int) -> list[tuple[str | None, float, float]]:
    rng = random.Random(seed)  # noqa: S311 - a test market, nothing secret
    return [(rng.choice(CATEGORIES), rng.choice(SALES), rng.choice(VALUES)) for _ in range(count)]


@pytest.mark.repeated
@given(st.integers(0, 2**32), st.sampled_from((5, 45, 130, 420)))
@settings(max_examples=repeat(5, 300), deadline=None)
@example(1, 420)
@example(1, 130)
@example(1, 45)
def test_ranks_equal_a_count_by_hand(seed: int, count: int) -> None:
    sellers = market(seed, count)
    categories = [category for category, _, _ in sellers]
    sizes, values = (np.array([each[at] for each in sellers], float) for at in (1, 2))
    found = standings(categories, sizes, values.reshape(-1, 1))
    for row, (_, _, value) in enumerate(sellers):
        scope, peers = peers_by_hand(sellers, row)
        assert (found.groups[row].scope, found.groups[row].others) == (scope, len(peers))
        known = [sellers[at][2] for at in peers if not math.isnan(sellers[at][2])]
        told = not math.isnan(value) and len(known) >= LEAST
        most = 100 * sum(each <= value for each in known) // len(known) if told else UNKNOWN
        least = 100 * sum(each >= value for each in known) // len(known) if told else UNKNOWN
        assert (found.at_most[row, 0], found.at_least[row, 0]) == (most, least)


def line_of(count: int) -> tuple[list[str | None], np.ndarray, np.ndarray]:
    return ["toys"] * count, np.arange(1.0, count + 1), np.arange(count, dtype=float).reshape(-1, 1)


@pytest.mark.parametrize(
    ("count", "scopes"),
    [
        (LEAST, {PeerScope.NONE}),
        (LEAST + 1, {PeerScope.CATEGORY}),
        (3 * LEAST, {PeerScope.CATEGORY}),
        (3 * (LEAST + 1), {PeerScope.CATEGORY_AND_SIZE}),
    ],
)
def test_groups_widen_until_there_are_thirty_others(count: int, scopes: set[PeerScope]) -> None:
    found = standings(*line_of(count))
    assert {group.scope for group in found.groups} == scopes
    assert all(group.others >= LEAST for group in found.groups if group.scope is not PeerScope.NONE)
    assert (found.at_most == UNKNOWN).all() == (scopes == {PeerScope.NONE})


def test_thirds_are_ordered_from_the_smallest() -> None:
    found = standings(*line_of(3 * (LEAST + 1)))
    assert [group.size for group in found.groups] == [size for size in SIZES for _ in range(LEAST + 1)]
    # each seller is compared within the third, so that the first has no peer below
    assert found.at_most[:, 0].reshape(3, -1)[:, 0].tolist() == [0, 0, 0]
    assert found.at_most[:, 0].reshape(3, -1)[:, -1].tolist() == [100, 100, 100]


def test_a_seller_without_sales_is_compared_but_is_no_peer() -> None:
    categories, sizes, values = line_of(LEAST + 1)
    sizes[0] = 0.0
    found = standings(categories, sizes, values)
    assert (found.groups[0].scope, found.groups[0].others) == (PeerScope.CATEGORY, LEAST)
    assert {group.scope for group in found.groups[1:]} == {PeerScope.NONE}
    assert (found.at_most[0, 0], found.at_least[0, 0]) == (0, 100)


def test_a_feature_with_few_values_has_no_rank_and_no_sellers_have_no_groups() -> None:
    categories, sizes, values = line_of(LEAST + 1)
    values[1] = np.nan
    found = standings(categories, sizes, values)
    assert found.others[:, 0].tolist() == [LEAST - 1, LEAST, *([LEAST - 1] * (LEAST - 1))]
    assert (found.at_most == UNKNOWN).all()
    nobody = standings([], np.zeros(0), np.zeros((0, 3)))
    assert (nobody.groups, nobody.at_most.shape) == ([], (0, 3))
