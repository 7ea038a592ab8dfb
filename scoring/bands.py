"""Risk bands A to E, by probability of default."""

from dataclasses import dataclass
from itertools import pairwise

from scoring.errors import BundleError


@dataclass(frozen=True)
class Band:
    """One band: its letter and the highest probability of default in it, inclusive."""

    name: str
    up_to: float


@dataclass(frozen=True)
class Bands:
    """Bands from best to worst; the last one ends at a probability of 1.

    Example:
        >>> bands = Bands((Band("A", 0.02), Band("B", 0.05), Band("C", 1.0)))
        >>> bands.of(0.02), bands.of(0.0201)
        ('A', 'B')
    """

    items: tuple[Band, ...]

    def __post_init__(self) -> None:
        limits = [band.up_to for band in self.items]
        # compared pair by pair, because sorting does not detect NaN
        increasing = all(lower < upper for lower, upper in pairwise([0.0, *limits]))
        if not (limits and increasing and limits[-1] == 1.0):
            raise BundleError(f"Band limits must be above 0, increase and end at 1.0; found {limits}.")
        if len(set(self.names)) != len(self.names):
            raise BundleError(f"Each band needs its own name; found {', '.join(self.names)}.")

    def of(self, probability_of_default: float) -> str:
        """Return the letter of the band of a probability of default."""
        return next(band.name for band in self.items if probability_of_default <= band.up_to)

    @property
    def names(self) -> tuple[str, ...]:
        """The letters, best first."""
        return tuple(band.name for band in self.items)

    def next_better(self, name: str) -> str:
        """Return the next better band; for the best band, the band itself.

        Example: with bands A, B and C, the next better band of C is B, and of A it is A.
        """
        return self.names[max(self.names.index(name) - 1, 0)]

    def as_good(self, name: str, minimum: str) -> bool:
        """Return whether a band is `minimum` or better."""
        return self.names.index(name) <= self.names.index(minimum)
