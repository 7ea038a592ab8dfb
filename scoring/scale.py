"""The score scale: conversion of log-odds to points. Every response states the scale, because libraries differ."""

import math
from dataclasses import dataclass
from typing import Final

from scoring.errors import BundleError

_MAX_POINTS_TO_DOUBLE: Final = 1e6
"""Upper limit of the points that double the odds; above it a score would overflow."""


@dataclass(frozen=True)
class Scale:
    """Points at given odds of repaying, and the number of points that doubles the odds.

    By default, odds of 30:1 are 600 points, 60:1 are 640 and 15:1 are 560; scores range from 300 to 900.

    Formula: `score = points + double / ln 2 * ln(odds_good / odds)` (Siddiqi, Credit Risk Scorecards, ch. 6).
    """

    points: float = 600.0
    odds: float = 30.0
    double: float = 40.0
    min: int = 300
    max: int = 900

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (self.points, self.odds, self.double)))
        whole = all(isinstance(end, int) for end in (self.min, self.max))
        if not (
            finite and self.odds > 0 and 0 < self.double <= _MAX_POINTS_TO_DOUBLE and whole and self.min < self.max
        ):
            raise BundleError(
                "A scale needs finite points, finite odds > 0, points to double > 0 and at most "
                f"{_MAX_POINTS_TO_DOUBLE:g}, and whole ends, min < max; found "
                f"points={self.points}, odds={self.odds}, double={self.double}, min={self.min}, max={self.max}."
            )

    @property
    def factor(self) -> float:
        """Points for one unit of log-odds: 57.7 on the default scale."""
        return self.double / math.log(2.0)

    @property
    def offset(self) -> float:
        """Points at even odds: 403.7 on the default scale."""
        return self.points - self.factor * math.log(self.odds)

    def points_at(self, probability_of_default: float) -> float:
        """Return the points at a probability of default between 0 and 1 (exclusive), not rounded and not limited.

        Example:
            >>> round(Scale().points_at(1 / 31), 6)
            600.0
            >>> round(Scale().points_at(1 / 61), 6)
            640.0
        """
        return self.offset + self.factor * math.log((1.0 - probability_of_default) / probability_of_default)
