"""The loans that a model was tested on: where a score stands among theirs, and what became of each band.

They travel in the bundle, so that whoever reads a score can compare it without the training data.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from scoring.errors import BundleError

PERCENTILES: Final = 101
"""So many scores are kept: the lowest, each percentile, the highest."""


@dataclass(frozen=True)
class BandRecord:
    """One band of the tested loans: how many it held, and how many of those went bad."""

    name: str
    loans: int
    bad: int


@dataclass(frozen=True)
class TrackRecord:
    """Predictions of test loans by a model that was not trained on them, and the outcomes of these loans.

    `loans` says in words which they were. `scores` holds their percentiles: `scores[n]` is the lowest score that at
    least n of 100 loans do not exceed. `bands` are those of the bundle, best first.

    Example: of four loans with scores 500, 600, 600 and 700, a score of 650 is higher than 75 in 100.
    """

    loans: str
    scores: tuple[int, ...]
    bands: tuple[BandRecord, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != PERCENTILES or list(self.scores) != sorted(self.scores):
            raise BundleError(f"A track record holds {PERCENTILES} scores that never fall; found {len(self.scores)}.")
        if any(not 0 <= band.bad <= band.loans for band in self.bands) or not self.count:
            raise BundleError("Bands of a track record need loans, and no more bad loans than loans in each.")

    @classmethod
    def read(cls, data: Mapping[str, Any] | None) -> TrackRecord | None:
        """Return it from plain values; bundles made before it was kept have none."""
        if data is None:
            return None
        return cls(data["loans"], tuple(data["scores"]), tuple(BandRecord(**band) for band in data["bands"]))

    @property
    def count(self) -> int:
        """How many loans were tested."""
        return sum(band.loans for band in self.bands)

    def lower_in_100(self, score: int) -> int:
        """Return how many of 100 tested loans had a lower score, rounded down."""
        return max(bisect_left(self.scores, score) - 1, 0)


def percentiles(scores: Sequence[int]) -> tuple[int, ...]:
    """Return the percentiles of scores as `TrackRecord` keeps them; there must be at least one.

    Example:
        >>> percentiles([600, 500, 700, 600])[75], percentiles([600, 500, 700, 600])[76]
        (600, 700)
    """
    ordered, last = sorted(scores), PERCENTILES - 1
    return tuple(ordered[max(-(-len(ordered) * each // last) - 1, 0)] for each in range(PERCENTILES))
