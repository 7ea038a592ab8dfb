"""Peer ranks: the peer group of each seller and the percentage of its members at most or at least at a value.

A peer has settled net sales in the last twelve months. A seller is compared with the other peers of the same category
and third by those sales; if these are fewer than LEAST, with the category; if these are fewer, with all. Smaller groups
are not used, since ranks would reveal the values of a few sellers.
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
"""The thirds of a category by settled net sales of twelve months, smallest first."""

UNKNOWN: Final = -1

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class Standings:
    """Ranks of each seller (row) and feature (column), in percent of the other peers with a value, rounded down.

    Attributes:
        groups: the peer group of each seller.
        at_most: percentage with at most the seller's value; UNKNOWN without a value or with fewer than LEAST others.
        at_least: percentage with at least the seller's value.
        others: the number of other peers with a value.
    """

    groups: Sequence[PeerGroup]
    at_most: Whole
    at_least: Whole
    others: Whole


@dataclass(frozen=True)
class _Comparison:
    """The row indices of sellers and of the members of the group with which they are compared."""

    group: tuple[PeerScope, str | None, str | None]
    sellers: Whole
    members: Whole


def standings(categories: Sequence[str | None], sizes: Floats, values: Floats) -> Standings:
    """Return the ranks of every seller among the peers.

    Args:
        categories: the category of each seller; None if unknown.
        sizes: settled net sales of twelve months; a seller with NaN, zero or less is no peer and has no size.
        values: a row per seller, a column per feature, NaN if missing.

    Example: of 31 sellers of one category with equal sales and values 0 to 30, the one with 27 has 90% `at_most` and
    10% `at_least`.
    """
    count, width = values.shape
    groups = [PeerGroup(PeerScope.NONE, None, None, 0)] * count
    at_most, at_least = (np.full((count, width), UNKNOWN, np.int64) for _ in range(2))
    others = np.zeros((count, width), np.int64)
    for comparison in _comparisons(categories, sizes):
        rows, members = comparison.sellers, comparison.members
        is_member = np.isin(rows, members)
        for row, inside in zip(rows.tolist(), is_member.tolist(), strict=True):
            groups[row] = PeerGroup(*comparison.group, len(members) - inside)
        for feature in range(width):
            ranks = _rank(values[rows, feature], values[members, feature], is_member)
            at_most[rows, feature], at_least[rows, feature], others[rows, feature] = ranks
    return Standings(groups, at_most, at_least, others)


def _rank(values: Floats, members: Floats, is_member: NDArray[np.bool_]) -> tuple[Whole, Whole, Whole]:
    """Return the percentage of others at most and at least at each value, and the number of others with a value."""
    known = np.sort(members[~np.isnan(members)])
    has = ~np.isnan(values)
    itself = (is_member & has).astype(np.int64)
    others = len(known) - itself
    at_most = np.searchsorted(known, values, side="right") - itself
    at_least = len(known) - np.searchsorted(known, values, side="left") - itself
    ranked, divisor = has & (others >= LEAST), np.maximum(others, 1)
    most, least = (np.where(ranked, 100 * count // divisor, UNKNOWN) for count in (at_most, at_least))
    return most, least, others


def _comparisons(categories: Sequence[str | None], sizes: Floats) -> Iterator[_Comparison]:
    """Yield each seller once, with the smallest group that is large enough; sellers without one are left out."""
    peer = sizes > 0
    everyone = np.flatnonzero(peer)
    rest = [np.flatnonzero([category is None for category in categories])]
    for category, rows in _by_category(categories):
        members = rows[peer[rows]]
        left = rows
        for size, third in zip(SIZES, _thirds(members, sizes), strict=True):
            if len(third) > LEAST:
                yield _Comparison((PeerScope.CATEGORY_AND_SIZE, category, size), third, third)
                left = np.setdiff1d(left, third)
        enough = _is_large_enough(left, members)
        if enough.any():
            yield _Comparison((PeerScope.CATEGORY, category, None), left[enough], members)
        rest.append(left[~enough])
    left = np.sort(np.concatenate(rest))
    enough = _is_large_enough(left, everyone)
    if enough.any():
        yield _Comparison((PeerScope.ALL, None, None), left[enough], everyone)


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
    """Return the members by size; sellers with equal sales are in the same third."""
    if not len(members):
        return [members] * len(SIZES)
    ordered = np.sort(sizes[members])
    edges = ordered[[len(members) * part // len(SIZES) for part in range(1, len(SIZES))]]
    third = np.searchsorted(edges, sizes[members], side="right")
    return [members[third == part] for part in range(len(SIZES))]
