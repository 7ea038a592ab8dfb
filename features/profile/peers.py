"""Standing among peers: who is compared with whom, and how many of those do no better. Whole numbers alone.

A peer has settled sales in twelve months. Peers are of the same category and third by those sales; where fewer than
LEAST others are, of the same category; where these are fewer, all. Fewer than LEAST are nobody's peers: a rank among a
handful would tell on them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.store.profiles import PeerGroup, PeerScope

LEAST: Final = 30


SIZES: Final = ("smaller", "middle", "larger")
"""The thirds of a category by settled net sales of twelve months, from the smallest."""


UNKNOWN: Final = -1


Floats = NDArray[np.float64]


Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Standings:
    """Of each seller (row) and feature (column), in whole percent of the others with a value, rounded down.

    Attributes:
        groups: the peers of each seller.
        at_most: whose value is at most his; UNKNOWN where he has none, or fewer than LEAST others have one.
        at_least: whose value is at least his.
        others: how many others have a value.
    """

    groups: Sequence[PeerGroup]
    at_most: Whole
    at_least: Whole
    others: Whole


@dataclass(frozen=True)
class _ChosenGroup:
    """Who is compared with a group, and who is in it; indices of rows."""

    group: tuple[PeerScope, str | None, str | None]
    sellers: Whole
    members: Whole


def standings(categories: Sequence[str | None], sizes: Floats, values: Floats) -> Standings:
    """Compare every seller with his peers.

    Args:
        categories: of each seller; None where unknown.
        sizes: settled net sales of twelve months; NaN, zero or less is no peer, and of no size.
        values: a row a seller, a column a feature, NaN where missing.

    Example: of 31 sellers of one category with sales alike and values 0 to 30, the one with 27 stands at 90% `at_most`
    and 10% `at_least`.
    """
    count, width = values.shape
    groups = [PeerGroup(PeerScope.NONE, None, None, 0)] * count
    found = {name: np.full((count, width), UNKNOWN, np.int64) for name in ("at_most", "at_least")}
    others = np.zeros((count, width), np.int64)
    for chosen in _choose(categories, sizes):
        within = np.isin(chosen.sellers, chosen.members)
        for row, inside in zip(chosen.sellers.tolist(), within.tolist(), strict=True):
            scope, category, size = chosen.group
            groups[row] = PeerGroup(scope, category, size, len(chosen.members) - inside)
        for feature in range(width):
            most, least, n = _rank(values[chosen.sellers, feature], values[chosen.members, feature], within)
            found["at_most"][chosen.sellers, feature] = most
            found["at_least"][chosen.sellers, feature] = least
            others[chosen.sellers, feature] = n
    return Standings(groups, found["at_most"], found["at_least"], others)


def _rank(mine: Floats, members: Floats, within: NDArray[np.bool_]) -> tuple[Whole, Whole, Whole]:
    """Return whole percent of others at most and at least each value, and how many others have one."""
    known = np.sort(members[~np.isnan(members)])
    has = ~np.isnan(mine)
    himself = (within & has).astype(np.int64)
    others = len(known) - himself
    at_most = np.searchsorted(known, mine, side="right") - himself
    at_least = len(known) - np.searchsorted(known, mine, side="left") - himself
    told = has & (others >= LEAST)
    divisor = np.maximum(others, 1)
    return (
        np.where(told, 100 * at_most // divisor, UNKNOWN),
        np.where(told, 100 * at_least // divisor, UNKNOWN),
        others,
    )


def _choose(categories: Sequence[str | None], sizes: Floats) -> Iterator[_ChosenGroup]:
    """Yield each seller in the smallest of his groups that is large enough; those without any are left out."""
    peer = sizes > 0
    everyone = np.flatnonzero(peer)
    rest = [np.flatnonzero([category is None for category in categories])]
    for category, rows in _by_category(categories):
        members = rows[peer[rows]]
        left = rows
        for size, third in zip(SIZES, _thirds(members, sizes), strict=True):
            if len(third) > LEAST:
                yield _ChosenGroup((PeerScope.CATEGORY_AND_SIZE, category, size), third, third)
                left = np.setdiff1d(left, third)
        enough = _is_large_enough(left, members)
        if enough.any():
            yield _ChosenGroup((PeerScope.CATEGORY, category, None), left[enough], members)
        rest.append(left[~enough])
    left = np.sort(np.concatenate(rest))
    enough = _is_large_enough(left, everyone)
    if enough.any():
        yield _ChosenGroup((PeerScope.ALL, None, None), left[enough], everyone)


def _is_large_enough(sellers: Whole, members: Whole) -> NDArray[np.bool_]:
    return np.asarray(len(members) - np.isin(sellers, members).astype(np.int64) >= LEAST)


def _by_category(categories: Sequence[str | None]) -> Iterator[tuple[str, Whole]]:
    rows: dict[str, list[int]] = {}
    for row, category in enumerate(categories):
        if category is not None:
            rows.setdefault(category, []).append(row)
    for category in sorted(rows):
        yield category, np.asarray(rows[category], np.int64)


def _thirds(members: Whole, sizes: Floats) -> list[Whole]:
    """Part members by size; sellers of equal sales stay together."""
    if not len(members):
        return [members] * len(SIZES)
    ordered = np.sort(sizes[members])
    edges = ordered[[len(members) * part // len(SIZES) for part in range(1, len(SIZES))]]
    third = np.searchsorted(edges, sizes[members], side="right")
    return [members[third == part] for part in range(len(SIZES))]
