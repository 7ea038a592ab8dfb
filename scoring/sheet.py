"""The feature sheet: what scoring needs of each feature. It is part of the bundle; definitions stay in `features`."""

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
"""How the model treats a missing value: as the riskiest value, so that hiding it never pays, or as in training."""

_MISSING: Final = ("riskiest", "as_trained")

Side = Literal["high", "low"]

MAX_AGE_LIMIT: Final = 31
"""Largest allowed `max_age_days` of a bundle."""

MAX_REACHES: Final = 10
"""Advice tries every combination of the reaches; more than about a thousand would take too long for a request."""


@dataclass(frozen=True)
class Reach:
    """The improvement of a feature that sellers of one size were observed to make within the sheet's `Sizes.days`.

    `best` is the value that one in ten of them has or exceeds for the better. `move`, above 0, is the improvement that
    one in ten of them made or exceeded.

    Example: for a return rate, lower is better. With `Reach(best=0.02, move=0.03)` a seller at 0.08 can reach 0.05, a
    seller at 0.04 can reach 0.02, and a seller at 0.01 stays at 0.01.
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
        """Return the best value that can be reached from `value`; `sign` is the feature's."""
        if sign > 0:
            return min(value, max(self.best, value - self.move))
        return max(value, min(self.best, value + self.move))


@dataclass(frozen=True)
class Sizes:
    """Size classes of sellers, for comparable reaches: intervals of one feature by their upper limits, smallest first.

    A value at a limit belongs to the class below the limit.

    Example: `Sizes("settled_net_sales_365d", (20_000.0, 90_000.0)).of(20_000.0)` is 0.
    """

    feature: str
    limits: tuple[float, ...]
    days: int = 90

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.limits)) or list(self.limits) != sorted(set(self.limits)):
            raise BundleError(f"The limits of sizes must be finite and increase; found {list(self.limits)}.")
        if not isinstance(self.days, int) or self.days < 1:
            raise BundleError(f"The days of sizes must be a whole number, at least 1; found {self.days}.")

    def of(self, value: float) -> int:
        """Return the class of a value, 0 for the smallest."""
        return bisect_left(self.limits, value)


@dataclass(frozen=True)
class FeatureEntry:
    """One feature at the time of training.

    Attributes:
        name: the feature's name.
        label: its name for people.
        unit: the unit of its values.
        sign: +1 if a higher value raises risk, -1 if it lowers risk, 0 if it can do either.
        actionable: whether the seller can change it.
        structural: whether it counts stores, marketplaces or currencies, so that splitting a store changes it.
        reason_group: the group of features that it belongs to in explanations.
        typical: the median of the reference population, in `unit`; None if the value was always missing.
        missing: how the model treats a missing value; the bundle checks its model for this.
        scored: whether the model reads it, which requires a sign; other features are for thresholds and for people.
        tables: the operating tables that it is computed from.
        reach: the observed improvement for each of the sheet's sizes. It is empty if no change of the feature is
            advised, because it cannot be changed, counts stores, or can be moved with fake orders.
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
            raise BundleError(f"Feature {self.name} is scored without a sign; a scored feature needs -1 or +1.")
        if self.missing not in _MISSING:
            raise BundleError(
                f"Feature {self.name} treats missing values as {self.missing!r}; allowed are: {', '.join(_MISSING)}."
            )
        if self.typical is not None and not math.isfinite(self.typical):
            raise BundleError(
                f"Feature {self.name} has the typical value {self.typical}; allowed is a finite number, or none."
            )
        if self.reach and (not self.actionable or self.structural or not self.scored):
            raise BundleError(
                f"Feature {self.name} has a reach, so changing it would be advised; allowed are only features that are "
                "actionable, scored and do not count stores."
            )

    @property
    def side(self) -> Side:
        """The side of `typical` on which a value costs points."""
        return "high" if self.sign > 0 else "low"

    def is_risky(self, value: float) -> bool:
        """Return whether a value is on the risky side of `typical`.

        Example: with a sign of +1 and a typical value of 0.05, True for 0.06 and False for 0.05.
        """
        return self.typical is not None and (value - self.typical) * self.sign > 0


@dataclass(frozen=True)
class HistoryThreshold:
    """The minimum value of a feature; below it, a seller's history is too short for a score."""

    feature: str
    least: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.least):
            raise BundleError(f"The history threshold of {self.feature} is {self.least}; allowed is a finite number.")


