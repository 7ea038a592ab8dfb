"""The track record of a model: scores and outcomes of its test loans, by percentile and by band.

It is part of the bundle, so that a score can be compared with the test loans without the training data.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scoring.errors import BundleError

PERCENTILES: Final = 101
"""Number of scores in a track record: the lowest, each percentile, the highest."""


@dataclass(frozen=True)
class BandRecord:
    """The test loans of one band: their number, and the number of defaults among them."""

    name: str
    loans: int
    bad: int


@dataclass(frozen=True)
class TrackRecord:
    """Scores of test loans, from a model that was not trained on them, and the outcomes of these loans.

    `loans` describes the loans in words. `scores` has the percentiles of their scores: `scores[n]` is the lowest score
    that at least n of 100 loans do not exceed. `bands` are those of the bundle, best first.

    Example: with four loans with scores 500, 600, 600 and 700, a score of 650 is higher than 75 in 100.
    """

    loans: str
    scores: tuple[int, ...]
    bands: tuple[BandRecord, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != PERCENTILES or list(self.scores) != sorted(self.scores):
            raise BundleError(
                f"A track record needs {PERCENTILES} scores in ascending order; found {len(self.scores)} scores."
            )
        if any(not 0 <= band.bad <= band.loans for band in self.bands) or not self.count:
            raise BundleError(
                "A track record needs loans, and the defaults of each band must be between 0 and its loans."
            )

    @classmethod
    def read(cls, data: Mapping[str, Any] | None) -> TrackRecord | None:
        """Return the track record in plain values; None for older bundles, which have none."""
        if data is None:
            return None
        return cls(data["loans"], tuple(data["scores"]), tuple(BandRecord(**band) for band in data["bands"]))

    @property
    def count(self) -> int:
        """The number of test loans."""
        return sum(band.loans for band in self.bands)

    def percent_below(self, score: int) -> int:
        """Return the percentage of test loans with a lower score, rounded down.

        Example: 75 for a score of 650, if the scores are 500, 600, 600 and 700.
        """
        return max(bisect_left(self.scores, score) - 1, 0)


def percentiles(scores: Sequence[int]) -> tuple[int, ...]:
    """Return the percentiles of one or more scores in the form of `TrackRecord.scores`.

    Example:
        >>> percentiles([600, 500, 700, 600])[75], percentiles([600, 500, 700, 600])[76]
        (600, 700)
    """
    ordered, last = sorted(scores), PERCENTILES - 1
    return tuple(ordered[max(-(-len(ordered) * percent // last) - 1, 0)] for percent in range(PERCENTILES))
