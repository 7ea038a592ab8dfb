"""The steps of a waterfall: from the base points to the score, a reason group each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scoring.assessment import SCALE_LIMIT, Explanation, GroupPoints


@dataclass(frozen=True)
class Step:
    """One step of the waterfall: from `start` points to `start + points`; the limit of the scale is no group's."""

    label: str
    start: int
    points: int
    is_limit: bool = False


def steps_of(explanation: Explanation) -> list[Step]:
    """Return the steps from base to score, largest first; the limit of the scale is the last.

    Groups of no points are left out.

    Example: groups of +14, 0 and -9 points on a base of 600 are the steps 600 to 614 and 614 to 605.
    """
    groups = sorted((each for each in explanation.groups if each.points), key=lambda each: -abs(each.points))
    groups.sort(key=lambda each: each.group == SCALE_LIMIT)
    return list(_running(explanation.base_points, groups))


def extent(base: int, steps: Sequence[Step]) -> tuple[int, int]:
    """Return the lowest and the highest points that the steps come by, the base among them."""
    reached = [base, *(step.start + step.points for step in steps)]
    return min(reached), max(reached)


def _running(base: int, groups: Sequence[GroupPoints]) -> Iterator[Step]:
    for each in groups:
        yield Step(each.label, base, each.points, each.group == SCALE_LIMIT)
        base += each.points