@dataclass(frozen=True)
class Activity:
    """The rule for inactive sellers: the last sale is too long ago.

    `feature` is the days since the last sale, missing if that is further back than the feature's window; `most` is the
    maximum. `since` is a feature that has a value for every seller with a sale at any time.
    """

    feature: str
    most: float
    since: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.most):
            raise BundleError(f"The limit of {self.feature} is {self.most}; allowed is a finite number.")


@dataclass(frozen=True)
class FeatureSheet:
    """Features in catalogue order, the catalogue's digest, and the requirements for a score.

    Attributes:
        catalogue: the digest of the feature catalogue.
        entries: the features, in catalogue order.
        history: the minimum history of a seller.
        required_tables: without one of them the outcome is `insufficient_data`, never a number.
        max_age_days: the maximum age of a table's data on the day of the request. Older required tables give
            `stale_data`; features computed from other older tables count as missing.
        sizes: the size classes of sellers that `reach` refers to; without them no change is advised.
        activity: the rule for inactive sellers; without it no seller is inactive.
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
            raise BundleError("The feature sheet has two features of the same name.")
        if type(self.max_age_days) is not int or not 0 <= self.max_age_days <= MAX_AGE_LIMIT:
            raise BundleError(
                f"max_age_days is {self.max_age_days!r}; it must be a whole number from 0 to {MAX_AGE_LIMIT}."
            )
        thresholds = {threshold.feature for threshold in self.history}
        if self.activity:
            thresholds |= {self.activity.feature, self.activity.since}
        if unknown := sorted(thresholds - set(names)):
            raise BundleError(f"Thresholds refer to features that the sheet lacks: {', '.join(unknown)}.")
        self._check_reaches()

    def _check_reaches(self) -> None:
        if self.sizes is not None and self.sizes.feature not in self.names:
            raise BundleError(f"Sizes refer to {self.sizes.feature}, which the feature sheet lacks.")
        history = {threshold.feature for threshold in self.history}
        classes = len(self.sizes.limits) + 1 if self.sizes else 0
        groups = [entry.reason_group for entry in self.entries if entry.reach]
        if len(groups) > MAX_REACHES or len(set(groups)) != len(groups):
            raise BundleError(
                f"At most {MAX_REACHES} features may have a reach, each of another reason group; found {len(groups)} "
                f"of {len(set(groups))} groups."
            )
        for entry in self.entries:
            if entry.reach and len(entry.reach) != classes:
                raise BundleError(
                    f"Feature {entry.name} has a reach for {len(entry.reach)} sizes; the feature sheet has {classes}."
                )
            if entry.reach and entry.name in history:
                raise BundleError(f"Feature {entry.name} has a reach, but a seller cannot change history.")

    @cached_property
    def scored(self) -> tuple[int, ...]:
        """The indexes of the features that the model reads."""
        return tuple(index for index, entry in enumerate(self.entries) if entry.scored)

    @cached_property
    def scored_entries(self) -> tuple[FeatureEntry, ...]:
        """The features that the model reads, in catalogue order."""
        return tuple(self.entries[index] for index in self.scored)

    @cached_property
    def typical_and_signs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The typical values of the scored features, NaN if unknown, and their signs."""
        typical = [math.nan if entry.typical is None else entry.typical for entry in self.scored_entries]
        return np.array(typical), np.array([float(entry.sign) for entry in self.scored_entries])

    @cached_property
    def scored_groups(self) -> tuple[str, ...]:
        """The reason groups of the scored features, in the order of their first feature."""
        return tuple(dict.fromkeys(entry.reason_group for entry in self.scored_entries))

    @cached_property
    def group_of_scored(self) -> NDArray[np.intp]:
        """The index of each scored feature's reason group in `scored_groups`."""
        return np.array([self.scored_groups.index(entry.reason_group) for entry in self.scored_entries], dtype=np.intp)

    @cached_property
    def optional_tables(self) -> tuple[str, ...]:
        """The tables that scored features are computed from and that are not required, by name."""
        return tuple(sorted({name for entry in self.scored_entries for name in entry.tables} - {*self.required_tables}))

    @cached_property
    def columns_of_table(self) -> Mapping[str, list[int]]:
        """The indexes of the scored features that are computed from each optional table."""
        return {
            table: [index for index in self.scored if table in self.entries[index].tables]
            for table in self.optional_tables
        }

    @cached_property
    def index_of(self) -> Mapping[str, int]:
        """The index of each feature in a vector."""
        return {name: index for index, name in enumerate(self.names)}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in catalogue order, which is also the order of matrix columns and of ties."""
        return tuple(entry.name for entry in self.entries)
