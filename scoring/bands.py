"""Bands A to E: what a credit officer says instead of a number."""

from dataclasses import dataclass
from itertools import pairwise

from scoring.errors import BundleError


@dataclass(frozen=True)
class Band:
    """One band: its letter and the highest probability of default that it admits (itself included)."""

    name: str
    up_to: float


@dataclass(frozen=True)
class Bands:
    """Bands from best to worst; the last one admits everything.

    Example:
        >>> bands = Bands((Band("A", 0.02), Band("B", 0.05), Band("C", 1.0)))
        >>> bands.of(0.02), bands.of(0.0201)
        ('A', 'B')
    """

    items: tuple[Band, ...]

    def __post_init__(self) -> None:
        limits = [band.up_to for band in self.items]
        # compared pair by pair, since a NaN passes through sorting
        rising = all(lower < upper for lower, upper in pairwise([0.0, *limits]))
        if not (limits and rising and limits[-1] == 1.0):
            raise BundleError(f"Band limits must be above 0, rise and end at 1.0; found {limits}.")

    def of(self, probability_of_default: float) -> str:
        """Return the letter of the band that holds this probability of default."""
        return next(band.name for band in self.items if probability_of_default <= band.up_to)
