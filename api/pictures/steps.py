"""The steps of a waterfall: from the base points to the score, each beginning where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from api.pictures.figures import figure
from scoring.assess import SCALE_LIMIT, Explanation

SHOWN: Final = 10


@dataclass(frozen=True)
class Step:
    """One step of the waterfall: from `start` points to `start + points`."""

    label: str
    value: str
    typical: str
    start: int
    points: int


def steps_of(explanation: Explanation, shown: int = SHOWN) -> list[Step]:
    """Return the steps from base to score, largest first; small ones are one step, an end of the scale is the last.

    Example: points 14, -9, 1 and 0 with `shown=2` are the steps +14, -9 and "2 others" +1.
    """
    features = [item for item in explanation.contributions if item.feature != SCALE_LIMIT]
    limit = [item for item in explanation.contributions if item.feature == SCALE_LIMIT]
    features.sort(key=lambda item: -abs(item.points))
    told = [item for item in features[:shown] if item.points]
    others = features[len(told) :]
    rows = [(item.label, figure(item.value, item.unit), figure(item.typical, item.unit), item.points) for item in told]
    if others:
        label = f"{len(others)} {'other' if len(others) == 1 else 'others'}"
        rows.append((label, "", "", sum(item.points for item in others)))
    rows += [(item.label, "", "", item.points) for item in limit]
    return list(_running(explanation.base_points, rows))


def extent(base: int, steps: Sequence[Step]) -> tuple[int, int]:
    """Return the lowest and the highest points that the steps come by, the base among them."""
    reached = [base, *(step.start + step.points for step in steps)]
    return min(reached), max(reached)


def _running(base: int, rows: Sequence[tuple[str, str, str, int]]) -> Iterator[Step]:
    for label, value, typical, points in rows:
        yield Step(label, value, typical, base, points)
        base += points
