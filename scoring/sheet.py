"""The feature sheet: all that scoring knows of a feature. It travels in the bundle; the catalogue stays in features."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from scoring.errors import BundleError

Missing = Literal["riskiest", "as_trained"]
"""How the model takes a missing value: at its riskiest end, so that hiding it never pays, or as training made it."""

_MISSING: Final = ("riskiest", "as_trained")

Side = Literal["high", "low"]

OLDEST: Final = 31
"""No bundle takes older data, in days, for fresh."""

MOST_REACHES: Final = 10
"""Advice tries every set of them, and no more than a thousand sets can be tried while a seller waits."""


@dataclass(frozen=True)
class Reach:
    """How far sellers of one size were seen to come with a feature within the sheet's `Sizes.days`.

    `best` is the value that one in ten of them has or betters; `move` is the change for the better, above 0, that one
    in ten of them made or bettered.

    Example: of a return rate, lower is better. With `Reach(best=0.02, move=0.03)` a seller at 0.08 may come to 0.05,
    one at 0.04 to 0.02, and one at 0.01 stays where he is.
    """

    best: float
    move: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.best) and math.isfinite(self.move) and self.move > 0):
            raise BundleError(
                f"A reach needs a finite best value and a finite move above 0; found best={self.best}, "
                f"move={self.move}."
            )

    def of(self, value: float, sign: int) -> float:
        """Return the best value within reach of one who has `value`; `sign` is the feature's."""
        if sign > 0:
            return min(value, max(self.best, value - self.move))
        return max(value, min(self.best, value + self.move))


@dataclass(frozen=True)
class Sizes:
    """What makes sellers comparable in what they can reach: classes of one feature, by its limits, smallest first.

    A value at a limit belongs to the class below it.

    Example: `Sizes("settled_net_sales_365d", (20_000.0, 90_000.0)).of(20_000.0)` is 0.
    """

    feature: str
    limits: tuple[float, ...]
    days: int = 90

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.limits)) or list(self.limits) != sorted(set(self.limits)):
            raise BundleError(f"The limits of sizes must be finite and rise; found {list(self.limits)}.")
        if not isinstance(self.days, int) or self.days < 1:
            raise BundleError(f"What was reached must be told of whole days, at least one; found {self.days}.")

    def of(self, value: float) -> int:
        """Return the class of a value, 0 for the smallest."""
        return bisect_left(self.limits, value)


@dataclass(frozen=True)
class FeatureEntry:
    """One feature as the model was trained with it.

    `sign` is +1 where a higher value raises risk, -1 where it lowers it, 0 where it may do either.
    `scored` says whether the model reads it, which takes a sign; others are there for thresholds and for people.
    `tables` are the operating tables that it is computed from.
    `typical` is the median of the reference population (None where it was always missing), in `unit`.
    `missing` says how the model takes a value that is not there; a bundle holds its model to it.
    `reach` holds, for each of the sheet's sizes, what such sellers were seen to reach; it is empty where moving the
    feature is not advised: what cannot be changed, counts stores, or could be bought.
    """

    name: str
    label: str
    unit: str
    sign: int
    actionable: bool
    structural: bool
    reason_group: str
    typical: float | None
    missing: Missing = "as_trained"
    scored: bool = True
    tables: tuple[str, ...] = ()
    reach: tuple[Reach | None, ...] = ()

    def __post_init__(self) -> None:
        if self.sign not in (-1, 0, 1):
            raise BundleError(f"Feature {self.name} has the sign {self.sign}; allowed are -1, 0 and 1.")
        if self.scored and not self.sign:
            raise BundleError(f"Feature {self.name} is scored without a sign; allowed are only -1 and +1 then.")
        if self.missing not in _MISSING:
            raise BundleError(
                f"Feature {self.name} takes missing values {self.missing!r}; allowed are: {', '.join(_MISSING)}."
            )
        if self.typical is not None and not math.isfinite(self.typical):
            raise BundleError(
                f"Feature {self.name} has the typical value {self.typical}; allowed is a finite number, or none."
            )
        if self.reach and (not self.actionable or self.structural or not self.scored):
            raise BundleError(
                f"Feature {self.name} has a reach, so that moving it would be advised; allowed are only features that "
                "are actionable, scored and do not count stores."
            )

    @property
    def side(self) -> Side:
        """The side of `typical` on which a value costs points."""
        return "high" if self.sign > 0 else "low"

    def is_risky(self, value: float) -> bool:
        """Return whether a value lies on the risky side of `typical`.

        Example: with a sign of +1 and a typical value of 0.05, 0.06 does and 0.05 does not.
        """
        return self.typical is not None and (value - self.typical) * self.sign > 0


@dataclass(frozen=True)
class HistoryThreshold:
    """The least value of a feature below which a seller has too short a history to be scored."""

    feature: str
    least: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.least):
            raise BundleError(f"The history threshold of {self.feature} is {self.least}; allowed is a finite number.")


@dataclass(frozen=True)
class Activity:
    """When a seller counts as inactive: the last sale is too long ago.

    `feature` holds the days since the last sale, missing where it is further back than the feature looks; `most` is how
    many are allowed. `since` is a feature that is known of every seller who ever sold.
    """

    feature: str
    most: float
    since: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.most):
            raise BundleError(f"The limit of {self.feature} is {self.most}; allowed is a finite number.")


@dataclass(frozen=True)
class FeatureSheet:
    """Features in catalogue order, the catalogue's digest, and what makes a vector sufficient.

    Without one of `required_tables` the outcome is `insufficient_data`, never a number. `max_age_days` bounds how long
    before the date of the request the data of a table may end: older required tables give `stale_data`, what rests on
    another one counts as missing. `activity` says when a seller is inactive; without it nobody is.
    `sizes` are the classes of sellers that each `reach` is told for; without them no change is advised.
    """

    catalogue: str
    entries: tuple[FeatureEntry, ...]
    history: tuple[HistoryThreshold, ...]
    required_tables: tuple[str, ...]
    max_age_days: int
    sizes: Sizes | None = None
    activity: Activity | None = None

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise BundleError("The feature sheet names a feature twice.")
        if type(self.max_age_days) is not int or not 0 <= self.max_age_days <= OLDEST:
            raise BundleError(f"max_age_days is {self.max_age_days!r}; it must be a whole number from 0 to {OLDEST}.")
        named = {threshold.feature for threshold in self.history}
        if self.activity:
            named |= {self.activity.feature, self.activity.since}
        if unknown := sorted(named - set(names)):
            raise BundleError(f"Thresholds name features that the sheet lacks: {', '.join(unknown)}.")
        self._expect_reaches()

    def _expect_reaches(self) -> None:
        if self.sizes is not None and self.sizes.feature not in self.names:
            raise BundleError(f"Sizes are told by {self.sizes.feature}, which the feature sheet lacks.")
        history = {threshold.feature for threshold in self.history}
        classes = len(self.sizes.limits) + 1 if self.sizes else 0
        groups = [entry.reason_group for entry in self.entries if entry.reach]
        if len(groups) > MOST_REACHES or len(set(groups)) != len(groups):
            raise BundleError(
                f"At most {MOST_REACHES} features may have a reach, each of another reason group; found {len(groups)} "
                f"of {len(set(groups))} groups."
            )
        for entry in self.entries:
            if entry.reach and len(entry.reach) != classes:
                raise BundleError(
                    f"Feature {entry.name} has a reach for {len(entry.reach)} sizes; the feature sheet has {classes}."
                )
            if entry.reach and entry.name in history:
                raise BundleError(f"Feature {entry.name} has a reach, but history cannot be moved.")

    @cached_property
    def scored(self) -> tuple[int, ...]:
        """The places of the features that the model reads."""
        return tuple(place for place, entry in enumerate(self.entries) if entry.scored)

    @cached_property
    def scored_entries(self) -> tuple[FeatureEntry, ...]:
        """The features that the model reads, in catalogue order."""
        return tuple(self.entries[place] for place in self.scored)

    @cached_property
    def typical_and_signs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The typical values of the scored features, NaN where not known, and their signs."""
        typical = [math.nan if entry.typical is None else entry.typical for entry in self.scored_entries]
        return np.array(typical), np.array([float(entry.sign) for entry in self.scored_entries])

    @cached_property
    def shared_group(self) -> NDArray[np.int64]:
        """A matrix with 1 where two scored features are of one reason group, else 0."""
        groups = np.array([entry.reason_group for entry in self.scored_entries])
        shared: NDArray[np.int64] = (groups[:, None] == groups[None, :]).astype(np.int64)
        return shared

    @cached_property
    def optional_tables(self) -> tuple[str, ...]:
        """The tables that scored features rest on and that are not required, by name."""
        return tuple(sorted({name for entry in self.scored_entries for name in entry.tables} - {*self.required_tables}))

    @cached_property
    def resting_on(self) -> Mapping[str, list[int]]:
        """The places of the scored features that rest on each optional table."""
        return {
            table: [place for place in self.scored if table in self.entries[place].tables]
            for table in self.optional_tables
        }

    @cached_property
    def place_of(self) -> Mapping[str, int]:
        """The place of each feature in a vector."""
        return {name: place for place, name in enumerate(self.names)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in catalogue order: the order of every matrix column and every tie."""
        return tuple(entry.name for entry in self.entries)
